"""The second classifier of a probe, and prediction tables of both that other commands read."""

import pytest

import abaw
from abaw.errors import AbawError
from abaw.pipelines.probing import pooler
from abaw.pipelines.probing.scoring import probe
from abaw.results import predictions
from tests.support.abaw.speakers import CLIPS, MOODS, write_data, write_store


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store")).root


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def report(data, store, tables):
    return probe(data, store, classifier="both", encoders=["clear", "noise", "clear+noise"], draws=100, out=tables)


def score_of(folder, data):
    (found,) = abaw.score(folder, data=data).results
    return found.scores["F1"]


def test_every_encoder_has_a_row_for_each_classifier(report):
    found = {(each.encoder, each.classifier): each for each in report.results}
    assert len(found) == 6
    assert found["clear", "empirical_bayes"].scores["F1"] > 0.8 > 0.6 > found["noise", "empirical_bayes"].scores["F1"]
    assert found["clear", "empirical_bayes"].penalties == found["clear", "linear"].scales == []
    assert all(scale > 0 for part in found["clear", "empirical_bayes"].scales for scale in part)
    assert list(report.to_pandas()["classifier"]) == [each.classifier for each in report.results]
    assert -1 <= report.tasks[0].rank_correlation <= 1
    assert f"rank correlation of the two classifiers (Spearman): {report.tasks[0].rank_correlation:.2f}" in str(report)
    assert "  clear+noise  empirical_bayes        12  " in str(report)


def test_the_tables_have_the_score_of_the_probe(report, data, tables):
    assert report.tables == str(tables)
    for each in report.results:
        assert score_of(tables / each.classifier / each.encoder, data) == pytest.approx(each.scores["F1"])


def test_the_tables_say_what_made_them_and_can_be_combined(report, data, tables, tmp_path):
    folders = [tables / classifier / "clear" for classifier in ("linear", "empirical_bayes")]
    about = predictions.read_metadata(folders[1] / "classes")
    assert about["held_out"] is True
    assert about["groups_seen"] == ["ann", "bob", "cid", "dan"]
    assert about["probes"] == [
        {"encoder": "clear", "classifier": "empirical_bayes", "normalise": "none", "parts": report.tasks[0].num_parts}
    ]
    abaw.combine(folders, tmp_path / "both", data=data)
    (found,) = abaw.score(tmp_path / "both", data=data).results
    assert [each.split()[0] for each in found.provenance["probes"]] == ["linear", "empirical_bayes"]
    assert not [line for line in found.remarks if "provenance" in line or "leak" in line]


@pytest.mark.parametrize("classifier", ["linear", "empirical_bayes"])
def test_the_table_of_a_clip_does_not_depend_on_the_labels_of_its_group(tmp_path, data, store, classifier):
    rows = [f"{clip}.wav,{who},{mood if who != 'dan' else 'calm'}" for clip, (who, mood) in CLIPS.items()]
    other = write_data(tmp_path / "data", rows=rows)
    found = []
    for i, each in enumerate((data, other)):
        probe(each, store, classifier=classifier, encoders=["clear"], folds="groups", draws=100, out=tmp_path / str(i))
        folder = tmp_path / str(i) / classifier / "clear" / "classes"
        found.append({clip: (folder / f"{clip}.parquet").read_bytes() for clip in CLIPS})
    assert all(found[0][clip] == found[1][clip] for clip, (who, _) in CLIPS.items() if who == "dan")
    assert any(found[0][clip] != found[1][clip] for clip, (who, _) in CLIPS.items() if who != "dan")


@pytest.mark.parametrize("normalise", ["none", "group"])
def test_a_task_of_frames_has_a_row_for_every_frame(tmp_path, store, monkeypatch, normalise):
    monkeypatch.setattr(pooler, "MIN_GROUP_S", 20.0)
    rows = [f"{clip}.wav,{who},{clip}.csv" for clip, (who, _) in CLIPS.items()]
    keys = {"classes": {"column": "mood", "names": list(MOODS)}}
    data = write_data(tmp_path / "data", "path,group,labels", rows, **keys)
    for clip, (_, mood) in CLIPS.items():
        (data.parent / f"{clip}.csv").write_text(f"start_s,stop_s,mood\n0,2,{mood}\n2,4,{mood}\n")
    options = {"classifier": "empirical_bayes", "encoders": ["clear"], "normalise": normalise, "draws": 100}
    report = probe(data, store, **options, out=tmp_path / "tables")
    assert report.tasks[0].num_rows == 36 * 40
    (found,) = abaw.score(tmp_path / "tables/empirical_bayes/clear", data=data).results
    assert found.scores["n"] == 36 * 40
    assert found.scores["F1"] == pytest.approx(report.results[0].scores["F1"])
    assert found.scores["F1"] > 0.8


