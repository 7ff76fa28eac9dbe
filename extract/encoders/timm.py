"""Any timm model, by name, folder or file of weights, with its own preprocessing."""

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from abaw.errors import InputError
from abaw.files import read_json, sha256
from abaw.optional import import_optional
from abaw.registry import nearest
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.faces.geometry import CropKind, crop_of
from extract.networks.frozen import (
    DEFINITION,
    Combine,
    Layers,
    Precision,
    check_batch_size,
    freeze,
    inference,
    parse_layers,
    precision_on,
    torch_dtype,
)
from extract.networks.hub import load_tensors, snapshot, weights_files

FACTS = {"modality": "vision", "dim": None, "built_in": False, "licence": "the model's own", "size_mb": None}

HUB = "hf-hub:"
REFUSALS = (
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    AssertionError,
    IndexError,
    OSError,
)  # what timm raises for a model it cannot make or weights that do not fit


@ENCODERS.register
def timm(
    *,
    model: str,
    weights: str | None = None,
    revision: str = "main",
    img_px: int | None = None,
    layer: int | str = -1,
    combine: Combine = "mean",
    pool: Literal["own", "cls", "mean"] = "own",
    crop: CropKind = "face",
    crop_px: int = 224,
    margin: float = 0.1,
    precision: Precision = "fp32",
    compile: bool = False,
    batch_size: int = 32,
    device: str = "cpu",
    download: bool = False,
) -> PictureEncoder:
    """Any timm model (EVA-02, EVA-CLIP, MobileNetV3, EfficientNetV2, RegNet, ViT-MAE, ...) with its own data config.

    ``model`` is a name that timm knows, with its tag (``eva02_base_patch14_224.mim_in22k``), a folder in the format of
    its hub, or ``hf-hub:OWNER/NAME``. ``weights`` is a file; by default the weights belong to the name. ``img_px``
    overrides the model's input size. ``pool``: "own" is the input of the model's classifier; "cls" the class token;
    "mean" the mean over patches, without class and register tokens, or over the map. ``layer`` counts blocks, or stages
    of a convolutional network, from 1; -1 and the number of the last one are the final output, normalised, alone or in
    a list. Where that output has another width than the last stage (EfficientNet), a list takes the last stage.
    """
    precision = precision_on(device, precision)
    settings: dict[str, Any] = {"model": model, "weights": weights, "revision": revision, "img_px": img_px}
    settings |= {"layer": str(layer), "combine": combine, "pool": pool, "crop": crop, "precision": precision}
    if crop != "none":
        settings |= {"crop_px": crop_px, "margin": margin}
    check_batch_size("timm", batch_size)
    import_optional("timm", needed_by="the encoder timm", extra="timm")
    net, files = load(model, weights, revision, img_px, download)
    return Timm(net, files, settings, parse_layers(layer, combine), batch_size, device, compile)


