"""The target of a clip: the one person whose face the vision encoders get, chosen by a named rule."""

import tempfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw.dataset.media_files import WHOLE, Part, Streams
from abaw.errors import InputError
from abaw.registry import nearest
from extract import media
from extract.faces.active_speaker import RATE_HZ, detect_speakers
from extract.faces.detector import FaceDetector
from extract.faces.geometry import Box, Face
from extract.faces.tracking import FaceTracker, with_later
from extract.media import Rgb

VERSION = 1  # of tracking and selection: raised when they give other boxes

Rank = Callable[[Box, int, int], float]  # of a box in a picture of that width and height; the lowest wins
RANKS: dict[str, Rank] = {
    "largest": lambda box, width, height: -box.area,
    "leftmost": lambda box, width, height: box.centre_x,
    "rightmost": lambda box, width, height: -box.centre_x,
    "central": lambda box, width, height: float(np.hypot(box.centre_x - width / 2, box.centre_y - height / 2)),
}
TARGETS = (*RANKS, "longest", "speaking")
PERSON = "person:"  # then the number of a person in the clip, as the table of all persons has it


@dataclass(frozen=True)
class TargetConfig:
    """How the target's face is found in every clip.

    ``target``: among the persons in the picture the "largest", "leftmost", "rightmost" or most "central"; the one
    visible "longest"; or the one "speaking". In a clip of one of two subjects (``_left``, ``_right``) it is always that
    subject. "person:N" is the person of that number, as a pass over the clip with another target numbered them.
    ``detect_every``: the detector runs on every n-th picture and faces are tracked in between; 1: on each.

    Raises InputError for an unknown target or a ``detect_every`` below 1.
    """

    detector: FaceDetector
    target: str = "largest"
    detect_every: int = 5

    def __post_init__(self) -> None:
        if self.target not in TARGETS and _person_of(self.target) is None:
            raise InputError(
                f"no target named {self.target!r}{nearest(self.target, TARGETS)} known: {', '.join(TARGETS)}"
            )
        if self.detect_every < 1:
            raise InputError(f"detect_every is {self.detect_every}, expected 1 (detect in every frame) or more")

    def recipe(self) -> dict[str, Any]:
        """JSON: the detector's recipe, and everything else that can change which box is chosen."""
        return {**self.detector.recipe(), "target": self.target, "every": self.detect_every, "persons": VERSION}

    @property
    def is_online(self) -> bool:
        """Whether the target of a picture depends on no later one."""
        return self.target in RANKS or _person_of(self.target) is not None

    def make_selector(
        self,
        side: str | None,
        path: Path | None,
        streams: Streams | None = None,
        check: Callable[[], None] = lambda: None,
        assume_fps: float | None = None,
        part: Part = WHOLE,
        shown: Iterable[media.Picture] | None = None,
    ) -> "TargetSelector":
        """A selector for one clip, with a detector of its own, so that each thread can use one.

        ``side``: "left" or "right" in a clip of one of two subjects, else None. ``path``: the clip's media file, of
        which "longest" and "speaking" decode the chosen ``streams`` once here, before the first ``select``; ``check``
        is called at every picture and frame of sound of that pass and may raise to stop it. ``assume_fps`` as in
        ``media.pictures``; ``part``: of the file that is the clip. ``shown``: the clip's pictures where it has no media
        file. Raises InputError for another side.
        """
        tracker = FaceTracker(self.detector, self.detect_every)
        if (person := _person_of(self.target)) is not None:
            return _OnlineSelector(tracker, _PersonPolicy(person))
        if side is not None:
            return _OnlineSelector(tracker, _SidePolicy(side))
        if self.target in RANKS:
            return _OnlineSelector(tracker, _RankPolicy(self.target))
        streams = streams or Streams()
        if path is not None:
            shown = media.pictures(path, None, streams.video, assume_fps, part)
        return _select_from_whole_clip(tracker, self.target, shown or (), path, streams, check, part)


def person_target(person: int) -> str:
    """The target that is the person of this number."""
    return f"{PERSON}{person}"


def _person_of(target: str) -> int | None:
    number = target.removeprefix(PERSON) if target.startswith(PERSON) else ""
    return int(number) if number.isascii() and number.isdigit() else None


class TargetSelector(ABC):
    """Selects the target's face in the pictures of one clip. ``faces``: all persons' in the last picture."""

    def __init__(self) -> None:
        self.faces: Sequence[Face] = ()

    @abstractmethod
    def select(self, time_s: float, rgb: Rgb, later: media.Picture | None = None) -> Face | None:
        """The target's face in the next picture, None where it is not visible. Call it once a picture, in order, with
        ``later`` as ``FaceTracker.track`` takes it."""


class _Policy(ABC):
    """Chooses the target among the faces of each picture."""

    @abstractmethod
    def choose(self, faces: Sequence[Face], known: dict[int, bool], width: int, height: int) -> Face | None:
        """``known``: as ``FaceTracker.known_persons``; ``width`` and ``height`` of the picture."""


