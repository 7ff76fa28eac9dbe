"""The few labels of a person, as files give them."""

import re

import numpy as np
import pytest

from abaw.pipelines.persons.label_file import parse_frames, read_support
from abaw.tasks import TASKS
from abaw.tracks import Clock

CLOCK = Clock(np.arange(1, 11), np.arange(10) * 0.1, np.ones(10, bool))
TASK = {"va": TASKS.build("va"), "expr": TASKS.build("expr")}
OWN = {"classes": TASKS.build("classes", class_names=["calm", "glad"], level="clip")}


def read(tmp_path, text, clips=(), frames=None, tasks=TASK, name="labels.csv"):
    (tmp_path / name).write_text(text)
    return read_support(tmp_path / name, tasks, clips, frames, lambda _: CLOCK)


def scored(labels):
    return {int(i) + 1: labels.values[i].tolist() for i in np.flatnonzero(labels.scored)}


def test_a_table_has_a_row_for_each_labelled_frame(tmp_path):
    found = read(tmp_path, "clip,frame,valence,arousal,expression\na,2,0.5,-0.5,Fear\nb,1,0.25,0,\na,10,,,3\n")
    assert scored(found["a"]["va"]) == {2: [0.5, -0.5]}
    assert scored(found["a"]["expr"]) == {2: [3.0], 10: [3.0]}
    assert list(found["b"]) == ["va"]
    assert len(found["b"]["va"]) == 10


def test_of_a_table_with_several_clips_only_those_asked_for_are_read(tmp_path):
    text = "clip,frame,valence,arousal\na,2,0.5,-0.5\nb,1,0.25,0\n"
    assert list(read(tmp_path, text, clips=["b"])) == ["b"]


def test_seconds_name_the_frame_that_is_shown_then(tmp_path):
    found = read(tmp_path, "seconds,valence,arousal\n0.1,0,0\n0.25,0,1\n0.95,1,1\n", clips=["a"])
    assert list(scored(found["a"]["va"])) == [2, 3, 10]


def test_a_label_file_of_aff_wild2_has_a_line_for_each_frame(tmp_path):
    text = "valence,arousal\n-5,-5\n0.5,0.25\n-0.5,0\n"
    assert scored(read(tmp_path, text, clips=["a"], name="a.txt")["a"]["va"]) == {2: [0.5, 0.25], 3: [-0.5, 0.0]}
    assert scored(read(tmp_path, text, clips=["a"], frames=[3], name="a.txt")["a"]["va"]) == {3: [-0.5, 0.0]}
    (tmp_path / "b.txt").write_text("valence,arousal\n1,1\n")
    both = read_support(tmp_path, TASK, ["a", "b"], None, lambda _: CLOCK)
    assert [list(scored(both[clip_id]["va"])) for clip_id in "ab"] == [[2, 3], [1]]


def test_a_clip_with_one_label_needs_no_frame(tmp_path):
    found = read(tmp_path, "clip,class\na,glad\nb,0\n", tasks=OWN)
    assert {clip_id: each["classes"].values.tolist() for clip_id, each in found.items()} == {"a": [[1.0]], "b": [[0.0]]}


VA = "frame,valence,arousal\n"


@pytest.mark.parametrize(
    ("text", "clips", "frames", "message"),
    [
        ("", ["a"], None, ":1: the header is '', expected a label file"),
        ("frame,valence\n1,0\n", ["a"], None, "valence, arousal (va) or expression (expr)"),
        ("valence,arousal,valence\n", ["a"], None, ":1: the header is"),
        (VA + "1,0.5,0\n", [], None, "there is no column 'clip'"),
        (VA + "1,0.5,0\n", ["a", "b"], None, "there is no column 'clip'"),
        (VA + "11,0.5,0\n", ["a"], None, ":2: clip 'a' has no frame 11: its last one is 10"),
        (VA + "0,0.5,0\n", ["a"], None, ":2: there is no frame 0"),
        (VA + "1,2,0\n", ["a"], None, ":2: the label of va cannot be read: '2,0' is outside [-1, 1]"),
        (VA + "1,,0\n", ["a"], None, ":2: the label of va cannot be read"),
        (VA + "1,0.5,0\n1,0.5,0\n", ["a"], None, ":3: frame 1 of clip 'a' has two labels of va"),
        (VA + "1,0.5\r2,0\n", ["a"], None, ":2: new-line character seen in unquoted field"),
        (VA + "1," + "1" * 200_000 + ",0\n", ["a"], None, ":2: field larger than field limit"),
        (VA + "1,0.5\n", ["a"], None, ":2: 2 cells, the header has 3"),
        (VA, ["a"], None, "has no label of a: label a few frames"),
        (VA + "1,0.5,0\n", ["a"], [2], "has no label of frame 2 (--frames)"),
        ("frame,expression\n1,Joy\n", ["a"], None, "the classes are Neutral, Anger"),
        ("seconds,valence,arousal\n1.2,0,0\n", ["a"], None, "1.2 s is outside the clip, whose frames are at 0.000 to"),
        ("clip,frame,valence,arousal\na,1,0,0\nb,1,0,0\n", [], [1], "--frames names frames of one clip"),
        ("valence,arousal\n0.5,0\n", [], None, "has the labels of one clip: name it"),
        ("valence,arousal\n" + "0.5,0\n" * 11, ["a"], None, "clip 'a' has no frame 11"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_label_is_an_error_with_its_place(tmp_path, text, clips, frames, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path, text, clips, frames)


def test_an_empty_file_is_not_the_label_file_of_a_task_without_such_files(tmp_path):
    tasks = {"values": TASKS.build("values", value_names=["joy"], ranges=[[0.0, 1.0]], level="frame")}
    with pytest.raises(ValueError, match=r"a\.txt:1: the header is '', expected a label file"):
        read(tmp_path, "", ["a"], tasks=tasks, name="a.txt")
    with pytest.raises(ValueError, match=r"a\.txt:1: the header is '', expected a label file"):
        read_support(tmp_path, tasks, ["a"], None, lambda _: CLOCK)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no label file .*none\.csv"):
        read_support(tmp_path / "none.csv", TASK, [], None, lambda _: CLOCK)
    with pytest.raises(FileNotFoundError, match=r"no label file .*a\.txt: expected the labels of clip 'a' there"):
        read_support(tmp_path, TASK, ["a"], None, lambda _: CLOCK)
    with pytest.raises(ValueError, match="is a folder: name the clips"):
        read_support(tmp_path, TASK, [], None, lambda _: CLOCK)


@pytest.mark.parametrize("text", ["", "a", "3-", "5-3", "0", "1,1", "1-3,2", "-3"])
def test_frames_that_are_no_frames_are_refused(text):
    with pytest.raises(ValueError, match="--frames"):
        parse_frames(text)
