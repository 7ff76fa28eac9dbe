"""Clips of even brightness, for tests of extraction of many clips."""

import subprocess
import sys

import numpy as np

from abaw.dataset.layout import open_dataset
from extract.encoders.base import PictureEncoder
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.faces.detector import FaceDetector
from extract.faces.geometry import Box, Face
from extract.faces.target import TargetConfig
from extract.media import Sound
from extract.store.store import FeatureStore
from extract.synthetic.write_clip import write_clip

FPS = 25


class Corner(FaceDetector):
    """A test detector: a face at the same place in every picture that is not black."""

    def detect(self, picture):
        return [Face(Box(10, 10, 40, 40))] if picture.max() > 60 else []

    def recipe(self):
        return {"finder": "corner", "settings": {}, "version": 1}


class Brightness(PictureEncoder):
    """A test encoder: the mean brightness of the pictures of a row; it records its batches."""

    def __init__(self, crop=None, batch_size=8, span=1, stride=1):
        self.crop, self.batch_size, self.span, self.stride, self.dim = crop, batch_size, span, stride, 2
        self.batches = []

    def recipe(self):
        return {"encoder": "brightness", "settings": {"span": self.span, "stride": self.stride}, "version": 1}

    def prepare(self, pictures):
        light = np.array([picture.mean() for picture in pictures], np.float32).reshape(-1, self.span)
        return np.stack([light.mean(axis=1), light[:, 0]], axis=1)

    def forward(self, batch):
        self.batches.append(len(batch))
        return batch


def target():
    return TargetConfig(Corner(), detect_every=1)


def grey(light):
    return np.full((64, 80, 3), light, np.uint8)


def write(path, lights, seconds_of_sound=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds_of_sound * 16000)) / 16000
    sound = Sound((0.3 * np.sin(2 * np.pi * 200 * t)).astype(np.float32), 16000, 0.0) if len(t) else None
    write_clip(path, [grey(light) for light in lights], np.arange(len(lights)) / FPS, sound)


def store_of(encoder, data, folder, **options):
    store = FeatureStore(folder)
    report = extract(open_dataset(data), store, [EncoderSpec("light", encoder, "float32")], target(), **options)
    return store, report


def light(store, clip_id):
    return store.get(store.find("light"), clip_id)


def files_of(folder):
    """Path -> content of every file, hidden ones included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def abaw(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "abaw", "-q", *map(str, words)], stdout=subprocess.PIPE, text=True, **options
    )
