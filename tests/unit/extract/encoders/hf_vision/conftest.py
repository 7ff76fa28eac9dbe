"""Tiny Hugging Face vision models of every architecture, with random weights."""

import pytest

from extract.networks.tiny.vision import hf_model, hf_models


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: hf_model(name).path_in(folder) for name in hf_models()}
