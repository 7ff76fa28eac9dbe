"""Labels of the synthetic data set: the truth, what annotators make of it, and what is missing on purpose."""

from pathlib import Path

import numpy as np

from abaw.dataset.names import ACTION_UNITS, EXPRESSIONS
from extract.synthetic.scenes import Mood, Scene, Waves, mislabel
from extract.synthetic.units import TIMING_SD_S, annotate

VA_NOISE_SD = 0.05
EXPR_NOISE_SHARE = 0.04
NOISE = {
    "valence_arousal": f"smooth, standard deviation {VA_NOISE_SD}, then clipped to [-1, 1]",
    "expression": f"{EXPR_NOISE_SHARE:.0%} of unbroken runs take a neighbouring class",
    "action_units": f"onsets and offsets are off by a smooth standard deviation of {TIMING_SD_S} s",
    "valence_arousal_sd": VA_NOISE_SD,
    "expression_share": EXPR_NOISE_SHARE,
    "action_units_sd_s": TIMING_SD_S,
}
FOLDERS = {"va": "VA_Estimation_Challenge", "expr": "EXPR_Recognition_Challenge", "au": "AU_Detection_Challenge"}
HEADERS = {"va": "valence,arousal", "expr": ",".join(EXPRESSIONS), "au": ",".join(ACTION_UNITS)}
SENTINELS = {"va": "-5,-5", "expr": "-1", "au": ",".join(["-1"] * len(ACTION_UNITS))}
SPLIT_FOLDERS = {"train": "Train_Set", "validation": "Validation_Set"}
EVERY = 5  # frames between two images of MTL's
UNLABELLED = {"train": {"va": 0.2, "expr": 0.3, "au": 0.2}, "validation": {"va": 0.0, "expr": 0.4, "au": 0.0}}

Images = dict[str, list[str]]  # clip -> its rows in MTL's files; of a test clip its images alone
Rows = dict[str, list[str]]  # task -> a row a frame


def write_truth(root: Path, clip: str, mood: Mood, units: np.ndarray, hidden: np.ndarray, times_s: np.ndarray) -> None:
    """What was drawn and sung, for analysis."""
    columns = (mood.valence(times_s), mood.arousal(times_s), mood.expression(times_s))
    active = (units > 0).astype(int)
    rows = ["frame,time_s,valence,arousal,expression,face_visible," + ",".join(ACTION_UNITS)]
    for i, (time_s, valence, arousal, expression) in enumerate(zip(times_s, *columns, strict=True)):
        row = f"{i + 1},{time_s:.6f},{valence:.6f},{arousal:.6f},{expression},{int(not hidden[i])}"
        rows.append(f"{row},{','.join(map(str, active[i]))}")
    write_lines(root / "truth" / f"{clip}.csv", rows)


def write_labels(
    root: Path,
    scene: Scene,
    clip: str,
    mood: Mood,
    units: np.ndarray,
    has_crop: np.ndarray,
    times_s: np.ndarray,
    rngs: tuple[np.random.Generator, np.random.Generator],
) -> list[str]:
    """Annotation files: the truth with the stated noise, the planted sentinels and the planted number of lines.

    ``units`` are NaN where no face is seen. ``rngs``: one for valence, arousal and expression, one for all else, so
    that what is new changes nothing that was there. Returns the clip's rows for MTL's file.
    """
    images = _images(scene, clip, has_crop, rngs[1])
    if scene.split == "test":
        return [place for place, _ in images]
    rows = _emotions(scene, mood, times_s, rngs[0]) | {"au": _units(scene, units, times_s, rngs[1])}
    for task in scene.tasks:
        lines = rows[task][: len(times_s) + scene.extra_lines] + [rows[task][-1]] * max(0, scene.extra_lines)
        path = root / "annotations" / FOLDERS[task] / SPLIT_FOLDERS[scene.split] / f"{clip}.txt"
        write_lines(path, [HEADERS[task], *lines], "\r\n" if scene.crlf else "\n")
    told = {task: dict(enumerate(rows[task][: len(times_s) + scene.extra_lines])) for task in scene.tasks}
    return [_multitask(scene, place, i, told, rngs[1]) for place, i in images]


def write_lines(path: Path, lines: list[str], end: str = "\n") -> None:
    """A text file whose every line ends so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())


def _emotions(scene: Scene, mood: Mood, times_s: np.ndarray, rng: np.random.Generator) -> Rows:
    num = len(times_s)
    values = []
    for truth in (mood.valence(times_s), mood.arousal(times_s)):
        noisy = truth + VA_NOISE_SD * Waves(rng, (0.7, 4.0))(times_s)
        values.append([f"{value + 0.0:g}" for value in np.clip(noisy, -1, 1).round(3)])
    classes = mislabel(mood.expression(times_s), EXPR_NOISE_SHARE, rng).astype(str).tolist()
    rows = {"va": [f"{v},{a}" for v, a in zip(*values, strict=True)], "expr": classes}
    if scene.sentinels:
        for task in ("va", "expr"):
            start, length = int(rng.uniform(0.1, 0.8) * num), max(2, num // 12)
            rows[task][start : start + length] = [SENTINELS[task]] * length
    return rows


def _units(scene: Scene, units: np.ndarray, times_s: np.ndarray, rng: np.random.Generator) -> list[str]:
    hidden = np.isnan(units).any(axis=1)
    marked = annotate(np.nan_to_num(units, nan=-1.0), times_s, rng).astype(int)
    rows = [SENTINELS["au"] if away else ",".join(map(str, row)) for row, away in zip(marked, hidden, strict=True)]
    if scene.sentinels:
        start, length = int(rng.uniform(0.1, 0.8) * len(rows)), max(2, len(rows) // 12)
        rows[start : start + length] = [SENTINELS["au"]] * length
        rows[start - 1] = ",".join(["-1", *rows[start - 1].split(",")[1:]])  # one unit alone
    return rows


def _images(scene: Scene, clip: str, has_crop: np.ndarray, rng: np.random.Generator) -> list[tuple[str, int]]:
    """MTL's images of a clip, with their places in its rows."""
    if not scene.crops:
        return []
    chosen = range(int(rng.integers(EVERY)), len(has_crop), EVERY)
    return [(f"{clip}/{i + 1:05d}.jpg", i) for i in chosen if has_crop[i]]


def _multitask(scene: Scene, place: str, i: int, told: dict[str, dict[int, str]], rng: np.random.Generator) -> str:
    """One row: every part's label, or its sentinel where the clip's own file has none or, by chance, the image."""
    missing = UNLABELLED[scene.split]
    drawn = {task: rng.uniform() for task in FOLDERS}
    cells = {task: told.get(task, {}).get(i, SENTINELS[task]) for task in FOLDERS}
    return ",".join([place, *(SENTINELS[task] if drawn[task] < missing[task] else cells[task] for task in FOLDERS)])
