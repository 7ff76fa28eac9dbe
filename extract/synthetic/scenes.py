"""Who plays in the synthetic data set, what is wrong with each clip on purpose, and the moods they go through."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from abaw.dataset.names import EXPRESSIONS

Split = Literal["train", "validation", "test"]
MIN_CLIPS = 14  # fewer cannot hold every planted case

# Round the circumplex from valence 1, arousal 0, counter-clockwise: one sector each, the first centred on angle 0.
RING = ("Happiness", "Surprise", "Fear", "Anger", "Disgust", "Sadness", "Other")
RING_CLASSES = np.array([EXPRESSIONS.index(name) for name in RING])
SECTOR = 2 * np.pi / len(RING)
NEUTRAL_RADIUS = 0.35
NEUTRAL_SHARE = 0.14  # of all moments

NTSC = Fraction(30000, 1001)


@dataclass(frozen=True)
class Scene:
    """One video of the data set: whom it shows and what is planted in it.

    A Fraction ``fps`` is the real rate; with ``bursts_missing`` frames are dropped from that grid. ``extra_lines`` are
    label lines beyond (or short of) the frames; ``extra_rows`` are rows of the VA template beyond them.
    """

    video: str
    split: Split
    suffix: str = ".mp4"
    batch: str = "batch1"
    fps: Fraction = Fraction(25)
    subjects: tuple[str, ...] = ("",)  # what the clip ids add to the video's name
    bursts_missing: bool = False
    sound: bool = True
    sound_start_s: float = 0.0
    crops: bool = True
    turns_away: bool = False
    sentinels: bool = False
    extra_lines: int = 0
    extra_rows: int = 0
    crlf: bool = False
    tasks: tuple[str, ...] = ("va", "expr", "au")

    @property
    def clips(self) -> tuple[str, ...]:
        return tuple(self.video + subject for subject in self.subjects)

    @property
    def image_root(self) -> str:
        return "cropped_aligned" if self.batch == "batch1" else "cropped_aligned_new_50_vids"


PLANTED = (
    Scene("130-25-1280x720", "train", subjects=("_left", "_right"), sentinels=True),
    Scene("102", "train", sound=False, tasks=("expr",)),
    Scene("video45_1", "train", crops=False),
    Scene("122-60-1920x1080-3", "train", fps=NTSC, extra_lines=1),
    Scene("46-30-484x360", "train", suffix=".avi", batch="batch2", fps=Fraction(15, 2), tasks=("va",)),
    Scene("video12", "train", bursts_missing=True, extra_lines=-4),
    Scene("video49", "validation", turns_away=True),
    Scene("107", "validation", sound_start_s=0.8, sentinels=True),
    Scene("28-30-1280x720-1", "validation", suffix=".avi", batch="batch2", crlf=True),
    Scene("10-60-1280x720", "test", fps=NTSC, subjects=("", "_right")),
    Scene("451", "test", suffix=".avi", batch="batch2", crops=False),
    Scene("136-30-1920x1080", "test", extra_rows=1),
)

# What synth.json says under "contains": the case and a clip that shows it.
CASES = {
    "two_subjects_left": "130-25-1280x720_left",
    "two_subjects_right": "130-25-1280x720_right",
    "base_of_right_only": "10-60-1280x720",
    "right_only": "10-60-1280x720_right",
    "turned_away": "video49",
    "labelled_frames_without_jpg": "107",
    "sentinel_rows": "107",
    "fps_7_5": "46-30-484x360",
    "fps_25": "102",
    "fps_29_97": "10-60-1280x720",
    "misleading_fps_in_name": "122-60-1920x1080-3",
    "variable_fps": "video12",
    "late_sound": "107",
    "no_sound": "102",
    "video_only": "video45_1",
    "video_only_test": "451",
    "one_label_line_more": "122-60-1920x1080-3",
    "label_lines_fewer": "video12",
    "crlf": "28-30-1280x720-1",
    "va_only": "46-30-484x360",
    "expr_only": "102",
    "template_one_row_more": "136-30-1920x1080",
    "au_one_unit_unlabelled": "107",
    "au_unlabelled_where_turned_away": "video49",
    "mtl_repeated_rows": "130-25-1280x720_left",
    "mtl_trains_on_validation_video": "28-30-1280x720-1",
}


def cast_scenes(num_clips: int) -> list[Scene]:
    """The planted scenes, then plain ones until each split is full; a longer data set begins like a shorter one."""
    num_test = max(4, round(num_clips / 6))
    num_validation = max(3, round(num_clips * 2 / 9))
    quota: dict[Split, int] = {
        "train": num_clips - num_test - num_validation,
        "validation": num_validation,
        "test": num_test,
    }
    scenes = list(PLANTED)
    for offset, (split, size) in enumerate(quota.items()):
        num_planted = sum(len(scene.clips) for scene in PLANTED if scene.split == split)
        for k in range(size - num_planted):
            scenes.append(_plain(split, k, 201 + offset + 3 * k))
    return scenes


def _plain(split: Split, k: int, number: int) -> Scene:
    """The k-th scene of a split in which little is planted, named in turn after Aff-Wild2's three families."""
    name = (f"{number}", f"video{number}", f"{number}-30-1920x1080", f"{number}-60-1280x720-1")[k % 4]
    new = k % 5 == 3
    return Scene(
        name,
        split,
        suffix=".avi" if new else ".mp4",
        batch="batch2" if new else "batch1",
        fps=NTSC if k % 5 == 1 else Fraction(25),
        sentinels=k % 3 == 2,
        turns_away=k % 8 == 4,
    )


