"""Calibration errors, reliability diagrams, and what `abaw score` and `abaw fit` say of them."""

import json

import numpy as np
import pytest

from abaw.calibration.fit import fit
from abaw.dataset.annotations import Labels
from abaw.dataset.names import ACTION_UNITS
from abaw.errors import InputError
from abaw.evaluation.reliability import Probabilities, calibration_of
from abaw.evaluation.report_text import reliability_lines
from abaw.metrics import NUM_BINS, calibration_bins, calibration_error
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from benchmarks.seed_systems.worlds.logits import simulate_clips
from tests.support.abaw.reports import EXPR, report, write_tables

AU = TASKS.build("au")


def test_the_error_is_the_mean_distance_of_probability_and_share_over_bins():
    probability, truth = np.array([0.81, 0.85, 0.05, 0.05]), np.array([True, False, False, True])
    assert calibration_error(probability, truth) == pytest.approx((2 * abs(0.83 - 0.5) + 2 * 0.45) / 4)
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0
    bins = calibration_bins(np.array([0.0, 1.0]), np.array([False, True]))
    assert bins[2].tolist() == [1, *[0] * (NUM_BINS - 2), 1]
    rng = np.random.default_rng(0)
    share = rng.random(100_000)
    assert calibration_error(share, rng.random(100_000) < share) < 0.01


@pytest.mark.parametrize("probability", [[1.5], [-0.1], [np.nan]])
def test_what_is_no_probability_is_refused(probability):
    with pytest.raises(InputError, match=r"probabilities between 0 and 1|finite"):
        calibration_error(np.array(probability), np.array([True]))


def test_classes_units_and_contexts_are_counted_apart():
    table = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]], np.float32)
    task = TASKS.build("classes", class_names=["low", "high"], level="frame")
    labels = Labels(np.float32([[0], [0], [0], [1]]), np.array([True, True, True, False]))
    flags = {"face": np.array([True, True, False, False])}
    found = calibration_of(task, {"a": Probabilities(table, labels, flags)})
    assert found.overall.num == 3
    assert found.contexts["face"].top.error == pytest.approx(0.1, abs=1e-6)
    assert found.contexts["nothing"].top.error == pytest.approx(0.6, abs=1e-6)
    assert found.contexts["nothing"].curves["p_low"].true[6] == 1.0
    assert found.overall.curves["p_high"].counts[1] == 2
    assert calibration_of(TASKS.build("va"), {}) is None


def test_a_unit_without_a_label_does_not_count():
    labels = Labels(np.full((2, 12), np.nan, np.float32), np.ones(2, bool))
    labels.values[0, 0] = 1
    found = calibration_of(AU, {"a": Probabilities(np.full((2, 12), 0.5, np.float32), labels)})
    assert sum(found.overall.curves["p_AU1"].counts) == 1
    assert sum(found.overall.curves["p_AU2"].counts) == 0


def test_the_report_has_a_short_line_and_json_has_the_diagram(data, tmp_path):
    where = write_tables(tmp_path / "expr", data, "expr", split="validation")
    found = report(where, data=data)
    text = str(found)
    assert text.count("calibration error") == 1
    document = json.loads(json.dumps(found.to_dict()))["results"][0]["calibration"]
    curve = document["overall"]["curves"]["p_Happiness"]
    assert len(curve["counts"]) == len(curve["predicted"]) == len(curve["true"]) == document["num_bins"]
    assert document["contexts"] == {}, "these tables do not say what was observed"
    shown = "\n".join(reliability_lines(found))
    assert "reliability: mean probability" in shown
    assert "p_Happiness" in shown


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """A data set of action units and tables of it, whose probabilities are too sure where the face is lost."""
    root = tmp_path_factory.mktemp("units")
    clips = simulate_clips(AU, "other in each context", 24, np.random.default_rng(3))
    for number, (clip_id, clip) in enumerate(clips.items()):
        path = root / "data/AU_Detection_Challenge" / f"{'Train' if number % 2 else 'Validation'}_Set/{clip_id}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [",".join(str(int(value)) for value in row) for row in clip.labels.values]
        path.write_text("\n".join([",".join(ACTION_UNITS), *rows]) + "\n")
        num = len(clip.values)
        clock = np.arange(1, num + 1), np.arange(num) / 30
        table = Table(*clock, clip.observed, clip.values, AU.columns, clip.modalities)
        predictions.write_table(root / "tables/au", clip_id, table, AU)
    predictions.write_metadata(root / "tables/au", {"task": "au", "held_out": True, "split": None})
    return root


def test_fit_keeps_maps_and_score_applies_them(units):
    found = fit(units / "tables", units / "fitted.json", data=units / "data", calibrate=True).results["au"]
    assert found.maps.choice.kept == "by modality"
    assert found.post_processing.calibration.contexts == ("face+voice", "voice")
    text = str(found)
    assert "kept: by modality" in text
    assert "calibration error, cross-fitted: " in text
    assert "au calibrated F1" in text
    where = units / "tables/au"
    about = {**predictions.read_metadata(where), "post_processing": found.post_processing.document()}
    about["post_processing"] |= {"fitted_on": []}  # so that it may be scored here
    predictions.write_metadata(where, about)
    scored = report(units / "tables", data=units / "data", split="validation")
    result = scored.results[0]
    assert result.calibration.overall.error < 0.7 * result.raw_calibration.overall.error
    assert result.calibration.contexts.keys() == {"face+voice", "voice"}
    assert "before scale and bias" in str(scored)
    assert predictions.count_contexts(where).keys() == {"face+voice", "voice"}


def test_tables_keep_what_was_observed(units):
    where = units / "tables/au"
    table = predictions.read_table(where, "video000", AU)
    assert list(table.modalities) == ["face", "voice"]
    assert list(table.to_numpy())[:5] == ["frame", "time_s", "observed", "observed_face", "observed_voice"]
    with pytest.raises(InputError, match="observed flags of face"):
        Table(
            *[np.arange(1, 3), np.arange(2.0), np.ones(2, bool), np.zeros((2, 1)), ("x",)], {"face": np.ones(1, bool)}
        )


def test_classes_of_tables_without_modalities_are_read_as_before(data, tmp_path):
    where = write_tables(tmp_path / "expr", data, "expr", split="validation")
    assert predictions.read_table(where, "11", EXPR).modalities == {}
    assert predictions.count_contexts(where).keys() == {""}