class _RankPolicy(_Policy):
    """The person who ranks first, kept as long as the tracker knows them: while they are hidden there is no target.

    "largest" changes to a person more than twice as large; the others to a confirmed person who appeared later and
    ranks first.
    """

    def __init__(self, target: str) -> None:
        self._target, self._rank = target, RANKS[target]
        self._current: Face | None = None
        self._compared: set[int] = set()  # persons who were there beside the target and did not replace it

    def choose(self, faces: Sequence[Face], known: dict[int, bool], width: int, height: int) -> Face | None:
        first = min(faces, key=lambda face: self._rank(face.box, width, height), default=None)
        current = self._current
        if current is None or current.person not in known or (first and self._is_replaced(current, first, known)):
            self._current = first
            self._compared = set(known)
            return first
        seen = next((face for face in faces if face.person == current.person), None)
        self._current = seen or current
        if seen is not None:
            self._compared |= {face.person for face in faces if known[face.person]}
        return seen

    def _is_replaced(self, current: Face, first: Face, known: dict[int, bool]) -> bool:
        if first.person == current.person:
            return False
        if self._target == "largest":
            return first.box.area > 2 * current.box.area
        return first.person not in self._compared and known[first.person]


class _PersonPolicy(_Policy):
    """The person of a number. Tracking numbers the persons of a clip alike whoever is the target."""

    def __init__(self, person: int) -> None:
        self._person = person

    def choose(self, faces: Sequence[Face], known: dict[int, bool], width: int, height: int) -> Face | None:
        return next((face for face in faces if face.person == self._person), None)


class _SidePolicy(_Policy):
    """The left or the right one of the two subjects of a video.

    Two confirmed persons seen together get their sides for good. A person seen alone gets the free side if the other
    subject is only hidden, else the side nearest to the last places of the two, else the side of their half of the
    picture; that guess lasts until they are seen with another person.
    """

    def __init__(self, side: str) -> None:
        if side not in ("left", "right"):
            raise InputError(f"the side of a subject is {side!r}, expected 'left' or 'right'")
        self._side = side
        self._sides: dict[int, str] = {}
        self._certain: set[int] = set()  # persons whose side is final
        self._guessed: set[int] = set()  # persons whose side comes from a pair with an unconfirmed face
        self._before: set[int] = set()
        self._last_x: dict[str, float] = {}

    def choose(self, faces: Sequence[Face], known: dict[int, bool], width: int, height: int) -> Face | None:
        self._forget(known)
        two = sorted(faces, key=lambda face: (face.person not in self._certain, -face.box.area))[:2]
        pair = sorted(two, key=lambda face: face.box.centre_x)
        are_confirmed = len(pair) == 2 and all(known[face.person] for face in pair)
        if len(pair) == 2 and (are_confirmed or not self._certain):
            self._assign_pair(pair[0], pair[1], are_confirmed)
        elif len(faces) == 1 and (faces[0].person not in self._sides or faces[0].person in self._guessed):
            self._sides[faces[0].person] = self._guess_side(faces[0], width)
            self._guessed.discard(faces[0].person)
        for face in faces:
            if face.person in self._certain:
                self._last_x[self._sides[face.person]] = face.box.centre_x / width
        self._before = {face.person for face in faces if known[face.person]}
        mine = [face for face in faces if self._sides.get(face.person) == self._side]
        return max(mine, key=lambda face: (face.person in self._certain, face.box.area), default=None)

    def _forget(self, known: dict[int, bool]) -> None:
        if not self._before <= known.keys():
            self._last_x = {}  # a person seen just now is no longer known: after a shot change the view is another
        self._sides = {person: side for person, side in self._sides.items() if person in known}
        self._certain &= known.keys()
        self._guessed &= known.keys()

    def _assign_pair(self, left: Face, right: Face, are_confirmed: bool) -> None:
        """Assign sides to two faces seen together: one without a final side gets the free one."""
        sides = {face.person: self._sides[face.person] for face in (left, right) if face.person in self._certain}
        hidden = {self._sides[person] for person in self._certain - sides.keys()}  # sides of hidden persons
        if not sides and not hidden:
            sides = {left.person: "left", right.person: "right"}
        for one, other in ((left, right), (right, left)):
            if one.person in sides and other.person not in sides:
                spare = "left" if sides[one.person] == "right" else "right"
                if spare not in hidden:
                    sides[other.person] = spare
        self._sides |= sides
        if are_confirmed:
            self._certain |= sides.keys()
            self._guessed -= sides.keys()
        else:
            self._guessed |= sides.keys()

    def _guess_side(self, face: Face, width: int) -> str:
        taken = {self._sides[person] for person in self._certain}
        if len(taken) == 2:
            return ""  # a third person: both subjects are only hidden
        if len(taken) == 1:
            return "left" if taken == {"right"} else "right"
        x = face.box.centre_x / width
        left, right = self._last_x.get("left", 0.25), self._last_x.get("right", 0.75)
        return "left" if abs(x - left) < abs(x - right) else "right"


