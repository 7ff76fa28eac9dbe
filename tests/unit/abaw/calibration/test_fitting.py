"""Fitting post-processing: what is chosen, what it gains on other clips, what must not be fitted on."""

import json
from dataclasses import replace

import numpy as np
import pytest

from abaw.calibration import fitting
from abaw.calibration.biases import GRID, class_biases, match_variance, unit_bias
from abaw.configs.sections import PostProcessingConfig
from abaw.dataset.annotations import Labels
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.evaluation.report import summary
from abaw.metrics import class_f1, concordance, macro_f1
from abaw.postprocessing import PostProcessing, parse_post_processing
from abaw.tasks import TASKS
from tests.support.fitted import labels_of, write_dataset, write_folder

TASK = {name: TASKS.build(name) for name in ("va", "expr", "au", "mtl")}
NO_BIAS = PostProcessingConfig(bias=False)


def held_out(name, values, truth, observed=None, scored=None):
    everywhere = np.ones(len(values), bool)
    labels = Labels(np.array(truth, np.float32).reshape(len(truth), -1), everywhere if scored is None else scored)
    return LabelledTable(np.array(values, np.float32), everywhere if observed is None else observed, labels)


def noisy_va(num=400, noise=0.5, seed=0, **more):
    """A slow truth under noise: smoothing helps."""
    rng = np.random.default_rng(seed)
    truth = np.stack([np.sin(np.arange(num) / 40 + seed), np.cos(np.arange(num) / 55 + seed)], axis=1) * 0.8
    return held_out("va", truth * 0.5 + 0.1 + rng.normal(size=truth.shape) * noise, truth, **more)


def score(name, clips, post_processing):
    return fitting.rank(TASK[name], fitting.post_processed(TASK[name], clips, post_processing))


def test_noise_over_a_slow_truth_is_smoothed_and_the_score_of_the_choice_is_the_best_of_all():
    clips = {f"c{i}": noisy_va(seed=i) for i in range(3)}
    found = fitting.fit_post_processing(TASK["va"], clips, NO_BIAS)
    assert found.smoother == "box"
    scores = {w: score("va", clips, PostProcessing(smoother="box", width=w)) for w in (5, 11, 25, 51, 101)}
    assert found.width == max(scores, key=scores.get)
    assert found.fitted_on == ("c0", "c1", "c2")


def test_every_smoother_and_space_that_is_named_is_tried():
    spike = np.zeros((60, 2))
    spike[::10] = 3.0  # what a median takes away and a mean spreads
    truth = np.repeat(np.linspace(-0.8, 0.8, 60)[:, None], 2, axis=1)
    clips = {"a": held_out("va", truth + spike, truth)}
    options = PostProcessingConfig(bias=False, smoothers=["box", "gaussian", "savgol", "median"], widths=[1, 5])
    assert fitting.fit_post_processing(TASK["va"], clips, options).smoother == "median"
    sure = np.full((3, 8), 1e-4)
    sure[np.arange(3), [0, 1, 1]] = 1  # the mean is for 1, but one very sure frame wins among logits
    sure[1:, 0] = 0.2
    clips = {"a": held_out("expr", sure / sure.sum(axis=1, keepdims=True), [0, 0, 0])}
    options = PostProcessingConfig(bias=False, widths=[3], spaces=["probabilities", "logits"])
    assert fitting.fit_post_processing(TASK["expr"], clips, options).space == "logits"


def test_of_equal_settings_the_gentlest_is_taken():
    truth = np.repeat([[0], [1]], 50, axis=0)
    clips = {"a": held_out("expr", np.eye(8)[truth[:, 0]], truth, observed=np.arange(100) % 7 > 0)}
    assert fitting.fit_post_processing(TASK["expr"], clips, PostProcessingConfig()) == PostProcessing(fitted_on=("a",))


def test_gaps_are_filled_where_what_was_said_in_them_is_noise_and_only_if_asked():
    seen = np.arange(400) % 4 > 0
    clip = noisy_va(noise=0.01, observed=seen)
    clip.values[~seen] = np.random.default_rng(0).normal(size=(100, 2))
    assert fitting.fit_post_processing(TASK["va"], {"a": clip}, PostProcessingConfig(bias=False, widths=[1])).fill_gaps
    assert not fitting.fit_post_processing(
        TASK["va"], {"a": clip}, PostProcessingConfig(bias=False, widths=[1], fill_gaps=False)
    ).fill_gaps


