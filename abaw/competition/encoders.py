"""The encoders of a recipe: those whose features its members take, and whether their weights are there."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from abaw.errors import NotFoundError
from abaw.numbers import format_count
from abaw.pipelines.extraction import find_missing_weights, parse_part

LOG = logging.getLogger("abaw")


def label_of(encoder: str) -> str:
    """The name that the features of an encoder have in a store, from ``NAME:setting=value,...``.

    >>> label_of("wavlm_large:layer=24,as=wavlm")
    'wavlm'
    """
    name, settings = parse_part(encoder)
    return str(settings.get("as", name))


def used_encoders(encoders: Sequence[str], features: Iterable[str]) -> list[str]:
    """The encoders whose features are among ``features``, which may have their hash; the others are logged."""
    wanted = list(features)
    used = [each for each in encoders if any(_is_of(name, label_of(each)) for name in wanted)]
    if left := [each for each in encoders if each not in used]:
        LOG.info("not extracted, because no member takes their features: %s", ", ".join(left))
    return used


def missing_weights(
    encoders: Sequence[str], members: Mapping[str, Mapping[str, Any]], *, download: bool
) -> dict[str, str]:
    """For each encoder without its weights: which are missing, how to get them, and how to run without.

    ``members``: the settings of each member, as in a config; a model may name features.
    """
    found = {each: find_missing_weights(each, download=download) for each in encoders}
    return {
        each: f"{why}; or run without it: {' '.join(_without(label_of(each), members))}"
        for each, why in found.items()
        if why is not None
    }


def _without(label: str, members: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The settings of a recipe without the features ``label``, which the models of some members may name."""
    settings = [f"features.{label}=null"]
    for member, overrides in members.items():
        model = overrides.get("model")
        for key, value in model.items() if isinstance(model, Mapping) else ():
            if isinstance(value, list) and label in value:
                left = ", ".join(str(name) for name in value if name != label)
                settings.append(f'"members.{member}.model.{key}=[{left}]"')
    return settings


def check_weights_of(missing: Mapping[str, str]) -> None:
    """Raise NotFoundError where weights are missing, with a line for each encoder."""
    if missing:
        lines = "\n".join(f"  {why}" for why in missing.values())
        raise NotFoundError(
            f"weights of {format_count(len(missing), 'encoder')} are missing; nothing was done yet:\n{lines}"
        )


def _is_of(feature: str, label: str) -> bool:
    return feature == label or feature.startswith(f"{label}-")