class Timm(PictureEncoder):
    """``prepare`` resizes and crops pictures with timm's evaluation transform and returns uint8.

    They are scaled and normalised on the device, as timm's own loader does, with the same values.
    """

    def __init__(
        self,
        net: Any,
        files: dict[str, str],
        settings: dict[str, Any],
        chosen: Layers,
        batch_size: int,
        device: str,
        compile: bool,
    ) -> None:
        import timm
        import torch

        self.crop = crop_of(settings["crop"], settings.get("crop_px", 1), settings.get("margin", 0.0))
        self.batch_size, self._settings, self._files, self._device = batch_size, settings, files, device
        self._name, self._pool = settings["model"], settings["pool"]
        px = settings["img_px"]
        overrides = {} if px is None else {"input_size": (3, px, px)}
        self._data = timm.data.resolve_model_data_config(net, args=overrides)
        self._transform = timm.data.create_transform(**self._data, is_training=False, use_prefetcher=True)
        self._dtype = torch_dtype(settings["precision"])
        self._net = freeze(net, device, settings["precision"])
        self._mean, self._std = (torch.tensor(self._data[key], device=device)[:, None, None] for key in ("mean", "std"))
        self._with_final = False  # whether the final output is one of several layers
        self._layers, self._blocks = self._choose(chosen)
        self._run: Any = self._features
        self.dim = self._try()
        if compile:
            self._run = torch.compile(self._features)

    def recipe(self) -> dict[str, Any]:
        data = {key: list(value) if isinstance(value, tuple) else value for key, value in self._data.items()}
        made_of: dict[str, Any] = {"weights": self._files, "data": data, "found_at": ["weights", "revision"]}
        made_of |= {"layers": DEFINITION} if self._with_final else {}
        return {"encoder": "timm", "settings": self._settings, **made_of, "version": 1}

    def prepare(self, pictures: Sequence[np.ndarray]) -> np.ndarray:  # of any sizes
        from PIL import Image

        # timm's arrays have their channels last in memory, for which torch uses kernels that round differently
        return np.ascontiguousarray(np.stack([self._transform(Image.fromarray(picture)) for picture in pictures]))

    def forward(self, batch: np.ndarray) -> np.ndarray:
        import torch

        with inference():
            scaled = torch.from_numpy(batch).to(self._device).float().div(255)
            return self._run(scaled.sub(self._mean).div(self._std).to(self._dtype)).float().cpu().numpy()

    def _choose(self, chosen: Layers) -> tuple[Layers, list[int]]:
        """The chosen layers as indices of the computed blocks, and the blocks (from 0) to compute."""
        if chosen.is_final:
            return chosen, []
        if self._pool == "own":
            raise InputError(
                "timm: pool=own applies to the final output only: omit layer, or give pool=cls or pool=mean"
            )
        if not hasattr(self._net, "forward_intermediates"):
            raise InputError(f"{self._name} gives no hidden layers in timm: omit layer")
        final, states = self._net.forward_intermediates(self._blank())
        num = len(states)
        for index in chosen.indices:
            if index == 0 or not -num <= index <= num:
                raise InputError(f"there is no layer {index}: {self._name} has layers 1 to {num}, or -1 to {-num}")
        wanted = [index - 1 if index > 0 else num + index for index in chosen.indices]
        blocks = sorted(set(wanted))
        width = final.shape[-1 if final.ndim == 3 or self._channels_last else 1]
        self._with_final = blocks[-1] == num - 1 and width == states[-1].shape[1]
        return Layers(tuple(blocks.index(block) for block in wanted), chosen.combine), blocks

    def _blank(self) -> Any:
        import torch

        return torch.zeros(1, *self._data["input_size"], device=self._device, dtype=self._dtype)

    def _try(self) -> int:
        """The width of a row, by a trial. Raises InputError where the network cannot run with these settings."""
        try:
            return int(self.forward(self.prepare([np.zeros((64, 64, 3), np.uint8)])).shape[1])
        except (RuntimeError, TypeError, AssertionError) as error:
            raise InputError(
                f"{self._name} cannot run on pictures of {self._data['input_size'][1:]} in {self._dtype} on "
                f"{self._device}: {error}"
            ) from error

    def _features(self, pixels: Any) -> Any:
        if self._pool == "own":
            rows = self._net(pixels)  # it was created without a classifier
            if rows.ndim != 2:
                raise InputError(f"{self._name} has no pooling of its own: give pool=mean")
            return rows
        if not self._blocks:
            return self._pooled_final(self._net.forward_features(pixels))
        made = self._net.forward_intermediates(pixels, indices=self._blocks, **self._how())
        final, states = made if self._with_final else (None, made)
        rows = [self._pooled(*(state if isinstance(state, tuple | list) else (state, None))) for state in states]
        if self._with_final:
            rows[-1] = self._pooled_final(final)
        try:
            return self._layers.combined(rows)
        except RuntimeError as error:
            widths = [row.shape[1] for row in rows]
            raise InputError(
                f"the layers of {self._name} have the widths {widths}: only layers of the same width can be combined"
            ) from error

    def _how(self) -> dict[str, Any]:
        known = inspect.signature(self._net.forward_intermediates).parameters
        early = not self._with_final
        wanted = {"intermediates_only": early, "return_prefix_tokens": True, "stop_early": early}
        return {key: value for key, value in wanted.items() if key in known}

    def _pooled_final(self, state: Any) -> Any:
        """Rows from the final output: tokens (batch token dim) or a map."""
        if getattr(state, "ndim", 0) == 3:
            num_before = getattr(self._net, "num_prefix_tokens", int(self._has_class_token))
            return self._pooled(state[:, num_before:].movedim(1, 2)[..., None], state[:, :num_before])
        return self._pooled(state.movedim(-1, 1) if self._channels_last else state, None)

    def _pooled(self, places: Any, before: Any) -> Any:
        """Rows from patches or a map (batch dim height width) and the tokens before them."""
        import torch

        if self._pool == "mean":
            return places.mean((2, 3), dtype=torch.float32)
        if before is None or not self._has_class_token:
            raise InputError(f"{self._name} has no class token: give pool=own or pool=mean")
        return before[:, 0]

    @property
    def _has_class_token(self) -> bool:
        return getattr(self._net, "cls_token", None) is not None

    @property
    def _channels_last(self) -> bool:
        return getattr(self._net, "output_fmt", "NCHW") == "NHWC"


