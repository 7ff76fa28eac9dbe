"""Clips with drawn faces, and their extraction with small encoders."""

import cv2
import numpy as np

from abaw.dataset.layout import open_dataset
from extract.encoders import ENCODERS
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.faces.detector import FaceDetector
from extract.faces.geometry import Box, Face
from extract.faces.target import TargetConfig
from extract.media import Sound
from extract.store.store import FeatureStore
from extract.synthetic.write_clip import write_clip

FPS = 25


class Bright(FaceDetector):
    """A test detector: every bright square of the picture is a face."""

    def detect(self, picture):
        count, _, stats, _ = cv2.connectedComponentsWithStats((picture[:, :, 0] > 128).astype(np.uint8))
        return [Face(Box(*(float(side) for side in stats[i, :4]))) for i in range(1, count) if stats[i, 4] > 50]

    def recipe(self):
        return {"finder": "bright", "settings": {}, "version": 1}


def picture(*squares):
    image = np.full((120, 160, 3), 20, np.uint8)
    for left, top, side in squares:
        image[top : top + side, left : left + side] = 220
    return image


def tone(seconds, start_s=0.0):
    t = np.arange(round(seconds * 16000)) / 16000
    return Sound((0.3 * np.sin(2 * np.pi * 200 * t)).astype(np.float32), 16000, start_s)


def write_video(path, pictures, sound=None, times_s=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, pictures, np.arange(len(pictures)) / FPS if times_s is None else times_s, sound)


def write_images(folder, numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), np.full((112, 112, 3), number * 3 % 255, np.uint8))


def specs():
    return [EncoderSpec(name, ENCODERS.build(name)) for name in ("face_hog", "voice_mel")]


def bright(**settings):
    return TargetConfig(Bright(), **{"detect_every": 1, **settings})


def run(root, store, target=None, **options):
    return extract(open_dataset(root), FeatureStore(store), specs(), target or bright(), **options)


def get(store, name, clip_id):
    store = FeatureStore(store)
    recipes = [recipe for recipe in store.recipes().values() if recipe["name"] == name]
    return store.get(recipes[0], clip_id)
