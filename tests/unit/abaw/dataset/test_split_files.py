"""Clips and frames as split files name them, and what each task needs for a split."""

import pytest

from abaw.dataset.layout import open_dataset
from abaw.dataset.split_files import clip_named, parse_place
from abaw.tasks import TASKS


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("Videos/8/Visite_1/8_Q1_2024-11-15_Video.mp4", "8_Q1_2024-11-15_Video"),
        ("00017.mp4", "00017"),
        ("17", "00017"),
        ("17.0", "00017"),
        ("00017", "00017"),
        ("Videos/8/17.mp4", "17"),
        ("123456", "123456"),
        ("take.2", "take.2"),
        ("x", "x"),
    ],
)
def test_a_files_name_stands_for_a_clip(name, clip):
    assert clip_named(name) == clip


def test_a_place_is_a_clip_and_a_frame_from_1():
    assert parse_place("mtl", "video45_1/00012.jpg") == ("video45_1", 12)
    assert parse_place("mtl", "video45_1/100000.jpg") == ("video45_1", 100000)
    assert parse_place("ah_frame", "8/Visite_1/8_Q1.mp4/frame-0.jpg") == ("8_Q1", 1)
    assert parse_place("emi", "Filename") is None
    assert [parse_place("mtl", text) for text in ("image", "a/1.jpg", "a/00000.jpg", "a/b/00001.jpg", "")] == [None] * 5


@pytest.mark.parametrize("name", TASKS.names())
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_task_says_what_a_data_set_must_have(tmp_path, name, split):
    (tmp_path / "one.mp4").touch()
    task = TASKS.build(name)
    assert task.clips(open_dataset(tmp_path), split) == ()
    words = task.wanted(split)
    assert words.startswith(("a file", "a data set file", "a list", "a test list", "label files"))
    assert len(task.goals) <= len(task.columns)
