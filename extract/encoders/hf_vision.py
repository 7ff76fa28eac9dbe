"""Any Hugging Face vision model, by hub name or folder: a row for each picture, or for each tube of pictures."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from abaw.errors import InputError
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.faces.geometry import CropKind, crop_of
from extract.networks.frozen import (
    Combine,
    Layers,
    Precision,
    check_batch_size,
    freeze,
    hidden_states,
    inference,
    parse_layers,
    precision_on,
    torch_dtype,
)
from extract.networks.heads import architectures, check_omitted, class_names, load_classifier
from extract.networks.hub import (
    FOUND_AT,
    configs_hash,
    load_model,
    load_processor,
    load_tensors,
    snapshot,
    weights_files,
    weights_hash,
)
from extract.networks.tokens import Tokens

FACTS = {"modality": "vision", "dim": None, "built_in": False, "licence": "the model's own", "size_mb": None}

Pool = Literal["cls", "mean", "pooler", "projected"]
FEATURES = {"layer": "-1", "combine": "mean", "pool": "cls"}  # settings of output=features only


@ENCODERS.register
def hf_vision(
    *,
    model: str,
    revision: str = "main",
    output: Literal["features", "logits"] = "features",
    layer: int | str = -1,
    combine: Combine = "mean",
    pool: Pool = "cls",
    span: int | None = None,
    stride: int | None = None,
    crop: CropKind = "face",
    crop_px: int = 224,
    margin: float = 0.1,
    precision: Precision = "fp32",
    compile: bool = False,
    trust_remote_code: bool = False,
    batch_size: int = 32,
    device: str = "cpu",
    download: bool = False,
) -> PictureEncoder:
    """Any Hugging Face vision model (CLIP, SigLIP, DINOv3, ViT-MAE, data2vec, VideoMAE, ...) by hub name or folder.

    ``output``: "features" are hidden layers; "logits" the outputs of the model's own classification head, whose classes
    the recipe names. ``pool``: "cls" is the class token; "mean" the mean over the patches, without class and register
    tokens, or over a convolutional network's map; "pooler" the network's own pooled output (SigLIP's attention pooling,
    CLIP's class token after its last normalisation); "projected" CLIP's image embedding, not normalised
    (``get_image_features``). The last two need the final layer. A video model gives a row for each tube of ``span``
    consecutive pictures (None: as many as it was trained with), a new one each ``stride`` pictures (None: half the
    span). For EVA-CLIP use timm.
    """
    precision = precision_on(device, precision)
    of_features = {"layer": str(layer), "combine": combine, "pool": pool}
    if output == "logits":
        check_omitted("hf_vision", output, of_features, FEATURES)
    settings: dict[str, Any] = {"model": model, "revision": revision}
    settings |= {"output": output} if output == "logits" else of_features
    settings |= {"span": span, "stride": stride, "crop": crop, "precision": precision}
    settings |= {"trust_remote_code": trust_remote_code}
    if crop != "none":
        settings |= {"crop_px": crop_px, "margin": margin}
    folder = snapshot(model, revision=revision, download=download)
    return HfVision(folder, settings, parse_layers(layer, combine), batch_size, device, compile)


class HfVision(PictureEncoder):
    """Preprocessing is the model's own processor. Of a model with several towers the vision tower is used.

    On the CPU the processor runs in ``prepare``. On another device crops, which all have the same size, are transferred
    as uint8 and the processor runs there in ``forward``, so that one reading thread can feed a fast GPU; but not in
    fp32 where the processor resizes, because resizing uint8 on the device rounds differently. ``on_device`` overrides
    this choice.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        chosen: Layers,
        batch_size: int = 32,
        device: str = "cpu",
        compile: bool = False,
        on_device: bool | None = None,
    ) -> None:
        self.batch_size, self._settings = check_batch_size("hf_vision", batch_size), settings
        self.crop = crop_of(settings["crop"], settings.get("crop_px", 1), settings.get("margin", 0.0))
        self._name, self._layers, self._device = settings["model"], chosen, device
        self._pool = settings.get("pool", "logits")
        precision, trust = settings["precision"], settings["trust_remote_code"]
        self._dtype = torch_dtype(precision)
        self._weights = weights_hash(folder)
        self._configs = configs_hash(folder, trust_remote_code=trust)
        model, projection = (
            (_load_classifier(folder, trust), None) if self._pool == "logits" else self._load(folder, trust)
        )
        self._classes = {"classes": class_names(model.config)} if self._pool == "logits" else {}
        self._tokens, self._main = Tokens(self._name, model.config), str(model.main_input_name)
        trained = getattr(model.config, "num_frames", getattr(model.config, "frames_per_clip", None))
        self._is_video = trained is not None
        self.span, self.stride = self._tube(trained, settings["span"], settings["stride"])
        self._takes = inspect.signature(model.forward).parameters.keys()
        self._projection = None if projection is None else freeze(projection, device, precision)
        self._model = freeze(model, device, precision)
        kind = "AutoVideoProcessor" if self._is_video else "AutoImageProcessor"
        self._processor = load_processor(kind, folder, trust_remote_code=trust)
        self._on_device = self._processes_on_device(precision) if on_device is None else on_device
        self._num_states = 1  # of hidden states; known after a run
        self.dim = self._try()
        if compile:
            self._model = freeze(model, device, precision, compile=True)

    def recipe(self) -> dict[str, Any]:
        made_of: dict[str, Any] = {"weights": self._weights, "configs": self._configs, "found_at": FOUND_AT}
        made_of |= {**self._classes, **self._layers.recipe(self._num_states)}
        return {"encoder": "hf_vision", "settings": self._settings, **made_of, "version": 2}

    def prepare(self, pictures: Sequence[np.ndarray]) -> np.ndarray:  # of any sizes
        import torch

        if self._on_device:
            shape = (-1, self.span) if self._is_video else (-1,)
            return np.stack(pictures).reshape(*shape, *pictures[0].shape)
        channels_first = [torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous() for picture in pictures]
        if not self._is_video:
            return _pack(self._processed(channels_first))
        sizes = {picture.shape[:2] for picture in pictures}
        if len(sizes) > 1:
            raise InputError(
                f"{self._name} needs pictures of the same size in a tube, got {sorted(sizes)}: give crop=face"
            )
        return _pack(self._processed(list(torch.stack(channels_first).unflatten(0, (-1, self.span)))))

    def forward(self, batch: np.ndarray) -> np.ndarray:
        import torch

        with inference():
            if self._on_device:
                inputs = self._processed(list(torch.from_numpy(batch).to(self._device).movedim(-1, -3).contiguous()))
            else:
                inputs = {name: torch.from_numpy(part) for name, part in self._unpack(batch)}
            kinds = {name: self._dtype if value.is_floating_point() else value.dtype for name, value in inputs.items()}
            given = {name: value.to(self._device, kinds[name]) for name, value in inputs.items()}
            return self._rows(given).float().cpu().numpy()

    def _load(self, folder: Path, trust: bool) -> tuple[Any, Any]:
        """The vision tower, and the projection for ``pool="projected"``. Raises InputError where one is missing."""
        whole: Any = load_model(folder, trust_remote_code=trust)
        if self._pool == "projected" and whole.config.model_type == "clip_vision_model":
            whole = load_model(folder, auto="CLIPVisionModelWithProjection")  # AutoModel leaves the projection out
        model = getattr(whole, "vision_model", whole)
        if not str(getattr(model, "main_input_name", "")).startswith("pixel_values"):
            raise InputError(
                f"{self._name} is a {whole.config.model_type!r} model, which takes no pictures: give a vision model "
                "(CLIP, SigLIP, DINO, ViT, BEiT, ConvNeXt, VideoMAE, ...)"
            )
        if self._pool in ("pooler", "projected") and not self._layers.is_final:
            raise InputError(f"pool={self._pool} needs the final layer: omit layer, or give pool=cls or pool=mean")
        if self._pool == "projected" and not hasattr(whole, "visual_projection"):
            raise InputError(f"{self._name} has no visual projection (CLIP has one): give another pool")
        if self._pool == "pooler" and any("pooler" in name for name, _ in model.named_parameters()):
            _check_pooler(folder)
        # keeps all patches: by default ViT-MAE drops three of four at random
        if model.config.model_type == "vit_mae":
            model.config.mask_ratio = 0.0
        return model, whole.visual_projection if self._pool == "projected" else None

    def _tube(self, trained: int | None, span: int | None, stride: int | None) -> tuple[int, int]:
        """Span and stride; both are 1 for a model of single pictures."""
        if trained is None:
            if (span, stride) != (None, None):
                raise InputError(f"{self._name} is a model of single pictures: omit span and stride")
            return 1, 1
        span = trained if span is None else span
        stride = max(1, span // 2) if stride is None else stride
        if span < 1 or stride < 1:
            raise InputError(f"hf_vision: span is {span} and stride {stride}, expected 1 or more pictures for each")
        return span, stride

    def _processes_on_device(self, precision: Precision) -> bool:
        """Whether pictures are transferred as uint8 and processed on the device."""
        import torch

        if torch.device(self._device).type == "cpu" or self.crop is None:
            return False
        if getattr(self._processor, "backend", None) != "torchvision":
            return False
        return precision != "fp32" or not self._resizes()

    def _resizes(self) -> bool:
        """Whether the processor resizes crops of the encoder's own size."""
        noise = self._noise()
        usual, as_is = (self._processed([noise], **how)[self._main] for how in ({}, {"do_resize": False}))
        return usual.shape != as_is.shape or bool((usual != as_is).any())

    def _noise(self) -> Any:
        """Random input of one row: for black pictures a class token can equal the mean of the patches."""
        import torch

        size_px = self.crop.size_px if self.crop else 64
        frames = np.random.default_rng(0).integers(0, 256, (self.span, 3, size_px, size_px), np.uint8)
        return torch.from_numpy(frames if self._is_video else frames[0])

    def _processed(self, rows: list[Any], **how: Any) -> dict[str, Any]:
        """The network's arguments for pictures (channel height width) or tubes (time channel height width)."""
        # explicit, because a picture three pixels wide could be taken for channels last
        how |= {"return_tensors": "pt", "input_data_format": "channels_first"}
        if self._is_video:
            how["do_sample_frames"] = False  # use every picture, without sampling
        try:
            made = self._processor(rows, **how)
        except (ValueError, RuntimeError) as error:
            sizes = sorted({tuple(row.shape[-2:]) for row in rows})
            raise InputError(f"the processor of {self._name} cannot take pictures of sizes {sizes}: {error}") from error
        return {name: value for name, value in made.items() if name in self._takes}

    def _unpack(self, batch: np.ndarray) -> list[tuple[str, np.ndarray]]:
        if batch.dtype.names is None:
            return [(self._main, batch)]
        return [(name, np.ascontiguousarray(batch[name])) for name in batch.dtype.names]

    def _try(self) -> int:
        """The width of a row, by a trial. Raises InputError where the network cannot run with these settings."""
        one = self._noise().movedim(-3, -1).numpy()
        try:
            rows = self.forward(self.prepare(list(one) if self._is_video else [one]))
        except (RuntimeError, TypeError) as error:
            raise InputError(
                f"{self._name} cannot run with span {self.span} in {self._dtype} on {self._device}: {error}"
            ) from error
        return int(rows.shape[1])

    def _rows(self, given: dict[str, Any]) -> Any:
        out = self._model(**given, **self._further_arguments(given[self._main]))
        if self._pool == "logits":
            return out.logits
        if self._pool in ("pooler", "projected"):
            pooled = getattr(out, "pooler_output", None)
            if pooled is None:
                raise InputError(f"{self._name} has no pooled output: give pool=cls or pool=mean")
            return self._projection(pooled) if self._projection is not None else pooled.flatten(1)
        states = (out.last_hidden_state,) if self._layers.is_final else hidden_states(out)
        if not states:
            raise InputError(f"{self._name} does not give its hidden layers: omit layer")
        self._num_states = len(states)
        # SigLIP 2 in the shape of a picture masks the positions without a patch
        context = (given[self._main], getattr(out, "pooler_output", None), given.get("pixel_attention_mask"))
        rows = [self._tokens.pooled(self._pool, state, *context) for state in states]
        try:
            return rows[0] if self._layers.is_final else self._layers.combined(rows)
        except RuntimeError as error:
            widths = [row.shape[1] for row in rows]
            raise InputError(
                f"the layers of {self._name} have the widths {widths}: only layers of the same width can be combined"
            ) from error

    def _further_arguments(self, pixels: Any) -> dict[str, Any]:
        """Further arguments of this architecture."""
        import torch

        more: dict[str, Any] = {} if self._layers.is_final else {"output_hidden_states": True}
        if self._tokens.config.model_type == "vjepa2" and self._pool != "logits":
            more["skip_predictor"] = True  # it predicts masked patches, which are not part of the features
        if self._tokens.config.model_type == "vit_mae":  # it orders patches by this noise, which is random by default
            order = torch.arange(self._tokens.num_patches(pixels) or 0, device=pixels.device, dtype=torch.float32)
            more["noise"] = order.expand(len(pixels), -1)
        return more


def _pack(inputs: dict[str, Any]) -> np.ndarray:
    """The arguments as one array by row; several arguments become the named fields of a structured array."""
    arrays = {name: value.numpy() for name, value in inputs.items()}
    first = next(iter(arrays.values()))
    if len(arrays) == 1:
        return first
    packed = np.empty(len(first), dtype=[(name, array.dtype, array.shape[1:]) for name, array in arrays.items()])
    for name, array in arrays.items():
        packed[name] = array
    return packed


def _load_classifier(folder: Path, trust: bool) -> Any:
    """The model with its classification head. Raises InputError where it takes no pictures."""
    kind = "Video" if any("ForVideo" in name for name in architectures(folder)) else "Image"
    model = load_classifier(folder, f"AutoModelFor{kind}Classification", trust_remote_code=trust)
    if not str(getattr(model, "main_input_name", "")).startswith("pixel_values"):
        raise InputError(f"{folder} is a {model.config.model_type!r} model, which takes no pictures")
    return model


def _check_pooler(folder: Path) -> None:
    """Raises InputError where a checkpoint lacks its pooler, which transformers would initialise at random."""
    from safetensors import safe_open

    names: list[str] = []
    for path in weights_files(folder):
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                names += file.keys()
        else:
            names += load_tensors(path)
    if not any("pooler" in name for name in names):
        raise InputError(f"the weights in {folder} lack the pooler: give pool=cls or pool=mean")


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny.vision import hf_model

    vit, clip, siglip = (hf_model(name) for name in ("vit", "clip", "siglip"))
    return [
        {"model": vit, "crop_px": 32},
        {"model": vit, "crop_px": 32, "layer": "-2..-1", "combine": "sum", "pool": "mean"},
        {"model": vit, "crop_px": 40, "pool": "pooler", "precision": "bf16"},
        {"model": clip, "crop_px": 32},
        {"model": clip, "crop_px": 32, "pool": "projected"},
        {"model": siglip, "crop_px": 32, "pool": "pooler"},
        {"model": hf_model("siglip2_naflex"), "crop_px": 40, "pool": "mean"},
        {"model": hf_model("resnet"), "pool": "mean", "crop": "none"},
        {"model": hf_model("dinov2"), "pool": "mean", "crop_px": 32},
        {"model": hf_model("dinov3"), "pool": "mean", "crop_px": 32},
        {"model": hf_model("vit_mae"), "crop_px": 32},
        {"model": hf_model("videomae"), "crop_px": 32, "pool": "mean"},
        {"model": hf_model("vit_classifier"), "crop_px": 32, "output": "logits"},
        {"model": hf_model("videomae_classifier"), "crop_px": 32, "output": "logits"},
        {"model": hf_model("vjepa2"), "crop_px": 32, "pool": "mean", "stride": 1},
    ]
