"""How sure tables are of a label, and which rows get one."""

import numpy as np
import pytest

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tasks import TASKS
from abaw.teachers.confidence import compute_confidence, make_pseudo_labels

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


def test_only_rows_without_a_label_get_one_and_only_where_it_is_sure():
    own = Labels(np.array([[1.0], [0], [0]]), np.array([True, False, False]))  # shorter than the table
    made, lacks = make_pseudo_labels(EXPR, [expr_table(0.95, 0.95, 0.5, 0.9)], own, 0.9)
    assert made.scored.tolist() == [False, True, False, True]
    assert made.values[:, 0].tolist() == [0, 4, 0, 4]
    assert lacks[:, 0].tolist() == [False, True, True, True]


def test_units_that_are_not_sure_have_no_label_beside_those_that_are():
    table = np.full((1, 12), 0.5, np.float32)
    table[0, :2] = 0.97, 0.02
    made, _ = make_pseudo_labels(AU, [table], None, 0.9)
    assert made.scored.tolist() == [True]
    assert made.values[0, :2].tolist() == [1, 0]
    assert np.isnan(made.values[0, 2:]).all()


def test_a_part_of_mtl_with_a_label_keeps_it_and_the_others_get_one():
    mtl = TASKS.build("mtl")
    table = np.concatenate([[[0.1, 0.2]], expr_table(0.99), np.full((1, 12), 0.999)], axis=1)
    own = np.full((1, 15), np.nan)
    own[0, 2] = 7  # an expression
    made, _ = make_pseudo_labels(mtl, [table, table], Labels(own, np.ones(1, bool)), 0.9)
    np.testing.assert_allclose(made.values[0], [0.1, 0.2, np.nan, *[1] * 12], atol=1e-6)
