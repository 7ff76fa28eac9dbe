"""What every recogniser must fulfil. A new file in extract/recognisers is tested without any edit here.

A recogniser runs with the settings of its own ``examples()`` (its defaults where it has none).
"""

import importlib
import inspect
import json

import numpy as np
import pytest

from abaw.errors import InputError
from abaw.results.plausible import check_plausible
from abaw.tasks import TASKS
from extract import presets
from extract.networks.tiny import TinyWeights
from extract.recognisers import RECOGNISERS
from extract.recognisers.base import LEFT_OUT, Classes, Units, Values, slices
from extract.recognisers.columns import answers, columns_of

PARTS = {part.name: part for part in RECOGNISERS.parts()}
LOUD = 8.0  # a logit that decides


def examples_of(part):
    module = importlib.import_module(part.module)
    return module.examples() if hasattr(module, "examples") else [{}]


CASES = [(name, settings) for name, part in PARTS.items() for settings in examples_of(part)]


@pytest.fixture(scope="module")
def weights_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(params=CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])
def recogniser(request, weights_folder):
    name, settings = request.param
    given = {
        key: str(value.path_in(weights_folder / name)) if isinstance(value, TinyWeights) else value
        for key, value in settings.items()
    }
    return RECOGNISERS.build(name, **given)


def tasks_of(recogniser):
    """The tasks of this project that it answers: of a plug-in's classes it may know a part."""
    found = [TASKS.build(name) for name in TASKS.names() if TASKS.plugin(name) is None]
    return [task for task in found if answers(recogniser, task)]


def outputs_for(recogniser, name, loud=LOUD):
    """A row of outputs in which this class or unit is active and no other is."""
    row = np.zeros((1, len(recogniser.names)), np.float32)
    for each, place in zip(recogniser.outputs, slices(recogniser.outputs), strict=True):
        if not isinstance(each, Values):
            quiet, active = (0, 1) if each.activation == "none" else (-loud, loud)
            row[0, place] = [active if other == name else quiet for other in each.names]
            if isinstance(each, Classes) and each.activation == "none" and name not in each.names:
                row[0, place] = 1 / len(each.names)
    return row


@pytest.mark.parametrize("name", PARTS)
def test_the_facts_say_what_a_user_must_know(name):
    facts = PARTS[name].facts
    assert facts["modality"] in ("vision", "audio")
    assert facts["answers"]
    assert facts["licence"]
    assert facts["commercial"] in (True, False, None)
    assert isinstance(facts["trained_on"], tuple)


@pytest.mark.parametrize("name", PARTS)
def test_a_recogniser_without_anything_to_test_says_why(name):
    if not examples_of(PARTS[name]):
        reason = inspect.getdoc(importlib.import_module(PARTS[name].module).examples)
        assert len(reason.split()) > 5


def test_its_encoder_has_the_outputs_that_it_names(recogniser):
    encoder = presets.build(recogniser.encoder, **recogniser.settings)
    recogniser.check_outputs(encoder.dim, encoder.recipe().get("classes") or ())
    part = PARTS[recogniser.name]
    assert part.facts["modality"] == encoder.modality
    if part.facts["trained_on"]:
        assert recogniser.trained_on == part.facts["trained_on"]
        assert (recogniser.licence, recogniser.commercial) == (part.facts["licence"], part.facts["commercial"])
    json.dumps(encoder.recipe())


def test_a_network_with_more_or_fewer_outputs_is_refused_by_name(recogniser):
    num = len(recogniser.names)
    with pytest.raises(InputError, match=f"the network has {num - 1}: it lacks {recogniser.names[-1]}"):
        recogniser.check_outputs(num - 1)
    with pytest.raises(InputError, match=f"the network has {num + 1}: name all of them"):
        recogniser.check_outputs(num + 1)


def test_each_class_and_unit_goes_to_the_column_of_its_name(recogniser):
    tasks = tasks_of(recogniser)
    assert tasks
    for task in tasks:
        columns = columns_of(recogniser, task)
        assert columns.goals
        for output, goal in columns.goals.items():
            if any(isinstance(each, Values) and output in each.names for each in recogniser.outputs):
                continue
            values = columns.table(outputs_for(recogniser, output), np.array([True]))
            assert task.columns[int(values[0].argmax())] in (goal, f"p_{goal}")
            assert values[0].max() > 0.9


def test_values_fill_the_range_of_the_task(recogniser):
    for task in tasks_of(recogniser):
        columns = columns_of(recogniser, task)
        for each, place in zip(recogniser.outputs, slices(recogniser.outputs), strict=True):
            if not isinstance(each, Values) or not set(each.names) & columns.goals.keys():
                continue
            ends = np.zeros((2, len(recogniser.names)), np.float32)
            ends[:, place] = (np.array([[-1.0], [1.0]]) - each.shift) / each.scale
            table = columns.table(ends, np.ones(2, bool))
            goals = [task.columns.index(goal) for goal in columns.goals.values()]
            expected = task.probabilities(np.repeat([[-1.0], [1.0]], len(task.columns), axis=1).astype(np.float32))
            np.testing.assert_allclose(table[:, goals], expected[:, goals], atol=1e-5)


def test_its_tables_are_plausible_and_say_nothing_where_nothing_was_observed(recogniser):
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 2, (20, len(recogniser.names))).astype(np.float32)
    for each, place in zip(recogniser.outputs, slices(recogniser.outputs), strict=True):
        if isinstance(each, Units | Classes) and each.activation == "none":
            rows[:, place] = rng.dirichlet(np.ones(len(each.names)), 20)
        if isinstance(each, Values):
            rows[:, place] = (np.tanh(rows[:, place]) - each.shift) / each.scale
    observed = np.arange(20) % 4 != 0
    for task in tasks_of(recogniser):
        columns = columns_of(recogniser, task)
        table = columns.table(np.where(observed[:, None], rows, 0), observed)
        assert table.dtype == np.float32
        assert np.isfinite(table).all()
        check_plausible(table, task)
        assert (table[~observed] == table[0]).all()
        assert len(np.unique(table[observed], axis=0)) == observed.sum()
        for name in columns.unknown:
            assert not table[:, task.columns.index(f"p_{name}")].any()


def test_every_output_has_a_goal_or_is_left_out(recogniser):
    for task in tasks_of(recogniser):
        columns = columns_of(recogniser, task)
        kinds = {kind for kind, _ in task.blocks}
        for kind, outputs in (("classes", Classes), ("units", Units), ("values", Values)):
            names = [name for each in recogniser.outputs if isinstance(each, outputs) for name in each.names]
            if kind in kinds:
                assert {*names} - {LEFT_OUT} <= {*columns.goals, *columns.left_out}
