"""Contexts: which modalities were observed in a frame, in words."""

from collections.abc import Mapping

import numpy as np

NOTHING = "nothing"
Modalities = Mapping[str, np.ndarray]  # name -> whether it was observed (time)


def contexts_of(modalities: Modalities, num: int) -> np.ndarray:
    """Which modalities were observed in each of ``num`` frames, in words (time): "face+voice", "voice", "nothing".

    "" in every frame where there are no modalities: it is not known.

    >>> contexts_of({"face": np.array([True, False]), "voice": np.array([True, False])}, 2).tolist()
    ['face+voice', 'nothing']
    """
    if not modalities:
        return np.full(num, "", object)
    names = sorted(modalities)
    flags = np.stack([np.asarray(modalities[name], bool) for name in names], axis=1)
    combinations, which = np.unique(flags, axis=0, return_inverse=True)
    words = ["+".join(name for name, there in zip(names, each, strict=True) if there) for each in combinations]
    return np.array([each or NOTHING for each in words], object)[which.reshape(-1)]


def any_observed(modalities: Modalities) -> np.ndarray:
    """Whether any modality was observed (time)."""
    return np.any(list(modalities.values()), axis=0)
