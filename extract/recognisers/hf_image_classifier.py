"""Any Hugging Face classification model for pictures or video."""

from typing import Any

from extract.faces.geometry import CropKind
from extract.networks.frozen import Precision
from extract.networks.hub import snapshot
from extract.recognisers import RECOGNISERS
from extract.recognisers.base import Recogniser, stated_by_user
from extract.recognisers.heads import HeadActivation, outputs_of

FACTS = {
    "modality": "vision",
    "answers": "the model's own classes (id2label)",
    "licence": "the model's own",
    "commercial": None,
    "trained_on": (),
}


@RECOGNISERS.register
def hf_image_classifier(
    *,
    model: str,
    revision: str = "main",
    activation: HeadActivation = "auto",
    scale: float = 1.0,
    shift: float = 0.0,
    crop: CropKind = "face",
    crop_px: int = 224,
    margin: float = 0.1,
    precision: Precision = "fp32",
    trust_remote_code: bool = False,
    licence: str = "",
    commercial: bool | None = None,
    trained_on: str = "",
    download: bool = False,
) -> Recogniser:
    """Any Hugging Face classification model for pictures or video, by hub name or folder, with its own classes.

    ``activation``: "auto" is sigmoid for models of several labels, else softmax. A model trained for regression gives
    values; ``scale`` * output + ``shift`` brings them to [-1, 1]. ``licence``, ``commercial`` and ``trained_on`` (names
    of data sets, separated by slashes) are what the model's card says.
    """
    folder = snapshot(model, revision=revision, download=download)
    outputs = outputs_of(folder, activation, scale, shift, trust_remote_code=trust_remote_code)
    settings: dict[str, Any] = {"model": model, "revision": revision, "output": "logits", "crop": crop}
    if crop != "none":
        settings |= {"crop_px": crop_px, "margin": margin}
    settings |= {"precision": precision, "trust_remote_code": trust_remote_code}
    about = stated_by_user(licence, commercial, trained_on)
    return Recogniser("hf_image_classifier", "hf_vision", settings, outputs, **about)


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny.vision import hf_model

    return [{"model": hf_model("vit_classifier"), "crop_px": 32}]
