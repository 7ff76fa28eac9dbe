"""Prediction tables: what is written is read back, and a table made elsewhere is checked."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from abaw.errors import InputError
from abaw.postprocessing import PostProcessing
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS

VA, EXPR = TASKS.build("va"), TASKS.build("expr")


def table(num=5, task=VA, seed=0):
    rng = np.random.default_rng(seed)
    values = task.probabilities(rng.normal(size=(num, task.out_dim)))
    return Table(np.arange(1, num + 1), np.arange(num) / 29.97, rng.random(num) < 0.5, values, task.columns)


def edited(folder, change):
    """A written table with its columns changed, as another program might have made it."""
    predictions.write_table(folder, "12-24", table(), VA)
    columns = parquet.read_table(folder / "12-24.parquet").to_pydict()
    change(columns)
    parquet.write_table(pa.table(columns), folder / "12-24.parquet")


@pytest.mark.parametrize("task", [VA, EXPR], ids=lambda task: task.name)
def test_a_table_is_read_back_as_it_was_written(tmp_path, task):
    written = table(task=task)
    predictions.write_table(tmp_path, "12-24_left", written, task)
    read = predictions.read_table(tmp_path, "12-24_left", task)
    for name in ("frames", "times_s", "observed", "values"):
        assert np.array_equal(getattr(read, name), getattr(written, name)), name
    assert predictions.clip_ids(tmp_path) == ["12-24_left"]


@pytest.mark.parametrize("task", [VA, EXPR], ids=lambda task: task.name)
def test_a_table_converts_to_columns_by_name_and_to_a_data_frame(tmp_path, task):
    predictions.write_table(tmp_path, "1", table(task=task), task)
    read = predictions.read_table(tmp_path, "1", task)
    columns = read.to_numpy()
    assert list(columns) == ["frame", "time_s", "observed", *task.columns]
    assert columns["frame"].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(np.stack([columns[name] for name in task.columns], axis=1), read.values)
    pytest.importorskip("pandas", reason="pandas is optional")
    frame = read.to_pandas()
    assert list(frame) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(frame[name].to_numpy(), values)


def test_without_pandas_the_conversion_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"to_pandas\(\) needs the package pandas: pip install pandas"):
        table().to_pandas()


def test_a_table_with_other_columns_of_the_same_number_is_not_written(tmp_path):
    other = Table(np.arange(1, 3), np.arange(2.0), np.ones(2, bool), np.zeros((2, 2), np.float32), ("x", "y"))
    with pytest.raises(InputError, match="clip '1' has the columns x, y, va needs valence, arousal"):
        predictions.write_table(tmp_path, "1", other, VA)
    assert list(tmp_path.iterdir()) == []


def test_a_table_needs_a_name_for_every_value():
    with pytest.raises(InputError, match="2 values a frame and 1 names of columns"):
        Table(np.arange(1, 3), np.arange(2.0), np.ones(2, bool), np.zeros((2, 2), np.float32), ("x",))


def test_the_columns_on_disk_are_the_documented_ones(tmp_path):
    predictions.write_table(tmp_path, "1", table(task=EXPR), EXPR)
    found = parquet.read_table(tmp_path / "1.parquet")
    kinds = {name: str(kind) for name, kind in zip(found.schema.names, found.schema.types, strict=True)}
    assert kinds == {
        "frame": "int32",
        "time_s": "double",
        "observed": "bool",
        **dict.fromkeys(EXPR.columns, "float"),
        "expression": "int8",
    }
    values = np.stack([found[name].to_numpy() for name in EXPR.columns], axis=1)
    assert found["expression"].to_pylist() == values.argmax(axis=1).tolist()


def test_valence_and_arousal_need_no_column_of_classes(tmp_path):
    predictions.write_table(tmp_path, "1", table(), VA)
    assert parquet.read_table(tmp_path / "1.parquet").column_names == [
        "frame",
        "time_s",
        "observed",
        "valence",
        "arousal",
    ]


def test_a_clip_without_a_frame_has_a_table_without_rows(tmp_path):
    predictions.write_table(tmp_path, "1", table(0, EXPR), EXPR)
    assert predictions.read_table(tmp_path, "1", EXPR).values.shape == (0, 8)


def test_writing_leaves_nothing_beside_the_table(tmp_path):
    predictions.write_table(tmp_path, "1", table(), VA)
    with pytest.raises(ValueError, match=r"clip '1' has the columns valence, arousal, expr needs p_Neutral, p_Anger"):
        predictions.write_table(tmp_path, "1", table(), EXPR)
    assert [path.name for path in tmp_path.iterdir()] == ["1.parquet"]
    assert predictions.read_table(tmp_path, "1", VA).values.shape == (5, 2)


def test_numbers_in_other_formats_are_taken(tmp_path):
    def as_another_program(columns):
        columns["frame"] = pa.array(columns["frame"], pa.int64())
        columns["valence"] = pa.array(columns["valence"], pa.float64())
        columns["remark"] = ["x"] * 5

    edited(tmp_path, as_another_program)
    assert np.array_equal(predictions.read_table(tmp_path, "12-24", VA).values, table().values)


FAULTS = {
    "missing column": (lambda c: c.pop("arousal"), "no column 'arousal'; it has frame"),
    "misnamed column": (lambda c: c.update(arousl=c.pop("arousal")), "no column 'arousal'; did you mean 'arousl'"),
    "no frame": (lambda c: c.pop("frame"), "no column 'frame'"),
    "a frame left out": (lambda c: c.update(frame=[1, 2, 4, 5, 6]), "row 3 is frame 4: frames must be 1, 2, 3"),
    "frames from 0": (lambda c: c.update(frame=[0, 1, 2, 3, 4]), "row 1 is frame 0"),
    "nan": (
        lambda c: c.update(valence=[0, 0, float("nan"), 0, 0]),
        "row 3, column 'valence' is nan, expected a finite number",
    ),
    "infinite": (
        lambda c: c.update(arousal=[0, float("-inf"), 0, 0, 0]),
        "row 2, column 'arousal' is -inf, expected a finite number",
    ),
    "an empty cell": (lambda c: c.update(valence=[None, 0, 0, 0, 0]), "column 'valence' has 1 empty cells"),
    "words": (lambda c: c.update(valence=list("abcde")), "column 'valence' is string, expected float"),
    "time stands still": (
        lambda c: c.update(time_s=[0.0, 1, 1, 2, 3]),
        "row 3, column 'time_s' is 1: time_s must be finite and increase",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_table_is_named_with_what_to_do(tmp_path, fault):
    change, words = FAULTS[fault]
    edited(tmp_path, change)
    with pytest.raises(ValueError, match=f"12-24.parquet: {words}.*run abaw predict"):
        predictions.read_table(tmp_path, "12-24", VA)


def test_a_missing_clip_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no va predictions for clip '12-24' in .*: run abaw predict"):
        predictions.read_table(tmp_path, "12-24", VA)


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_named(tmp_path, content):
    (tmp_path / "1.parquet").write_bytes(content)
    with pytest.raises(ValueError, match="1.parquet: not readable as Parquet"):
        predictions.read_table(tmp_path, "1", VA)


def test_a_table_needs_as_many_rows_everywhere():
    with pytest.raises(ValueError, match="2 frames, 3 times, 2 observed flags and values of shape"):
        Table(np.arange(1, 3), np.arange(3.0), np.ones(2, bool), np.zeros((2, 1), np.float32), ("x",))


def test_metadata_is_read_back_and_may_be_absent(tmp_path):
    assert predictions.read_metadata(tmp_path) == {}
    about = {"task": "va", "split": "test", "run": ["runs/a"], "label_tasks_seen": ["va"], "post_processing": {}}
    predictions.write_metadata(tmp_path, about)
    assert predictions.read_metadata(tmp_path) == about
    (tmp_path / "predictions.json").write_text("[]")
    with pytest.raises(ValueError, match="predictions.json: expected a JSON object"):
        predictions.read_metadata(tmp_path)
    (tmp_path / "predictions.json").write_text("{")
    with pytest.raises(ValueError, match="predictions.json: not readable as JSON"):
        predictions.read_metadata(tmp_path)


def test_a_task_is_found_below_a_folder_or_in_it(tmp_path):
    for task in (VA, EXPR):
        predictions.write_table(tmp_path / task.name, "1", table(task=task), task)
        predictions.write_metadata(tmp_path / task.name, {"task": task.name})
    assert predictions.tasks_in(tmp_path) == ["expr", "va"]
    assert predictions.resolve(tmp_path, "va") == tmp_path / "va"
    assert predictions.resolve(tmp_path / "va", "va") == tmp_path / "va"
    assert predictions.tasks_in(tmp_path / "va") == ["va"]
    with pytest.raises(ValueError, match="va holds va predictions, not expr"):
        predictions.resolve(tmp_path / "va", "expr")


def test_a_task_that_is_not_there_is_named_with_those_that_are(tmp_path):
    predictions.write_metadata(tmp_path / "va", {"task": "va"})
    with pytest.raises(FileNotFoundError, match=r"no expr predictions in .*: it has va; predict with a run of expr"):
        predictions.resolve(tmp_path, "expr")


def test_tables_made_elsewhere_need_no_metadata_when_the_task_is_known(tmp_path):
    predictions.write_table(tmp_path, "1", table(), VA)
    assert predictions.resolve(tmp_path, "va") == tmp_path
    with pytest.raises(ValueError, match="has no predictions.json that names its task: name the task"):
        predictions.tasks_in(tmp_path)


def test_a_folders_post_processing_is_read_and_a_broken_one_is_named_with_the_file(tmp_path):
    predictions.write_metadata(tmp_path, {"task": "va", "post_processing": {}})
    assert predictions.post_processing_of(predictions.resolve(tmp_path, "va")) is None
    post_processing = PostProcessing(smoother="box", width=25)
    predictions.write_metadata(tmp_path, {"task": "va", "post_processing": post_processing.document()})
    assert predictions.post_processing_of(predictions.resolve(tmp_path, "va")) == post_processing
    predictions.write_metadata(tmp_path, {"task": "va", "post_processing": {"smooth": 25}})
    with pytest.raises(
        ValueError, match=r"predictions.json: unknown key 'smooth' in post-processing; did you mean 'smoother'"
    ):
        predictions.post_processing_of(tmp_path)


def test_the_class_of_a_multi_task_is_its_expression_whatever_column_that_is(tmp_path):
    task = TASKS.build("mtl")
    predictions.write_table(tmp_path, "1", table(task=task), task)
    values = predictions.read_table(tmp_path, "1", task).values
    found = parquet.read_table(tmp_path / "1.parquet")["expression"].to_pylist()
    assert found == values[:, 2:10].argmax(axis=1).tolist()


def test_a_folder_without_predictions_says_what_makes_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="no predictions in .*: run abaw predict"):
        predictions.resolve(tmp_path, "va")
    with pytest.raises(FileNotFoundError, match=r"no predictions at .*nowhere, which is no folder"):
        predictions.tasks_in(tmp_path / "nowhere")


def test_what_was_killed_while_writing_is_no_clip(tmp_path):
    (tmp_path / ".99-1.parquet").write_bytes(b"")
    (tmp_path / "predictions.json").write_text(json.dumps({"task": "va"}))
    assert predictions.clip_ids(tmp_path) == []


@pytest.mark.parametrize("name", ["../victim", "..", "/victim", ".hidden", "a\0b", "x" * 201, "\udcff", "", 3])
def test_the_name_of_a_clip_cannot_lead_out_of_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="expected the name of a file, not a path"):
        predictions.write_table(tmp_path / "out", name, table(), VA)
    assert not list(tmp_path.iterdir())


def test_tables_of_two_processes_never_mix(tmp_path):
    code = f"""
import sys, numpy as np
from pathlib import Path
from abaw.results import predictions, replacing
from abaw.tasks import TASKS
task, clips = TASKS.build("va"), [str(i) for i in range(20)]
values = np.full((1, 2), float(sys.argv[1]), np.float32)
table = predictions.Table(np.array([1]), np.zeros(1), np.ones(1, bool), values, task.columns)
print("ready", flush=True)
sys.stdin.readline()
with replacing.replace_tables(Path({str(tmp_path)!r}) / "va", clips):
    for clip in clips:
        predictions.write_table(Path({str(tmp_path)!r}) / "va", clip, table, task)
    predictions.write_metadata(Path({str(tmp_path)!r}) / "va", {{"task": "va"}})
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([sys.executable, "-c", code, str(i)], **pipes) for i in (0, 1)]
    assert [each.stdout.readline() for each in both] == ["ready\n"] * 2
    for each in both:
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [each.communicate()[1] for each in both]
    assert 0 in [each.returncode for each in both], said
    assert all(each.returncode == 0 or "is running in" in text for each, text in zip(both, said, strict=True)), said
    found = {predictions.read_table(tmp_path / "va", str(i), VA).values[0, 0] for i in range(20)}
    assert len(found) == 1
