"""Eight expressions, valence and arousal by an EfficientNet-B0 trained on AffectNet."""

from typing import Any

from extract.recognisers import RECOGNISERS
from extract.recognisers.base import Classes, Recogniser, Values, stated
from extract.recognisers.emotieffnet_b0_8 import EXPRESSIONS, input_of

FACTS = {
    "modality": "vision",
    "answers": "8 expressions, valence and arousal",
    "licence": "Apache-2.0 (the library's; AffectNet itself is for research only)",
    "commercial": None,
    "trained_on": ("VGGFace2", "AffectNet"),
}


@RECOGNISERS.register
def emotieffnet_b0_va_mtl(*, file: str, margin: float = 0.0) -> Recogniser:
    """Eight expressions, valence and arousal, an EfficientNet-B0 of EmotiEffLib: enet_b0_8_va_mtl.onnx.

    ``file``: from models/affectnet_emotions/onnx of https://github.com/sb-ai-lab/EmotiEffLib. Contempt counts as Other
    where a task has no class for it.
    """
    return Recogniser(
        "emotieffnet_b0_va_mtl",
        "onnx",
        input_of(file, margin),
        (Classes(EXPRESSIONS, otherwise={"Contempt": "Other"}), Values(("valence", "arousal"))),
        **stated(FACTS),
    )


def examples() -> list[dict[str, Any]]:
    """A random network of the same interface; the real file is in a repository, not in a package."""
    from functools import partial

    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.onnx import write_face_net

    return [{"file": TinyWeights("ten.onnx", partial(write_face_net, num_outputs=10))}]
