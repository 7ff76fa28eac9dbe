"""Any torchvision network for single pictures, read at any of its nodes, with its weights' own transforms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import numpy as np

from abaw.errors import InputError
from abaw.files import sha256
from abaw.registry import nearest
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.faces.geometry import CropKind, crop_of
from extract.networks.frozen import (
    Combine,
    Layers,
    Precision,
    check_batch_size,
    freeze,
    inference,
    precision_on,
    torch_dtype,
)
from extract.networks.hub import MissingWeights, load_tensors

FACTS = {"modality": "vision", "dim": None, "built_in": False, "licence": "the weights' own", "size_mb": None}


@ENCODERS.register
def torchvision(
    *,
    model: str,
    weights: str = "DEFAULT",
    transforms: str | None = None,
    node: str | None = None,
    combine: Combine = "mean",
    pool: Literal["mean", "cls"] = "mean",
    crop: CropKind = "face",
    crop_px: int = 224,
    margin: float = 0.1,
    precision: Precision = "fp32",
    compile: bool = False,
    batch_size: int = 32,
    device: str = "cpu",
    download: bool = False,
) -> PictureEncoder:
    """Any torchvision network for single pictures (ResNet, EfficientNet, ViT, Swin, ...) with its weights' transforms.

    ``weights`` is one of torchvision's names (``IMAGENET1K_V2``) or a file, which may have another head. ``transforms``
    is the name of the weights whose transforms are applied (None: those of ``weights``; for a file those of DEFAULT).
    ``node`` is the output to read, by torchvision's names for its feature extractor (None: the input of the last linear
    layer); several, written ``layer3.4+layer3.5``, are combined by mean or sum (``combine``). ``pool``: "mean" over the
    positions of a map or the patches of a ViT, "cls" the class token of a ViT.
    """
    precision = precision_on(device, precision)
    settings: dict[str, Any] = {"model": model, "weights": weights, "transforms": transforms, "node": node}
    settings |= {"combine": combine, "pool": pool, "crop": crop, "precision": precision}
    if crop != "none":
        settings |= {"crop_px": crop_px, "margin": margin}
    check_batch_size("torchvision", batch_size)
    return Torchvision(settings, batch_size, device, compile, download)


class Torchvision(PictureEncoder):
    """On the CPU the transforms run in ``prepare``.

    On another device crops are transferred as uint8 and the transforms run there, so that one reading thread can feed a
    fast GPU; but not in fp32, because resizing uint8 on the device rounds differently. ``on_device`` overrides this
    choice.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        batch_size: int = 32,
        device: str = "cpu",
        compile: bool = False,
        download: bool = False,
        on_device: bool | None = None,
    ) -> None:
        import torch

        self.crop = crop_of(settings["crop"], settings.get("crop_px", 1), settings.get("margin", 0.0))
        self.batch_size, self._settings, self._device = batch_size, settings, device
        self._name, self._pool, precision = settings["model"], settings["pool"], settings["precision"]
        self._dtype = torch_dtype(precision)
        file, self._transform, net = _network(self._name, settings["weights"], settings["transforms"], download)
        self._net_kind = type(net).__name__
        nodes = (settings["node"] or _penultimate(self._name, net)).split("+")
        self._layers = Layers(tuple(range(len(nodes))), settings["combine"])
        extractor = _cut(self._name, net, nodes)
        _load_weights(extractor, net, file)
        self._weights = {file.name: sha256(file)}
        self._model = freeze(extractor, device, precision)
        transforms_there = torch.device(device).type != "cpu" and self.crop is not None and precision != "fp32"
        self._on_device = transforms_there if on_device is None else on_device
        self.dim = self._try()
        if compile:
            self._model = freeze(extractor, device, precision, compile=True)

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "prepared_by": repr(self._transform), "found_at": ["weights"]}
        return {"encoder": "torchvision", "settings": self._settings, **made_of, "version": 1}

    def prepare(self, pictures: Sequence[np.ndarray]) -> np.ndarray:  # of any sizes
        import torch

        if self._on_device:
            return np.stack(pictures)
        if len({picture.shape for picture in pictures}) == 1:
            return self._transformed(torch.from_numpy(np.stack(pictures))).numpy()
        return torch.cat([self._transformed(torch.from_numpy(np.array(picture))[None]) for picture in pictures]).numpy()

    def forward(self, batch: np.ndarray) -> np.ndarray:
        import torch

        with inference():
            pixels = torch.from_numpy(batch).to(self._device)
            if self._on_device:
                pixels = self._transformed(pixels)
            return self._rows(list(self._model(pixels.to(self._dtype)).values())).float().cpu().numpy()

    def _transformed(self, pictures: Any) -> Any:
        return self._transform(pictures.permute(0, 3, 1, 2).contiguous())

    def _rows(self, states: list[Any]) -> Any:
        rows = [self._pooled(state) for state in states]
        try:
            return self._layers.combined(rows)
        except RuntimeError as error:
            widths = [row.shape[1] for row in rows]
            raise InputError(
                f"the nodes of {self._name} have the widths {widths}: only nodes of the same width can be combined"
            ) from error

    def _pooled(self, state: Any) -> Any:
        """A row for each picture, from a row, a map, or the tokens of a ViT. Raises InputError for anything else."""
        import torch

        ndim = getattr(state, "ndim", 0)
        if ndim == 3 and self._net_kind == "VisionTransformer":
            return state[:, 0] if self._pool == "cls" else state[:, 1:].mean(1, dtype=torch.float32)
        if self._pool == "cls":
            raise InputError(
                f"torchvision: pool=cls needs the tokens of a ViT (node=encoder.ln), which this node of {self._name} "
                "is not"
            )
        if ndim == 4:
            axes = (1, 2) if self._net_kind == "SwinTransformer" else (2, 3)
            return state.mean(axes, dtype=torch.float32)
        if ndim != 2:
            raise InputError(f"a node of {self._name} gives no row, map or tokens for each picture: give another node")
        return state

    def _try(self) -> int:
        """The width of a row, by a trial. Raises InputError where the network cannot run with these settings."""
        size_px = self.crop.size_px if self.crop else 64
        try:
            return int(self.forward(self.prepare([np.zeros((size_px, size_px, 3), np.uint8)])).shape[1])
        except (RuntimeError, TypeError) as error:
            raise InputError(f"{self._name} cannot run in {self._dtype} on {self._device}: {error}") from error


