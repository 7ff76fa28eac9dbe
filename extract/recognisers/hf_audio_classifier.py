"""Any Hugging Face classification model for sound."""

from typing import Any

from extract.networks.frozen import Precision
from extract.networks.hub import snapshot
from extract.recognisers import RECOGNISERS
from extract.recognisers.base import Recogniser, in_windows, stated_by_user
from extract.recognisers.heads import HeadActivation, outputs_of

FACTS = {
    "modality": "audio",
    "answers": "the model's own classes (id2label)",
    "licence": "the model's own",
    "commercial": None,
    "trained_on": (),
}


@RECOGNISERS.register
def hf_audio_classifier(
    *,
    model: str,
    revision: str = "main",
    activation: HeadActivation = "auto",
    scale: float = 1.0,
    shift: float = 0.0,
    window_s: float = 4.0,
    hop_s: float = 1.0,
    precision: Precision = "fp32",
    trust_remote_code: bool = False,
    licence: str = "",
    commercial: bool | None = None,
    trained_on: str = "",
    download: bool = False,
) -> Recogniser:
    """Any Hugging Face classification model for sound, by hub name or folder, with its own classes.

    A frame gets the answer for the window of ``window_s`` seconds whose middle is nearest, a new one each ``hop_s``.
    The other settings are those of ``hf_image_classifier``.
    """
    folder = snapshot(model, revision=revision, download=download)
    outputs = outputs_of(folder, activation, scale, shift, trust_remote_code=trust_remote_code)
    settings = {
        "model": model, "revision": revision, "output": "logits", "window_s": window_s, "hop_s": hop_s,
        "precision": precision, "trust_remote_code": trust_remote_code,
    }  # fmt: skip
    about = stated_by_user(licence, commercial, trained_on)
    return Recogniser("hf_audio_classifier", "hf_audio", settings, outputs, **about, **in_windows(window_s))


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny.sound import sound_model

    return [{"model": sound_model("wav2vec2_classifier"), "window_s": 1.0, "hop_s": 0.5}]
