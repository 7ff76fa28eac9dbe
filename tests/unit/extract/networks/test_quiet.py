"""Loading a model prints nothing about weights that are not used, and leaves transformers' settings as they were."""

import pytest
from transformers.utils import logging as messages

from extract.networks.hub import load_model, quiet
from extract.networks.tiny.vision import hf_model


@pytest.fixture
def with_head(tmp_path):
    """A tiny ViT with weights of a head that is not used, and without a part that is not used."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = hf_model("vit").write(tmp_path / "vit") / "model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(weights).items() if "pooler" not in name}
    save_file({**tensors, "classifier.bias": torch.zeros(3)}, weights, {"format": "pt"})
    return weights.parent


def test_weights_that_are_not_used_are_not_reported(with_head, capfd):
    before = messages.get_verbosity(), messages.is_progress_bar_enabled()
    load_model(with_head)
    assert capfd.readouterr() == ("", "")
    assert (messages.get_verbosity(), messages.is_progress_bar_enabled()) == before


def test_quiet_ends_with_an_error(capfd):
    before = messages.get_verbosity(), messages.is_progress_bar_enabled()
    with pytest.raises(ZeroDivisionError), quiet():
        _warn_and_fail()
    assert capfd.readouterr() == ("", "")
    assert (messages.get_verbosity(), messages.is_progress_bar_enabled()) == before


def _warn_and_fail():
    messages.get_logger("transformers").warning("a hint")
    1 / 0  # noqa: B018
