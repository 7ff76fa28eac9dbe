"""Which labels make a relation, and which trainings have no pairs."""

import numpy as np
import pytest
import torch

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tasks import TASKS
from fusion.contrastive.relations import check_relations, relations_of


def test_a_task_of_several_parts_has_a_relation_for_each():
    relations = relations_of(TASKS.build("mtl"))
    assert [each.name for each in relations] == ["mtl/values", "mtl/classes", "mtl/units"]
    assert [each.columns for each in relations] == [slice(0, 2), slice(2, 3), slice(3, 15)]
    assert relations[1].other == 7


def test_a_part_without_label_is_not_used():
    _, classes, _ = relations_of(TASKS.build("mtl"))
    target = torch.zeros(1, 2, 15)
    target[0, 1, 2] = torch.nan
    assert classes.usable(target, torch.ones(1, 2, dtype=torch.bool)).tolist() == [[True, False]]


def test_values_are_compared_on_their_own_range():
    task = TASKS.build("values", value_names=["pain"], ranges=[[0, 10]], level="frame")
    (relation,) = relations_of(task)
    alike, different = relation.compare(torch.tensor([[0.0]]), torch.tensor([[1.9], [3.0], [4.1]]))
    assert alike.tolist() == [[True, False, False]]
    assert different.tolist() == [[False, False, True]]


def test_own_classes_know_other_by_its_name():
    names = {"class_names": ["glad", "Other"], "level": "clip"}
    assert relations_of(TASKS.build("classes", **names))[0].other == 1
    assert relations_of(TASKS.build("ce"))[0].other is None


def test_a_task_without_blocks_is_refused_by_name():
    with pytest.raises(InputError, match=r"tasks\.emi: pairs of steps are compared by values, classes or units"):
        relations_of(TASKS.build("emi"))


def clip(*classes, scored=True):
    return Labels(np.array(classes, np.float32)[:, None], np.full(len(classes), scored))


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ({"a": clip(1, 2)}, "but 1 clip of the training split has labels of expr"),
        ({"a": clip(1, 2), "b": clip(1, scored=False)}, "but 1 clip of the training split"),
        ({}, "but 0 clips of the training split"),
        ({"a": clip(1, 1), "b": clip(2)}, "no two steps of different training clips are alike"),
        ({"a": clip(7), "b": clip(7)}, "no two steps of different training clips are alike"),
        ({"a": clip(1), "b": clip(1)}, "no two steps of different training clips are different"),
    ],
)
def test_labels_that_give_no_pairs_are_refused(clips, message):
    with pytest.raises(InputError, match=message):
        check_relations(relations_of(TASKS.build("expr")), {"expr": clips})


def test_labels_that_give_pairs_pass():
    check_relations(relations_of(TASKS.build("expr")), {"expr": {"a": clip(1, 2), "b": clip(1)}})