def _network(model: str, weights: str, transforms: str | None, download: bool) -> tuple[Path, Any, Any]:
    """The file of weights, their transform and the network, still with random weights."""
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if model not in known:
        raise InputError(
            f"torchvision has no network {model!r} for pictures{nearest(model, known)} it has {len(known)}"
        )
    named = torchvision.models.get_model_weights(model)
    is_file = weights not in [*named.__members__, "DEFAULT"]
    if is_file and not Path(weights).suffix and not Path(weights).exists():
        names = ", ".join(named.__members__)
        raise InputError(f"torchvision has no weights {weights!r} of {model}: give one of {names}, or a file")
    like = transforms or ("DEFAULT" if is_file else weights)
    if like not in [*named.__members__, "DEFAULT"]:
        raise InputError(
            f"torchvision has no transforms {like!r} of {model}: give one of {', '.join(named.__members__)}"
        )
    chosen = None if is_file else named[weights]
    builder = torchvision.models.get_model_builder(model)
    how: dict[str, Any] = {"num_classes": len(chosen.meta["categories"])} if chosen else {}
    if model in ("googlenet", "inception_v3"):  # with torchvision's weights these two transform pictures once more
        how |= {"init_weights": False, "transform_input": chosen is not None or transforms is not None}
    file = Path(weights) if chosen is None else _cached(chosen, download)
    return file, named[like].transforms(), builder(weights=None, **how)


def _cached(weights: Any, download: bool) -> Path:
    """The file of torchvision's own weights, downloaded with ``download``.

    Raises MissingWeights where it is not on this machine or cannot be downloaded.
    """
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if path.is_file():
        return path
    size_mb = weights.meta.get("_file_size", 0)
    if not download:
        raise MissingWeights(
            f"no weights {weights} on this machine ({size_mb:.0f} MB): get them with --download, or download "
            f"{weights.url} to {path}, or give weights=FILE with transforms={weights.name}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = torch.hub.HASH_REGEX.search(path.name)
    try:
        torch.hub.download_url_to_file(weights.url, str(path), digest and digest.group(1), progress=False)
    except (OSError, RuntimeError) as error:
        raise MissingWeights(f"the weights {weights} could not be downloaded from {weights.url}: {error}") from error
    return path


def _penultimate(model: str, net: Any) -> str:
    """The node that is the input of the last linear layer. Raises InputError where the network does not end in one."""
    from torch import nn
    from torchvision.models.feature_extraction import get_graph_node_names

    nodes = get_graph_node_names(net.eval(), suppress_diff_warning=True)[1]
    if not isinstance(dict(net.named_modules()).get(nodes[-1]), nn.Linear):
        raise InputError(
            f"{model} does not end in a linear layer: give node=NAME; its last nodes are {', '.join(nodes[-6:])}"
        )
    return str(nodes[-2])


def _cut(model: str, net: Any, nodes: list[str]) -> Any:
    """The network up to these nodes. Raises InputError where it has no such node."""
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    try:
        return create_feature_extractor(net.eval(), nodes, suppress_diff_warning=True)
    except ValueError as error:
        known = get_graph_node_names(net, suppress_diff_warning=True)[1]
        unknown = next((node for node in nodes if node not in known), nodes[0])
        raise InputError(
            f"{model} has no node {unknown!r}{nearest(unknown, known)} its last nodes are {', '.join(known[-6:])}"
        ) from error


def _load_weights(extractor: Any, net: Any, file: Path) -> None:
    """Loads a file's weights into the network. Raises InputError where one of them is missing or does not fit."""
    tensors = {
        key.removeprefix("_orig_mod.").removeprefix("module."): value for key, value in load_tensors(file).items()
    }
    own, whole = extractor.state_dict(), net.state_dict()
    missing = [key for key in own if key not in tensors and not key.endswith("num_batches_tracked")]
    if missing:
        raise InputError(
            f"the weights in {file} lack {len(missing)} tensors, the first is {missing[0]!r}: use a complete checkpoint"
        )
    parts = {key.split(".")[0] for key in own}  # a head is not part of the extractor
    over = [key for key in tensors if key.split(".")[0] in parts and key not in whole]
    if over:
        raise InputError(
            f"the weights in {file} belong to a larger model: {len(over)} tensors too many, the first is {over[0]!r}"
        )
    try:
        extractor.load_state_dict({key: value for key, value in tensors.items() if key in own}, strict=False)
    except RuntimeError as error:
        raise InputError(
            f"the weights in {file} belong to another model: {str(error).splitlines()[-1].strip()}"
        ) from error


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.vision import write_torchvision_weights

    vit, mobilenet = (
        TinyWeights(name, write_torchvision_weights) for name in ("tiny_vit.pth", "mobilenet_v3_small.safetensors")
    )
    return [
        {"model": "tiny_vit", "weights": vit, "crop_px": 64, "node": "encoder.ln", "pool": "cls"},
        {"model": "mobilenet_v3_small", "weights": mobilenet, "crop": "none"},
    ]