def test_valence_and_arousal_get_the_truths_mean_and_spread_and_ccc_becomes_the_correlation():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=500)
    prediction = 0.3 * truth + rng.normal(size=500) * 0.2 + 0.4
    scale, bias = match_variance(prediction, truth)
    best = concordance(scale * prediction + bias, truth)
    assert best == pytest.approx(np.corrcoef(prediction, truth)[0, 1])
    for other in ((scale * 1.05, bias), (scale * 0.95, bias), (scale, bias + 0.03), (scale, bias - 0.03)):
        assert concordance(other[0] * prediction + other[1], truth) < best


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [(np.ones(5), np.arange(5.0)), (np.arange(5.0), np.ones(5)), (np.arange(5.0), -np.arange(5.0)), (np.zeros(0),) * 2],
    ids=["constant prediction", "constant truth", "against the truth", "empty"],
)
def test_where_no_line_helps_values_stay(prediction, truth):
    assert match_variance(prediction, truth) == (1.0, 0.0)


def test_a_scale_is_kept_for_the_column_in_which_the_score_rises_alone():
    clip = noisy_va(noise=0.05)
    values = clip.values.copy()
    values[:, 0] = clip.labels.values[:, 0]  # perfect already
    found = fitting.fit_post_processing(
        TASK["va"], {"a": clip._replace(values=values)}, PostProcessingConfig(widths=[1])
    )
    assert (found.scale[0], found.bias[0]) == (1.0, 0.0)
    assert found.scale[1] == pytest.approx(2, rel=0.1)


