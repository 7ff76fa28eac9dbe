"""Tables that cannot be what they say: implausible values, other clips' rows, and every bit that changed."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from abaw.errors import InputError, NotFoundError
from abaw.pipelines.prediction import Predictions
from abaw.results import predictions
from abaw.results.observed import unobserved_lines
from abaw.results.predictions import METADATA, Table
from abaw.tasks import TASKS

TASK = {name: TASKS.build(name) for name in ("va", "expr", "au", "mtl", "emi", "ah", "ce")}
ABOUT = {"task": "va", "split": "test", "post_processing": {"bias": [0.125, -0.25]}}


def table(task, num=40, seed=0):
    raw = np.random.default_rng(seed).normal(size=(num, task.out_dim)) * 0.5
    frames = np.arange(1, num + 1)
    return Table(frames, frames / 25, frames % 3 > 0, task.probabilities(raw), task.columns)


def folder(where, task=TASK["va"], clips=("a", "b")):
    for seed, clip_id in enumerate(clips):
        predictions.write_table(where, clip_id, table(task, seed=seed), task)
    predictions.write_metadata(where, {**ABOUT, "task": task.name})
    return where


def foreign(where, task, **changed):
    """A table without predictions.json, with some of its columns changed."""
    columns = {**table(task).to_numpy(), **changed}
    where.mkdir(exist_ok=True)
    parquet.write_table(pa.table(columns), where / "a.parquet")
    return where


def with_value(task, column, value, row=4):
    values = table(task).to_numpy()[column].astype(np.float64)
    values[row] = value
    return {column: values}


IMPLAUSIBLE = [
    ("va", "valence", 7.5, "row 5, column 'valence' is 7.5, expected -4 to 4"),
    ("va", "arousal", -5.0, "row 5, column 'arousal' is -5, expected -4 to 4"),
    ("expr", "p_Fear", -0.25, "row 5, column 'p_Fear' is -0.25, expected 0 to 1 .a probability, not a logit."),
    ("expr", "p_Fear", 1.5, "row 5, column 'p_Fear' is 1.5, expected 0 to 1"),
    ("expr", "p_Fear", 1.0, "row 5: p_Neutral, .*, p_Other sum to 1.*, expected probabilities that sum to 1"),
    ("ce", "p_Sadly_Angry", 0.9, "row 5: p_Fearfully_Surprised, .* sum to 1"),
    ("au", "p_AU12", 1.25, "row 5, column 'p_AU12' is 1.25, expected 0 to 1"),
    ("mtl", "valence", 9.0, "row 5, column 'valence' is 9, expected -4 to 4"),
    ("mtl", "p_AU1", -3.0, "row 5, column 'p_AU1' is -3, expected 0 to 1"),
    ("mtl", "p_Fear", 0.99, "row 5: p_Neutral, .* sum to 1"),
    ("emi", "Joy", 80.0, "row 5, column 'Joy' is 80, expected 0 to 1"),
    ("ah", "p_AH", 2.0, "row 5, column 'p_AH' is 2, expected 0 to 1"),
    ("au", "p_AU12", float("nan"), "row 5, column 'p_AU12' is nan, expected a finite number"),
    ("va", "valence", 1e300, "row 5, column 'valence' is inf, expected a finite number"),
]


@pytest.mark.parametrize(("name", "column", "value", "words"), IMPLAUSIBLE)
def test_a_value_that_no_prediction_has_is_named_by_file_row_and_column(tmp_path, name, column, value, words):
    foreign(tmp_path / "p", TASK[name], **with_value(TASK[name], column, value))
    with pytest.raises(InputError, match=rf"a\.parquet: {words}"):
        predictions.read_table(tmp_path / "p", "a", TASK[name])


@pytest.mark.parametrize("name", TASK)
def test_what_a_network_writes_is_plausible_whatever_its_outputs(tmp_path, name):
    task = TASK[name]
    raw = np.random.default_rng(0).normal(size=(50, task.out_dim)) * (0.9 if name in ("va", "mtl") else 30)
    frames = np.arange(1, 51)
    given = Table(frames, frames / 25, frames > 0, task.probabilities(raw), task.columns)
    predictions.write_table(tmp_path, "a", given, task)
    np.testing.assert_array_equal(predictions.read_table(tmp_path, "a", task).values, given.values)
    mixed = Table(frames, frames / 25, frames > 0, (given.values + given.values[::-1]) / 2, task.columns)
    predictions.write_table(tmp_path, "a", mixed, task)
    predictions.read_table(tmp_path, "a", task)


FRAMES = np.arange(1, 41)
STRANGE = {
    "repeated": ({"frame": np.repeat(np.arange(1, 21), 2)}, "row 2 is frame 1"),
    "unordered": ({"frame": FRAMES[::-1].copy()}, "row 1 is frame 40"),
    "two clips": ({"frame": np.tile(np.arange(1, 21), 2)}, "row 21 is frame 1"),
    "half a frame": ({"frame": FRAMES + 0.5}, "column 'frame' is double, expected int32"),
    "text": ({"valence": [str(i / 40) for i in range(40)]}, "column 'valence' is string, expected float"),
    "text of frames": ({"frame": [str(i) for i in FRAMES]}, "column 'frame' is string, expected int32"),
    "dates": (
        {"time_s": pa.array(range(40), pa.timestamp("s"))},
        r"column 'time_s' is timestamp\[m?s\], expected double",
    ),
    "true or false": ({"valence": FRAMES > 3}, "column 'valence' is bool, expected float"),
    "observed 5": ({"observed": np.full(40, 5)}, "column 'observed' has other values than 0 and 1"),
    "times back": ({"time_s": np.r_[0.0:20.0, 5.0:25.0]}, "row 21, column 'time_s' is 5"),
    "another clip": ({"clip": ["b"] * 40}, "column 'clip' has rows of 'b', expected only rows of 'a'"),
    "several clips": ({"video_id": ["a"] * 39 + ["c"]}, "column 'video_id' has rows of 'c'"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_rows_and_columns_that_are_not_a_table_of_the_clip_are_refused(tmp_path, name):
    changed, words = STRANGE[name]
    foreign(tmp_path / "p", TASK["va"], **changed)
    with pytest.raises(InputError, match=rf"a\.parquet: {words}"):
        predictions.read_table(tmp_path / "p", "a", TASK["va"])


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    found = pa.table(table(TASK["va"]).to_numpy())
    parquet.write_table(found.append_column("valence", found["arousal"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="there are several columns 'valence'"):
        predictions.read_table(tmp_path, "a", TASK["va"])


def test_tables_of_other_programs_may_have_numbers_of_other_types_and_name_their_clip(tmp_path):
    changed = {"frame": FRAMES.astype(float), "observed": FRAMES % 2, "clip": ["a"] * 40}
    read = predictions.read_table(foreign(tmp_path / "p", TASK["va"], **changed), "a", TASK["va"])
    assert read.observed.tolist() == (FRAMES % 2 > 0).tolist()
    units = {name: (table(TASK["au"]).to_numpy()[name] > 0.5).astype(int) for name in TASK["au"].columns}
    assert predictions.read_table(foreign(tmp_path / "q", TASK["au"], **units), "a", TASK["au"]).values.max() == 1


def everything(where):
    """All that is read from a folder."""
    read = predictions.resolve(where, "va")
    tables = [predictions.read_table(read, clip_id, TASK["va"]) for clip_id in predictions.clip_ids(read)]
    post_processing = predictions.post_processing_of(read)
    return (
        [[each.tolist() for each in one.to_numpy().values()] for one in tables],
        predictions.read_metadata(read),
        post_processing,
    )


@pytest.mark.parametrize("name", ["a.parquet", METADATA])
def test_one_flipped_bit_is_an_error_that_names_the_file_or_changes_no_number(tmp_path, name):
    where = folder(tmp_path / "va")
    whole, before = (where / name).read_bytes(), everything(where)
    rng = np.random.default_rng(7)
    num_refused = 0
    for place in rng.choice(len(whole) * 8, 100, replace=False).tolist():
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        (where / name).write_bytes(flipped)
        try:
            found, refused = everything(where), ""
        except InputError as error:
            found, refused = None, str(error)
        assert found == before or name in refused, f"bit {place} of {name}: {refused}"
        num_refused += name in refused
    assert num_refused > 90  # white space of JSON may change
    (where / name).write_bytes(whole)
    assert everything(where) == before


def test_the_table_of_another_clip_under_this_clips_name_is_refused(tmp_path):
    where = folder(tmp_path / "va")
    shutil.copy(where / "b.parquet", where / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: it has changed since it was written; .*predict again"):
        predictions.read_table(where, "a", TASK["va"])


def test_tables_that_are_deleted_or_added_are_noticed(tmp_path):
    where = folder(tmp_path / "va")
    shutil.copy(where / "b.parquet", where / "c.parquet")
    with pytest.raises(InputError, match="has a table of clip 'c', which was added after it was written"):
        predictions.resolve(where, "va")
    for name in ("b", "c"):
        (where / f"{name}.parquet").unlink()
    with pytest.raises(NotFoundError, match="has no table of clip 'b', which it had when it was written"):
        predictions.resolve(where, "va")
    with pytest.raises(NotFoundError, match="clip 'b'"):
        predictions.check_unchanged(where)


def test_a_changed_table_is_read_where_its_owner_removed_the_checksums(tmp_path):
    where = folder(tmp_path / "va")
    predictions.write_table(where, "a", table(TASK["va"], seed=5), TASK["va"])
    with pytest.raises(InputError, match='remove the keys "tables" and "sha256" from predictions.json'):
        predictions.read_table(where, "a", TASK["va"])
    document = json.loads((where / METADATA).read_text())
    document = {key: value for key, value in document.items() if key not in ("tables", "sha256")}
    (where / METADATA).write_text(json.dumps(document))
    np.testing.assert_array_equal(
        predictions.read_table(where, "a", TASK["va"]).values, table(TASK["va"], seed=5).values
    )
    predictions.check_unchanged(where)


def test_a_changed_post_processing_in_predictions_json_is_refused(tmp_path):
    where = folder(tmp_path / "va")
    path = where / METADATA
    path.write_text(path.read_text().replace("0.125", "0.725"))
    with pytest.raises(InputError, match=r"predictions\.json has changed since it was written"):
        predictions.post_processing_of(where)


def test_frames_in_which_nothing_was_observed_are_counted_and_named_by_clip(tmp_path):
    counts = predictions.num_unobserved(folder(tmp_path / "va"))
    assert counts == {"a": (13, 40), "b": (13, 40)}
    assert list(unobserved_lines(counts)) == ["nothing observed: 26 frames of 2 clips ('a' 13 of 40, 'b' 13 of 40)"]
    assert list(unobserved_lines({"a": (0, 40)})) == []
    shown = str(Predictions(tmp_path, {"va": TASK["va"]})).splitlines()
    assert shown[0].startswith("va nothing observed: 26 frames of 2 clips")
    assert shown[-1] == f"{tmp_path}: 2 tables"


@pytest.mark.parametrize("name", ["va", "mtl"])
def test_standard_deviations_come_back_as_they_were_written(tmp_path, name):
    task = TASK[name]
    found = table(task)
    spread = np.linspace(0.1, 0.2, len(found.frames), dtype=np.float32)
    found = replace(found, deviations={"valence": spread, "arousal": 2 * spread})
    predictions.write_table(tmp_path, "a", found, task)
    again = predictions.read_table(tmp_path, "a", task)
    assert (again.values == found.values.astype(np.float32)).all()
    assert list(again.deviations) == ["valence", "arousal"]
    assert (again.deviations["arousal"] == 2 * spread).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"valence_sd": np.zeros(40), "arousal_sd": np.ones(40)},
            "column 'valence_sd' is 0.0, expected a number above 0",
        ),
        ({"valence_sd": np.ones(40)}, "no column 'arousal_sd'"),
        ({"valence_sd": np.ones(40), "arousal_sd": np.full(40, np.inf)}, "column 'arousal_sd' is inf"),
        ({"valence_sd": np.array(["x"] * 40), "arousal_sd": np.ones(40)}, "column 'valence_sd' is string"),
    ],
)
def test_standard_deviations_that_mean_nothing_are_refused(tmp_path, changed, words):
    with pytest.raises(InputError, match=words):
        predictions.read_table(foreign(tmp_path, TASK["va"], **changed), "a", TASK["va"])


def test_only_values_can_be_written_with_deviations(tmp_path):
    found = replace(table(TASK["expr"]), deviations={"p_Fear": np.ones(40)})
    with pytest.raises(InputError, match="expr can have them of nothing"):
        predictions.write_table(tmp_path, "a", found, TASK["expr"])
