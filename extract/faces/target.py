"""Whose face a clip is about: the target, picked among everyone seen, by a policy with a name."""

import tempfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.registry import nearest
from extract import media
from extract.faces.active_speaker import RATE_HZ, speakers
from extract.faces.detectors import FaceDetector
from extract.faces.geometry import Box, Face
from extract.faces.tracking import FaceTracker
from extract.media import Rgb

VERSION = 1  # of following and choosing: raised when they give other boxes

Rank = Callable[[Box, int, int], float]  # of a box in a picture of that width and height; the least is taken
RANKS: dict[str, Rank] = {
    "largest": lambda box, width, height: -box.area,
    "leftmost": lambda box, width, height: box.centre_x,
    "rightmost": lambda box, width, height: -box.centre_x,
    "central": lambda box, width, height: float(np.hypot(box.centre_x - width / 2, box.centre_y - height / 2)),
}
TARGETS = (*RANKS, "longest", "speaking")


@dataclass(frozen=True)
class TargetConfig:
    """How the target's face is got in every clip.

    ``every`` n-th picture is searched by the finder and the faces are followed between; 1: each. ``target``:
    "largest", "leftmost", "rightmost" or "central" of those seen, "longest" seen, or "speaking"; a clip of one of two
    subjects (``_left``, ``_right``) is of that one whatever the target.
    """

    finder: FaceDetector
    target: str = "largest"
    every: int = 5

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise InputError(
                f"no target {self.target!r}{nearest(self.target, TARGETS)} the persons to be had are: "
                f"{', '.join(TARGETS)}"
            )
        if self.every < 1:
            raise InputError(f"faces are to be searched in every {self.every}th picture: give 1 (each one) or more")

    def recipe(self) -> dict[str, Any]:
        """JSON: the finder's recipe, and what else can change whose box it is and where."""
        return {**self.finder.recipe(), "target": self.target, "every": self.every, "persons": VERSION}

    def begin(self, side: str | None, path: Path | None) -> "TargetSelector":
        """TargetConfig one clip; it may be done in any thread, and each has a finder of its own.

        ``side``: "left" or "right", where the clip is of one of two subjects. ``path``: its media, which "longest"
        and "speaking" decode by themselves first.
        """
        follower = FaceTracker(self.finder, self.every)
        if side is not None:
            return _Going(follower, _Side(side))
        if self.target in RANKS:
            return _Going(follower, _Ranked(self.target))
        return _record(follower, self.target, path)


class TargetSelector(ABC):
    """Tells where the target's face is in each picture of one clip."""

    @abstractmethod
    def look(self, time_s: float, rgb: Rgb) -> Face | None:
        """The target's face in the next picture; None where it is not to be seen. Every picture once, in order."""


class _Policy(ABC):
    """Picks the target's face among those of one picture after the other."""

    @abstractmethod
    def pick(self, faces: Sequence[Face], known: dict[int, bool], width: int, height: int) -> Face | None:
        """``known``: everyone seen of late, hidden or not, and whether that is sure."""


class _Ranked(_Policy):
    """The first by rank, kept while known: hidden for a while, nobody stands in.

    The largest gives way to one more than twice as large, the others to whoever comes later, surely, and ranks before.
    """

    def __init__(self, target: str) -> None:
        self._target, self._rank = target, RANKS[target]
        self._held: Face | None = None
        self._weighed: set[int] = set()

    def pick(self, faces: Sequence[Face], known: dict[int, bool], width: int, height: int) -> Face | None:
        first = min(faces, key=lambda face: self._rank(face.box, width, height), default=None)
        held = self._held
        if held is None or held.person not in known or (first is not None and self._gives_way(held, first, known)):
            self._held = first
            self._weighed = set(known)
            return first
        seen = next((face for face in faces if face.person == held.person), None)
        self._held = seen or held
        if seen is not None:
            self._weighed |= {face.person for face in faces if known[face.person]}
        return seen

    def _gives_way(self, held: Face, first: Face, known: dict[int, bool]) -> bool:
        if first.person == held.person:
            return False
        if self._target == "largest":
            return first.box.area > 2 * held.box.area
        return first.person not in self._weighed and known[first.person]


