"""The contract of fusion models: every model, and every value of its enumerated settings, passes every check.

A new file in fusion/models, or a plug-in, is tested without any other edit: what a test needs to know of a model is in
the annotations of its builder and in its FACTS.
"""

import ast
import contextlib
import sys
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from fusion.base import Size
from fusion.models import FUSION_MODELS
from tests.support.fusion_checks import (
    CHECKS,
    check_context,
    check_each_setting_has_an_effect,
    check_one_hidden_feature_is_refused_or_carries_information,
    check_shapes_and_names_of_losses,
    check_training_on_noise_does_not_diverge,
)
from tests.support.inputs import DIMS, THREE

PARTS = FUSION_MODELS.parts()
ANY_MODALITY = "any modality"  # stands for the name of the first one, whatever the modalities are


def hints_of(part):
    FUSION_MODELS.check(part.name, {})  # imports the file
    return get_type_hints(getattr(sys.modules[part.module], part.name), include_extras=True)


def defaults_of(part):
    return {key: ast.literal_eval(text) for key, text in part.settings.items()}


def is_names(default, hint):
    """Whether a setting takes names of modalities: a sequence of texts."""
    return isinstance(default, tuple | list) and get_args(hint)[:1] == (str,)


def variants_of(part):
    """The defaults, then each other value of each enumerated setting: every word of a Literal, both values of a bool.

    A setting that takes names of modalities is tried with one name.
    """
    hints = hints_of(part)
    variants = [{}]
    for key, default in defaults_of(part).items():
        if isinstance(default, bool):
            variants.append({key: not default})
        elif get_origin(hints[key]) is Literal:
            variants += [{key: word} for word in get_args(hints[key]) if word != default]
        elif is_names(default, hints[key]):
            variants.append({key: (ANY_MODALITY,)})
    return variants


def tiny_sizes_of(part):
    """Small values of all settings of type Size, so that the checks are fast."""
    hints, sizes = hints_of(part), {}
    for key, default in defaults_of(part).items():
        if hints[key] == Size:
            limit = 8 if key.endswith("_dim") else 2 if key == "num_heads" else 3
            sizes[key] = min(default, limit)
    return sizes


def builder(part, **settings):
    def build(*, dims, **more):
        names = {
            key: (min(dims),) if value == (ANY_MODALITY,) else value for key, value in {**settings, **more}.items()
        }
        return FUSION_MODELS.build(part.name, dims=dims, **names)

    return build


def name_of(value):
    if isinstance(value, dict):
        return ",".join(f"{key}={each}" for key, each in value.items())
    return getattr(value, "name", None) or getattr(value, "__name__", str(value)).removeprefix("check_")


PAIRS = [(part, variant) for part in PARTS for variant in variants_of(part)]
each_part = pytest.mark.parametrize("part", PARTS, ids=name_of)


@pytest.mark.parametrize("num_modalities", [1, 2, 5])
@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@each_part
def test_every_model_passes_with_any_number_of_modalities(part, check, num_modalities):
    check(builder(part, **tiny_sizes_of(part)), dict(list(DIMS.items())[:num_modalities]))


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize(("part", "variant"), PAIRS, ids=name_of)
def test_every_value_of_an_enumerated_setting_passes(part, variant, check):
    check(builder(part, **tiny_sizes_of(part), **variant), THREE)


@each_part
def test_every_model_works_at_its_default_sizes(part):
    check_shapes_and_names_of_losses(builder(part), THREE)


@each_part
def test_training_on_noise_does_not_diverge(part):
    check_training_on_noise_does_not_diverge(builder(part, **tiny_sizes_of(part)), THREE)


@each_part
def test_every_setting_has_an_effect(part):
    hints = hints_of(part)
    others = {key: other_value(key, default, hints[key]) for key, default in defaults_of(part).items()}
    check_each_setting_has_an_effect(builder(part), others)


def other_value(key, default, hint):
    """A valid value that is not the default."""
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 2 if key.endswith("kernel") else 2 * default or 2  # kernels stay odd, heads still divide
    if isinstance(default, float):
        return default / 2 if default else 0.5
    if get_origin(hint) is Literal:
        return next(word for word in get_args(hint) if word != default)
    if is_names(default, hint):
        return (ANY_MODALITY,)
    raise NotImplementedError(f"{key}: no rule for another value than {default!r}; add one here")


@each_part
def test_the_facts_are_complete_and_the_context_is_true(part):
    assert set(part.facts) == {"paper", "context", "differs"}
    assert all(part.facts.values())
    assert part.summary
    check_context(builder(part), THREE, part.facts["context"])


@each_part
def test_values_out_of_range_are_errors_that_name_model_and_setting(part):
    with pytest.raises(ValueError, match="at least one modality"):
        builder(part)(dims={})
    with pytest.raises(ValueError, match="modality 'face' has 0 features"):
        builder(part)(dims={"face": 0})
    for key, default in defaults_of(part).items():
        if isinstance(default, int) and not isinstance(default, bool):
            assert_refused(part, key, -1)
            if default:  # where 0 has a meaning, the model must work
                assert_refused_or_works(part, key, 0)
            else:
                check_shapes_and_names_of_losses(builder(part), THREE)
        if key.endswith("dropout"):
            assert_refused(part, key, -0.1)
            assert_refused(part, key, 1.0)
    if "hidden_dim" in part.settings:
        check_one_hidden_feature_is_refused_or_carries_information(builder(part))


def assert_refused(part, key, value):
    with pytest.raises(ValueError, match=f"{part.name}.*{key} is {value}, expected"):
        builder(part)(dims=THREE, **{key: value})


def assert_refused_or_works(part, key, value):
    if hints_of(part)[key] == Size:
        assert_refused(part, key, value)
        return
    with contextlib.suppress(ValueError):
        check_shapes_and_names_of_losses(builder(part, **{key: value}), THREE)
