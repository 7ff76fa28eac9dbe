"""Hugging Face models on this machine: found, identified by their weights, loaded frozen. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.files import sha256, visible

if TYPE_CHECKING:
    from transformers import PreTrainedModel

UNUSED_HEADS = ("pooler", "classifier", "masked_spec_embed", "mask_token")  # never part of a hidden layer


def snapshot(model: str) -> Path:
    """The folder of a model: itself one, or a hub name already in the local cache. FileNotFoundError otherwise."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (FileNotFoundError, HFValidationError) as error:
        raise FileNotFoundError(
            f"no model {model!r} on this machine, neither a folder nor in the Hugging Face cache: "
            f"fetch it with `hf download {model}`, or give model=FOLDER of a local copy"
        ) from error


def weights_hash(folder: Path) -> dict[str, str]:
    """SHA-256 of every weights file of a model's folder. FileNotFoundError where there is none."""
    files = [path for pattern in ("*.safetensors", "*.bin") for path in visible(folder, pattern)]
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no weights: expected model.safetensors (or pytorch_model.bin) beside config.json"
        )
    return {path.name: sha256(path) for path in files}


def load_frozen(folder: Path, tower: str | None, device: str) -> PreTrainedModel:
    """The model, or its ``tower`` where it has one (a CLIP's vision_model), in eval mode, without gradients.

    ValueError where the folder is no model, or where weights of the hidden layers are missing: transformers would
    make them up at random.
    """
    import torch
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model, report = AutoModel.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} is not a model that transformers can load: {error}") from error
    missing = [key for key in report["missing_keys"] if not any(part in key for part in UNUSED_HEADS)]
    if missing:
        raise ValueError(
            f"the weights in {folder} lack {len(missing)} tensors, {missing[0]!r} first: take a complete checkpoint"
        )
    model = getattr(model, tower, model) if tower else model
    try:
        return model.eval().requires_grad_(False).to(device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"no device {device!r} here: {str(error).splitlines()[0]}; give --device cpu") from error


def load_processor(kind: str, folder: Path) -> Any:
    """The model's own AutoImageProcessor or AutoFeatureExtractor. ValueError where the folder has none."""
    import transformers

    try:
        return getattr(transformers, kind).from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{folder} has no {kind} (preprocessor_config.json): copy it from the model's page: {error}"
        ) from error
