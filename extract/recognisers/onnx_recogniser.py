"""Any ONNX network for pictures whose outputs the user names."""

from typing import Any, Literal

from extract.faces.geometry import CropKind
from extract.recognisers import RECOGNISERS
from extract.recognisers.base import (
    Activation,
    Classes,
    Outputs,
    Recogniser,
    Units,
    Values,
    parse_names,
    stated_by_user,
)

FACTS = {
    "modality": "vision",
    "answers": "those that you name",
    "licence": "the file's own",
    "commercial": None,
    "trained_on": (),
}


@RECOGNISERS.register
def onnx_recogniser(
    *,
    file: str,
    classes: str = "",
    units: str = "",
    values: str = "",
    activation: Activation = "softmax",
    scale: float = 1.0,
    shift: float = 0.0,
    output: int | str = 0,
    channels: Literal["rgb", "bgr", "grey"] = "rgb",
    pixel_scale: float = 1 / 255,
    mean: float | str = "0.485/0.456/0.406",
    std: float | str = "0.229/0.224/0.225",
    crop: CropKind = "face",
    crop_px: int | None = None,
    margin: float = 0.1,
    licence: str = "",
    commercial: bool | None = None,
    trained_on: str = "",
) -> Recogniser:
    """Any ONNX network for pictures: name its outputs in order, first classes, then action units, then values.

    ``classes``, ``units`` and ``values`` are names separated by slashes, "-" for an output that is not used
    (``classes=Anger/-/Happiness,values=valence/arousal``). ``scale`` * output + ``shift`` brings values to [-1, 1].
    ``activation``: of classes and units that are probabilities already, none. The input is as in the encoder ``onnx``,
    whose ``scale`` is ``pixel_scale`` here. ``trained_on``: names of data sets, separated by slashes.
    """
    groups: list[Outputs] = []
    if classes:
        groups.append(Classes(parse_names(classes, "classes"), activation))
    if units:
        groups.append(Units(parse_names(units, "units"), "none" if activation == "none" else "sigmoid"))
    if values:
        groups.append(Values(parse_names(values, "values"), scale, shift))
    settings = {
        "file": file, "output": output, "channels": channels, "scale": pixel_scale, "mean": mean, "std": std,
        "crop": crop, "crop_px": crop_px, "margin": margin,
    }  # fmt: skip
    about = stated_by_user(licence, commercial, trained_on)
    return Recogniser("onnx_recogniser", "onnx", settings, tuple(groups), **about)


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from functools import partial

    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.onnx import write_face_net

    net = TinyWeights("face_net.onnx", write_face_net)
    eight = "Neutral/Anger/Disgust/Fear/Happiness/Sadness/Surprise/Other"
    return [
        {"file": net, "classes": eight},
        {
            "file": net, "classes": "sad/-/happy/-/angry/neutral", "values": "valence/arousal",
            "scale": 2.0, "shift": -1.0,
        },
        {"file": net, "units": "AU1/AU2/AU4/AU6/AU7/AU10/AU12/AU15"},
        {
            "file": TinyWeights("nhwc.onnx", partial(write_face_net, is_nhwc=True)), "classes": eight, "crop_px": 16,
            "trained_on": "FER2013/RAF-DB", "licence": "MIT", "commercial": True,
        },
    ]  # fmt: skip
