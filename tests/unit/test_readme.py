"""The README's examples work as they stand there."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import extract.encoders
import fusion.models
from extract.encoders import ENCODERS
from fusion.base import FusionInput
from fusion.models import FUSION_MODELS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Puts the README's example of a part where its registry finds it, and takes it away again."""

    def put(name, package, registry):
        blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
        (text,) = (block for block in blocks if f"def {name}(" in block)
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        monkeypatch.setattr(package.__spec__, "submodule_search_locations", package.__path__)
        monkeypatch.setattr(registry, "_builders", dict(registry._builders))

    return put


def test_the_example_encoder_is_found_by_name_and_encodes(example):
    example("brightness", extract.encoders, ENCODERS)
    assert "brightness" in ENCODERS.names()
    encoder = ENCODERS.build("brightness", gain=2.0)
    pictures = [np.full((4, 6, 3), value, np.uint8) for value in (10, 50)]
    assert encoder.forward(encoder.prepare(pictures)).tolist() == [[20, 20, 20], [100, 100, 100]]
    assert ENCODERS.build("brightness", **encoder.recipe()["settings"]).recipe() == encoder.recipe()


def test_the_example_fusion_model_is_found_by_name_and_obeys_the_masks(example):
    example("mean", fusion.models, FUSION_MODELS)
    assert "mean" in FUSION_MODELS.names()
    model = FUSION_MODELS.build("mean", dims={"a": 3, "b": 5}, hidden_dim=8)
    observed = {"a": torch.tensor([[True, False]]), "b": torch.tensor([[True, True]])}
    features = {"a": torch.randn(1, 2, 3), "b": torch.randn(1, 2, 5)}
    times_s, lengths = torch.tensor([[0.0, 0.04]], dtype=torch.float64), torch.tensor([2])
    seen = model(FusionInput(features, observed, times_s, lengths)).hidden
    features["a"] = torch.where(observed["a"][..., None], features["a"], torch.nan)
    assert torch.equal(model(FusionInput(features, observed, times_s, lengths)).hidden, seen)


def test_the_verbs_in_the_table_are_the_verbs_there_are():
    from abaw.cli import VERBS

    assert re.findall(r"^\| `abaw (\w+)", (ROOT / "README.md").read_text(), re.M) == list(VERBS)


@pytest.mark.parametrize("name", ["run.sh", ".ci/run"])
def test_the_scripts_are_executable_and_parse(name):
    import os
    import subprocess

    assert os.access(ROOT / name, os.X_OK)
    subprocess.run([shutil.which("bash"), "-n", str(ROOT / name)], check=True)