def test_values_are_left_to_the_linear_model_and_that_is_said(tmp_path, store):
    rows = [f"{clip}.wav,{who},{MOODS.index(mood) * 4 + 1}" for clip, (who, mood) in CLIPS.items()]
    keys = {"values": {"columns": ["arousal"], "range": [1, 9]}}
    data = write_data(tmp_path / "data", "path,group,arousal", rows, **keys)
    found = probe(data, store, classifier="both", encoders=["clear"], draws=100)
    assert [each.classifier for each in found.results] == ["linear"]
    assert "note: values has values: empirical_bayes predicts classes and units, linear values too" in str(found)
    for task, what in ((None, "every task with labels"), ("values", "the task values")):
        with pytest.raises(AbawError, match=f"{what} has values, and empirical_bayes .*: give --classifier linear"):
            probe(data, store, classifier="empirical_bayes", task=task, draws=100)


def test_a_class_of_a_single_clip_is_refused_before_anything_is_written(tmp_path, store):
    rows = [f"{clip}.wav,{who},{'glad' if clip == 'bob1' else 'calm'}" for clip, (who, _) in CLIPS.items()]
    data = write_data(tmp_path / "data", rows=rows)
    with pytest.raises(AbawError, match=r"glad occurs in 1 clip .'bob1'., and empirical_bayes needs 2 or more clips"):
        probe(data, store, classifier="both", draws=100, out=tmp_path / "tables")
    assert not (tmp_path / "tables").exists()


def test_what_a_training_part_lacks_is_not_predicted_there_and_that_is_said(tmp_path, store):
    rows = [f"{clip}.wav,{who},{'calm' if who != 'dan' else mood}" for clip, (who, mood) in CLIPS.items()]
    data = write_data(tmp_path / "data", rows=rows)
    options = {"classifier": "empirical_bayes", "encoders": ["clear"], "folds": "groups", "draws": 100}
    found = probe(data, store, **options, out=tmp_path / "tables")
    remark = (
        "clear, empirical_bayes: glad has fewer than 2 clips in the training clips of 1 part: it is not predicted there"
    )
    assert remark in found.tasks[0].remarks
    for clip in (clip for clip, (who, _) in CLIPS.items() if who == "dan"):
        table = predictions.parquet.read_table(tmp_path / f"tables/empirical_bayes/clear/classes/{clip}.parquet")
        assert set(table["p_glad"].to_pylist()) == {0.0}


def test_a_class_without_a_clip_is_never_predicted_and_that_is_said(tmp_path, store):
    rows = [f"{clip}.wav,{who},{'calm' if mood == 'angry' else mood}" for clip, (who, mood) in CLIPS.items()]
    found = probe(write_data(tmp_path / "data", rows=rows), store, classifier="empirical_bayes", draws=100)
    assert "empirical_bayes never predicts what occurs in no clip: angry" in found.tasks[0].remarks


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classifier": "bayes"}, "classifier is 'bayes', expected linear, empirical_bayes, both"),
        ({"out": 3}, "out is 3"),
    ],
)
def test_options_that_cannot_be_are_an_error(data, store, options, message):
    with pytest.raises(AbawError, match=message):
        probe(data, store, **{"draws": 100, **options})


def test_tables_of_others_are_not_replaced(tmp_path, data, store):
    folder = tmp_path / "out/linear/clear/classes"
    folder.mkdir(parents=True)
    (folder / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(AbawError, match=r"mine\.parquet"):
        probe(data, store, encoders=["clear"], draws=100, out=tmp_path / "out")
    assert (folder / "mine.parquet").read_bytes() == b"mine"