def random_classes(num=3000, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.choice(8, num, p=[0.3, 0.03, 0.02, 0.02, 0.15, 0.12, 0.05, 0.31])
    logits = rng.normal(size=(num, 8)) * 1.5 + 2 * np.eye(8)[truth] + np.array([1, -1, -1, -1, 0.5, 0, 0, 1])
    return logits, truth


def test_biases_of_classes_raise_macro_f1_and_no_single_other_one_on_the_grid_does_better():
    logits, truth = random_classes()
    biases = class_biases(logits, truth)
    best = macro_f1((logits + biases).argmax(axis=1), truth, 8)
    assert best > macro_f1(logits.argmax(axis=1), truth, 8) + 0.01
    assert np.isin(biases, GRID).all()
    for which in range(8):
        for bias in GRID:
            other = biases.copy()
            other[which] = bias
            assert macro_f1((logits + other).argmax(axis=1), truth, 8) <= best + 1e-12


def test_classes_that_are_right_already_get_no_bias_nor_does_a_class_without_a_frame():
    truth = np.repeat(np.arange(7), 5)  # none of class 7
    assert not class_biases(np.eye(8)[truth] * 5, truth).any()


def test_of_equal_biases_the_nearest_to_0_is_taken():
    logits = np.array([[0.0, 0.35], [0.0, 5.0], [9.0, 0.0]])  # any bias of class 0 from 0.4 up to 5 is as good
    assert class_biases(logits, np.array([0, 1, 0])).tolist() == [0.4, 0.0]


def test_a_units_threshold_is_the_best_of_all_and_lies_between_two_scores():
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.2
    logits = np.round(rng.normal(size=500) + truth * 1.2 - 2, 2)  # with ties
    bias = unit_bias(logits, truth)
    assert -bias not in logits

    def f1(threshold):
        return class_f1((logits > threshold).astype(int), truth.astype(int), 2)[1]

    assert f1(-bias) == max(f1(t) for t in logits) > f1(0)


def test_a_unit_that_is_never_active_or_right_already_keeps_its_threshold():
    logits = np.linspace(-2, 2, 40)
    assert unit_bias(logits, np.zeros(40, bool)) == 0
    assert unit_bias(logits, logits > 0) == 0
    assert unit_bias(np.zeros(4), np.array([True, False, True, False])) == 0
    assert unit_bias(np.zeros(0), np.zeros(0, bool)) == 0


def test_units_are_shifted_and_the_score_rises():
    rng = np.random.default_rng(0)
    truth = rng.random((800, 12)) < 0.3
    clips = {"a": held_out("au", TASK["au"].probabilities(rng.normal(size=(800, 12)) + truth * 2 - 3), truth)}
    found = fitting.fit_post_processing(TASK["au"], clips, PostProcessingConfig(widths=[1]))
    assert found.scale == ()
    assert min(found.bias) > 0
    assert score("au", clips, found) > score("au", clips, PostProcessing()) + 0.1


def test_of_a_multi_task_every_part_is_fitted_on_the_frames_that_have_its_label():
    rng = np.random.default_rng(0)
    logits, classes = random_classes(1200)
    units = rng.random((1200, 12)) < 0.3
    values = rng.normal(size=(1200, 2)) * 0.3
    raw = np.hstack([values * 0.5, logits, rng.normal(size=(1200, 12)) + units * 2 - 3])
    truth = np.hstack([values, classes[:, None], units]).astype(np.float32)
    truth[:400, :2], truth[400:800, 2], truth[800:, 3:] = np.nan, np.nan, np.nan
    clips = {"a": held_out("mtl", TASK["mtl"].probabilities(raw), truth)}
    found = fitting.fit_post_processing(TASK["mtl"], clips, PostProcessingConfig(widths=[1]))
    assert found.scale[:2] == pytest.approx([2, 2], rel=0.01)
    assert found.scale[2:] == (1.0,) * 20
    known = np.arange(1200) // 400 != 1
    np.testing.assert_allclose(
        found.bias[2:10], class_biases(TASK["expr"].logits(clips["a"].values[known, 2:10]), classes[known])
    )
    assert min(found.bias[10:]) > 0


@pytest.mark.parametrize("name", TASKS.names())
def test_a_tasks_blocks_are_all_its_raw_outputs_and_all_its_goals_or_none(name):
    task = TASKS.build(name)
    if task.blocks:
        assert sum(width for _, width in task.blocks) == task.out_dim
        assert sum(1 if kind == "classes" else width for kind, width in task.blocks) == len(task.goals)
    else:
        assert task.resolution == "clip"


def test_a_task_of_one_label_a_clip_is_fitted_without_a_bias():
    task = TASKS.build("emi")
    rng = np.random.default_rng(0)
    tables = rng.random((4, 30, 6)).astype(np.float32)
    labels = [Labels(rng.random((1, 6)).astype(np.float32), np.ones(1, bool)) for _ in range(4)]
    clips = {f"c{i}": LabelledTable(tables[i], np.ones(30, bool), labels[i]) for i in range(4)}
    assert fitting.fit_post_processing(task, clips, PostProcessingConfig()).bias == ()


def test_unscored_frames_and_frames_beyond_the_labels_have_no_say():
    clips = {f"c{i}": noisy_va(seed=i) for i in range(3)}
    more = {}
    for clip_id, clip in clips.items():
        values, observed = np.vstack([clip.values, np.full((7, 2), 0.3)]), np.ones(407, bool)
        labels = Labels(np.vstack([clip.labels.values, np.full((3, 2), -1)]).astype(np.float32), np.arange(403) < 400)
        more[clip_id] = LabelledTable(values.astype(np.float32), observed, labels)
    options = PostProcessingConfig(widths=[1])
    assert fitting.fit_post_processing(TASK["va"], more, options) == fitting.fit_post_processing(
        TASK["va"], clips, options
    )


def test_nothing_scored_is_an_error():
    with pytest.raises(ValueError, match="nothing to score: no frame has a label"):
        fitting.fit_post_processing(TASK["va"], {"a": noisy_va(scored=np.zeros(400, bool))}, PostProcessingConfig())


def test_cross_fitting_is_fitting_on_the_others_and_post_processing_the_group():
    clips = {f"c{i}": noisy_va(num=300, seed=i) for i in range(4)}
    groups = {"c0": "x", "c1": "x", "c2": "y", "c3": "y"}
    found = fitting.cross_fit(TASK["va"], clips, PostProcessingConfig(), groups)
    assert list(found) == list(clips)
    for mine, others in ((("c0", "c1"), ("c2", "c3")), (("c2", "c3"), ("c0", "c1"))):
        alone = fitting.fit_post_processing(TASK["va"], {c: clips[c] for c in others}, PostProcessingConfig())
        expected = fitting.post_processed(TASK["va"], {c: clips[c] for c in mine}, alone)
        for clip_id in mine:
            np.testing.assert_array_equal(found[clip_id].prediction, expected[clip_id].prediction)


def test_on_noise_the_fit_flatters_itself_and_cross_fitting_does_not():
    rng = np.random.default_rng(3)
    clips = {
        f"c{i}": held_out("expr", TASK["expr"].probabilities(rng.normal(size=(60, 8))), rng.integers(0, 8, 60))
        for i in range(6)
    }
    flattered = score("expr", clips, fitting.fit_post_processing(TASK["expr"], clips, PostProcessingConfig()))
    honest = fitting.rank(
        TASK["expr"], fitting.cross_fit(TASK["expr"], clips, PostProcessingConfig(), fitting.groups_of(clips, {}))
    )
    assert flattered > 0.15 > honest


def test_two_persons_of_one_video_are_in_one_group_and_apart_they_are_a_leak():
    clips = {name: noisy_va(seed=i) for i, name in enumerate(("v1_left", "v1_right", "v2", "v3"))}
    groups = fitting.groups_of(clips, {})
    assert groups["v1_left"] == groups["v1_right"]
    assert len(set(groups.values())) == 3
    apart = {"v1_left": 0, "v1_right": 1, "v2": 0, "v3": 1}
    with pytest.raises(ValueError, match="a leak: the post-processing fitted on the other groups has seen video 'v1'"):
        fitting.cross_fit(TASK["va"], clips, PostProcessingConfig(), apart)


def test_groups_are_those_of_the_runs_where_they_are_recorded_else_five_even_ones():
    clips = {f"c{i}": noisy_va(num=100 + i, noise=0.1, seed=i) for i in range(10)}
    recorded = {clip_id: f"runs/x-fold{i % 2}" for i, clip_id in enumerate(clips)}
    assert fitting.groups_of(clips, recorded) == recorded
    for incomplete in ({}, dict(list(recorded.items())[:5]), dict.fromkeys(clips, "runs/x")):
        groups = fitting.groups_of(clips, incomplete)
        assert sorted(groups.values()) == sorted([0, 1, 2, 3, 4] * 2)
        assert groups == fitting.groups_of(dict(reversed(clips.items())), incomplete)


def test_one_group_cannot_be_cross_fitted():
    with pytest.raises(ValueError, match="cross-fitting needs two groups of clips"):
        fitting.cross_fit(TASK["va"], {"a": noisy_va()}, PostProcessingConfig(), {"a": 0})


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
    assert lines[0].startswith(f"va fitted on 6 clips of 5 videos: box over {found.width} frames of probabilities, sc")
    assert lines[1] == f"va raw {summary(result.scores['raw'])}"
    assert "(cross-fitted: 5 groups" in lines[2]
    assert lines[-1] == str(job / "d.json")
    assert capsys.readouterr().out == ""


def test_without_an_output_file_nothing_is_written(job):
    before = sorted(job.rglob("*"))
    report = fitting.fit(job / "held", data=job / "data")
    assert report.out is None
    assert sorted(job.rglob("*")) == before


def test_what_does_not_gain_on_other_clips_is_left_out(job):
    write_folder(job / "noise", CLIPS, noise=30.0, seed=3, held_out=True)
    report, documents = run_fit(job, "noise")
    found = parse_post_processing(documents["va"], "d.json")
    assert replace(found, fitted_on=()) == PostProcessing()
    assert found.fitted_on, "these labels chose it: it must not be scored on them"
    assert "va kept: what gained on clips that it was not fitted on" in str(report)


def test_a_bias_that_does_not_gain_by_cross_fitting_goes_and_the_smoothing_stays():
    """Every clip has a scale of its own, which cannot be learned from the others."""
    task = TASK["va"]
    clips = {
        f"c{i}": clip._replace(values=clip.values * 3.0 ** (-1) ** i)
        for i, clip in enumerate(noisy_va(num=300, noise=0.3, seed=seed) for seed in range(4))
    }
    groups = {clip_id: i % 2 for i, clip_id in enumerate(clips)}
    options = PostProcessingConfig(widths=[1, 11])
    found, tried = fitting.choose(task, clips, options, groups)
    scores = {name: fitting.rank(task, pairs) for name, pairs in tried.items()}
    assert scores["smoothed"] > max(scores["raw"], scores["biased"])
    assert (found.width, found.scale, found.bias) == (11, (), ())
    assert fitting.fit_post_processing(task, clips, options).scale, "on its own clips the bias would have gained"


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
    with pytest.raises(FileNotFoundError, match="no predictions at .*nowhere: run abaw predict"):
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


def test_a_single_video_is_fitted_on_but_not_scored(job):
    write_folder(job / "one", {"t2_left": "train", "t2_right": "train"}, held_out=True)
    report, documents = run_fit(job, "one")
    assert documents["va"]["fitted_on"] == ["t2"]
    assert report.results["va"].scores == {}
    assert "va not scored: a single video cannot be fitted on and scored" in str(report)


def test_an_ensemble_whose_weights_were_fitted_on_these_labels_is_reported(job):
    about = json.loads((job / "held/va/predictions.json").read_text())
    about["ensemble"] = {"how": "weighted", "weights": [1.0], "members": ["x"], "fitted_on": ["t1"]}
    (job / "held/va/predictions.json").write_text(json.dumps(about))
    report, _ = run_fit(job)
    assert "the ensemble's weights were fitted on these videos too" in str(report)


def test_labels_fixture_is_what_the_files_say(job):
    np.testing.assert_allclose(labels_of("t1").values[0], [0.0, 0.8 * np.cos(0)], atol=1e-6)
