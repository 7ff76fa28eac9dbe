"""Any torchvision network of single pictures, read at any of its nodes, with its weights' own transforms."""

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
from extract.networks.frozen import Combine, Layers, Precision, check_batch_size, frozen, inference, numbers
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
    """Any torchvision network of single pictures (ResNet, EfficientNet, ViT, Swin, ...) with its weights' transforms.

    ``weights`` is one of torchvision's names (``IMAGENET1K_V2``) or a file, which may have another head; ``transforms``
    the name of the weights whose transforms serve (None: its own, of a file those of DEFAULT). ``node``: where to read,
    by torchvision's names for its feature extractor; None: what goes into the last linear layer; of several, as
    ``layer3.4+layer3.5``, the mean or sum (``combine``). ``pool``: "mean" over the places of a map or the patches of a
    ViT, "cls" the class token of a ViT.
    """
    settings: dict[str, Any] = {"model": model, "weights": weights, "transforms": transforms, "node": node}
    settings |= {"combine": combine, "pool": pool, "crop": crop, "precision": precision}
    if crop != "none":
        settings |= {"crop_px": crop_px, "margin": margin}
    check_batch_size("torchvision", batch_size)
    return Torchvision(settings, batch_size, device, compile, download)


class Torchvision(PictureEncoder):
    """The transforms work in ``prepare`` on a CPU.

    On another device crops travel as bytes and the transforms work there, so that one reading thread can feed a fast
    card; but not in fp32, since resizing bytes there differs by a rounding. ``on_device`` forces either.
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
        self._dtype = numbers(precision)
        file, self._transform, net = _network(self._name, settings["weights"], settings["transforms"], download)
        self._net_kind = type(net).__name__
        nodes = (settings["node"] or _penultimate(self._name, net)).split("+")
        self._layers = Layers(tuple(range(len(nodes))), settings["combine"])
        extractor = _cut(self._name, net, nodes)
        _fill(extractor, net, file)
        self._weights = {file.name: sha256(file)}
        self._model = frozen(extractor, device, precision)
        may_wait = torch.device(device).type != "cpu" and self.crop is not None and precision != "fp32"
        self._on_device = may_wait if on_device is None else on_device
        self.dim = self._try()
        if compile:
            self._model = frozen(extractor, device, precision, compile=True)

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
            return self._layers.of(rows)
        except RuntimeError as error:
            widths = [row.shape[1] for row in rows]
            raise InputError(
                f"these nodes of {self._name} are {widths} wide: those of one width can be combined"
            ) from error

    def _pooled(self, state: Any) -> Any:
        """A row a picture, of a row, a map, or the tokens of a ViT. ValueError for anything else."""
        import torch

        ndim = getattr(state, "ndim", 0)
        if ndim == 3 and self._net_kind == "VisionTransformer":
            return state[:, 0] if self._pool == "cls" else state[:, 1:].mean(1, dtype=torch.float32)
        if self._pool == "cls":
            raise InputError(f"torchvision: pool=cls is of a ViT's tokens (node=encoder.ln), not of {self._name} here")
        if ndim == 4:
            places = (1, 2) if self._net_kind == "SwinTransformer" else (2, 3)
            return state.mean(places, dtype=torch.float32)
        if ndim != 2:
            raise InputError(
                f"a node of {self._name} gives no row, map or tokens for each picture: choose another node"
            )
        return state

    def _try(self) -> int:
        """The width of a row. ValueError where the network cannot run so."""
        size_px = self.crop.size_px if self.crop else 64
        try:
            return int(self.forward(self.prepare([np.zeros((size_px, size_px, 3), np.uint8)])).shape[1])
        except (RuntimeError, TypeError) as error:
            raise InputError(f"{self._name} cannot run in {self._dtype} on {self._device}: {error}") from error


def _network(model: str, weights: str, transforms: str | None, download: bool) -> tuple[Path, Any, Any]:
    """The file of weights, their transform and the network, at random still."""
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if model not in known:
        raise InputError(f"torchvision has no picture network {model!r}{nearest(model, known)} {len(known)} are known")
    named = torchvision.models.get_model_weights(model)
    is_file = weights not in [*named.__members__, "DEFAULT"]
    if is_file and not Path(weights).suffix and not Path(weights).exists():
        names = ", ".join(named.__members__)
        raise InputError(f"{model} has no weights {weights!r} in torchvision: known are {names}, or give a file")
    like = transforms or ("DEFAULT" if is_file else weights)
    if like not in [*named.__members__, "DEFAULT"]:
        raise InputError(f"{model} has no transforms {like!r} in torchvision: known are {', '.join(named.__members__)}")
    chosen = None if is_file else named[weights]
    builder = torchvision.models.get_model_builder(model)
    how: dict[str, Any] = {"num_classes": len(chosen.meta["categories"])} if chosen else {}
    if model in ("googlenet", "inception_v3"):  # given torchvision's weights these two change pictures once more
        how |= {"init_weights": False, "transform_input": chosen is not None or transforms is not None}
    file = Path(weights) if chosen is None else _cached(chosen, download)
    return file, named[like].transforms(), builder(weights=None, **how)


def _cached(weights: Any, download: bool) -> Path:
    """The file of torchvision's own weights, fetched where ``download``. MissingWeights where it is not here."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if path.is_file():
        return path
    size_mb = weights.meta.get("_file_size", 0)
    if not download:
        raise MissingWeights(
            f"no weights {weights} on this machine ({size_mb:.0f} MB): fetch them with --download, or put the file of "
            f"{weights.url} at {path}, or give it as weights=FILE with transforms={weights.name}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = torch.hub.HASH_REGEX.search(path.name)
    try:
        torch.hub.download_url_to_file(weights.url, str(path), digest and digest.group(1), progress=False)
    except (OSError, RuntimeError) as error:
        raise MissingWeights(f"the weights {weights} could not be fetched from {weights.url}: {error}") from error
    return path


def _penultimate(model: str, net: Any) -> str:
    """The node that goes into the last linear layer. ValueError where the network does not end in one."""
    from torch import nn
    from torchvision.models.feature_extraction import get_graph_node_names

    nodes = get_graph_node_names(net.eval(), suppress_diff_warning=True)[1]
    if not isinstance(dict(net.named_modules()).get(nodes[-1]), nn.Linear):
        raise InputError(
            f"{model} does not end in a linear layer: give node=, the last of it are {', '.join(nodes[-6:])}"
        )
    return str(nodes[-2])


def _cut(model: str, net: Any, nodes: list[str]) -> Any:
    """The network up to these nodes. ValueError where it has no such node."""
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    try:
        return create_feature_extractor(net.eval(), nodes, suppress_diff_warning=True)
    except ValueError as error:
        known = get_graph_node_names(net, suppress_diff_warning=True)[1]
        unknown = next((node for node in nodes if node not in known), nodes[0])
        raise InputError(
            f"{model} has no node {unknown!r}{nearest(unknown, known)} its last are {known[-6:]}"
        ) from error


def _fill(extractor: Any, net: Any, file: Path) -> None:
    """Put a file's weights into the network; all that it uses must be there. ValueError otherwise."""
    tensors = {
        key.removeprefix("_orig_mod.").removeprefix("module."): value for key, value in load_tensors(file).items()
    }
    own, whole = extractor.state_dict(), net.state_dict()
    missing = [key for key in own if key not in tensors and not key.endswith("num_batches_tracked")]
    if missing:
        raise InputError(
            f"the weights in {file} lack {len(missing)} tensors, {missing[0]!r} first: take a complete checkpoint"
        )
    parts = {key.split(".")[0] for key in own}  # another head is no part of what is used
    over = [key for key in tensors if key.split(".")[0] in parts and key not in whole]
    if over:
        raise InputError(
            f"the weights in {file} are of a larger model: {len(over)} tensors too many, {over[0]!r} first"
        )
    try:
        extractor.load_state_dict({key: value for key, value in tensors.items() if key in own}, strict=False)
    except RuntimeError as error:
        raise InputError(
            f"the weights in {file} are of another model: {str(error).splitlines()[-1].strip()}"
        ) from error
