"""The classification heads of models of transformers: loading them, and the names of their outputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from abaw.errors import InputError
from abaw.files import read_json
from extract.networks.hub import load_model

UNUSED = ("masked_spec_embed", "mask_token")  # weights for training, on which a classifier's outputs do not depend
ADVICE = "output=logits needs a checkpoint whose classification head was trained and saved: use one, or output=features"


def load_classifier(folder: Path, auto: str, *, trust_remote_code: bool = False) -> Any:
    """A model with its classification head, by one of transformers' auto classes, float32, on the CPU.

    Raises InputError as ``load_model`` does, and where the checkpoint has no head of its architecture: transformers
    would initialise it at random.
    """
    return load_model(folder, trust_remote_code=trust_remote_code, auto=auto, unused=UNUSED, advice=ADVICE)


def architectures(folder: Path) -> list[str]:
    """The names of the architectures that a model's configuration gives; none where it has no configuration."""
    config = folder / "config.json"
    return read_json(config).get("architectures") or [] if config.is_file() else []


def class_names(config: Any) -> list[str]:
    """The names of a model's outputs in their order, from the ``id2label`` of its configuration."""
    return [str(config.id2label[index]) for index in range(config.num_labels)]


def check_omitted(encoder: str, output: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raises InputError where a setting that means nothing for this output is given."""
    for name, default in defaults.items():
        if given[name] != default:
            raise InputError(f"{encoder}: {name} is {given[name]!r}, which output={output} does not use: omit it")
