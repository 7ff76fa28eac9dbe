"""Any network for pictures in an ONNX file (EmotiEffLib's, for example): features, logits or any tensor inside."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np

from abaw.errors import InputError
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.faces.geometry import CropKind, crop_of
from extract.media import Rgb
from extract.networks.frozen import check_batch_size
from extract.networks.onnx_graph import Graph
from extract.networks.package_weights import find_file

FACTS = {"modality": "vision", "dim": None, "built_in": False, "licence": "the file's own", "size_mb": None}


@ENCODERS.register
def onnx(
    *,
    file: str,
    output: int | str = 0,
    pool: Literal["mean", "cls"] = "mean",
    channels: Literal["rgb", "bgr", "grey"] = "rgb",
    layout: Literal["auto", "nchw", "nhwc"] = "auto",
    scale: float = 1 / 255,
    mean: float | str = "0.485/0.456/0.406",
    std: float | str = "0.229/0.224/0.225",
    crop: CropKind = "face",
    crop_px: int | None = None,
    margin: float = 0.1,
    threads: int = 0,
    batch_size: int = 32,
    device: str = "cpu",
) -> PictureEncoder:
    """Any ONNX network for pictures, from a file; output is an index, a name, any tensor inside, or hidden.

    The network's input is ``(pixel * scale - mean) / std``; mean and std are one number, or one for each channel,
    separated by slashes, in the order of the network's channels. crop_px is needed where the file's input has no fixed
    size. ``threads``: of onnxruntime; 0 means one for each core.
    """
    settings = {
        "file": file, "output": output, "pool": pool, "channels": channels, "layout": layout, "scale": scale,
        "mean": mean, "std": std, "crop": crop, "crop_px": crop_px, "margin": margin,
    }  # fmt: skip
    graph = Graph(find_file(file), output, device=device, threads=threads)
    return OnnxPictures(graph, settings, check_batch_size("onnx", batch_size))


class OnnxPictures(PictureEncoder):
    """A map (4 axes) is averaged over space, tokens (3 axes) are pooled as ``pool`` says. Precision is the file's.

    A network with an input of type uint8 gets the pixels unscaled. For a file with a fixed batch size, the last batch
    is padded.
    """

    def __init__(self, graph: Graph, settings: dict[str, Any], batch_size: int) -> None:
        self._graph, self._settings, self.batch_size = graph, settings, batch_size
        self._order = settings["channels"]
        self._is_nchw = _is_nchw(graph, settings["layout"], 1 if self._order == "grey" else 3)
        axes = (2, 3) if self._is_nchw else (1, 2)
        self._size_px = tuple(_input_px(graph, graph.shape[axis], settings["crop_px"]) for axis in axes)
        self.crop = crop_of(settings["crop"], settings["crop_px"] or max(self._size_px), settings["margin"])
        self._scale, self._mean, self._std = settings["scale"], self._per_channel("mean"), self._per_channel("std")
        self._batch = graph.shape[0] if isinstance(graph.shape[0], int) and graph.shape[0] > 0 else None
        self.dim = int(self.forward(self.prepare([np.zeros((*self._size_px, 3), np.uint8)])).shape[1])

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._graph.weights, "found_at": ["file"]}
        return {"encoder": "onnx", "settings": self._settings, **made_of, "version": 1}

    def prepare(self, pictures: Sequence[Rgb]) -> np.ndarray:
        batch = np.stack([self._resized(picture) for picture in pictures])
        if self._order == "bgr":
            batch = batch[..., ::-1]
        if self._graph.dtype != np.uint8:
            batch = (batch * np.float32(self._scale) - self._mean) / self._std
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if self._is_nchw else batch, self._graph.dtype)

    def forward(self, batch: np.ndarray) -> np.ndarray:
        num = self._batch or len(batch)
        rows = [self._pooled(self._padded(batch[first : first + num], num)) for first in range(0, len(batch), num)]
        return np.concatenate(rows)[: len(batch)]

    def _resized(self, picture: Rgb) -> np.ndarray:
        if self._order == "grey":
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
        height, width = self._size_px
        if picture.shape[:2] == (height, width):
            return picture
        how = cv2.INTER_AREA if picture.shape[0] > height else cv2.INTER_LINEAR
        return cv2.resize(picture, (width, height), interpolation=how).reshape(height, width, -1)

    def _padded(self, part: np.ndarray, num: int) -> np.ndarray:
        return part if len(part) == num else np.concatenate([part, np.repeat(part[-1:], num - len(part), 0)])

    def _pooled(self, batch: np.ndarray) -> np.ndarray:
        found = self._graph(batch)
        if found.shape[:1] != batch.shape[:1] or found.ndim not in (1, 2, 3, 4):
            raise InputError(
                f"output {self._graph.output!r} of {self._graph.file} has the shape {found.shape} for {len(batch)} "
                "pictures, expected a row, tokens or a map for each: give output=NAME of another tensor"
            )
        if found.ndim == 4:
            return found.mean((2, 3) if self._is_nchw else (1, 2))
        if found.ndim == 3:
            return found[:, 0] if self._settings["pool"] == "cls" else found.mean(1)
        return found.reshape(len(found), -1)

    def _per_channel(self, key: str) -> np.ndarray:
        """Mean or std of the channels. Raises InputError where the setting cannot be read."""
        text, num = str(self._settings[key]), 1 if self._order == "grey" else 3
        try:
            values = np.array([float(part) for part in text.split("/")], np.float32)
        except ValueError:
            values = np.zeros(0, np.float32)
        if len(values) not in (1, num) or not np.isfinite(values).all() or (key == "std" and not values.all()):
            raise InputError(
                f"onnx: {key} is {text!r}, expected one number, or {num} separated by slashes (0.485/0.456/0.406)"
                + (", none of them 0" if key == "std" else "")
            )
        return values


def _is_nchw(graph: Graph, layout: str, num_channels: int) -> bool:
    """Whether the channels come before height and width. Raises InputError where the input is not pictures."""
    shape = graph.shape
    if len(shape) != 4:
        raise InputError(
            f"the input of {graph.file} has {len(shape)} axes {shape}, expected 4: batch, channels, height, width"
        )
    places = {"nchw": 1, "nhwc": 3}
    fitting = [name for name, axis in places.items() if shape[axis] == num_channels]
    if layout == "auto" and len(fitting) == 1:
        return fitting == ["nchw"]
    if layout == "auto" and not any(isinstance(shape[axis], int) for axis in places.values()):
        return True  # the file does not say: the usual order
    if layout != "auto" and (shape[places[layout]] == num_channels or not isinstance(shape[places[layout]], int)):
        return layout == "nchw"
    raise InputError(
        f"the input of {graph.file} has the shape {shape}, which does not fit {num_channels} channels (layout "
        f"{layout}): give channels=rgb, bgr or grey, and layout=nchw or nhwc"
    )


def _input_px(graph: Graph, side: Any, crop_px: int | None) -> int:
    """Height or width of the input. Raises InputError where neither the file nor ``crop_px`` gives it."""
    if isinstance(side, int) and side > 0:
        return side
    if crop_px is None:
        raise InputError(
            f"{graph.file} takes pictures of any size ({graph.shape}): give crop_px, the size it was trained with"
        )
    return crop_px


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.onnx import write_face_net

    net = TinyWeights("face_net.onnx", write_face_net)
    return [
        {"file": net},
        {"file": net, "output": "hidden"},
        {"file": net, "output": "map", "channels": "bgr", "mean": 0.5, "std": 0.5},
        {"file": TinyWeights("nhwc.onnx", partial(write_face_net, is_nhwc=True)), "crop": "none", "crop_px": 16},
        {"file": TinyWeights("one.onnx", partial(write_face_net, batch=1))},
        {
            "file": TinyWeights("grey.onnx", partial(write_face_net, num_channels=1)),
            "channels": "grey",
            "mean": 0.5,
            "std": 0.5,
        },
        {"file": TinyWeights("nhwc.onnx", partial(write_face_net, is_nhwc=True)), "layout": "nhwc", "crop_px": 16},
    ]
