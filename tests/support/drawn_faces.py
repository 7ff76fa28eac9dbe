"""Drawn pictures of coloured faces, the detectors that find them, and short ways to track and select."""

import cv2
import numpy as np

from extract.faces.detector import FaceDetector
from extract.faces.geometry import Box, Face
from extract.faces.target import TargetConfig
from extract.faces.tracking import FaceTracker
from extract.media import pictures

FPS = 25
HEIGHT, WIDTH, SIDE = 120, 240, 40
RED, GREEN, BLUE = 0, 1, 2


class Colours(FaceDetector):
    """A test detector: an area of one of the three colours is a face, unless much of it is covered."""

    has_points = True

    def __init__(self):
        self.num_detections = 0

    def detect(self, picture):
        self.num_detections += 1
        faces = []
        for colour in (RED, GREEN, BLUE):
            others = np.delete(picture, colour, axis=2).max(2)
            mask = (picture[..., colour] > 110) & (others < 90)
            if mask.sum() > 60:
                (rows,), (columns,) = mask.any(1).nonzero(), mask.any(0).nonzero()
                box = Box(*map(float, (columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1)))
                if mask.sum() < 0.6 * box.area or not 0.75 < box.width / box.height < 1.33:
                    continue
                five = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
                faces.append(Face(box, five * (box.width, box.height) + (box.x, box.y)))
        return faces

    def recipe(self):
        return {"finder": "colours", "settings": {}, "version": 1}


class Listed(FaceDetector):
    """A test detector that returns the given boxes, one list a call."""

    def __init__(self, *detections):
        self.detections = list(detections)

    def detect(self, picture):
        return [Face(box) for box in self.detections.pop(0)] if self.detections else []

    def recipe(self):
        return {"finder": "listed", "settings": {}, "version": 1}


def texture(colour, side=SIDE):
    """A face: soft blobs of one colour, always the same ones."""
    blobs = np.random.default_rng(colour).uniform(125, 255, (10, 10)).astype(np.float32)
    face = np.full((side, side, 3), 30, np.uint8)
    face[..., colour] = cv2.resize(blobs, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    return face


def picture(*faces, wall=0, size=(HEIGHT, WIDTH)):
    """Faces (colour, left, top[, side]) before a wall; the later ones cover the earlier ones."""
    rng = np.random.default_rng(100 + wall)
    grey = cv2.resize(rng.uniform(20, 100, (6, 8)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    image = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    for colour, left, top, *side in faces:
        face = texture(colour, *side)
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(size[1], left + face.shape[1]), min(size[0], top + face.shape[0])
        if x1 > x0 and y1 > y0:
            image[y0:y1, x0:x1] = face[y0 - top : y1 - top, x0 - left : x1 - left]
    return image


def select(shown, every=5, side=None, target="largest", detector=None):
    """The target's face in each of some pictures at 25 fps."""
    selector = TargetConfig(detector or Colours(), target, every).make_selector(side, None)
    return [selector.select(i / FPS, image) for i, image in enumerate(shown)]


def track(shown, every=5, detector=None):
    """All faces in each of some pictures at 25 fps."""
    tracker = FaceTracker(detector or Colours(), every)
    return [tracker.track(i / FPS, image) for i, image in enumerate(shown)]


def colour_of(image, face):
    """The colour of the picture inside a face."""
    x, y = round(face.box.centre_x), round(face.box.centre_y)
    return int(image[max(0, y - 5) : y + 5, max(0, x - 5) : x + 5].reshape(-1, 3).mean(0).argmax())


def persons_of(colour, shown, seen):
    """The person numbers that the faces of a colour got."""
    return {
        face.person
        for image, faces in zip(shown, seen, strict=True)
        for face in faces
        if colour_of(image, face) == colour
    }


def select_from(path, target, detector, every=5):
    """The pictures of a file, and the target's face in each of them."""
    selector = TargetConfig(detector, target, every).make_selector(None, path)
    shown = [(each.time_s, each.rgb()) for each in pictures(path)]
    return [rgb for _, rgb in shown], [selector.select(time_s, rgb) for time_s, rgb in shown]


def select_in(shown, detector, every=5, side=None, target="largest"):
    """The target's face in each of some (time, picture) pairs."""
    selector = TargetConfig(detector, target, every).make_selector(side, None)
    return [selector.select(time_s, rgb) for time_s, rgb in shown]