def load(
    model: str, weights: str | None, revision: str, img_px: int | None, download: bool
) -> tuple[Any, dict[str, str]]:
    """The network without its classifier, and the SHA-256 of every file it was loaded from.

    Raises InputError where timm has no such model or the weights belong to another; MissingWeights where they are not
    on this machine.
    """
    import timm

    folder, name = None, model
    if Path(model).is_dir() or model.startswith(HUB):
        folder = snapshot(model.removeprefix(HUB), revision=revision, download=download)
        name = f"local-dir:{folder}"
        config = folder / "config.json"
        if not config.is_file() or "architecture" not in read_json(config):
            raise InputError(
                f"{folder} is not a timm model: it has no config.json with an architecture; try the encoder hf_vision"
            )
    elif not timm.is_model(model.split(".")[0]):
        known = timm.list_models() + timm.list_pretrained()
        raise InputError(
            f"timm has no model {model!r}{nearest(model, known)} a folder with its config.json or "
            f"{HUB}OWNER/NAME can be given too"
        )
    size: dict[str, Any] = {} if img_px is None else {"img_size": img_px}
    try:
        net: Any = timm.create_model(name, pretrained=False, num_classes=0)
        if size and net.pretrained_cfg.get("fixed_input_size"):  # other networks take any size
            net = timm.create_model(name, pretrained=False, num_classes=0, **size)
    except REFUSALS as error:
        raise InputError(f"timm cannot create the model {model!r}: {error}") from error
    file = Path(weights) if weights is not None else _own_file(model, net, folder, revision, download)
    _load_weights(net, file)
    files = [file] if folder is None else [file, folder / "config.json"]
    return net, {path.name: sha256(path) for path in files}


def _own_file(model: str, net: Any, folder: Path | None, revision: str, download: bool) -> Path:
    """The file of a model's own weights. Raises InputError where timm has none for this name."""
    if folder is None:
        hub_id, name = (net.pretrained_cfg.get(key) for key in ("hf_hub_id", "hf_hub_filename"))
        if not hub_id:
            raise InputError(f"timm has no weights for {model!r}: give its tag (NAME.TAG) or weights=FILE")
        folder = snapshot(hub_id, revision=revision, download=download)
        if name:
            return folder / name
    found = weights_files(folder)
    if len(found) > 1:
        raise InputError(
            f"{folder} has several files of weights ({', '.join(path.name for path in found)}): give weights=FILE"
        )
    return found[0]


def _load_weights(net: Any, file: Path) -> None:
    """Loads a file's weights into the network; all but the classifier must fit, which timm itself does not check."""
    from timm.models import clean_state_dict

    tensors = clean_state_dict(load_tensors(file))
    convert = getattr(
        sys.modules[type(net).__module__], "checkpoint_filter_fn", None
    )  # converts names of the original authors
    try:
        report = net.load_state_dict(convert(tensors, net) if convert else tensors, strict=False)
    except REFUSALS as error:
        raise InputError(
            f"the weights in {file} belong to another model: {str(error).splitlines()[-1].strip()}"
        ) from error
    if report.missing_keys:
        lack = f"{len(report.missing_keys)} tensors, the first is {report.missing_keys[0]!r}"
        raise InputError(f"the weights in {file} lack {lack}: use a complete checkpoint")
    heads = net.pretrained_cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    own = {key.split(".")[0] for key in net.state_dict()}  # an extra decoder or mask token is not used
    over = [key for key in report.unexpected_keys if key.split(".")[0] in own and not key.startswith(heads)]
    if over:
        raise InputError(
            f"the weights in {file} belong to a larger model: {len(over)} tensors too many, the first is {over[0]!r}"
        )


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.vision import timm_model, write_timm_weights

    vit, eva02, eva_clip = (timm_model(name) for name in ("timm_vit", "timm_eva02", "timm_eva_clip"))
    weights = TinyWeights("mobilenetv3.safetensors", write_timm_weights)
    return [
        {"model": vit, "crop_px": 32},
        {"model": vit, "crop_px": 32, "pool": "mean", "layer": "1+2"},
        {"model": eva02, "crop_px": 32},
        {"model": eva_clip, "crop_px": 32, "pool": "cls"},
        {"model": "mobilenetv3_small_050", "weights": weights, "crop": "none"},
    ]
