"""Faces tracked through a clip: detected now and then, followed by optical flow in between, one number a person."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from extract.faces.detector import FaceDetector
from extract.faces.geometry import Box, Crop, Face, cut
from extract.faces.optical_flow import (
    View,
    correlation,
    cut_patch,
    detect_keypoints,
    estimate_motion,
    make_view,
    measure_mouth_motion,
    move_face,
    move_patch,
    patch_transform,
)
from extract.media import Picture, Rgb

MAX_AHEAD = 10  # pictures that wait decoded, of which one of 4K takes 12 MB
LOST_S = 2.0  # a person unseen for longer gets a new number
MAX_MISSES = 1  # detections in a row that may miss a face which is tracked well: detectors miss single pictures
MIN_CORRELATION = 0.5  # of a tracked face's patch with the patch at its last detection

# A shot change: more than half of the picture's cells change by more than this, and not all alike as under a flash.
CELLS = (32, 18)
CUT_GREY = 12.0
CUT_SHARE = 0.5
FLASH_CORRELATION = 0.97

APPEARANCE_CROP = Crop(8, 0.0)  # the face's colours, so coarse that a smile or a shifted box changes little
MAX_APPEARANCE_DISTANCE = 0.13  # mean difference of colours (0 to 1) up to which a face is the person lost before


@dataclass(eq=False)
class _Person:
    """A person of the clip: the face where it is or was last, and what distinguishes it from others.

    ``keypoints`` and ``to_patch`` are in pixels of the small grey picture, ``speed`` in pixels of the picture a second.
    """

    face: Face
    appearance: np.ndarray
    seen_s: float
    speed: np.ndarray = field(default_factory=lambda: np.zeros(2))
    num_detections: int = 1
    num_misses: int = 0
    is_seen: bool = True
    mouth_motion: float = 0.0
    keypoints: np.ndarray = field(init=False)
    to_patch: np.ndarray = field(init=False)
    patch: np.ndarray = field(init=False)
    patch_detected: np.ndarray = field(init=False)

    def predict(self, time_s: float) -> Box:
        """Where the face should be at that time: it moves on at its last speed for half a second at most."""
        x, y = self.speed * min(time_s - self.seen_s, 0.5)
        return replace(self.face.box, x=self.face.box.x + x, y=self.face.box.y + y)

    def update(self, face: Face, appearance: np.ndarray, time_s: float) -> None:
        """Take over a new detection of the face."""
        self.mouth_motion = self.mouth_motion if self.is_seen else 0.0
        self.face, self.appearance = replace(face, person=self.face.person), 0.8 * self.appearance + 0.2 * appearance
        self.num_detections, self.num_misses = self.num_detections + 1, 0
        self.seen_s, self.is_seen = time_s, True

    def start_tracking(self, now: View, others: list[Box]) -> None:
        """Store the keypoints and the patch from which the face is tracked."""
        self.keypoints = detect_keypoints(now, self.face.box, others)
        self.to_patch = patch_transform(now, self.face.box)
        self.patch = self.patch_detected = cut_patch(now, self.to_patch)

    def track(self, before: View | None, now: View) -> bool:
        """Move the face to its place in the picture ``now``; False where it is lost."""
        self.is_seen = False
        estimate = before and estimate_motion(before, now, self.keypoints, self.face.box)
        if not estimate:
            return False
        motion, self.keypoints = estimate
        self.to_patch = move_patch(self.to_patch, motion)
        patch, face = cut_patch(now, self.to_patch), move_face(self.face, motion, now.scale)
        height, width = now.rgb.shape[:2]
        is_inside = 0 <= face.box.centre_x < width and 0 <= face.box.centre_y < height
        if not is_inside or correlation(patch, self.patch_detected) < MIN_CORRELATION:
            return False
        self.mouth_motion, self.patch = measure_mouth_motion(self.patch, patch), patch
        if now.time_s > self.seen_s:
            self.speed = (_centre(face.box) - _centre(self.face.box)) / (now.time_s - self.seen_s)
        self.face, self.seen_s, self.is_seen = face, now.time_s, True
        return True


class FaceTracker:
    """Tracks every face of a clip; the detector runs on every ``detect_every``-th picture.

    It also runs at once after a shot change, which ends all persons, and where a face is lost. A face missed by two
    detections in a row is dropped, a new face already by the first. A person who is lost and detected again within
    ``LOST_S`` with a similar appearance keeps the number. Detection is most of the work: in a picture that is known
    before it is reached, the detector runs in a thread beside the tracking. What is found does not depend on that.
    """

    def __init__(self, detector: FaceDetector, detect_every: int) -> None:
        self._detector, self.detect_every = detector.clone(), detect_every
        self._beside = ThreadPoolExecutor(1, "faces")  # every detection: a detector is not for two threads at once
        self._ahead: tuple[float, Future[list[Face]]] | None = None  # the time of a later picture, and its faces
        self._persons: list[_Person] = []
        self._num_persons = 0
        self._num_since_detection = detect_every
        self._before: View | None = None
        self._cells: np.ndarray | None = None

    def track(self, time_s: float, rgb: Rgb, later: Picture | None = None) -> list[Face]:
        """The faces of the next picture, which is shown at ``time_s``.

        ``later``: the picture that comes ``detect_every`` pictures after it, where it is known (``with_later``).
        """
        now = make_view(time_s, rgb)
        if self._is_shot_change(now):
            self._persons.clear()
            self._num_since_detection = self.detect_every
        are_tracked = [person.track(self._before, now) for person in self._persons if person.is_seen]
        self._num_since_detection += 1
        if not all(are_tracked) or self._num_since_detection >= self.detect_every:
            self._assign(now, self._detect(time_s, rgb).result())
            self._num_since_detection = 0
            self._ahead = None if later is None else (later.time_s, self._detect(later.time_s, later.rgb()))
        self._persons = [person for person in self._persons if person.is_seen or self._may_return(person, time_s)]
        self._before = now
        return [person.face for person in self._persons if person.is_seen]

    def known_persons(self) -> dict[int, bool]:
        """The numbers of the persons seen within ``LOST_S``, and whether each was confirmed by a second detection."""
        return {person.face.person: person.num_detections > 1 for person in self._persons}

    def mouth_motions(self) -> dict[int, float]:
        """The mouth motion of each person in the picture, see ``measure_mouth_motion``."""
        return {person.face.person: person.mouth_motion for person in self._persons if person.is_seen}

    def _may_return(self, person: _Person, time_s: float) -> bool:
        return person.num_detections > 1 and time_s - person.seen_s <= LOST_S

    def _is_shot_change(self, now: View) -> bool:
        before, self._cells = self._cells, cv2.resize(now.grey, CELLS, interpolation=cv2.INTER_AREA).astype(np.float32)
        if before is None or self._before is None:
            return False
        if self._before.rgb.shape != now.rgb.shape:
            return True
        is_changed = np.abs(self._cells - before) > CUT_GREY
        return bool(is_changed.mean() > CUT_SHARE) and correlation(self._cells, before) < FLASH_CORRELATION

    def _detect(self, time_s: float, rgb: Rgb) -> Future[list[Face]]:
        """The faces that the detector finds in a picture: it is doing so already, or begins now."""
        if self._ahead is not None and self._ahead[0] == time_s:
            return self._ahead[1]
        return self._beside.submit(self._detector.detect, rgb)

    def _assign(self, now: View, detected: Sequence[Face]) -> None:
        """Assign the faces that the detector found to persons."""
        faces = [face for face in detected if min(face.box.width, face.box.height) >= 1]
        appearances = [cut(now.rgb, face, APPEARANCE_CROP).astype(np.float32) / 255 for face in faces]
        pairs = self._match_seen(faces, appearances)
        pairs |= self._match_lost(now.time_s, faces, appearances, pairs)
        for person in self._persons:
            if person.is_seen and person not in pairs.values():
                person.num_misses += 1
                person.is_seen = person.num_detections > 1 and person.num_misses <= MAX_MISSES
        for i, person in pairs.items():
            person.update(faces[i], appearances[i], now.time_s)
        unmatched = [(face, appearances[i]) for i, face in enumerate(faces) if i not in pairs]
        new = self._add_persons(now.time_s, unmatched)
        for person in (*pairs.values(), *new):
            others = [other.face.box for other in self._persons if other.is_seen and other is not person]
            person.start_tracking(now, others)

    def _add_persons(self, time_s: float, faces: list[tuple[Face, np.ndarray]]) -> list[_Person]:
        """New persons, numbered from left to right; a second box on the face of a known person is ignored."""
        new = []
        for face, appearance in sorted(faces, key=lambda each: (each[0].box.x, each[0].box.y)):
            if not any(person.is_seen and person.face.box.overlap(face.box) > 0.3 for person in self._persons):
                new.append(_Person(replace(face, person=self._num_persons), appearance, time_s))
                self._persons.append(new[-1])
                self._num_persons += 1
        return new

    def _match_seen(self, faces: Sequence[Face], appearances: Sequence[np.ndarray]) -> dict[int, _Person]:
        """Index of a detected face -> the tracked person whose box it overlaps, or nearly."""
        seen = [person for person in self._persons if person.is_seen]
        costs = np.full((len(faces), len(seen)), np.inf)
        for i, face in enumerate(faces):
            for j, person in enumerate(seen):
                distance, size_ratio = _compare_boxes(person.face.box, face.box)
                if distance < 0.6 and size_ratio < 2:
                    costs[i, j] = 1 - person.face.box.overlap(face.box)
                    costs[i, j] += appearance_distance(person.appearance, appearances[i])
        return {i: seen[j] for i, j in _match(costs)}

    def _match_lost(
        self, time_s: float, faces: Sequence[Face], appearances: Sequence[np.ndarray], taken: dict[int, _Person]
    ) -> dict[int, _Person]:
        """Index of a face not yet ``taken`` -> the lost person with a similar appearance who could have moved there."""
        lost = [person for person in self._persons if not person.is_seen]
        costs = np.full((len(faces), len(lost)), np.inf)
        for i, face in enumerate(faces):
            for j, person in enumerate(lost):
                distance, size_ratio = _compare_boxes(person.predict(time_s), face.box)
                difference = appearance_distance(person.appearance, appearances[i])
                is_near = distance < 1 + 3 * (time_s - person.seen_s) and size_ratio < 2
                if i not in taken and is_near and difference < MAX_APPEARANCE_DISTANCE:
                    costs[i, j] = distance + 10 * difference
        return {i: lost[j] for i, j in _match(costs)}


def with_later(pictures: Iterable[Picture], num: int) -> Iterator[tuple[Picture, Picture | None]]:
    """Each picture, and of those that could be decoded the one that comes ``num`` after it.

    None where there is none, where the picture itself could not be decoded, and where ``num`` is above ``MAX_AHEAD``.
    """
    if num > MAX_AHEAD:
        yield from ((picture, None) for picture in pictures)
        return
    waiting: deque[Picture] = deque()
    num_decodable = 0  # of those that wait
    for picture in pictures:
        waiting.append(picture)
        num_decodable += picture.is_decodable
        if num_decodable > num:
            while not waiting[0].is_decodable:
                yield waiting.popleft(), None
            yield waiting.popleft(), picture
            num_decodable -= 1
    for picture in waiting:
        yield picture, None


def appearance_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The mean absolute difference of two small face crops (values 0 to 1) after removing their mean brightness."""
    return float(np.abs((one - one.mean()) - (other - other.mean())).mean())


def _centre(box: Box) -> np.ndarray:
    return np.array([box.centre_x, box.centre_y])


def _compare_boxes(one: Box, other: Box) -> tuple[float, float]:
    """The distance of the centres in sides of the larger box, and the ratio of the larger side to the smaller."""
    small, large = sorted(np.sqrt([one.area, other.area]))
    return float(np.linalg.norm(_centre(one) - _centre(other)) / large), float(large / max(small, 1e-9))


def _match(costs: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of row and column with the least total cost (Kuhn 1955); an infinite cost forbids a pair."""
    from scipy.optimize import linear_sum_assignment  # takes half a second to load

    rows, columns = linear_sum_assignment(np.where(np.isinf(costs), 1e6, costs))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if np.isfinite(costs[i, j])]
