"""Folds by group: no speaker in both training and validation, each held out once; sets without a validation split."""

import numpy as np
import pytest

from abaw.configs.sections import FoldsConfig
from abaw.dataset.annotations import Labels
from abaw.folds import count_folds, groups_of, split_labels
from abaw.tasks import TASKS

EXPR = TASKS.build("expr")


def clips_of(groups, num_clips=4, seed=0):
    """One label a clip; every group has ``num_clips`` clips."""
    rng = np.random.default_rng(seed)
    return {
        f"{group}-{i}_left": Labels(np.array([[rng.integers(4)]], np.float32), np.ones(1, bool), group)
        for group in groups
        for i in range(num_clips)
    }


def official(train, validation=()):
    return {"train": {"expr": clips_of(train)}, "validation": {"expr": clips_of(validation)}}


def split(labels, **folds):
    return split_labels(labels, {"expr": EXPR}, FoldsConfig(**folds))


def sides(labels, **folds):
    found = split(labels, **folds)
    return groups_of(found["train"]), groups_of(found["validation"])


@pytest.mark.parametrize("num", [2, 3, "groups"])
def test_every_group_is_held_out_once_and_is_never_on_both_sides(num):
    labels = official(["ann", "bob", "cid", "dan"])
    num_folds = count_folds(labels, {"expr": EXPR}, FoldsConfig(num=num))
    assert num_folds == (4 if num == "groups" else num)
    held_out = []
    for fold in range(num_folds):
        train, validation = sides(labels, num=num, fold=fold)
        assert not train & validation
        assert train | validation == {"ann", "bob", "cid", "dan"}
        held_out += sorted(validation)
    assert sorted(held_out) == ["ann", "bob", "cid", "dan"]


def test_beside_an_official_split_fold_0_is_that_and_each_training_group_one_more():
    labels = official(["ann", "bob"], ["cid"])
    assert count_folds(labels, {"expr": EXPR}, FoldsConfig(num="groups")) == 3
    held_out = [sides(labels, num="groups", fold=fold)[1] for fold in range(3)]
    assert held_out == [{"cid"}, {"ann"}, {"bob"}]


def test_without_groups_each_video_is_held_out_once():
    clips = {name: Labels(np.zeros((2, 1), np.float32), np.ones(2, bool)) for name in ("a", "b_left", "b_right")}
    labels = {"train": {"expr": clips}, "validation": {"expr": {}}}
    assert [sides(labels, num="groups", fold=fold)[1] for fold in range(2)] == [{"a"}, {"b"}]


def test_classes_are_spread_over_the_folds():
    groups = [f"g{i}" for i in range(12)]
    clips = {
        f"{group}-{k}": Labels(np.array([[i % 3]], np.float32), np.ones(1, bool), group)
        for i, group in enumerate(groups)
        for k in range(5)
    }
    labels = {"train": {"expr": clips}, "validation": {"expr": {}}}
    for fold in range(4):
        held_out = split(labels, num=4, fold=fold)["validation"]["expr"]
        assert sorted({int(each.values[0, 0]) for each in held_out.values()}) == [0, 1, 2]
        assert len(held_out) == 15


def test_a_group_on_both_sides_of_the_official_split_is_a_leak_by_name():
    labels = official(["ann", "bob"], ["bob", "cid"])
    with pytest.raises(ValueError, match=r"a leak: group 'bob' is trained on \(expr, clip 'bob-0_left'\) and held out"):
        split(labels)
    train, validation = sides(labels, drop_leaks=True)
    assert (train, validation) == ({"ann"}, {"bob", "cid"})


def test_without_a_validation_split_one_fold_is_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match="no clip is in a validation split, and folds.num is 1: set folds.num to 5"):
        split(official(["ann", "bob"]))
    assert split(official(["ann", "bob"]), refit=True)["validation"] == {}


@pytest.mark.parametrize(
    ("groups", "folds", "message"),
    [
        (
            ["ann", "bob"],
            {"num": 3},
            "folds.num is 3, but only 2 groups can be divided among the folds: set folds.num to 2",
        ),
        (["ann"], {"num": "groups"}, "folds.num is groups, but 1 group can be held out, two are needed"),
        (["ann", "bob"], {"num": "groups", "fold": 2}, "folds.fold is 2, but there are only the folds 0 to 1"),
    ],
)
def test_too_few_groups_are_an_error(groups, folds, message):
    with pytest.raises(ValueError, match=message):
        split(official(groups), **folds)


@pytest.mark.parametrize("num", [0, True, 2.0, "persons"])
def test_the_number_of_folds_is_a_number_or_the_word(num):
    with pytest.raises(ValueError, match="expected a number of folds, 1 or more, or the word groups"):
        FoldsConfig(num=num)
