"""The weights of a run on disk: the whole module's state, and enough to build it again."""

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from abaw.configs.sections import Config
from abaw.errors import InputError, NotFoundError
from abaw.files import atomic_write
from abaw.tasks.base import Task
from fusion.base import FusionModel
from fusion.front import fronted
from fusion.models import FUSION_MODELS
from fusion.module import FusionModule


def build_module(config: Config, tasks: Mapping[str, Task], dims: Mapping[str, int]) -> FusionModule:
    """A fresh module whose weights follow from the config's seed. ``dims``: features of each modality."""
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it is
        torch.manual_seed(config.training.seed)
        model = build_model(config, dims)
        return FusionModule(model, tasks, config, dims)


def build_model(config: Config, dims: Mapping[str, int]) -> FusionModel:
    """The config's fusion model for what its front makes of ``dims``; ValueError where it does not take them."""
    return FUSION_MODELS.build(config.model.name, dims=fronted(dims, config.features), **config.model.settings)


def weights_path(folder: Path) -> Path:
    """Where a run's folder holds its weights."""
    return folder / "weights" / "model.safetensors"


def save_weights(folder: Path, module: FusionModule, epoch: int) -> None:
    """Weights, the InputStage's buffers, dims, and the validation scores they were chosen by; whole or absent."""
    # copies: on a GPU a recurrent layer's tensors share one block of memory, which safetensors refuses
    state = {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}
    about = {"dims": module.dims, "epoch": epoch, "scores": module.scores}
    with atomic_write(weights_path(folder)) as temporary:
        # one entry: safetensors writes several in any order, and the same run shall give the same bytes
        temporary.write_bytes(safetensors.torch.save(state, {"module": json.dumps(about)}))


def load_module(folder: Path, config: Config, tasks: Mapping[str, Task], device: str = "cpu") -> FusionModule:
    """The module of a run, on ``device`` and in eval mode, with the ``scores`` it was chosen by.

    Raises FileNotFoundError where there are no weights, ValueError where they are of another config.
    """
    path = weights_path(folder)
    if not path.is_file():
        raise NotFoundError(f"no weights at {path}: run abaw train first, or again if it was stopped")
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["module"])
        module = build_module(config, tasks, about["dims"])
        module.load_state_dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} does not hold the weights of this config ({error}): train again") from error
    module.scores = about["scores"]
    try:
        return module.eval().to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"no device {device!r} here: {str(error).splitlines()[0]}; give --device cpu") from error
