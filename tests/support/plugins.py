"""A user's own file with an encoder, a recogniser, a model and a task, and a package that declares such parts."""

import contextlib
import textwrap
from pathlib import Path

import pytest

from abaw import plugins
from abaw.tasks import TASKS
from extract.encoders import ENCODERS
from extract.recognisers import RECOGNISERS
from fusion.models import FUSION_MODELS

PACKAGES = ("abaw", "extract", "fusion")
OWN_REGISTRIES = (ENCODERS, FUSION_MODELS, RECOGNISERS, TASKS)
PARTS = '''
"""Parts of my own."""

import numpy as np
from torch import nn

from abaw.tasks import TASKS
from abaw.tasks.va import ValenceArousal
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.recognisers import RECOGNISERS
from extract.recognisers.base import Recogniser, Values, stated
from fusion.base import FusionModel, FusionOutput
from fusion.layers.masks import mask_features, sort_modalities
from fusion.models import FUSION_MODELS

FACTS = {
    "own_colour": {"modality": "vision", "dim": 3, "built_in": True, "licence": "Apache-2.0", "size_mb": 0},
    "own_mood": {
        "modality": "vision", "answers": "valence and arousal", "licence": "MIT", "commercial": True,
        "trained_on": ("Postcards",),
    },
    "own_mean": {"paper": "none", "context": "step", "differs": "Nothing to differ from."},
    "own_va": {},
}


@ENCODERS.register
def own_colour(*, gain: float = 1.0) -> PictureEncoder:
    """Mean of each colour of the whole picture."""
    return Colour(gain)


class Colour(PictureEncoder):
    crop, dim, batch_size = None, 3, 64

    def __init__(self, gain):
        self._gain = gain

    def recipe(self):
        return {"encoder": "own_colour", "settings": {"gain": self._gain}, "version": 1}

    def prepare(self, pictures):
        return np.stack([picture.mean((0, 1)) for picture in pictures])

    def forward(self, batch):
        return (self._gain * batch).astype(np.float32)


@RECOGNISERS.register
def own_mood(*, gain: float = 1.0) -> Recogniser:
    """Red is valence, green is arousal."""
    values = Values(("valence", "arousal", "-"), scale=2 / 255, shift=-1.0)
    return Recogniser("own_mood", "own_colour", {"gain": gain}, (values,), **stated(FACTS["own_mood"]))


@FUSION_MODELS.register
def own_mean(*, dims, hidden_dim: int = 64) -> FusionModel:
    """Mean of the projected modalities."""
    return Mean(dims, hidden_dim)


class Mean(FusionModel):
    def __init__(self, dims, hidden_dim):
        super().__init__()
        self.hidden_dim, self.names = hidden_dim, sort_modalities(dims)
        self.project = nn.ModuleList(nn.Linear(dims[name], hidden_dim) for name in self.names)

    def forward(self, inputs):
        parts = [layer(mask_features(inputs, name)[0]) for layer, name in zip(self.project, self.names, strict=True)]
        return FusionOutput(sum(parts) / len(parts))


@TASKS.register
def own_va(*, ccc_over: str = "batch", mse_weight: float = 0.0, mae_weight: float = 0.0) -> ValenceArousal:
    """Valence and arousal under another name."""
    return OwnVa(ccc_over, mse_weight, mae_weight)


class OwnVa(ValenceArousal):
    name = "own_va"
'''


@contextlib.contextmanager
def forget_plugins():
    """Begin without plug-ins, as a new process does; those that are loaded meanwhile are forgotten at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "_LOADED", {})
        removed = [_remove_foreign(registry._builders) for registry in OWN_REGISTRIES]
        try:
            yield
        finally:
            for registry, builders in zip(OWN_REGISTRIES, removed, strict=True):
                _remove_foreign(registry._builders)  # what a module of this project has registered meanwhile stays
                registry._builders.update(builders)


def _remove_foreign(builders):
    """Remove the builders that are not of this project, and return them."""
    foreign = [name for name, each in builders.items() if each.__module__.partition(".")[0] not in PACKAGES]
    return {name: builders.pop(name) for name in foreign}


def write_package(folder: Path) -> None:
    """A package as pip installs it: a module, and metadata that declare its encoder, model, recogniser and task."""
    (folder / "parts_of_others.py").write_text(PARTS)
    about = folder / "parts_of_others-2.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: parts-of-others\nVersion: 2.5\n")
    (about / "entry_points.txt").write_text(
        textwrap.dedent(
            """
            [abaw.encoders]
            colour = parts_of_others:own_colour
            [abaw.models]
            mean = parts_of_others:own_mean
            [abaw.recognisers]
            mood = parts_of_others:own_mood
            [abaw.tasks]
            va = parts_of_others:own_va
            """
        )
    )
