"""The weights of a run on disk: the state of the whole module, and what is needed to build it again."""

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
from fusion.contrastive.module import ContrastiveModule
from fusion.input_stage import compute_model_dims
from fusion.models import FUSION_MODELS
from fusion.module import FusionModule


def build_module(config: Config, tasks: Mapping[str, Task], dims: Mapping[str, int]) -> FusionModule:
    """A new module, initialised from the config's seed. ``dims``: number of features of each modality.

    The global random state does not change. Raises InputError where the model refuses its settings.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        model = build_model(config, dims)
        kind = ContrastiveModule if model.is_siamese else FusionModule
        return kind(model, tasks, config, dims)


def build_model(config: Config, dims: Mapping[str, int]) -> FusionModel:
    """The config's fusion model, for modalities of ``dims`` features before the input stage.

    Raises InputError where the model refuses its settings.
    """
    return FUSION_MODELS.build(
        config.model.name, dims=compute_model_dims(dims, config.features), **config.model.settings
    )


def find_context(config: Config) -> str:
    """Which steps of a window an output depends on, apart from the input stage: "step", "past" or "window".

    As the FACTS of the model say (see ``FusionModel``), which are of its default settings; a model that is set to be
    ``causal`` depends on the past, and frequency attention makes any model depend on the window.
    """
    if config.hidden.frequency_attention != "none":
        return "window"
    if config.model.settings.get("causal") is True:
        return "past"
    return str(FUSION_MODELS.part(config.model.name).facts.get("context", "window"))


def weights_path(folder: Path) -> Path:
    """Path of the weights in a run's folder."""
    return folder / "weights" / "model.safetensors"


def save_weights(folder: Path, module: FusionModule, epoch: int) -> None:
    """Write the state of the module, its dims, the epoch and its validation scores. The file is written atomically."""
    # cloned: on a GPU the tensors of a recurrent layer share memory, which safetensors refuses
    state = {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}
    about = {"dims": module.dims, "epoch": epoch, "scores": module.scores}
    with atomic_write(weights_path(folder)) as temporary:
        # a single metadata entry: safetensors writes several in arbitrary order, and files should be reproducible
        temporary.write_bytes(safetensors.torch.save(state, {"module": json.dumps(about)}))


def load_module(folder: Path, config: Config, tasks: Mapping[str, Task], device: str = "cpu") -> FusionModule:
    """The trained module of a run, on ``device`` and in eval mode, with its validation ``scores``.

    Raises NotFoundError where there are no weights, InputError where they belong to another config or the device does
    not exist.
    """
    path = weights_path(folder)
    if not path.is_file():
        raise NotFoundError(f"no weights at {path}: run abaw train, or run it again if it was stopped")
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["module"])
        module = build_module(config, tasks, about["dims"])
        module.load_state_dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} does not hold weights of this config ({error}): train again") from error
    module.scores, module.epoch = about["scores"], about["epoch"]
    try:
        return module.eval().to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {device!r} is not available: {str(error).splitlines()[0]}; use --device cpu"
        ) from error