class _Side(_Policy):
    """One of the two subjects of a video, the left or the right one.

    Two who are surely seen together have their sides for good. One who is seen alone has the side that is left, where
    the other one is only hidden, else that nearest to where the two were seen last, else that of his half of the
    picture; until he is seen with another.
    """

    def __init__(self, side: str) -> None:
        if side not in ("left", "right"):
            raise InputError(f"the side of a subject is {side!r}, expected 'left' or 'right'")
        self._side = side
        self._sides: dict[int, str] = {}
        self._sure: set[int] = set()  # whose side is for good
        self._guessed: set[int] = set()  # whose side was got beside someone who may not be
        self._before: set[int] = set()
        self._last_x: dict[str, float] = {}

    def pick(self, faces: Sequence[Face], known: dict[int, bool], width: int, height: int) -> Face | None:
        self._forget(known)
        two = sorted(faces, key=lambda face: (face.person not in self._sure, -face.box.area))[:2]
        pair = sorted(two, key=lambda face: face.box.centre_x)
        are_sure = len(pair) == 2 and all(known[face.person] for face in pair)
        if len(pair) == 2 and (are_sure or not self._sure):
            self._pair(pair[0], pair[1], are_sure)
        elif len(faces) == 1 and (faces[0].person not in self._sides or faces[0].person in self._guessed):
            self._sides[faces[0].person] = self._alone(faces[0], width)
            self._guessed.discard(faces[0].person)
        for face in faces:
            if face.person in self._sure:
                self._last_x[self._sides[face.person]] = face.box.centre_x / width
        self._before = {face.person for face in faces if known[face.person]}
        mine = [face for face in faces if self._sides.get(face.person) == self._side]
        return max(mine, key=lambda face: (face.person in self._sure, face.box.area), default=None)

    def _forget(self, known: dict[int, bool]) -> None:
        if not self._before <= known.keys():
            self._last_x = {}  # who was seen just now is not even hidden: a cut, and another view
        self._sides = {person: side for person, side in self._sides.items() if person in known}
        self._sure &= known.keys()
        self._guessed &= known.keys()

    def _pair(self, left: Face, right: Face, are_sure: bool) -> None:
        """Two are seen together: who has no sure side gets the one that is left over."""
        sides = {face.person: self._sides[face.person] for face in (left, right) if face.person in self._sure}
        hidden = {self._sides[person] for person in self._sure - sides.keys()}  # the side of one who is only hidden
        if not sides and not hidden:
            sides = {left.person: "left", right.person: "right"}
        for one, other in ((left, right), (right, left)):
            if one.person in sides and other.person not in sides:
                spare = "left" if sides[one.person] == "right" else "right"
                if spare not in hidden:
                    sides[other.person] = spare
        self._sides |= sides
        if are_sure:
            self._sure |= sides.keys()
            self._guessed -= sides.keys()
        else:
            self._guessed |= sides.keys()

    def _alone(self, face: Face, width: int) -> str:
        taken = {self._sides[person] for person in self._sure}
        if len(taken) == 2:
            return ""  # a third: both subjects are only hidden
        if len(taken) == 1:
            return "left" if taken == {"right"} else "right"
        x = face.box.centre_x / width
        left, right = self._last_x.get("left", 0.25), self._last_x.get("right", 0.75)
        return "left" if abs(x - left) < abs(x - right) else "right"


class _Going(TargetSelector):
    """Follows and picks as the pictures come."""

    def __init__(self, follower: FaceTracker, policy: _Policy) -> None:
        self._follower, self._policy = follower, policy

    def look(self, time_s: float, rgb: Rgb) -> Face | None:
        faces = self._follower.look(time_s, rgb)
        return self._policy.pick(faces, self._follower.persons(), rgb.shape[1], rgb.shape[0])


