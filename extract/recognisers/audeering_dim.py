"""Arousal, dominance and valence of a voice."""

from typing import Any

from extract.networks.frozen import Precision
from extract.recognisers import RECOGNISERS
from extract.recognisers.base import Recogniser, Values, in_windows, stated

FACTS = {
    "modality": "audio",
    "answers": "arousal, dominance and valence",
    "licence": "CC BY-NC-SA 4.0 (audEERING sells other licences)",
    "commercial": False,
    "trained_on": ("MSP-Podcast",),
}


@RECOGNISERS.register
def audeering_dim(
    *,
    model: str = "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim",
    revision: str = "main",
    window_s: float = 4.0,
    hop_s: float = 1.0,
    precision: Precision = "fp32",
) -> Recogniser:
    """Arousal, dominance and valence of a voice, by audEERING's wav2vec 2.0 (Wagner et al. 2023).

    A frame gets the answer for the window of ``window_s`` seconds whose middle is nearest, a new one each ``hop_s``.
    The network's answers from 0 to 1 are -1 to 1 in tables. ``model``: a hub name or folder.
    """
    settings = {
        "model": model, "revision": revision, "window_s": window_s, "hop_s": hop_s, "precision": precision,
    }  # fmt: skip
    return Recogniser(
        "audeering_dim",
        "audeering_dim",
        settings,
        (Values(("arousal", "dominance", "valence"), scale=2.0, shift=-1.0),),
        **stated(FACTS),
        **in_windows(window_s),
    )


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny.sound import sound_model

    return [{"model": sound_model("audeering"), "window_s": 1.0, "hop_s": 0.5}]
