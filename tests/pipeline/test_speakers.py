"""A data set of one's own, from its table to scores: speakers are kept apart, drawn and standardised."""

import json
import re

import pytest

import abaw
from fusion.normalisation import group_source
from tests.support.abaw.speakers import SPEAKERS, write_data, write_store

CONFIG = {
    "name": "own",
    "tasks": {"classes": {}},
    "features": {"clear": {"normalise": "group"}},
    "model": {"name": "pooled", "dropout": 0.0, "percentiles": False},
    "window": {"length": 50, "stride": 50},
    "folds": {"num": "groups"},
    "training": {"loggers": [], "learning_rate": 0.5, "select_on": "last"},
    "trainer": {"max_epochs": 20},  # of one step each
}

FOLDS = (2, 3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The runs of two of the four folds, and the folder of all. In these a linear model can do without errors."""
    root = tmp_path_factory.mktemp("speakers")
    data, store = write_data(root / "data"), write_store(root / "store", shift=5.0).root
    (root / "own.yaml").write_text(json.dumps({**CONFIG, "data": str(data), "store": str(store)}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_source, "MIN_GROUP_S", 20.0)
        names = [[f"name=fold{fold}", f"folds.fold={fold}"] for fold in FOLDS]
        yield [abaw.train(root / "own.yaml", each, runs=root / "runs") for each in names], root


def test_a_fold_holds_out_one_speaker_and_the_run_records_whom_it_has_seen(runs):
    for fold, run in zip(FOLDS, runs[0], strict=True):
        recorded = run.document()
        assert recorded["groups"]["validation"] == [SPEAKERS[fold]]
        assert recorded["groups"]["train"] == [each for each in SPEAKERS if each != SPEAKERS[fold]]
        assert recorded["group_normalisation"]["num_groups"] == 4
        assert recorded["scores"]["classes"]["n"] == 9


def test_features_within_the_speaker_are_learned_from_whatever_his_level(runs):
    assert min(run.document()["scores"]["classes"]["F1"] for run in runs[0]) > 0.8  # normalise: split has .56 and .47


def test_held_out_tables_are_scored_by_speaker_and_say_that_they_are_adapted_to_persons(runs):
    folders, root = [run.folder for run in runs[0]], runs[1]
    abaw.predict(folders, root / "held-out", held_out=True)
    found = abaw.score(root / "held-out", split="held-out", draws=100).results[0]
    assert (found.videos, found.unit) == (2, "group")
    assert found.provenance["subject_adapted"] is True
    low, high = found.intervals["F1"]  # of two speakers, from whom little can be concluded
    assert 0 <= low < found.scores["F1"] < high <= 1
    assert found.coverage < 0.93


def test_a_speaker_who_was_trained_on_is_a_leak(runs):
    folder, root = runs[0][0].folder, runs[1]
    abaw.predict(folder, root / "seen", clips=["cid0", "bob0"])
    with pytest.raises(ValueError, match=r"a leak: the training .* has seen group 'bob', which is scored here"):
        abaw.score(root / "seen", split="held-out")
    with pytest.raises(ValueError, match="trained on these videos"):
        abaw.fit(root / "seen")


def test_all_folds_are_as_many_as_speakers(runs, monkeypatch):
    from abaw.pipelines import training

    trained = []
    monkeypatch.setattr(training, "train", lambda config, settings, **_: trained.append(settings))
    abaw.train_folds(runs[1] / "own.yaml", runs=runs[1] / "runs")
    assert [re.search(r"fold=(\d)", each[-1])[1] for each in trained] == ["0", "1", "2", "3"]
