"""What the classification head of a model of transformers answers, from the model's configuration."""

from pathlib import Path
from typing import Literal

from extract.networks.heads import class_names
from extract.networks.hub import load_processor
from extract.recognisers.base import Activation, Classes, Outputs, Values

HeadActivation = Literal["auto", "softmax", "sigmoid"]
KINDS: dict[str | None, Activation] = {"multi_label_classification": "sigmoid"}  # others: softmax


def outputs_of(
    folder: Path, activation: HeadActivation, scale: float, shift: float, *, trust_remote_code: bool
) -> tuple[Outputs, ...]:
    """The outputs of the head: classes, or values where the model was trained for regression, with their names.

    Raises InputError where there is no configuration.
    """
    config = load_processor("AutoConfig", folder, trust_remote_code=trust_remote_code)
    names = tuple(name.strip() for name in class_names(config))
    if config.problem_type == "regression":
        return (Values(names, scale, shift),)
    chosen = KINDS.get(config.problem_type, "softmax") if activation == "auto" else activation
    return (Classes(names, chosen),)
