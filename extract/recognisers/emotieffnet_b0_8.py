"""Eight expressions by an EfficientNet-B0 trained on AffectNet."""

from typing import Any

from extract.recognisers import RECOGNISERS
from extract.recognisers.base import Classes, Recogniser, stated

FACTS = {
    "modality": "vision",
    "answers": "8 expressions",
    "licence": "Apache-2.0 (the library's; AffectNet itself is for research only)",
    "commercial": None,
    "trained_on": ("VGGFace2", "AffectNet"),
}

EXPRESSIONS = ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise")  # in its order


@RECOGNISERS.register
def emotieffnet_b0_8(*, file: str, margin: float = 0.0) -> Recogniser:
    """Eight expressions, an EfficientNet-B0 of EmotiEffLib (Savchenko 2022): enet_b0_8_best_vgaf.onnx or _afew.onnx.

    ``file``: from models/affectnet_emotions/onnx of https://github.com/sb-ai-lab/EmotiEffLib. Contempt counts as Other
    where a task has no class for it.
    """
    return Recogniser(
        "emotieffnet_b0_8",
        "onnx",
        input_of(file, margin),
        (Classes(EXPRESSIONS, otherwise={"Contempt": "Other"}),),
        **stated(FACTS),
    )


def input_of(file: str, margin: float) -> dict[str, Any]:
    """Settings of the encoder: the library cuts faces without a margin; mean and std are ImageNet's, the defaults."""
    return {"file": file, "output": 0, "crop_px": 224, "margin": margin}


def examples() -> list[dict[str, Any]]:
    """A random network of the same interface; the real file is in a repository, not in a package."""
    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.onnx import write_face_net

    return [{"file": TinyWeights("eight.onnx", write_face_net)}]