class Waves:
    """A smooth irregular motion of mean 0 and variance 1: a few sinusoids, readable at any time."""

    def __init__(self, rng: np.random.Generator, periods_s: tuple[float, float], num: int = 4) -> None:
        low, high = np.log(periods_s)
        self.turns_hz = 1.0 / np.exp(rng.uniform(low, high, num))
        self.phases = rng.uniform(0, 2 * np.pi, num)

    def __call__(self, times_s: np.ndarray) -> np.ndarray:
        angles = 2 * np.pi * np.multiply.outer(times_s, self.turns_hz) + self.phases
        return np.sin(angles).sum(-1) * np.sqrt(2 / len(self.phases))


class Mood:
    """Valence and arousal of one subject over time, both smooth in -1 .. 1, and the expression they mean.

    The plane is visited evenly by angle; the angle dwells near the middle of a sector, so that few moments are
    ambiguous. With ``shared`` the arousal is another's: two subjects of one video are heard as one voice.
    """

    def __init__(self, rng: np.random.Generator, shared: "Mood | None" = None) -> None:
        self.east, self.north = Waves(rng, (4.5, 11.0)), Waves(rng, (4.5, 11.0))
        self.shared = shared

    def valence(self, times_s: np.ndarray) -> np.ndarray:
        return self._plane(times_s)[0]

    def arousal(self, times_s: np.ndarray) -> np.ndarray:
        return self.shared.arousal(times_s) if self.shared else self._plane(times_s)[1]

    def expression(self, times_s: np.ndarray) -> np.ndarray:
        """The class numbers: Neutral inside a small radius, else the sector of the angle."""
        return express(self.valence(times_s), self.arousal(times_s))

    def _plane(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = self.east(times_s), self.north(times_s)
        rank = 1 - np.exp(-(x**2 + y**2) / 2)  # even over 0 .. 1, as the radius of two normals is
        outer = np.clip((rank - NEUTRAL_SHARE) / (1 - NEUTRAL_SHARE), 0, 1)
        inner = np.minimum(rank / NEUTRAL_SHARE, 1)
        radius = NEUTRAL_RADIUS * inner**1.5 + (1 - NEUTRAL_RADIUS) * (1 - (1 - outer) ** 2.5)
        turn = np.arctan2(y, x) / SECTOR
        middle = np.round(turn)
        off = 2 * (turn - middle)  # -1 .. 1 across a sector
        angle = (middle + 0.5 * (0.5 * off + 0.5 * off * np.abs(off) ** 1.5)) * SECTOR
        return radius * np.cos(angle), radius * np.sin(angle)


def express(valence: np.ndarray, arousal: np.ndarray) -> np.ndarray:
    """The class number of each point of the plane."""
    sector = np.round(np.arctan2(arousal, valence) / SECTOR).astype(int) % len(RING)
    return np.where(np.hypot(valence, arousal) < NEUTRAL_RADIUS, 0, RING_CLASSES[sector])


def mislabel(classes: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Classes with a ``share`` of their unbroken runs given a neighbouring class, as an annotator confuses them."""
    noisy = classes.copy()
    starts = np.flatnonzero(np.diff(classes, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(classes)], strict=True):
        wrong, pick = rng.uniform() < share, rng.integers(3)
        if wrong:
            noisy[start:stop] = _neighbours(int(classes[start]))[pick]
    return noisy


def _neighbours(label: int) -> list[int]:
    if label == 0:
        return [int(RING_CLASSES[k]) for k in (0, 2, 5)]
    place = RING_CLASSES.tolist().index(label)
    return [0, int(RING_CLASSES[place - 1]), int(RING_CLASSES[(place + 1) % len(RING)])]
