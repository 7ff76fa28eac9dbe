"""Runs and recognisers of one task are averaged where each of them had something to predict from."""

from types import SimpleNamespace

import numpy as np
import pytest
from pyarrow import parquet

from abaw.pipelines.analysis.answers import Answers, with_target
from abaw.pipelines.analysis.document import explain_columns
from abaw.pipelines.analysis.presence import VOICE_RULES, Presence
from abaw.pipelines.analysis.tables import PersonTables, final_table, spreads_of, write_frames
from abaw.results.predictions import Table
from abaw.tasks import TASKS

VA = TASKS.build("va")
FACE, VOICE = {"crop": {}, "span": 1, "faces": {"target": "largest"}}, {"settings": {}}


def tables_of(value, observed=(1, 1, 1, 1)):
    num = len(observed)
    values = np.full((num, 2), value, np.float32)
    return {"va": Table(np.arange(1, num + 1), np.arange(num) / 25, np.array(observed, bool), values, VA.columns)}


def recogniser(value, recipe):
    return SimpleNamespace(columns={"va": None}, recipe=recipe, tables=lambda clips: (tables_of(value) for _ in clips))


def run_of(recipe):
    return SimpleNamespace(tasks=lambda: {"va": VA}, finished=lambda: {"recipes": {"x": recipe}}), None, None


def of_runs(*values):
    """In place of ``_run_tables``: a table of each run, of one value."""
    return lambda self, clips: ((each, {"va": [tables_of(value)["va"] for value in values]}) for each in clips)


def values_of(answers, seen=(1, 1, 0, 0), heard=(1, 0, 1, 0)):
    presence = Presence(np.array(seen, bool), np.array(heard, bool))
    ((clip_id, tables),) = answers.tables(["a"], lambda clip_id: presence)
    assert clip_id == "a"
    return tables["va"].values[:, 0].tolist(), tables["va"].observed.tolist()


def test_each_frame_is_the_mean_over_those_that_see_or_hear_something():
    answers = Answers((), (recogniser(0.2, FACE), recogniser(0.6, VOICE)), {"va": VA})
    values, observed = values_of(answers)
    assert values[:3] == pytest.approx([0.4, 0.2, 0.6])
    assert observed == [True, True, True, False]


def test_every_run_counts_as_much_as_a_recogniser(monkeypatch):
    answers = Answers((run_of(FACE), run_of(FACE)), (recogniser(0.9, FACE),), {"va": VA})
    monkeypatch.setattr(Answers, "_run_tables", of_runs(0.2, 0.4))
    values, observed = values_of(answers)
    assert values[:2] == pytest.approx([0.5, 0.5])
    assert observed == [True, True, False, False]


def table_of(answers, seen=(1, 1, 0, 0), heard=(1, 0, 1, 0)):
    presence = Presence(np.array(seen, bool), np.array(heard, bool))
    return next(answers.tables(["a"], lambda clip_id: presence))[1]["va"]


def test_the_spread_is_the_standard_deviation_over_the_members_that_count_in_a_frame(monkeypatch):
    # of 0.2 and 0.6: 0.2, both deviate from 0.4 by that; one alone has none
    answers = Answers((), (recogniser(0.2, FACE), recogniser(0.6, VOICE)), {"va": VA})
    table = table_of(answers)
    np.testing.assert_allclose(table.spreads["valence"], [0.2, np.nan, np.nan, np.nan], atol=1e-6)
    assert list(table.spreads) == ["valence", "arousal"]
    assert answers.spreading() == ["va"]
    # of 0.3, 0.5 and 1.0, cut from 1.7: mean 0.6, squares 0.09 + 0.01 + 0.16 over 3
    answers = Answers((run_of(FACE), run_of(VOICE)), (recogniser(1.7, FACE),), {"va": VA})
    monkeypatch.setattr(Answers, "_run_tables", of_runs(0.3, 0.5))
    spread = table_of(answers).spreads["valence"]
    np.testing.assert_allclose(spread, [np.sqrt(0.26 / 3), 0.35, np.nan, np.nan], atol=1e-6)


def test_a_single_member_has_no_spread(monkeypatch):
    answers = Answers((run_of(FACE),), (), {"va": VA})
    monkeypatch.setattr(Answers, "_run_tables", of_runs(0.3))
    assert table_of(answers).spreads == {}
    assert answers.spreading() == []


def test_class_probabilities_have_a_spread_and_action_units_none():
    num = 2
    expr, au = TASKS.build("expr"), TASKS.build("au")

    def tables(task, low, high):
        for value in (low, high):
            values = np.full((num, len(task.columns)), value, np.float32)
            yield Table(np.arange(1, num + 1), np.arange(num) / 25, np.ones(num, bool), values, task.columns)

    found = spreads_of(expr, list(tables(expr, 0.1, 0.15)))
    assert list(found) == list(expr.columns)
    np.testing.assert_allclose(found["p_Fear"], [0.025, 0.025], atol=1e-6)
    assert spreads_of(au, list(tables(au, 0.2, 0.4))) == {}


def test_the_table_on_disk_has_a_column_for_each_spread_and_its_meaning(tmp_path):
    answers = Answers((), (recogniser(0.2, FACE), recogniser(0.6, VOICE)), {"va": VA})
    presence = Presence(np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool))
    tables = next(answers.tables(["a"], lambda clip_id: presence))[1]
    final = {"va": final_table(VA, tables["va"], None)}
    write_frames(tmp_path, "a", {"va": VA}, [PersonTables(None, final, presence)])
    written = parquet.read_table(tmp_path / "a.parquet")
    assert written["valence_spread"].to_pylist() == [pytest.approx(0.2), None, None, None]
    assert written["valence"].to_pylist()[:3] == pytest.approx([0.4, 0.2, 0.6])
    meanings = explain_columns({"va": VA}, VOICE_RULES[-1], (), ["va"])
    assert set(written.column_names) == set(meanings)
    assert "over the members" in meanings["arousal_spread"]["meaning"]
    assert "valence_spread" not in explain_columns({"va": VA}, VOICE_RULES[-1])


def test_features_of_another_persons_face_have_another_recipe():
    config = SimpleNamespace(target="person:2")
    assert with_target(FACE, config)["faces"] == {"target": "person:2"}
    assert with_target(VOICE, config) == VOICE
