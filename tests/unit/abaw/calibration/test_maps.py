"""Maps of probabilities: what is fitted, what is kept, how it is stored, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from abaw.calibration.choosing_maps import NONE, choose_kind, choose_maps, with_maps
from abaw.calibration.fitting import choose, groups_of
from abaw.calibration.maps import KNOTS, Rows, blended, fit_maps, losses, rows_of
from abaw.configs.sections import PostProcessingConfig
from abaw.errors import InputError
from abaw.postprocessing import PostProcessing, fitted_document, parse_post_processing, read_post_processing
from abaw.probabilities.contexts import contexts_of
from abaw.probabilities.maps import ALL, ProbabilityMaps, centred
from abaw.tasks import TASKS
from benchmarks.seed_systems.worlds.logits import simulate_clips
from tests.support.abaw.calibration import TASK

MODALITIES = ("face", "voice")


def clips_of(name, case, num=16, seed=0):
    return simulate_clips(TASK[name], case, num, np.random.default_rng(seed))


def fits_of(name, case="other in each context", num=40):
    clips = clips_of(name, case, num)
    rows = Rows.joined([rows_of(TASK[name], clip_id, clip, clip.values) for clip_id, clip in clips.items()])
    return fit_maps(TASK[name], rows, MODALITIES)


def straight(task, slope=0.5, kind="temperature", columns=None, **contexts):
    """Maps of one slope, another for each context."""
    maps = {ALL: slope, **contexts}
    values = {name: (tuple((each * KNOTS).tolist()),) * task.out_dim for name, each in maps.items()}
    return ProbabilityMaps(kind, columns or task.columns, MODALITIES, tuple(KNOTS.tolist()), tuple(values.items()))


@pytest.mark.parametrize("name", ["au", "expr"])
def test_every_kind_is_monotone_and_fits_better_than_the_milder_one(name):
    fits, clips = fits_of(name), clips_of(name, "other in each context", 40, seed=1)
    rows = Rows.joined([rows_of(TASK[name], clip_id, clip, clip.values) for clip_id, clip in clips.items()])
    assert list(fits) == ["temperature", "isotonic", "by modality"]
    found = [
        np.mean(losses(TASK[name], maps.apply_in(rows.logits, rows.contexts), rows.truths)) for maps in fits.values()
    ]
    assert np.mean(losses(TASK[name], rows.logits, rows.truths)) > found[0] > found[2]
    for maps in fits.values():
        assert all((np.diff(each) > 0).all() for _, several in maps.maps for each in several)
    assert fits["by modality"].contexts == ("face+voice", "voice")


def test_a_temperature_changes_no_decision():
    task, clips = TASK["expr"], clips_of("expr", "too sure")
    for clip in clips.values():
        found = PostProcessing(calibration=straight(task)).apply(task, *clip.to_process)
        np.testing.assert_array_equal(found.argmax(axis=1), clip.values.argmax(axis=1))
        assert found.max() < clip.values.max()


def test_maps_come_after_smoothing_and_before_scale_and_bias():
    task, clip = TASK["au"], clips_of("au", "too sure")["video000"]
    given = PostProcessing(smoother="box", width=3, bias=(1.0,) * 12, calibration=straight(task))
    smoothed = PostProcessing(smoother="box", width=3).apply(task, *clip.to_process)
    expected = task.probabilities(0.5 * task.logits(smoothed) + 1.0)
    np.testing.assert_allclose(given.apply(task, *clip.to_process), expected, atol=1e-6)
    np.testing.assert_allclose(
        given.without_shift().apply(task, *clip.to_process), task.probabilities(0.5 * task.logits(smoothed)), atol=1e-6
    )


def test_a_frame_gets_the_map_of_what_was_observed_in_it():
    task, num = TASK["au"], 3
    flags = {"face": np.array([True, False, False]), "voice": np.array([True, True, False])}
    assert contexts_of(flags, num).tolist() == ["face+voice", "voice", "nothing"]
    maps = straight(task, 0.5, "by modality", voice=0.1)
    table = task.probabilities(np.ones((num, 12)))
    found = task.logits(PostProcessing(calibration=maps).apply(task, table, np.ones(num, bool), modalities=flags))
    np.testing.assert_allclose(found[:, 0], [0.5, 0.1, 0.5], atol=1e-5)
    unknown = PostProcessing(calibration=maps).apply(task, table, np.ones(num, bool))
    np.testing.assert_allclose(task.logits(unknown)[:, 0], 0.5, atol=1e-5)
    assert "do not say" in maps.remark({"": 9})
    assert "nothing (4 frames)" in maps.remark({"voice": 5, "nothing": 4})
    assert not maps.remark({"voice": 5})
    assert not straight(task).remark({"": 9})


def test_centred_logits_of_a_table_are_those_of_the_network():
    raw = np.random.default_rng(0).normal(size=(5, 8)) * 2
    task = TASK["expr"]
    found = centred(task, task.logits(task.probabilities(raw)))
    np.testing.assert_allclose(found, raw - raw.mean(axis=1, keepdims=True), atol=1e-4)


def test_with_few_clips_a_temperature_or_nothing_is_kept_and_the_report_says_so():
    clips = clips_of("au", "too sure", 8)
    found = choose_maps(TASK["au"], clips, groups_of(clips, {}))
    assert found.choice.kept in (NONE, "temperature")
    assert f"kept: {found.choice.kept}" in str(found)
    two = dict(list(clips.items())[:2])
    few = choose_maps(TASK["au"], two, groups_of(two, {}))
    assert few.choice.kept == NONE
    assert "fewer than 3 videos" in str(few)


def test_values_are_not_calibrated_and_the_report_says_why():
    assert "CCC is no calibration target" in str(choose_maps(TASK["va"], {}, {}))


def test_much_to_gain_keeps_maps_by_modality_and_the_errors_fall_in_every_context():
    clips = clips_of("au", "other in each context", 24)
    found = choose_maps(TASK["au"], clips, groups_of(clips, {}))
    assert found.choice.kept == "by modality"
    before, after = found.calibrations
    assert {name: each.error > 1.2 * after.contexts[name].error for name, each in before.contexts.items()} == {
        "face+voice": True,
        "voice": True,
    }
    kept, choice = choose(TASK["au"], clips, PostProcessingConfig(widths=[1]), groups_of(clips, {}), found.choice)
    assert kept.calibration.kind == "by modality"
    assert set(choice.tried) == {"raw", "smoothed", "biased"}
    assert found.scores[1]["F1"] == pytest.approx(TASK["au"].score(choice.tried["raw"])["F1"], abs=1e-9)


def test_what_is_kept_is_between_the_milder_kind_and_the_fitted_one():
    task = TASK["au"]
    milder, maps = straight(task, 0.5), straight(task, 0.3, "isotonic")
    np.testing.assert_allclose(blended(milder, maps, 0.25).maps[0][1][0], 0.45 * KNOTS, atol=1e-5)
    np.testing.assert_allclose(blended(None, maps, 0.5).maps[0][1][0], 0.65 * KNOTS, atol=1e-5)


def test_a_clip_level_task_gets_a_temperature_only():
    task = TASKS.build("classes", class_names=["low", "high"], level="clip")
    rows = Rows(
        np.array([[2.0, -2.0]] * 6), np.array([[0.0], [1.0]] * 3), np.full(6, "", object), np.ones(6), np.arange(6)
    )
    assert list(fit_maps(task, rows, MODALITIES)) == ["temperature"]


def test_maps_survive_the_file_of_post_processing(tmp_path):
    task = TASK["expr"]
    kept = PostProcessing(calibration=fits_of("expr")["by modality"], fitted_on=("1",))
    path = tmp_path / "post_processing.json"
    path.write_text(json.dumps(fitted_document({"expr": kept})))
    assert read_post_processing(path, {"expr": task}) == {"expr": kept}
    assert "isotonic maps for face+voice, voice observed" in str(kept)
    changed = json.loads(path.read_text())
    changed["expr"]["calibration"]["maps"]["all"][0][3] -= 1
    path.write_text(json.dumps(changed))
    with pytest.raises(InputError, match="has changed since it was fitted"):
        read_post_processing(path, {"expr": task})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": ["p_x"] * 12}, "was fitted on the columns"),
        ({"kind": "magic"}, "kind is 'magic'"),
        ({"knots": [1.0, 0.0]}, "numbers that increase"),
        ({"knots": "wide"}, "is no number"),
        ({"maps": {}}, "no map 'all'"),
        ({"maps": {"all": [[1.0] * 3] * 12}}, "is not 27 numbers from"),
        ({"maps": {"all": [(-KNOTS).tolist()] * 12}}, "do not decrease"),
        ({"maps": {"all": [KNOTS.tolist()] * 3}}, "each of the 12 logits"),
        ({"maps": 3}, "not what abaw fit writes"),
        ({"slope": 1}, "unknown key 'slope'"),
        ({"knots": [-1.0, 1.0], "maps": {"all": [[0.5, 0.5]] * 12}}, "kind is temperature, but no map rises"),
        ({"knots": [-1.0, 1.0], "maps": {"all": [[]] * 12}}, "kind is temperature, but no map rises"),
        ({"knots": [-1.0, 1.0], "maps": {"all": [[-1.0, 1.0]] * 11 + [[]]}}, "expected maps of its 12 classes or"),
        ({"knots": [-1.0, 1.0], "maps": {"all": [[-1e308, 1e308]] * 12}}, r"'-1e\+308' is no number from -1e\+06"),
        ({"knots": [-1.0, 10**400]}, "is no number from"),
    ],
)
def test_a_calibration_that_does_not_fit_the_task_is_refused(change, words):
    document = PostProcessing(calibration=straight(TASK["au"])).document()
    document["calibration"] |= change
    with pytest.raises(InputError, match=words):
        parse_post_processing(document, "file", TASK["au"])
    for broken in (None, 3, {}):
        with pytest.raises(InputError, match="calibration"):
            parse_post_processing({"calibration": broken}, "file", TASK["au"])


def test_values_have_no_calibration():
    document = {"calibration": straight(TASKS.build("va"), kind="isotonic").document()}
    with pytest.raises(InputError, match="expected no calibration; values such as valence cannot be calibrated"):
        parse_post_processing(document, "file", TASKS.build("va"))


def test_a_calibration_of_another_task_or_of_other_features_is_refused():
    kept = PostProcessing(calibration=straight(TASK["au"], 0.5, "by modality", voice=0.1))
    with pytest.raises(InputError, match="fit one on tables of this task"):
        kept.check(TASK["expr"])
    table, flags = TASK["au"].probabilities(np.ones((2, 12))), {"hands": np.ones(2, bool)}
    with pytest.raises(InputError, match="on tables of face, voice, these are of hands"):
        kept.apply(TASK["au"], table, np.ones(2, bool), modalities=flags)
    single = replace(kept, calibration=straight(TASK["au"]))  # does not depend on them
    single.apply(TASK["au"], table, np.ones(2, bool), modalities=flags)


def test_tables_without_modalities_get_one_map_for_all():
    clips = {name: clip._replace(modalities=None) for name, clip in clips_of("au", "other in each context", 24).items()}
    choice, _ = choose_kind(TASK["au"], clips, groups_of(clips, {}))
    assert "by modality" not in choice.losses
    assert not with_maps(TASK["au"], clips, PostProcessing(), list(clips), choice).calibration.contexts
