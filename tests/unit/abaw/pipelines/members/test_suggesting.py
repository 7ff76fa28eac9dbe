"""A run's posterior: deviations in tables, from prediction to score and analysis; frames to label; bad input."""

import csv
import shutil

import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from abaw.ensembling.combining import combine
from abaw.errors import InputError, NotFoundError
from abaw.files.yaml import dump_yaml
from abaw.pipelines.checking import synthesize
from abaw.pipelines.extraction import extract
from abaw.pipelines.members.suggesting import suggest_labels
from abaw.pipelines.prediction import predict
from abaw.pipelines.training import train
from abaw.results.posteriors import posterior_path, read_posterior
from abaw.results.predictions import read_metadata
from abaw.results.runs import Run
from tests.support.abaw.commands import abaw

SMALL = ["features={voice_mel: {align: window_mean}}", "model={name: concat, hidden_dim: 8}", "trainer.max_epochs=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set of which two training clips have no labels, its store, a run of va and one of expr."""
    here = tmp_path_factory.mktemp("uncertainty")
    synthesize(here / "data", clips=14, seconds=3.0)
    extract(here / "data", here / "store", encoders=["voice_mel"])
    for path in sorted((here / "data/annotations").glob("VA*/Train_Set/*.txt"))[:2]:
        path.unlink()
    common = [f"data={here / 'data'}", f"store={here / 'store'}", *SMALL]
    for name, settings in {"va": "{mse_weight: 5.0}", "expr": "{}"}.items():
        train("synthetic", [f"name={name}", f"tasks={{{name}: {settings}}}", *common], runs=here / "runs")
    shutil.copytree(here / "runs/va", here / "runs/fresh")
    predict(here / "runs/va", here / "tables", split="validation", deviation=True)
    return here


def suggest(folder, out="new.csv", run="va", **given):
    return suggest_labels(folder / "runs" / run, folder / out, **{"num": 4, **given})


def test_tables_have_deviations_that_the_run_keeps_and_the_score_reports(folder):
    run = Run(folder / "runs/va")
    posterior = read_posterior(run, "va")
    assert posterior.num_held_out == len(list((folder / "tables/va").glob("*.parquet")))
    again = predict(folder / "runs/va", folder / "again", split="validation", deviation=True)
    table = again.table("va", again.clips("va")[0])
    assert set(table.deviations) == {"valence", "arousal"}
    assert (table.deviations["valence"] >= np.sqrt(posterior.weights.noise[0]) * (1 - 1e-6)).all()
    assert list(table.to_numpy())[-2:] == ["valence_sd", "arousal_sd"]
    assert "last-layer 90 % intervals hold" in abaw("score", "tables", cwd=folder).stdout
    without = predict(folder / "runs/va", folder / "without", split="validation")
    assert without.table("va", again.clips("va")[0]).deviations == {}
    assert (without.table("va", again.clips("va")[0]).values == table.values).all()


def test_several_runs_have_the_deviation_of_their_mixture(folder):
    found = predict([folder / "runs/va", twin(folder)], folder / "both", split="validation", deviation=True)
    one = predict(folder / "runs/va", folder / "one", split="validation", deviation=True)
    clip = found.clips("va")[0]
    assert found.table("va", clip).deviations["arousal"] == pytest.approx(
        one.table("va", clip).deviations["arousal"], rel=1e-5
    )


def test_an_ensemble_says_why_it_has_no_deviations(folder):
    predict(folder / "runs/va", folder / "plain", split="validation")
    mixed = combine([folder / "tables", folder / "plain"], folder / "mixed")
    assert "no standard deviations, because" in str(mixed)
    copied = shutil.copytree(folder / "tables", folder / "same")
    alike = combine([folder / "tables", copied], folder / "alike")
    assert "no standard deviations" not in str(alike)
    about = read_metadata(folder / "alike/va")
    assert list(about["deviations"]) == [str(folder / "runs/va")]


def twin(folder):
    """A copy of the run under another name."""
    shutil.copytree(folder / "runs/va", folder / "runs/twin", dirs_exist_ok=True)
    return folder / "runs/twin"


def test_frames_without_a_label_are_suggested_in_a_file_to_fill_in(folder):
    words = ["suggest-labels", "runs/va", "--num", "4", "--out", "new.csv", "--explore", "0.5", "--min-gap", "0.5"]
    printed = abaw(*words, cwd=folder).stdout
    rows = list(csv.DictReader((folder / "new.csv").read_text().splitlines()))
    head = ["clip", "frame", "time_s", "why", "valence", "arousal", "predicted_valence", "predicted_arousal"]
    assert list(rows[0]) == [*head, "valence_sd", "arousal_sd"]
    assert [row["why"] for row in rows].count("exploit") == 2
    assert {row["valence"] for row in rows} == {""}
    dataset, task = open_dataset(folder / "data"), Run(folder / "runs/va").task("va")
    known = {clip for split in ("train", "validation", "test") for clip in task.clips(dataset, split)}
    assert not known & {row["clip"] for row in rows}
    assert "of the test set (--test-clips" in printed


def test_in_labelled_clips_only_frames_without_a_label_are_suggested(folder):
    run = Run(folder / "runs/va")
    labels = run.task("va").read_labels(open_dataset(folder / "data"), "train")
    found = suggest(folder, "more.csv", split="train", labelled=True, num=2)
    assert found.frames
    assert not any(labels[each.clip].scored[each.frame - 1 : each.frame].any() for each in found.frames)


def test_frames_can_be_chosen_for_the_clips_of_the_test_set_without_being_of_them(folder):
    test = Run(folder / "runs/va").task("va").clips(open_dataset(folder / "data"), "test")
    words = ["suggest-labels", "runs/va", "--num", "9", "--min-gap", "0.1", "--out", "for_test.csv"]
    printed = abaw(*words, "--for-split", "test", cwd=folder).stdout
    assert f"chosen for the predictions of {len(test)} clips" in printed
    rows = list(csv.DictReader((folder / "for_test.csv").read_text().splitlines()))
    assert not set(test) & {row["clip"] for row in rows}
    by_name, for_all = (
        [(each.clip, str(each.frame)) for each in suggest(folder, out, num=9, min_gap_s=0.1, **given).frames]
        for out, given in (("for_clips.csv", {"for_clips": [*test, test[0]]}), ("for_all.csv", {}))
    )
    assert by_name == [(row["clip"], row["frame"]) for row in rows] != for_all


def test_a_file_that_may_hold_labels_is_not_replaced(folder):
    (folder / "filled.csv").write_text("clip,frame\n")
    with pytest.raises(InputError, match="exists, and may hold labels"):
        suggest(folder, "filled.csv")
    assert (folder / "filled.csv").read_text() == "clip,frame\n"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"run": "expr"}, "predicts expr, and only values have a standard deviation"),
        ({"num": 5000}, "5000 frames were asked for, but there are"),
        ({"split": "train", "clips": ["102"]}, "give --split NAME or --clips"),
        ({"split": "dev"}, "no split 'dev'"),
        ({"split": "test"}, "clips of the test set"),
        ({"split": "validation"}, "has no clip without va labels"),
        ({"clips": ["nobody"]}, "no clip 'nobody'"),
        ({"for_split": "test", "for_clips": ["102"]}, "give --for-split NAME or --for-clips"),
        ({"for_split": "dev"}, "no split 'dev'"),
        ({"for_clips": ["nobody"]}, "no clip 'nobody'"),
        ({"for_clips": ["102"]}, "nothing was observed in '102', for which to choose frames"),  # it has no sound
        ({"task": "expr"}, "predicts no values of 'expr'"),
        ({"explore": 2.0}, "share of explored frames is 2"),
        ({"explore": float("nan")}, "share of explored frames is nan"),
        ({"num": 0}, "0 frames were asked for, expected 1 or more"),
        ({"seed": -1}, "the seed is -1, expected 0 or more"),
    ],
)
def test_what_cannot_be_suggested_is_refused_and_nothing_is_written(folder, given, words):
    with pytest.raises(InputError, match=words):
        suggest(folder, "bad.csv", **given)
    assert not (folder / "bad.csv").exists()


