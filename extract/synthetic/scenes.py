"""The scenes of the synthetic data set: which persons and planted cases each video has, and affect over time."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from abaw.dataset.names import EXPRESSIONS

Split = Literal["train", "validation", "test"]
MIN_CLIPS = 14  # fewer cannot hold every planted case

# one sector each of the valence-arousal plane, counter-clockwise; the first is centred on valence 1, arousal 0
RING = ("Happiness", "Surprise", "Fear", "Anger", "Disgust", "Sadness", "Other")
RING_CLASSES = np.array([EXPRESSIONS.index(name) for name in RING])
SECTOR_ANGLE = 2 * np.pi / len(RING)
NEUTRAL_RADIUS = 0.35
NEUTRAL_SHARE = 0.14  # of the time

NTSC = Fraction(30000, 1001)


@dataclass(frozen=True)
class Scene:
    """One video: the clips in it and what is planted.

    ``fps`` is the real rate; with ``bursts_missing`` some of these frames are left out. ``extra_lines``: label lines
    more (or fewer, below 0) than frames; ``extra_rows``: rows of the VA template more than frames.
    """

    video: str
    split: Split
    suffix: str = ".mp4"
    batch: str = "batch1"
    fps: Fraction = Fraction(25)
    subjects: tuple[str, ...] = ("",)  # appended to the video's name in the clips' names
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

# "contains" in synth.json: planted case -> a clip that has it
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


def make_scenes(num_clips: int) -> list[Scene]:
    """The planted scenes, then plain ones to fill the splits; a larger data set has all scenes of a smaller one."""
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
    """The k-th plain scene of a split; its name follows one of the patterns of names in Aff-Wild2."""
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
    """A smooth irregular motion of mean 0 and variance 1, defined at any time: a sum of a few sinusoids."""

    def __init__(self, rng: np.random.Generator, periods_s: tuple[float, float], num: int = 4) -> None:
        low, high = np.log(periods_s)
        self.frequencies_hz = 1.0 / np.exp(rng.uniform(low, high, num))
        self.phases = rng.uniform(0, 2 * np.pi, num)

    def __call__(self, times_s: np.ndarray) -> np.ndarray:
        angles = 2 * np.pi * np.multiply.outer(times_s, self.frequencies_hz) + self.phases
        return np.sin(angles).sum(-1) * np.sqrt(2 / len(self.phases))


class Affect:
    """Valence and arousal of one person over time, smooth and in [-1, 1], and the expression at that point.

    All sectors of the plane are equally likely; the angle stays near the middle of a sector, so that few frames are
    ambiguous. With ``shared`` the arousal is that of another person, because a video has only one voice.
    """

    def __init__(self, rng: np.random.Generator, shared: "Affect | None" = None) -> None:
        self.x, self.y = Waves(rng, (4.5, 11.0)), Waves(rng, (4.5, 11.0))
        self.shared = shared

    def valence(self, times_s: np.ndarray) -> np.ndarray:
        return self._plane(times_s)[0]

    def arousal(self, times_s: np.ndarray) -> np.ndarray:
        return self.shared.arousal(times_s) if self.shared else self._plane(times_s)[1]

    def expression(self, times_s: np.ndarray) -> np.ndarray:
        """The class numbers: Neutral within a small radius, otherwise the class of the sector."""
        return expression_classes(self.valence(times_s), self.arousal(times_s))

    def _plane(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = self.x(times_s), self.y(times_s)
        rank = 1 - np.exp(
            -(x**2 + y**2) / 2
        )  # uniform in [0, 1], because the radius of two normal variables is Rayleigh distributed
        outer = np.clip((rank - NEUTRAL_SHARE) / (1 - NEUTRAL_SHARE), 0, 1)
        inner = np.minimum(rank / NEUTRAL_SHARE, 1)
        radius = NEUTRAL_RADIUS * inner**1.5 + (1 - NEUTRAL_RADIUS) * (1 - (1 - outer) ** 2.5)
        turn = np.arctan2(y, x) / SECTOR_ANGLE
        middle = np.round(turn)
        off = 2 * (turn - middle)  # from -1 to 1 across a sector
        angle = (middle + 0.5 * (0.5 * off + 0.5 * off * np.abs(off) ** 1.5)) * SECTOR_ANGLE
        return radius * np.cos(angle), radius * np.sin(angle)


def expression_classes(valence: np.ndarray, arousal: np.ndarray) -> np.ndarray:
    """The class numbers of points of the plane."""
    sector = np.round(np.arctan2(arousal, valence) / SECTOR_ANGLE).astype(int) % len(RING)
    return np.where(np.hypot(valence, arousal) < NEUTRAL_RADIUS, 0, RING_CLASSES[sector])


def mislabel(classes: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The classes with a ``share`` of the runs of equal labels changed to a neighbouring class, as annotators do."""
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