class _Known(TargetSelector):
    """Looks up what was picked when the whole clip was seen before: the pictures' times, and rows of a ``_Cast``."""

    def __init__(self, times_s: np.ndarray, rows: np.ndarray) -> None:
        self._times_s, self._rows = times_s, rows
        self._frames = np.ascontiguousarray(rows[:, 0])

    def look(self, time_s: float, rgb: Rgb) -> Face | None:
        frame = int(np.searchsorted(self._times_s, time_s))
        if frame == len(self._times_s) or self._times_s[frame] != time_s:
            raise InputError(f"no picture was at {time_s} s when the clip was seen first: it changed, extract it again")
        place = int(np.searchsorted(self._frames, frame))
        if place == len(self._frames) or self._frames[place] != frame:
            return None
        row = self._rows[place].tolist()
        points = np.array(row[10:]).reshape(5, 2) if row[9] else None
        return Face(Box(*row[5:9]), points, int(row[1]), bool(row[2]), row[3])


class _Cast:
    """Faces of a clip, packed: an hour of two persons takes 35 MB, a tenth of what as many objects would.

    A row is frame, person, found, score, stir, 4 of the box, whether there are points, 10 of the points.
    """

    def __init__(self) -> None:
        self._times_s, self._rows = array("d"), array("d")

    def add(self, time_s: float, faces: Sequence[Face], stirs: dict[int, float]) -> None:
        """The faces of the next picture."""
        for face in faces:
            box, points = face.box, np.zeros(10) if face.points is None else face.points.ravel()
            about = (len(self._times_s), face.person, face.found, face.score, stirs[face.person])
            self._rows.extend((*about, box.x, box.y, box.width, box.height, face.points is not None, *points))
        self._times_s.append(time_s)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Times of the pictures, and the rows."""
        return np.array(self._times_s), np.array(self._rows).reshape(-1, 20)


def _record(follower: FaceTracker, target: str, path: Path | None) -> _Known:
    """See the whole clip and pick the target's faces."""
    cast, ranked, largest = _Cast(), _Ranked("largest"), array("q")
    for picture in media.pictures(path) if path is not None else ():
        rgb = picture.rgb()
        faces = follower.look(picture.time_s, rgb)
        cast.add(picture.time_s, faces, follower.stirs())
        face = ranked.pick(faces, follower.persons(), rgb.shape[1], rgb.shape[0])
        largest.append(-1 if face is None else face.person)
    times_s, rows = cast.arrays()
    frames, persons = rows[:, 0].astype(int), rows[:, 1].astype(int)
    if target == "longest":
        return _Known(times_s, rows[_longest(frames, persons)])
    who = np.array(largest, int)
    if path is not None and len(set(persons.tolist())) > 1:
        spoken = speakers(times_s, frames, persons, rows[:, 4], _sound(path))
        who = who if (spoken < 0).all() else spoken
    return _Known(times_s, rows[persons == who[frames]])


def _sound(path: Path) -> media.Sound:
    """The sound, its samples on disk: four hours are half a gigabyte."""
    return media.sounds(path, [RATE_HZ], Path(tempfile.gettempdir()))[RATE_HZ]


def _longest(frames: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """The rows of who is seen in most pictures; where he is not there yet or no more, of the next, and so on.

    Nobody stands in while he is hidden between two sights of him.
    """
    numbers, counts = np.unique(persons, return_counts=True)
    spans: list[tuple[int, int]] = []
    chosen = np.zeros(len(persons), bool)
    for person in numbers[np.argsort(-counts, kind="stable")]:
        own = persons == person
        first, last = int(frames[own][0]), int(frames[own][-1])
        if all(last < start or stop < first for start, stop in spans):
            spans.append((first, last))
            chosen |= own
    return chosen