@pytest.mark.parametrize("out", ["data", "new.parquet"])
def test_suggestions_go_to_a_csv_file(folder, out):
    with pytest.raises(InputError, match=f"{out}, expected a file that ends in .csv"):
        suggest(folder, out)
    assert (folder / out).is_dir() == (out == "data")


def test_a_split_without_clips_is_refused(folder):
    layout = folder / "no_train.yaml"
    empty = folder / "annotations"
    empty.mkdir(exist_ok=True)
    shutil.copytree(folder / "data/annotations", empty, dirs_exist_ok=True)
    shutil.rmtree(next(empty.glob("VA*/Train_Set")))
    layout.write_text(dump_yaml({"root": str(folder / "data"), "annotations": str(empty)}))
    with pytest.raises(InputError, match="has no train clips for va"):
        suggest(folder, "bad.csv", split="train", data=layout)


def test_deviations_of_a_run_of_classes_and_of_held_out_tables_are_refused(folder):
    with pytest.raises(InputError, match="only values have a standard deviation"):
        predict(folder / "runs/expr", folder / "bad", split="validation", deviation=True)
    with pytest.raises(InputError, match="--deviation is not for --held-out"):
        predict(folder / "runs/va", folder / "bad", held_out=True, deviation=True)
    assert not (folder / "bad").exists()


def test_a_posterior_of_another_run_or_a_damaged_one_is_refused(folder):
    run = Run(twin(folder))
    path = posterior_path(run, "va")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="posterior-va.safetensors is damaged"):
        predict(run.folder, folder / "bad", split="validation", deviation=True)
    path.write_bytes(content)
    shutil.copy(path, posterior_path(Run(folder / "runs/expr"), "expr"))
    with pytest.raises(NotFoundError, match="is not a file of this run"):
        read_posterior(Run(folder / "runs/expr"), "expr")


def test_a_run_without_its_posterior_file_still_predicts_and_fits_it_again(folder):
    place = shutil.copytree(folder / "runs/va", folder / "runs/lost")
    path = posterior_path(Run(place), "va")
    path.unlink(missing_ok=True)
    Run(place).check_weights()
    predict(place, folder / "lost", split="validation", deviation=True)
    assert path.is_file()
    path.write_bytes(path.read_bytes() + b"x")
    Run(place).check_weights()
    with pytest.raises(InputError, match="is damaged.* delete that file, and fit it again with abaw predict"):
        read_posterior(Run(place), "va")


def test_a_run_whose_labels_have_changed_gets_no_posterior(folder):
    path = next((folder / "data/annotations").glob("VA*/Train_Set/*.txt"))
    before = path.read_text()
    path.write_text("\n".join([before.splitlines()[0], *["0.5,0.5"] * 10]) + "\n")
    with pytest.raises(InputError, match="are not those that .* was trained on"):
        suggest(folder, "bad.csv", run="fresh")
    path.write_text(before)
    suggest(folder, "first.csv", run="fresh")
    assert posterior_path(Run(folder / "runs/fresh"), "va").is_file()
