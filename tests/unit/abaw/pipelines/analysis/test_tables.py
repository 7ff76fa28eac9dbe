"""The cells of the tables that an analysis writes, and their summary."""

import csv

import numpy as np
import pytest
from pyarrow import parquet

from abaw.pipelines.analysis.presence import Presence
from abaw.pipelines.analysis.tables import PersonTables, final_table, summarize, within_range, write_frames
from abaw.postprocessing import PostProcessing
from abaw.results.predictions import Table
from abaw.tasks import TASKS

VA, EXPR, MTL = TASKS.build("va"), TASKS.build("expr"), TASKS.build("mtl")


def table(task, values=None, observed=None, num=4):
    if values is None:
        values = task.probabilities(np.random.default_rng(0).normal(size=(num, task.out_dim)))
    num = len(values)
    observed = np.ones(num, bool) if observed is None else np.array(observed, bool)
    return Table(np.arange(1, num + 1), np.arange(num) / 25, observed, np.array(values, np.float32), task.columns)


def person(number, tables, seen):
    seen = np.array(seen, bool)
    return PersonTables(number, tables, Presence(seen, np.zeros(len(seen), bool)))


def test_numbers_and_words_follow_the_post_processing(tmp_path):
    given, kept = table(EXPR), PostProcessing(bias=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 50.0, 0.0))
    final = final_table(EXPR, given, kept)
    write_frames(tmp_path, "1", {"expr": EXPR}, [person(None, {"expr": final}, [True] * 4)])
    found = parquet.read_table(tmp_path / "1.parquet")
    assert found["expression"].to_pylist() == ["Surprise"] * 4
    expected = kept.apply(EXPR, given.values, given.observed)
    assert np.array_equal(np.stack([found[name].to_numpy() for name in EXPR.columns], axis=1), expected)
    write_frames(tmp_path, "1", {"expr": EXPR}, [person(None, {"expr": given}, [True] * 4)])
    shown = parquet.read_table(tmp_path / "1.parquet")["expression"].to_pylist()
    assert shown == EXPR.names(given.values)["expression"]


def test_a_table_with_other_content_is_announced_before_it_is_written(tmp_path):
    before = []

    def write(sources):
        given = person(None, {"expr": final_table(EXPR, table(EXPR), None)}, [True] * 4)
        path = tmp_path / "1.parquet"
        write_frames(tmp_path, "1", {"expr": EXPR}, [given], "", sources, lambda: before.append(path.read_bytes()))
        return path.read_bytes()

    first = write("a")
    assert write("a") == first
    assert not before
    assert write("b") != first
    assert before == [first]


def test_cells_are_empty_where_there_was_nothing_to_predict_from(tmp_path):
    given = {"expr": table(EXPR, observed=[1, 0, 1, 0]), "va": table(VA, observed=[1, 1, 0, 0])}
    write_frames(tmp_path, "1", {"expr": EXPR, "va": VA}, [person(None, given, [True, True, False, False])])
    found = parquet.read_table(tmp_path / "1.parquet")
    assert found["observed"].to_pylist() == [True, True, True, False]
    assert [each is None for each in found["expression"].to_pylist()] == [False, True, False, True]
    assert [each is None for each in found["p_Neutral"].to_pylist()] == [False, True, False, True]
    assert [each is None for each in found["valence"].to_pylist()] == [False, False, True, True]
    with (tmp_path / "1.csv").open() as file:
        assert [row["expression"] == "" for row in csv.DictReader(file)] == [False, True, False, True]


@pytest.mark.parametrize("task", [VA, MTL])
def test_values_stay_within_the_range_of_the_labels(task):
    values = np.full((2, len(task.columns)), 0.25, np.float32)
    values[:, :2] = [[1.3, -2.0], [0.5, -0.5]]
    found = within_range(task, values)
    assert found[:, :2].tolist() == [[1.0, -1.0], [0.5, -0.5]]
    assert found.shape == values.shape
    assert np.array_equal(found[:, 2:], values[:, 2:])


def test_a_summary_has_the_mean_over_frames_with_a_prediction():
    shares = np.full((3, 8), 0.05, np.float32)
    shares[:2, 4], shares[2, 0] = 0.65, 0.65
    given = {"expr": table(EXPR, shares, [1, 1, 0]), "va": table(VA, [[0.5, 0.1], [0.7, 0.3], [-1, -1]], [1, 1, 0])}
    found = summarize({"expr": EXPR, "va": VA}, person(None, given, [True, True, False]))
    assert next(iter(found.leading["expr"].items())) == ("Happiness", pytest.approx(0.65))
    assert found.means == {"va": {"valence": pytest.approx(0.6), "arousal": pytest.approx(0.2)}}
    assert (found.num_answered, found.num_frames, found.num_with_face, found.num_with_voice) == (2, 3, 2, 0)
    assert str(found) == "Happiness 0.65 (then Neutral 0.05), valence +0.60, arousal +0.20: means over 2 of 3 frames"
    given["va"] = table(VA, [[0.5, 0.1], [0.7, 0.3], [-1, -1]], [1, 0, 0])
    said = str(summarize({"expr": EXPR, "va": VA}, person(None, given, [True, True, False])))
    assert said.endswith("2 of 3 frames; valence +0.50, arousal +0.10: means over 1 of 3 frames")


def test_of_several_persons_each_frame_has_a_row_for_each_one_seen(tmp_path):
    persons = [
        person(n, {"va": table(VA, [[n, n]] * 4, seen)}, seen) for n, seen in ((0, [1, 1, 0, 0]), (1, [0, 1, 0, 1]))
    ]
    write_frames(tmp_path, "1", {"va": VA}, persons)
    found = parquet.read_table(tmp_path / "1.parquet")
    assert found["frame"].to_pylist() == [1, 2, 2, 3, 4]
    assert sorted(found["valence"].to_pylist()[1:3]) == [0, 1]
    assert found["valence"].to_pylist()[3] is None
