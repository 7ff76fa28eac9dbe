"""Who is who from picture to picture: faces found now and then, followed between, each with its person's number."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from extract.faces.detectors import FaceDetector
from extract.faces.geometry import Box, Crop, Face, cut
from extract.faces.optical_flow import (
    View,
    correlation,
    cut_patch,
    find_movement,
    find_spots,
    moved_face,
    moved_patch,
    stir,
    to_patch,
    view,
)
from extract.media import Rgb

LOST_S = 2.0  # who is not seen for longer is another person when seen again
MAX_MISSES = 1  # searches in a row that may miss a face which is followed well: finders blink
MIN_LIKENESS = 0.5  # correlation of a followed face with the face as it was found

# A cut: more than half of the picture's cells change by more than this, and not all alike as under a flash of light.
CELLS = (32, 18)
CUT_GREY = 12.0
CUT_SHARE = 0.5
FLASH_CORRELATION = 0.97

LOOKS = Crop(8, 0.0)  # a face's colours, coarse enough that a smile or a box a little off change little
MAX_UNLIKE = 0.13  # mean difference of colours, 0 .. 1, of one who comes back


@dataclass(eq=False)
class _Known:
    """A person of the clip: the face where it is or was last, and what tells the person from others.

    ``spots`` and ``to_patch`` are of the small grey picture. ``speed`` in pixels of the picture per second.
    """

    face: Face
    looks: np.ndarray
    seen_s: float
    speed: np.ndarray = field(default_factory=lambda: np.zeros(2))
    num_found: int = 1
    num_missed: int = 0
    is_seen: bool = True
    stir: float = 0.0
    spots: np.ndarray = field(init=False)
    to_patch: np.ndarray = field(init=False)
    patch: np.ndarray = field(init=False)
    patch_found: np.ndarray = field(init=False)

    def expected(self, time_s: float) -> Box:
        """Where the face should be; one who was lost goes on a little as before."""
        x, y = self.speed * min(time_s - self.seen_s, 0.5)
        return replace(self.face.box, x=self.face.box.x + x, y=self.face.box.y + y)

    def confirm(self, face: Face, looks: np.ndarray, time_s: float) -> None:
        """Take over what a search found."""
        self.stir = self.stir if self.is_seen else 0.0
        self.face, self.looks = replace(face, person=self.face.person), 0.8 * self.looks + 0.2 * looks
        self.num_found, self.num_missed, self.seen_s, self.is_seen = self.num_found + 1, 0, time_s, True

    def fix(self, now: View, others: list[Box]) -> None:
        """Remember the face as it was found now, to be followed from here."""
        self.spots, self.to_patch = find_spots(now, self.face.box, others), to_patch(now, self.face.box)
        self.patch = self.patch_found = cut_patch(now, self.to_patch)

    def follow(self, before: View | None, now: View) -> bool:
        """Move the face to where it is now; False where it is lost."""
        self.is_seen = False
        moved = before and find_movement(before, now, self.spots, self.face.box)
        if not moved:
            return False
        move, self.spots = moved
        self.to_patch = moved_patch(self.to_patch, move)
        patch, face = cut_patch(now, self.to_patch), moved_face(self.face, move, now.scale)
        height, width = now.rgb.shape[:2]
        is_inside = 0 <= face.box.centre_x < width and 0 <= face.box.centre_y < height
        if not is_inside or correlation(patch, self.patch_found) < MIN_LIKENESS:
            return False
        self.stir, self.patch = stir(self.patch, patch), patch
        if now.time_s > self.seen_s:
            self.speed = (_centre(face.box) - _centre(self.face.box)) / (now.time_s - self.seen_s)
        self.face, self.seen_s, self.is_seen = face, now.time_s, True
        return True


class FaceTracker:
    """Every face of a clip's pictures, shown one after another; ``every`` n-th picture is searched by the finder.

    It is searched at once after a cut and where a face is lost; a cut ends every person. Between, faces are followed.
    A face that two searches in a row miss is gone, a new one that is not confirmed by the second is gone with that.
    One who is lost and found again within LOST_S, looking alike, is the same person.
    """

    def __init__(self, finder: FaceDetector, every: int) -> None:
        self._finder, self._every = finder.fresh(), every
        self._known: list[_Known] = []
        self._num_persons = 0
        self._since_search = every
        self._before: View | None = None
        self._cells: np.ndarray | None = None

    def look(self, time_s: float, rgb: Rgb) -> list[Face]:
        """The faces of the next picture."""
        now = view(time_s, rgb)
        if self._is_cut(now):
            self._known.clear()
            self._since_search = self._every
        stay = [known.follow(self._before, now) for known in self._known if known.is_seen]
        self._since_search += 1
        if not all(stay) or self._since_search >= self._every:
            self._search(now)
            self._since_search = 0
        self._known = [known for known in self._known if known.is_seen or self._may_return(known, time_s)]
        self._before = now
        return [known.face for known in self._known if known.is_seen]

    def persons(self) -> dict[int, bool]:
        """Everyone seen of late, hidden or not, and whether more than one search found them."""
        return {known.face.person: known.num_found > 1 for known in self._known}

    def stirs(self) -> dict[int, float]:
        """How much the mouth of each person now seen moved since the picture before, see ``stir``."""
        return {known.face.person: known.stir for known in self._known if known.is_seen}

    def _may_return(self, known: _Known, time_s: float) -> bool:
        return known.num_found > 1 and time_s - known.seen_s <= LOST_S

    def _is_cut(self, now: View) -> bool:
        before, self._cells = self._cells, cv2.resize(now.grey, CELLS, interpolation=cv2.INTER_AREA).astype(np.float32)
        if before is None or self._before is None:
            return False
        if self._before.rgb.shape != now.rgb.shape:
            return True
        changed = np.abs(self._cells - before) > CUT_GREY
        return bool(changed.mean() > CUT_SHARE) and correlation(self._cells, before) < FLASH_CORRELATION

    def _search(self, now: View) -> None:
        """Let the finder say where the faces are, and whose they are."""
        found = [face for face in self._finder.find(now.rgb) if min(face.box.width, face.box.height) >= 1]
        looks = [cut(now.rgb, face, LOOKS).astype(np.float32) / 255 for face in found]
        pairs = self._match_seen(found, looks)
        pairs |= self._match_lost(now.time_s, found, looks, pairs)
        for known in self._known:
            if known.is_seen and known not in pairs.values():
                known.num_missed += 1
                known.is_seen = known.num_found > 1 and known.num_missed <= MAX_MISSES
        for i, known in pairs.items():
            known.confirm(found[i], looks[i], now.time_s)
        new = self._meet(now.time_s, [(face, looks[i]) for i, face in enumerate(found) if i not in pairs])
        for known in (*pairs.values(), *new):
            known.fix(now, [other.face.box for other in self._known if other.is_seen and other is not known])

    def _meet(self, time_s: float, found: list[tuple[Face, np.ndarray]]) -> list[_Known]:
        """New persons, numbered from the left; a second box on the face of someone known is nobody."""
        new = []
        for face, looks in sorted(found, key=lambda each: (each[0].box.x, each[0].box.y)):
            if not any(known.is_seen and known.face.box.overlap(face.box) > 0.3 for known in self._known):
                new.append(_Known(replace(face, person=self._num_persons), looks, time_s))
                self._known.append(new[-1])
                self._num_persons += 1
        return new

    def _match_seen(self, found: Sequence[Face], looks: Sequence[np.ndarray]) -> dict[int, _Known]:
        """Found faces -> those followed up to here: where they overlap, or nearly."""
        seen = [known for known in self._known if known.is_seen]
        costs = np.full((len(found), len(seen)), np.inf)
        for i, face in enumerate(found):
            for j, known in enumerate(seen):
                away, larger = _apart(known.face.box, face.box)
                if away < 0.6 and larger < 2:
                    costs[i, j] = 1 - known.face.box.overlap(face.box) + _unlike(known.looks, looks[i])
        return {i: seen[j] for i, j in _cheapest(costs)}

    def _match_lost(
        self, time_s: float, found: Sequence[Face], looks: Sequence[np.ndarray], taken: dict[int, _Known]
    ) -> dict[int, _Known]:
        """Found faces that are left -> those lost of late: who looks alike, and could have come there."""
        lost = [known for known in self._known if not known.is_seen]
        costs = np.full((len(found), len(lost)), np.inf)
        for i, face in enumerate(found):
            for j, known in enumerate(lost):
                away, larger = _apart(known.expected(time_s), face.box)
                unlike = _unlike(known.looks, looks[i])
                if i not in taken and away < 1 + 3 * (time_s - known.seen_s) and larger < 2 and unlike < MAX_UNLIKE:
                    costs[i, j] = away + 10 * unlike
        return {i: lost[j] for i, j in _cheapest(costs)}


def _centre(box: Box) -> np.ndarray:
    return np.array([box.centre_x, box.centre_y])


def _apart(one: Box, other: Box) -> tuple[float, float]:
    """Distance of the centres in sides of a box, and how many times the larger side is the smaller."""
    small, large = sorted(np.sqrt([one.area, other.area]))
    return float(np.linalg.norm(_centre(one) - _centre(other)) / large), float(large / max(small, 1e-9))


def _unlike(one: np.ndarray, other: np.ndarray) -> float:
    """How different two faces look, 0 .. 1, apart from more or less light on all of it."""
    return float(np.abs((one - one.mean()) - (other - other.mean())).mean())


def _cheapest(costs: np.ndarray) -> list[tuple[int, int]]:
    """Rows and columns paired at the least cost in all (Kuhn 1955); what costs infinity is no pair."""
    rows, columns = linear_sum_assignment(np.where(np.isinf(costs), 1e6, costs))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if np.isfinite(costs[i, j])]
