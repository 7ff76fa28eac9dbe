"""Action units of the drawn faces, computed from the parameters of a FaceState.

Each unit has a measure and is active where it is above 0. Where the drawing cannot show a unit as a real face does, a
comment says what is drawn instead.
"""

from collections.abc import Sequence

import numpy as np

from abaw.dataset.names import ACTION_UNITS
from extract.synthetic.face import FaceState
from extract.synthetic.scenes import Waves

TIMING_SD_S = 0.1  # of the annotated onsets and offsets
BLINK = 0.4  # lids below this are shut in a blink, which does not count as tightening


def measure_units(faces: Sequence[FaceState]) -> np.ndarray:
    """How far each unit is above its threshold, (time, 12) in the order of ``ACTION_UNITS``."""
    smile, brow, cheek, lids, jaw = np.array([[m.smile, m.brow, m.cheek, m.lids, m.jaw] for m in faces]).T
    both = np.minimum
    measures = {
        "AU1": brow - 0.45,  # inner ends of the brows up
        "AU2": -0.8 - brow,  # outer ends up: drawn as inner ends far down
        "AU4": -0.4 - brow,  # brows down and together
        "AU6": cheek - 0.35,
        "AU7": both(0.85 - lids, lids - BLINK),  # eyes narrow, but not shut
        "AU10": both(smile - 0.2, jaw - 0.12),  # upper lip raised: drawn as a smiling open mouth
        "AU12": smile - 0.3,  # corners of the mouth up
        "AU15": -0.92 - smile,  # corners far down
        "AU23": both(both(-0.74 - smile, smile + 0.92), 0.01 - jaw),  # a narrow, closed mouth
        "AU24": both(0.045 - np.abs(smile), 0.01 - jaw),  # a straight, closed mouth
        "AU25": jaw - 0.01,  # lips apart
        "AU26": jaw - 0.4,  # the jaw well down
    }
    return np.stack([measures[name] for name in ACTION_UNITS], axis=1)


def annotate(measured: np.ndarray, times_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which units an annotator marks, (time, 12) bool: onsets and offsets vary smoothly with sd ``TIMING_SD_S``."""
    marked = [
        np.interp(times_s + TIMING_SD_S * Waves(rng, (0.7, 4.0))(times_s), times_s, unit) > 0 for unit in measured.T
    ]
    return np.stack(marked, axis=1)
