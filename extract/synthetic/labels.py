"""Labels of the synthetic data set: the truth, annotations with noise, and labels that are missing on purpose."""

from pathlib import Path

import numpy as np

from abaw.dataset.names import ACTION_UNITS, EXPRESSIONS
from extract.synthetic.scenes import Affect, Scene, Waves, mislabel
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
IMAGE_STEP = 5  # frames from one image of MTL to the next
UNLABELLED_SHARES = {"train": {"va": 0.2, "expr": 0.3, "au": 0.2}, "validation": {"va": 0.0, "expr": 0.4, "au": 0.0}}

Images = dict[str, list[str]]  # clip -> its rows in MTL's files; for a test clip only its image locations
Rows = dict[str, list[str]]  # task -> one row per frame


def write_truth(
    root: Path, clip: str, affect: Affect, units: np.ndarray, hidden: np.ndarray, times_s: np.ndarray
) -> None:
    """Write what was drawn and synthesised, for analysis."""
    columns = (affect.valence(times_s), affect.arousal(times_s), affect.expression(times_s))
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
    affect: Affect,
    units: np.ndarray,
    has_crop: np.ndarray,
    times_s: np.ndarray,
    rngs: tuple[np.random.Generator, np.random.Generator],
) -> list[str]:
    """Write a clip's annotation files: the truth with noise, planted sentinels and the planted number of lines.

    ``units`` (time, 12) are NaN where no face is visible. ``rngs``: one for valence, arousal and expression, and one
    for the rest, which does not change the former. Returns the clip's rows for MTL's file.
    """
    images = _images(scene, clip, has_crop, rngs[1])
    if scene.split == "test":
        return [location for location, _ in images]
    rows = _emotions(scene, affect, times_s, rngs[0]) | {"au": _units(scene, units, times_s, rngs[1])}
    for task in scene.tasks:
        lines = rows[task][: len(times_s) + scene.extra_lines] + [rows[task][-1]] * max(0, scene.extra_lines)
        path = root / "annotations" / FOLDERS[task] / SPLIT_FOLDERS[scene.split] / f"{clip}.txt"
        write_lines(path, [HEADERS[task], *lines], "\r\n" if scene.crlf else "\n")
    labels = {task: dict(enumerate(rows[task][: len(times_s) + scene.extra_lines])) for task in scene.tasks}
    return [_multitask(scene, location, i, labels, rngs[1]) for location, i in images]


def write_lines(path: Path, lines: list[str], end: str = "\n") -> None:
    """Write a text file, each line followed by ``end``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())


def _emotions(scene: Scene, affect: Affect, times_s: np.ndarray, rng: np.random.Generator) -> Rows:
    num = len(times_s)
    values = []
    for truth in (affect.valence(times_s), affect.arousal(times_s)):
        noisy = truth + VA_NOISE_SD * Waves(rng, (0.7, 4.0))(times_s)
        values.append([f"{value + 0.0:g}" for value in np.clip(noisy, -1, 1).round(3)])
    classes = mislabel(affect.expression(times_s), EXPR_NOISE_SHARE, rng).astype(str).tolist()
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
        rows[start - 1] = ",".join(["-1", *rows[start - 1].split(",")[1:]])  # a row in which only one unit has no label
    return rows


def _images(scene: Scene, clip: str, has_crop: np.ndarray, rng: np.random.Generator) -> list[tuple[str, int]]:
    """The locations of a clip's images for MTL, each with the index of its frame."""
    if not scene.crops:
        return []
    chosen = range(int(rng.integers(IMAGE_STEP)), len(has_crop), IMAGE_STEP)
    return [(f"{clip}/{i + 1:05d}.jpg", i) for i in chosen if has_crop[i]]


def _multitask(scene: Scene, location: str, i: int, labels: dict[str, dict[int, str]], rng: np.random.Generator) -> str:
    """One row of MTL's file. A task's label is its sentinel where the clip has none, and at random in some images."""
    missing = UNLABELLED_SHARES[scene.split]
    drawn = {task: rng.uniform() for task in FOLDERS}
    cells = {task: labels.get(task, {}).get(i, SENTINELS[task]) for task in FOLDERS}
    return ",".join([location, *(SENTINELS[task] if drawn[task] < missing[task] else cells[task] for task in FOLDERS)])
