"""A data set is walked once: no path is made of an image, and functions over several tasks or runs open it once."""

import os
from pathlib import Path

import numpy as np
import pytest

import abaw
from abaw.dataset.layout import open_dataset, open_once
from abaw.tasks import TASKS
from tests.support.recipes import TWO, tables, write_data


@pytest.fixture
def walks(monkeypatch):
    """The folders that are listed, one entry for each time."""
    listed, listdir = [], os.listdir

    def count(folder):
        listed.append(Path(folder))
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", count)
    return listed


@pytest.fixture
def data(tmp_path):
    """A data set of two tasks with a folder of face images."""
    root = write_data(tmp_path / "data")
    (root / "cropped_aligned/a").mkdir(parents=True)
    for number in range(1, 51):
        (root / f"cropped_aligned/a/{number:05d}.jpg").touch()
    return root


def make_tables(folder):
    rng = np.random.default_rng(len(folder.name))
    for name in ("va", "expr"):
        task = TASKS.build(name)
        tables(folder, lambda _, task=task: task.probabilities(rng.uniform(0.1, 0.9, (2, task.out_dim))), {}, name)
    return folder


def test_a_folder_of_images_is_listed_once_and_no_image_is_looked_at(data, walks, monkeypatch):
    looked_at, stat = [], os.stat

    def count(path, *arguments, **options):
        looked_at.append(str(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", count)
    open_dataset(data)
    assert walks.count(data / "cropped_aligned/a") == 1
    assert len(walks) == len(set(walks))
    assert looked_at
    assert not [path for path in looked_at if path.endswith(".jpg")]


def test_inside_open_once_a_data_set_is_opened_once_and_outside_each_time(data, walks, monkeypatch):
    monkeypatch.chdir(data.parent)
    with open_once():
        first = open_dataset(data)
        with open_once():  # as in a function that another such function calls
            assert open_dataset(str(data)) is first
            assert open_dataset("data") is first
        assert open_dataset(data) is first
        assert open_dataset(data / "cropped_aligned") is not first
    assert walks.count(data) == 1
    assert open_dataset(data) is not first
    assert walks.count(data) == 2


def test_what_is_added_between_two_calls_is_seen(data):
    @open_once()
    def clips():
        return set(open_dataset(data).clips)

    assert "new" not in clips()
    (data / "new.mp4").touch()
    assert "new" in clips()


def test_a_data_set_that_cannot_be_opened_is_not_kept(tmp_path, data):
    with open_once():
        with pytest.raises(abaw.NotFoundError):
            open_dataset(tmp_path / "later")
        data.rename(tmp_path / "later")
        assert open_dataset(tmp_path / "later").clips


CALLS = {
    "score": lambda here, data: abaw.score([here / "one", here / "two"], data=data, draws=100),
    "fit": lambda here, data: abaw.fit(here / "one", data=data, trust=True),
    "combine": lambda here, data: abaw.combine(
        [here / "one", here / "two"], here / "out", how="weighted", fit=True, data=data, trust=True
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_function_over_several_tasks_and_folders_walks_once(name, data, tmp_path, walks):
    for folder in ("one", "two"):
        make_tables(tmp_path / folder)
    CALLS[name](tmp_path, data)
    assert walks.count(data / "cropped_aligned/a") == 1


def test_a_plan_of_a_recipe_walks_once(data, tmp_path, walks):
    settings = ["folds.num=3", "tasks={va: {}}", TWO]
    abaw.plan_recipe("synthetic", settings, data=data, runs=tmp_path / "runs", work=tmp_path / "work")
    assert walks.count(data / "cropped_aligned/a") == 1
