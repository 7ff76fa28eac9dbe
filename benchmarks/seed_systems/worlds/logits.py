"""Worlds of the calibration proofs: true logits that depend on the context, and clips whose frames are alike."""

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.tasks.base import Task

FACE, VOICE = "face", "voice"
CONTEXTS = ("face+voice", "voice")  # by number


def true_logits(logits: np.ndarray, context: np.ndarray) -> np.ndarray:
    """0.4 s - 1 in context 0; (1.6 s above 0, else 0.3 s) + 0.7 in context 1."""
    return np.where(context == 0, 0.4 * logits - 1, np.where(logits > 0, 1.6 * logits, 0.3 * logits) + 0.7)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def simulate_frames(num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of variance 4, contexts 0 or 1, and truths of independent frames."""
    logits, context = rng.normal(0, 2, num), rng.integers(0, 2, num)
    return logits, context, rng.random(num) < sigmoid(true_logits(logits, context))


def log_loss(logits: np.ndarray, truth: np.ndarray) -> float:
    """Mean binary cross-entropy."""
    return float(np.logaddexp(0, np.where(truth, -logits, logits)).mean())


CASES = {  # true logits of logits and contexts, before the effect of the clip
    "nothing to gain": lambda logits, context: logits,
    "too sure": lambda logits, context: 0.5 * logits,
    "other in each context": true_logits,
}
CLIP_EFFECT = 0.7  # standard deviation of a clip's offset of all its true logits
FRAMES, RUN = 24, 3  # of a clip; of frames in a row with one logit and one label
MODALITIES = {FACE: (True, False), VOICE: (True, True)}  # whether it is observed in each context


def simulate_clips(task: Task, case: str, num: int, rng: np.random.Generator) -> dict[str, LabelledTable]:
    """Clips of a task of classes or units: each unit is a binary task as in ``CASES``; a class is drawn from a softmax.

    Logits and labels stay for ``RUN`` frames, the face is lost for whole runs, and each clip adds its own offset.
    """
    clips = {}
    for number in range(num):
        runs = FRAMES // RUN
        logits, context = rng.normal(0, 2, (runs, task.out_dim)), (rng.random(runs) < 0.3).astype(int)
        effect = rng.normal(0, CLIP_EFFECT, task.out_dim)
        true = CASES[case](logits, context[:, None]) + effect
        if task.blocks[0][0] == "classes":
            noise = rng.gumbel(size=true.shape)
            truth = (true + noise).argmax(axis=1)[:, None].astype(np.float32)
        else:
            truth = (rng.random(true.shape) < sigmoid(true)).astype(np.float32)
        values, truth, context = (np.repeat(each, RUN, axis=0) for each in (logits, truth, context))
        everywhere = np.ones(len(values), bool)
        modalities = {name: np.array(flags)[context] for name, flags in MODALITIES.items()}
        labels = Labels(truth, everywhere)
        clips[f"video{number:03}"] = LabelledTable(task.probabilities(values), everywhere, labels, None, modalities)
    return clips
