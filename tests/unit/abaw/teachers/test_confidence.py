"""How sure tables are of a label, and which rows get one."""

import numpy as np
import pytest

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tasks import TASKS
from abaw.teachers.confidence import choose_pseudo_labels, compute_confidence, guess_labels

VA, EXPR, AU = (TASKS.build(name) for name in ("va", "expr", "au"))


def expr_table(*best):
    """Rows in which class 4 has this probability."""
    rows = np.repeat((1 - np.array(best))[:, None] / 7, 8, axis=1)
    rows[:, 4] = best
    return rows.astype(np.float32)


def test_the_confidence_of_a_class_is_its_probability_in_the_mean():
    found = compute_confidence(EXPR, [expr_table(0.9, 0.3), expr_table(0.7, 0.5)])
    np.testing.assert_allclose(found, [[0.8], [0.4]], atol=1e-6)


def test_the_confidence_of_a_unit_is_that_of_its_own_decision():
    found = compute_confidence(AU, [np.full((1, 12), 0.2), np.full((1, 12), 0.0)])
    np.testing.assert_allclose(found, np.full((1, 12), 0.9))


def test_the_confidence_of_values_is_how_well_the_tables_agree():
    tables = [np.array([[0.2, 0.1], [0.9, 0.0], [-1, -1]]), np.array([[0.3, 0.1], [0.4, 0.0], [1, 1]])]
    np.testing.assert_allclose(compute_confidence(VA, tables), [[0.9, 0.9], [0.5, 0.5], [0, 0]])
    with pytest.raises(InputError, match="confidence of va is how well several tables agree, but there is 1"):
        compute_confidence(VA, tables[:1])


def make(task, tables, own=None, observed=None, min_confidence=0.9, min_share=0.0):
    seen = np.ones(len(tables[0]), bool) if observed is None else np.array(observed)
    guesses = {"a": guess_labels(task, tables, seen, own)}
    return choose_pseudo_labels(task, guesses, min_confidence, min_share)["a"]


def test_only_rows_without_a_label_get_one_and_only_where_it_is_sure():
    own = Labels(np.array([[1.0], [0], [0]]), np.array([True, False, False]))  # shorter than the table
    made = make(EXPR, [expr_table(0.95, 0.95, 0.5, 0.9)], own)
    assert made.scored.tolist() == [False, True, False, True]
    assert made.values[:, 0].tolist() == [0, 4, 0, 4]


def test_a_row_in_which_the_teachers_observed_nothing_gets_none():
    made = make(EXPR, [expr_table(0.95, 0.95)], observed=[True, False], min_share=1.0)
    assert made.scored.tolist() == [True, False]


def test_units_that_are_not_sure_have_no_label_beside_those_that_are():
    table = np.full((1, 12), 0.5, np.float32)
    table[0, :2] = 0.97, 0.02
    made = make(AU, [table])
    assert made.scored.tolist() == [True]
    assert made.values[0, :2].tolist() == [1, 0]
    assert np.isnan(made.values[0, 2:]).all()


def test_a_part_of_mtl_with_a_label_keeps_it_and_the_others_get_one():
    mtl = TASKS.build("mtl")
    table = np.concatenate([[[0.1, 0.2]], expr_table(0.99), np.full((1, 12), 0.999)], axis=1)
    own = np.full((1, 15), np.nan)
    own[0, 2] = 7  # an expression
    made = make(mtl, [table, table], Labels(own, np.ones(1, bool)))
    np.testing.assert_allclose(made.values[0], [0.1, 0.2, np.nan, *[1] * 12], atol=1e-6)


def test_a_share_of_every_class_gets_a_label_over_all_clips_the_most_confident_first():
    rare = np.roll(expr_table(0.5, 0.4, 0.3, 0.2), 1, axis=1)  # class 5, of which no row is sure
    guesses = {
        clip_id: guess_labels(EXPR, [table], np.ones(len(table), bool), None)
        for clip_id, table in {"a": expr_table(0.95, 0.92, 0.91, 0.5), "b": rare[:2], "c": rare[2:]}.items()
    }
    made = choose_pseudo_labels(EXPR, guesses, 0.9, 0.5)
    scored = {clip_id: each.scored.tolist() for clip_id, each in made.items()}
    assert scored == {"a": [True, True, True, False], "b": [True, True], "c": [False, False]}
    assert made["b"].values[:, 0].tolist() == [5, 5]


def test_each_decision_of_a_unit_gets_its_share_and_values_have_one_share():
    table = np.full((4, 12), 0.05, np.float32)
    table[:, 0] = 0.6, 0.7, 0.2, 0.4
    made = make(AU, [table], min_confidence=1.0, min_share=0.5)
    np.testing.assert_array_equal(made.values[:, 0], [np.nan, 1, 0, np.nan])
    tables = [np.zeros((4, 2), np.float32), np.array([[0.1, 0], [0.4, 0], [0.3, 0], [0.2, 0]], np.float32)]
    assert make(VA, tables, min_confidence=1.0, min_share=0.5).scored.tolist() == [True, False, False, True]
