"""Tiny Hugging Face sound models with random weights."""

import pytest

from extract.networks.tiny.sound import SOUND_MODELS, sound_model


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: sound_model(name).path_in(folder) for name in SOUND_MODELS}
