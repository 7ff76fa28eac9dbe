"""How strong and how alike the members of an ensemble are, and which of them are dropped."""

import json
from itertools import combinations

import numpy as np
import pytest

from abaw.dataset.annotations import Labels
from abaw.ensembling import dropping, selection
from abaw.ensembling.combining import combine
from abaw.ensembling.dropping import drop_useless
from abaw.ensembling.strength import Comoments, Correlation, Strength, measure
from abaw.ensembling.weights import mean
from abaw.evaluation.intervals import intervals
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.results import predictions
from abaw.tasks import TASKS
from tests.support.abaw.commands import abaw
from tests.support.abaw.ensembles import about_of, recorded
from tests.support.fitted import labels_of, table_of, write_dataset, write_folder

VA, EXPR, MTL = (TASKS.build(name) for name in ("va", "expr", "mtl"))
CLIPS = {f"t{i}": "train" for i in range(1, 7)} | {"v1": "validation"}
NOISE = {"a": 0.15, "b": 0.2, "bad": 0.8}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A data set and held-out tables of two good members and one of noise, which are not changed."""
    root = tmp_path_factory.mktemp("members")
    write_dataset(root / "data", CLIPS)
    for seed, (name, noise) in enumerate(NOISE.items()):
        write_folder(root / name, CLIPS, noise=noise, seed=seed, **recorded(made_by={}, epoch_chosen_on=["v1"]))
    return root


def run(job, out, *names, **words):
    return combine([job / name for name in names or NOISE], out, **{"data": job / "data", **words})


def columns_of(job, name):
    tables = [predictions.read_table(job / name / "va", clip_id, VA).values for clip_id in CLIPS]
    return np.concatenate(tables).astype(float)


def test_each_member_is_scored_with_its_interval_and_every_two_are_correlated(job, tmp_path):
    report = run(job, tmp_path / "out", "a", "b")
    result = report.results["va"]
    truth = np.concatenate([labels_of(clip_id).values for clip_id in CLIPS]).astype(float)
    values = {name: columns_of(job, name) for name in "ab"}
    for each, name in zip(result.strength.members, "ab", strict=True):
        member = {
            c: LabelledTable(table_of(c, noise=NOISE[name], seed="ab".index(name)).values, None, labels_of(c))
            for c in CLIPS
        }
        pairs = selection.combined(VA, [member], mean(1))
        assert each.score == pytest.approx(VA.score(pairs)["CCC"])
        assert each.interval == pytest.approx(intervals(VA, pairs)["CCC"], rel=1e-4)
    (pair,) = result.strength.correlations
    both = [values[name] for name in "ab"]
    assert pair.outputs == pytest.approx(np.mean([np.corrcoef(*(v[:, i] for v in both))[0, 1] for i in range(2)]))
    both = [v - truth for v in both]
    assert pair.errors == pytest.approx(
        np.mean([np.corrcoef(*(v[:, i] for v in both))[0, 1] for i in range(2)]), abs=1e-6
    )
    first, second, third, fourth, *_ = str(report).splitlines()
    said = "; 7 videos); epoch chosen on 1 of these 7 clips"
    assert first.startswith(f"va {job / 'a/va'} CCC {result.strength.members[0].score:.4f} (95 % ")
    assert first.endswith(said)
    assert second.endswith(said)
    assert third == (
        f"va correlation of outputs {pair.outputs:.3f}, of errors {pair.errors:.3f}: {job / 'a/va'} and {job / 'b/va'}"
    )
    assert fourth == f"va ensemble, mean: CCC {result.scores['mean']:.4f}; epoch chosen on 1 of these 7 clips"
    kept = about_of(tmp_path / "out")["ensemble"]["strength"]
    assert kept == json.loads(json.dumps(result.strength.document()))
    assert (kept["metric"], kept["num_videos"], kept["members"][0]["interval"]) == (
        "CCC",
        7,
        list(result.strength.members[0].interval),
    )


def test_without_labels_the_reason_is_said_and_outputs_are_still_correlated(job, tmp_path):
    report = run(job, tmp_path / "out", "a", "b", data=None)
    strength = report.results["va"].strength
    assert (strength.metric, strength.members[0].score, strength.correlations[0].errors) == (None, None, None)
    assert strength.correlations[0].outputs is not None
    assert "va note: members are not scored: " in str(report)
    write_folder(job / "seen", CLIPS, noise=0.3, seed=9, **recorded(held_out=False))
    seen = str(run(job, tmp_path / "seen", "a", "seen"))
    assert "note: members are not scored: " in seen
    assert "predictions by runs that were trained on these videos" in seen
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(job, tmp_path / "no", "a", "b", data=job / "nowhere")


def test_a_member_of_noise_is_dropped_and_the_rest_is_combined(job, tmp_path):
    report = run(job, tmp_path / "out", drop_useless=True, exclude_split="validation")
    result = report.results["va"]
    a, b, bad = (str(job / name / "va") for name in NOISE)
    assert (result.members, result.dropped) == ((a, b), (bad,))
    gains = {each.member: each.gain_without for each in result.strength.members}
    assert gains[bad].is_clear
    assert gains[a].value < 0
    assert f"va dropped {bad}: leaving out this one alone changes the score by {gains[bad]}" in str(report)
    assert f"va kept {a}: leaving out this one alone changes the score by {gains[a]}" in str(report)
    assert "va gain to expect on other videos from dropping: +" in str(report)
    about = about_of(tmp_path / "out")["ensemble"]
    assert (about["members"], about["weights"], about["dropped"]) == ([a, b], [0.5, 0.5], [bad])
    assert about["fitted_on"] == [f"t{i}" for i in range(1, 7)], "their labels chose the members"
    assert [each["is_dropped"] for each in about["strength"]["members"]] == [False, False, True]
    fitted = run(job, tmp_path / "fit", drop_useless=True, fit=True).results["va"]
    assert fitted.dropped == (bad,)
    assert {"mean", "weighted"} < fitted.scores.keys()
    with pytest.raises(ValueError, match=f"has 2 members, 3 folders are given: give them in its order: {a}, {b}"):
        run(job, tmp_path / "like", like=tmp_path / "out", data=None)


def test_the_command_prints_json_and_takes_the_option(job, tmp_path):
    folders = [job / name for name in NOISE]
    words = "--out", tmp_path / "out", "--data", job / "data", "--drop-useless", "--json"
    found = json.loads(abaw("combine", *folders, *words, cwd=tmp_path).stdout)["results"]["va"]
    assert found["dropped"] == [str(job / "bad/va")]
    assert found["strength"]["correlations"][0].keys() == {"first", "second", "outputs", "errors"}


def members_of(noises, num_clips, num=100):
    """Members of tables with so much noise each."""
    rng, found = np.random.default_rng(5), [{} for _ in noises]
    for number in range(num_clips):
        labels = labels_of(f"c{number}", num)
        for member, noise in zip(found, noises, strict=True):
            values = (labels.values + rng.normal(size=(num, 2)) * noise).astype(np.float32)
            member[f"c{number}"] = LabelledTable(values, np.ones(num, bool), labels)
    return found


def groups_by_clip(members):
    return {clip_id: number for number, clip_id in enumerate(members[0])}


def test_on_few_videos_all_members_are_kept(job, tmp_path):
    two = members_of([0.3, 0.3, 5.0], 2)
    assert drop_useless(VA, two, groups_by_clip(two), "mean") == dropping.Dropped((0, 1, 2))
    write_folder(job / "few_a", ["t1", "t2"], noise=0.4, **recorded(made_by={}))
    write_folder(job / "few_b", ["t1", "t2"], noise=0.8, **recorded(made_by={}))
    text = str(run(job, tmp_path / "few", "few_a", "few_b", drop_useless=True))
    assert "note: no member is dropped by the labels of fewer than 3 videos or groups: all are kept" in text


def test_useful_members_are_kept_and_the_better_of_several_useless_ones_stays_last():
    members = members_of([0.5, 0.5, 0.5], 8)
    found = drop_useless(VA, members, groups_by_clip(members), "mean")
    assert found.kept == (0, 1, 2)
    assert all(gain.value < 0 for gain in found.gains.values())
    assert found.expected.value == 0, "nothing was dropped in any group"
    members = members_of([0.3, 9.0, 9.0], 8)
    found = drop_useless(VA, members, groups_by_clip(members), "mean")
    assert found.kept == (0,)
    assert found.expected.value > 0.1


def test_a_member_that_adds_nothing_is_useless_though_it_does_no_harm():
    members = members_of([0.4, 0.4], 4)
    found = drop_useless(VA, [*members, members[0]], groups_by_clip(members), "weighted")
    assert found.kept in {(0, 1), (1, 2)}


def test_errors_of_probabilities_are_counted_from_0_and_1_and_unlabelled_parts_are_left_out():
    rng = np.random.default_rng(0)
    truth, scored = rng.integers(0, 8, 60), np.arange(60) < 50
    tables = [rng.dirichlet(np.ones(8), 60).astype(np.float32) for _ in range(2)]
    labels = Labels(truth[:, None].astype(np.float32), scored)
    members = [{"x": LabelledTable(each, np.ones(60, bool), labels)} for each in tables]
    outputs = Comoments()
    outputs.add(np.stack(tables))
    found = measure(EXPR, ["p", "q"], outputs, members, ["", ""]).correlations[0]
    errors = [(each - np.eye(8)[truth])[scored] for each in tables]
    expected = np.mean([np.corrcoef(errors[0][:, i], errors[1][:, i])[0, 1] for i in range(8)])
    assert found.errors == pytest.approx(expected, abs=1e-6)
    values = np.full((20, len(MTL.goals)), np.nan, np.float32)
    values[:, 2] = rng.integers(0, 8, 20)  # only an expression
    tables = [rng.uniform(0.1, 0.2, (20, len(MTL.columns))).astype(np.float32) for _ in range(2)]
    members = [{"x": LabelledTable(each, np.ones(20, bool), Labels(values, np.ones(20, bool)))} for each in tables]
    errors = [each[:, 2:10] - np.eye(8)[values[:, 2].astype(int)] for each in tables]
    expected = np.mean([np.corrcoef(errors[0][:, i], errors[1][:, i])[0, 1] for i in range(8)])
    assert measure_errors(members) == pytest.approx(expected, abs=1e-6)


def measure_errors(members):
    from abaw.ensembling.strength import _errors

    return _errors(MTL, members).correlations()[0]


def test_correlations_of_clips_are_merged_without_loss_and_a_constant_column_counts_for_nothing():
    rng = np.random.default_rng(1)
    clips = [rng.normal(1e6, 1, (3, num, 2)) for num in (5, 1, 40)]
    found = Comoments()
    for each in clips:
        each[:, :, 1] = 0.1
        found.add(each)
    rows = np.concatenate([each[:, :, 0] for each in clips], axis=1)
    expected = [np.corrcoef(rows)[pair] for pair in combinations(range(3), 2)]
    assert found.correlations() == pytest.approx(expected)
    constant = Comoments()
    constant.add(np.full((2, 7, 1), 0.1))
    assert constant.correlations() == [None]


def test_of_many_pairs_the_most_alike_are_printed():
    pairs = tuple(Correlation("a", f"b{i}", i / 20, None) for i in range(12))
    lines = list(Strength((), pairs).lines())
    assert lines[0] == "10 of 12 pairs of members, the most alike (--json prints all):"
    assert lines[1] == "correlation of outputs 0.550: a and b11"
    assert len(lines) == 11
