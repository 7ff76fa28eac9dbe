"""``fit`` on folders of predictions: what it writes, reports and refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

from abaw.calibration import fit as fitting
from abaw.calibration.gains import ExpectedGain, Gain
from abaw.configs.sections import PostProcessingConfig
from abaw.evaluation.wording import summary
from abaw.postprocessing import PostProcessing, parse_post_processing
from abaw.results import predictions
from abaw.tasks import TASKS
from tests.support.fitted import labels_of, table_of, write_dataset, write_folder

CLIPS = {"t1": "train", "t2_left": "train", "t2_right": "train", "t3": "train", "v1": "validation", "v2": "validation"}


@pytest.fixture
def job(tmp_path):
    """A data set of valence and arousal, and held-out tables of all its clips."""
    write_dataset(tmp_path / "data", CLIPS)
    write_folder(tmp_path / "held", CLIPS, held_out=True)
    return tmp_path


def run_fit(job, folder="held", **more):
    """The report of ``fit`` and what it wrote."""
    report = fitting.fit(job / folder, job / "d.json", **{"data": job / "data", **more})
    return report, json.loads((job / "d.json").read_text())


def test_fit_writes_post_processing_and_reports_the_score_of_every_stage(job, capsys):
    report, documents = run_fit(job)
    found = parse_post_processing(documents["va"], "d.json")
    result = report.results["va"]
    assert result.post_processing == found
    assert found.smoother == "box"
    assert found.fitted_on == ("t1", "t2", "t3", "v1", "v2")
    assert list(result.scores) == ["raw", "smoothed", "biased"]
    assert result.scores["biased"]["CCC"] > result.scores["smoothed"]["CCC"] > result.scores["raw"]["CCC"]
    assert (result.num_clips, result.num_groups, report.out) == (6, 5, job / "d.json")
    lines = str(report).splitlines()
    assert lines[0].startswith(f"va fitted on 6 clips of 5 videos: box over {found.width} frames, sc")
    assert lines[1] == f"va raw {summary(result.scores['raw'])}"
    assert lines[2].endswith(f", {result.gains['smoothed']} over raw (cross-fitted)")
    kept = f"va kept: smoothed, with scale and bias ({result.strength:.2f} of them): gains more than its standard error"
    assert lines[-3] == f"{kept} over 5 videos"
    assert lines[-2] == f"va gain to expect on other videos: {result.expected}"
    assert lines[-1] == str(job / "d.json")
    assert capsys.readouterr().out == ""


def test_what_is_chosen_but_not_expected_to_gain_is_named(job):
    result = run_fit(job)[0].results["va"]
    unclear = ExpectedGain(Gain(-0.02, 0.03), Gain(0.04, 0.03))
    lines = str(replace(result, kept="raw", refused=unclear)).splitlines()
    assert lines[-1].startswith(
        "va kept: raw: what was chosen is not expected to gain more than its standard error: +0.01"
    )


def test_without_an_output_file_nothing_is_written(job):
    before = sorted(job.rglob("*"))
    report = fitting.fit(job / "held", data=job / "data")
    assert report.out is None
    assert sorted(job.rglob("*")) == before


def test_what_does_not_gain_on_other_clips_is_left_out(job):
    for clip_id in CLIPS:
        table = table_of(clip_id, noise=30.0, seed=3)
        noise = replace(table, values=table.values / 30)
        predictions.write_table(job / "noise/va", clip_id, noise, TASKS.build("va"))
    predictions.write_metadata(job / "noise/va", {"task": "va", "held_out": True})
    report, documents = run_fit(job, "noise")
    found = parse_post_processing(documents["va"], "d.json")
    assert replace(found, fitted_on=()) == PostProcessing()
    assert found.fitted_on, "these labels chose it: it must not be scored on them"
    assert "va kept: raw: nothing gains more than its standard error over 5 videos" in str(report)


def test_a_split_that_is_left_out_may_be_scored(job):
    assert run_fit(job, exclude_split="validation")[1]["va"]["fitted_on"] == ["t1", "t2", "t3"]
    with pytest.raises(ValueError, match="no split 'val' to exclude: there are train, validation, test"):
        run_fit(job, exclude_split="val")


def test_only_what_the_options_name_is_tried(job):
    found = run_fit(job, options=PostProcessingConfig(widths=[3], smoothers=["median"], bias=False))[1]["va"]
    assert (found["smoother"], found["width"], found["bias"]) == ("median", 3, [])


def test_tables_of_videos_that_were_trained_on_are_refused_and_unknown_ones_unless_trusted(job):
    write_folder(job / "seen", CLIPS, held_out=False)
    for trust in (False, True):
        with pytest.raises(ValueError, match="predictions by runs that were trained on these videos: give held-out"):
            run_fit(job, "seen", trust=trust)
    write_folder(job / "elsewhere", CLIPS, held_out=None)
    (job / "elsewhere/va/predictions.json").unlink()
    with pytest.raises(ValueError, match="does not say whether its runs were trained on these videos.* or --trust it"):
        run_fit(job, "elsewhere/va", task="va")
    assert not (job / "d.json").exists()
    assert run_fit(job, "elsewhere/va", task="va", trust=True)[1]["va"]["smoother"] == "box"


def test_what_cannot_be_fitted_is_an_error_and_leaves_an_older_file_as_it_is(job):
    (job / "d.json").write_text("old")
    with pytest.raises(FileNotFoundError, match="no predictions at .*nowhere, which is no folder"):
        run_fit(job, "nowhere")
    with pytest.raises(ValueError, match="does not say which run made it: name the data set with --data"):
        run_fit(job, data=None)
    with pytest.raises(FileNotFoundError, match="no expr predictions in"):
        run_fit(job, task="expr")
    write_dataset(job / "other", {"x": "train", "y": "validation"})
    with pytest.raises(
        ValueError, match="no clip in .* has va labels to fit on: give the data set that these clips are from"
    ):
        run_fit(job, data=job / "other")
    write_dataset(job / "longer", CLIPS, num=500)
    with pytest.raises(ValueError, match="clip 't1' has 200 rows and 500 labels: .* extract and predict it again"):
        run_fit(job, data=job / "longer")
    (job / "held/va/t1.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match="t1.parquet: not readable as Parquet"):
        run_fit(job)
    assert (job / "d.json").read_text() == "old"


@pytest.mark.parametrize(("videos", "num"), [(("t2_left", "t2_right"), 1), (("t1", "t2_left"), 2)])
def test_nothing_is_fitted_on_fewer_than_three_videos(job, videos, num):
    """One would be left to score on, and none to choose by."""
    write_folder(job / "few", dict.fromkeys(videos, "train"), held_out=True)
    report, documents = run_fit(job, "few")
    found = parse_post_processing(documents["va"], "d.json")
    assert replace(found, fitted_on=()) == PostProcessing()
    assert (len(found.fitted_on), list(report.results["va"].scores), report.results["va"].expected) == (
        num,
        ["raw"],
        None,
    )
    assert "va kept: raw: nothing is fitted on fewer than 3 videos or groups" in str(report)


def test_an_ensemble_whose_weights_were_fitted_on_these_labels_is_reported(job):
    about = predictions.read_metadata(job / "held/va")
    about["ensemble"] = {"how": "weighted", "weights": [1.0], "members": ["x"], "fitted_on": ["t1"]}
    predictions.write_metadata(job / "held/va", about)
    report, _ = run_fit(job)
    assert "the ensemble's weights were fitted on these videos too" in str(report)


def test_labels_fixture_is_what_the_files_say(job):
    np.testing.assert_allclose(labels_of("t1").values[0], [0.0, 0.8 * np.cos(0)], atol=1e-6)


def test_every_score_of_clips_that_the_epoch_was_chosen_on_says_so_in_its_line(job):
    write_folder(job / "held", CLIPS, held_out=True, epoch_chosen_on=["v1", "v2"])
    _, raw, smoothed, biased, _, expected, _ = str(run_fit(job)[0]).splitlines()
    assert all(line.endswith("; epoch chosen on 2 of these 6 clips") for line in (raw, smoothed, biased, expected))
    report, _ = run_fit(job, exclude_split="validation")
    assert report.results["va"].selection == ""
    assert "chosen" not in str(report)