class _OnlineSelector(TargetSelector):
    """Tracks and chooses picture by picture."""

    def __init__(self, tracker: FaceTracker, policy: _Policy) -> None:
        super().__init__()
        self._tracker, self._policy = tracker, policy

    def select(self, time_s: float, rgb: Rgb, later: media.Picture | None = None) -> Face | None:
        self.faces = self._tracker.track(time_s, rgb, later)
        return self._policy.choose(self.faces, self._tracker.known_persons(), rgb.shape[1], rgb.shape[0])


class _OfflineSelector(TargetSelector):
    """Looks up the faces of the whole clip: ``times_s`` of its pictures, rows of a ``_FaceTable``, which are chosen."""

    def __init__(self, times_s: np.ndarray, rows: np.ndarray, chosen: np.ndarray) -> None:
        super().__init__()
        self._times_s, self._rows, self._chosen = times_s, rows, chosen
        self._frames = np.ascontiguousarray(rows[:, 0])

    def select(self, time_s: float, rgb: Rgb, later: media.Picture | None = None) -> Face | None:
        frame = int(np.searchsorted(self._times_s, time_s))
        if frame == len(self._times_s) or self._times_s[frame] != time_s:
            raise InputError(f"the first pass over the clip had no picture at {time_s} s: the file changed, try again")
        places = range(*np.searchsorted(self._frames, [frame, frame + 1]).tolist())
        self.faces = [_face_of_row(self._rows[place].tolist()) for place in places]
        return next((face for face, place in zip(self.faces, places, strict=True) if self._chosen[place]), None)


def _face_of_row(row: list[float]) -> Face:
    points = np.array(row[10:]).reshape(5, 2) if row[9] else None
    return Face(Box(*row[5:9]), points, int(row[1]), bool(row[2]), row[3])


class _FaceTable:
    """The faces of a clip as one array: 35 MB for an hour of two persons, a tenth of what objects take.

    A row: frame, person, detected, score, mouth motion, 4 of the box, whether there are points, 10 of the points.
    """

    def __init__(self) -> None:
        self._times_s, self._rows = array("d"), array("d")

    def add(self, time_s: float, faces: Sequence[Face], mouth_motions: dict[int, float]) -> None:
        """Add the faces of the next picture."""
        for face in faces:
            box, points = face.box, np.zeros(10) if face.points is None else face.points.ravel()
            about = (len(self._times_s), face.person, face.detected, face.score, mouth_motions[face.person])
            self._rows.extend((*about, box.x, box.y, box.width, box.height, face.points is not None, *points))
        self._times_s.append(time_s)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The times of the pictures, and the rows."""
        return np.array(self._times_s), np.array(self._rows).reshape(-1, 20)


def _select_from_whole_clip(
    tracker: FaceTracker,
    target: str,
    shown: Iterable[media.Picture],
    path: Path | None,
    streams: Streams,
    check: Callable[[], None],
    part: Part,
) -> _OfflineSelector:
    """Decode and track the whole clip once, then choose who is visible longest or speaks."""
    table, policy, largest = _FaceTable(), _RankPolicy("largest"), array("q")
    for picture, later in with_later(shown, tracker.detect_every):
        check()
        if not picture.is_decodable:
            continue
        faces = tracker.track(picture.time_s, rgb := picture.rgb(), later)
        table.add(picture.time_s, faces, tracker.mouth_motions())
        face = policy.choose(faces, tracker.known_persons(), rgb.shape[1], rgb.shape[0])
        largest.append(-1 if face is None else face.person)
    times_s, rows = table.arrays()
    frames, persons = rows[:, 0].astype(int), rows[:, 1].astype(int)
    if target == "longest":
        return _OfflineSelector(times_s, rows, _choose_longest(frames, persons))
    chosen = np.array(largest, int)
    if path is not None and len(set(persons.tolist())) > 1:
        speakers = detect_speakers(times_s, frames, persons, rows[:, 4], _read_sound(path, streams, check, part))
        chosen = chosen if (speakers < 0).all() else speakers
    return _OfflineSelector(times_s, rows, persons == chosen[frames])


def _read_sound(path: Path, streams: Streams, check: Callable[[], None], part: Part) -> media.Sound:
    """The clip's sound, its samples on disk: four hours are half a gigabyte."""
    folder = Path(tempfile.gettempdir())
    return media.sounds(path, [RATE_HZ], folder, audio_stream=streams.audio, check=check, part=part)[RATE_HZ]


def _choose_longest(frames: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Which rows show the person visible in most pictures; before and after that person the next longest, and so on.

    Nobody replaces a person who is hidden between two appearances.
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
