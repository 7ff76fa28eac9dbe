"""Any network for pictures in an ONNX file (EmotiEffLib's, say): features, logits or any tensor inside."""

from collections.abc import Sequence
from pathlib import Path
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
    """Any ONNX network for pictures, from a file; output= a number, a name, any tensor inside, or hidden.

    A network takes ``(pixel * scale - mean) / std``; mean and std are one number or one for each channel, in the order
    in which the network takes them, with a slash between. crop_px is read from the file where its size is fixed.
    """
    given = {
        "file": file, "output": output, "pool": pool, "channels": channels, "layout": layout, "scale": scale,
        "mean": mean, "std": std, "crop": crop, "crop_px": crop_px, "margin": margin,
    }  # fmt: skip
    graph = Graph(Path(file), output, device=device, threads=threads)
    return OnnxPictures(graph, given, check_batch_size("onnx", batch_size))


class OnnxPictures(PictureEncoder):
    """Of a map (4 axes) the mean over space serves, of tokens (3 axes) what ``pool`` says. Precision is the file's.

    A network that takes whole numbers (uint8) gets the pixels as they are. A file of a fixed batch gets its batches
    filled up.
    """

    def __init__(self, graph: Graph, settings: dict[str, Any], batch_size: int) -> None:
        self._graph, self._settings, self.batch_size = graph, settings, batch_size
        self._order = settings["channels"]
        self._is_nchw = _is_nchw(graph, settings["layout"], 1 if self._order == "grey" else 3)
        place = (2, 3) if self._is_nchw else (1, 2)
        self._size_px = tuple(_side_px(graph, graph.shape[axis], settings["crop_px"]) for axis in place)
        self.crop = crop_of(settings["crop"], settings["crop_px"] or max(self._size_px), settings["margin"])
        self._scale, self._mean, self._std = settings["scale"], self._each("mean"), self._each("std")
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
        rows = [self._pooled(self._filled(batch[first : first + num], num)) for first in range(0, len(batch), num)]
        return np.concatenate(rows)[: len(batch)]

    def _resized(self, picture: Rgb) -> np.ndarray:
        if self._order == "grey":
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
        height, width = self._size_px
        if picture.shape[:2] == (height, width):
            return picture
        how = cv2.INTER_AREA if picture.shape[0] > height else cv2.INTER_LINEAR
        return cv2.resize(picture, (width, height), interpolation=how).reshape(height, width, -1)

    def _filled(self, part: np.ndarray, num: int) -> np.ndarray:
        return part if len(part) == num else np.concatenate([part, np.repeat(part[-1:], num - len(part), 0)])

    def _pooled(self, batch: np.ndarray) -> np.ndarray:
        found = self._graph(batch)
        if found.shape[:1] != batch.shape[:1] or found.ndim not in (1, 2, 3, 4):
            raise InputError(
                f"output {self._graph.output!r} of {self._graph.file} has the shape {found.shape} for {len(batch)} "
                "pictures, expected a row, a row of tokens or a map for each: give output=NAME of another"
            )
        if found.ndim == 4:
            return found.mean((2, 3) if self._is_nchw else (1, 2))
        if found.ndim == 3:
            return found[:, 0] if self._settings["pool"] == "cls" else found.mean(1)
        return found.reshape(len(found), -1)

    def _each(self, key: str) -> np.ndarray:
        """Mean or std of the channels. ValueError where the setting is none."""
        text, num = str(self._settings[key]), 1 if self._order == "grey" else 3
        try:
            values = np.array([float(part) for part in text.split("/")], np.float32)
        except ValueError:
            values = np.zeros(0, np.float32)
        if len(values) not in (1, num) or not np.isfinite(values).all() or (key == "std" and not values.all()):
            raise InputError(
                f"onnx: {key} is {text!r}, expected a number, or {num} with a slash between (0.485/0.456/0.406)"
                + ("; a std is not 0" if key == "std" else "")
            )
        return values


def _is_nchw(graph: Graph, layout: str, num_channels: int) -> bool:
    """Whether the channels come before height and width. ValueError where the input is none of pictures."""
    shape = graph.shape
    if len(shape) != 4:
        raise InputError(
            f"{graph.file} takes an input of {len(shape)} axes {shape}, expected 4: batch, channels, height, width"
        )
    places = {"nchw": 1, "nhwc": 3}
    fitting = [name for name, axis in places.items() if shape[axis] == num_channels]
    if layout == "auto" and len(fitting) == 1:
        return fitting == ["nchw"]
    if layout == "auto" and not any(isinstance(shape[axis], int) for axis in places.values()):
        return True  # the file leaves all open: the usual order
    if layout != "auto" and (shape[places[layout]] == num_channels or not isinstance(shape[places[layout]], int)):
        return layout == "nchw"
    raise InputError(
        f"{graph.file} takes {shape}, which does not fit {num_channels} channels (layout {layout}): give channels=rgb, "
        "bgr or grey, and layout=nchw or nhwc"
    )


def _side_px(graph: Graph, side: Any, crop_px: int | None) -> int:
    """Height or width of the input. ValueError where neither file nor setting says it."""
    if isinstance(side, int) and side > 0:
        return side
    if crop_px is None:
        raise InputError(f"{graph.file} takes pictures of any size ({graph.shape}): give crop_px, as it was trained")
    return crop_px
