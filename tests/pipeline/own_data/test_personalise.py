"""From a few labels of a person to predictions with his vector, and what must not be made from them."""

import hashlib
import json

import numpy as np
import pytest

import abaw
from abaw.results import predictions
from abaw.results.subjects import read_subjects
from abaw.tracks import Clock, Track
from extract.store.store import FeatureStore
from tests.support.abaw.speakers import CLEAR, CLIPS, write_data, write_store

NUM, STEP_S = 120, 0.1
ADAPTATION = {"num_support": 4, "num_windows": 2, "gap_s": 0.5}
COMMON = {
    "model": {"name": "limaml", "inner": "concat", "hidden_dim": 8, "dropout": 0.0},
    "adaptation": ADAPTATION,
    "training": {"loggers": [], "select_on": "last", "batch_size": 8},
    "trainer": {"max_epochs": 2},
}


def values_of(clip_id):
    """Valence and arousal of every frame."""
    rng = np.random.default_rng(sum(clip_id.encode()))
    return np.clip(rng.normal(size=(NUM, 2)) * 0.4, -1, 1)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A run of valence and arousal on clips of random features; validation clip d is unobserved in frame 9."""
    root = tmp_path_factory.mktemp("persons")
    store = FeatureStore(root / "store")
    for split, clips in {"Train_Set": "abc", "Validation_Set": ["d", "e_left", "e_right"]}.items():
        for clip_id in clips:
            path = root / "data/annotations/VA_Estimation_Challenge" / split / f"{clip_id}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("valence,arousal\n" + "".join(f"{v:.4f},{a:.4f}\n" for v, a in values_of(clip_id)))
            times_s = np.arange(NUM) * STEP_S
            observed = np.ones(NUM, bool)
            observed[8] = clip_id != "d"
            features = np.concatenate([values_of(clip_id), np.ones((NUM, 1))], 1).astype(np.float32)
            store.put_clock(clip_id, Clock(np.arange(1, NUM + 1), times_s, observed), {"num_frames": str(NUM)})
            store.put(CLEAR, clip_id, Track(features, times_s, observed), {})
    config = {
        **COMMON,
        "name": "va",
        "data": str(root / "data"),
        "store": str(root / "store"),
        "tasks": {"va": {"mse_weight": 1.0}},
        "features": {"clear": {"max_gap_s": 0.05}},
        "window": {"length": 40, "stride": 20},
    }
    (root / "va.yaml").write_text(json.dumps(config))
    return abaw.train(root / "va.yaml", runs=root / "runs"), root


def label_file(root, clip_id, frames, name="labels.csv"):
    rows = [f"{clip_id},{i},{values_of(clip_id)[i - 1, 0]:.4f},{values_of(clip_id)[i - 1, 1]:.4f}\n" for i in frames]
    (root / name).write_text("clip,frame,valence,arousal\n" + "".join(rows))
    return root / name


@pytest.fixture(scope="module")
def personal(job):
    run, root = job
    weights = hashlib.sha256((run.folder / "weights/model.safetensors").read_bytes()).hexdigest()
    found = abaw.personalise(run.folder, label_file(root, "d", [1, 20, 21]))
    assert hashlib.sha256((run.folder / "weights/model.safetensors").read_bytes()).hexdigest() == weights
    out = abaw.predict(run.folder, root / "personal", split="validation", subjects=found.folder)
    abaw.predict(run.folder, root / "plain", split="validation")
    return found, out


def tables(root, clip_id):
    task = abaw.Run(root / "runs/va").tasks()["va"]
    return [predictions.read_table(root / name / "va", clip_id, task).values for name in ("personal", "plain")]


def test_a_vector_says_what_it_was_made_from(job, personal):
    run, _ = job
    subject = read_subjects(personal[0].folder, run)["d"]
    assert subject.vector.shape == (8,)
    about = subject.about
    assert about["support"] == {"d": [1, 20, 21]}
    assert (about["steps"], about["rate"], about["gap_s"], about["unit"]) == (3, 0.3, 0.5, "clip")
    assert about["labels"] == {"labels.csv": hashlib.sha256((job[1] / "labels.csv").read_bytes()).hexdigest()}
    assert subject.num_labels == 3
    assert "1 vector; use them with abaw predict --subjects" in str(personal[0])


def test_only_the_person_with_a_vector_is_predicted_otherwise(job, personal):
    adapted, plain = tables(job[1], "d")
    assert np.abs(adapted - plain).max() > 1e-3
    for clip_id in ("e_left", "e_right"):
        np.testing.assert_array_equal(*tables(job[1], clip_id))
    assert "subject-adapted: 1 clip with the vectors of 1 person, 2 clips without adaptation" in str(personal[1])
    record = predictions.read_metadata(job[1] / "personal/va")
    assert record["subjects"]["adapted"] == {"d": "d"}
    assert record["subjects"]["not_adapted"] == ["e_left", "e_right"]
    assert record["subject_adapted"] is True


def test_without_steps_the_vector_is_that_of_no_adaptation_and_both_are_scored_on_the_same_frames(job, personal):
    run, root = job
    abaw.personalise(run.folder, root / "labels.csv", steps=0, out=root / "zero")
    abaw.predict(run.folder, root / "unadapted", split="validation", subjects=root / "zero")
    task = run.tasks()["va"]
    for clip_id in ("d", "e_left"):
        found = [predictions.read_table(root / name / "va", clip_id, task).values for name in ("unadapted", "plain")]
        np.testing.assert_array_equal(*found)
    compared = abaw.score([root / "unadapted", root / "personal"], draws=100)
    assert compared.results[0].scores["n"] == compared.results[1].scores["n"]
    assert len(compared.comparisons) == 1
    with pytest.raises(abaw.InputError, match=r"different labels of clip 'd'.*\(abaw personalise --steps 0\)"):
        abaw.score([root / "plain", root / "personal"], draws=100)


def test_a_score_leaves_out_labelled_frames_and_those_near_them_and_says_so(job, personal):
    root = job[1]
    report = abaw.score(root / "personal", draws=100)
    (found,) = report.results
    # frames 1 .. 5 and 16 .. 25 are less than 0.5 s from frame 1, 20 or 21
    assert found.scores["n"] == 3 * NUM - 15
    assert found.subject_labels
    assert "not scored: 3 frames whose labels adapted the model and 12 frames within 0.5 s of them" in found.remarks
    assert "; subject-adapted by labels" in str(report).splitlines()[-1]
    assert "subjects" not in str(abaw.score(root / "plain", draws=100))


def test_such_tables_are_in_no_challenge_file_ensemble_fit_or_training(job, personal):
    root = job[1]
    (root / "sample.txt").write_text("image_location,valence,arousal\nd/00001.jpg,,\n")
    refused = r"personal.va was made with labels of the persons that it predicts .*predict without --subjects"
    for call in (
        lambda: abaw.submit(root / "personal", root / "sample.txt", root / "out.txt"),
        lambda: abaw.combine([root / "personal", root / "plain"], root / "both"),
        lambda: abaw.fit(root / "personal"),
        lambda: abaw.train(
            root / "va.yaml", {"name": "taught", "distillation.tables": [str(root / "personal")]}, runs=root / "runs"
        ),
    ):
        with pytest.raises(abaw.InputError, match=refused):
            call()
    assert not (root / "out.txt").exists()
    assert not (root / "both").exists()


def test_a_vector_of_another_run_a_damaged_and_a_renamed_one_are_refused(job, personal):
    run, root = job
    other = abaw.train(root / "va.yaml", {"name": "other", "training.seed": 1}, runs=root / "runs")
    with pytest.raises(abaw.InputError, match=r"d\.safetensors was made with another run .*va"):
        abaw.predict(other.folder, root / "x", split="validation", subjects=personal[0].folder)
    file = (personal[0].folder / "d.safetensors").read_bytes()
    for name, content in {"d": file[:-5], "e": file}.items():
        (root / name).mkdir()
        (root / name / f"{name}.safetensors").write_bytes(content)
        with pytest.raises(abaw.InputError, match=r"\.safetensors (is damaged|does not say what it is of)"):
            abaw.predict(run.folder, root / "x", split="validation", subjects=root / name)
    with pytest.raises(abaw.InputError, match="give that run alone"):
        abaw.predict([run.folder, other.folder], root / "x", split="validation", subjects=personal[0].folder)
    with pytest.raises(abaw.NotFoundError, match="no vectors of persons in"):
        abaw.predict(run.folder, root / "x", split="validation", subjects=root / "nothing")
    assert not (root / "x").exists()


def test_a_vector_is_still_of_the_run_when_a_posterior_was_added_to_it(job, personal):
    run, root = job
    abaw.predict(run.folder, root / "spread", clips=["d"], deviation=True)
    assert (run.folder / "weights/posterior-va.safetensors").is_file()
    assert list(read_subjects(personal[0].folder, run)) == ["d"]


def test_labels_that_cannot_adapt_are_refused_and_nothing_is_written(job):
    run, root = job
    file = label_file(root, "d", [9, 10], "unobserved.csv")
    with pytest.raises(abaw.InputError, match=r"clip 'd', frame 9: nothing was observed there"):
        abaw.personalise(run.folder, file, out=root / "none")
    (root / "same.csv").write_text("frame,valence,arousal\n1,0.5,0\n2,0.5,0\n")
    with pytest.raises(abaw.InputError, match=r"the 2 labels of va of 'd' are the same \(0\.5, 0\): .*; label"):
        abaw.personalise(run.folder, root / "same.csv", clips=["d"], out=root / "none")
    with pytest.raises(abaw.InputError, match="no clip 'z' in"):
        abaw.personalise(run.folder, root / "same.csv", clips=["z"], out=root / "none")
    with pytest.raises(abaw.InputError, match="abaw personalise: steps is -1"):
        abaw.personalise(run.folder, label_file(root, "d", [1, 2], "two.csv"), steps=-1, out=root / "none")
    with pytest.raises(abaw.InputError, match="the adaptation diverged at a rate of 1e"):
        abaw.personalise(run.folder, root / "two.csv", rate=1e30, out=root / "none")
    assert not (root / "none").exists()


def test_a_group_of_clips_is_one_person(tmp_path):
    data, store = write_data(tmp_path / "data"), write_store(tmp_path / "store").root
    config = {
        **COMMON,
        "name": "own",
        "data": str(data),
        "store": str(store),
        "tasks": {"classes": {}},
        "features": {"clear": {}},
        "window": {"length": 50, "stride": 50},
        "folds": {"num": "groups", "fold": 3},
    }
    (tmp_path / "own.yaml").write_text(json.dumps(config))
    run = abaw.train(tmp_path / "own.yaml", runs=tmp_path / "runs")
    labels = tmp_path / "labels.csv"
    labels.write_text("clip,class\n" + "".join(f"dan{i},{CLIPS[f'dan{i}'][1]}\n" for i in range(4)))
    found = abaw.personalise(run.folder, labels)
    assert list(found.subjects) == ["dan"]
    clips = [clip_id for clip_id in CLIPS if clip_id.startswith("dan")]
    out = abaw.predict(run.folder, tmp_path / "out", clips=clips, subjects=found.folder)
    assert "subject-adapted: 9 clips with the vectors of 1 person" in str(out)
    (result,) = abaw.score(tmp_path / "out", draws=100).results
    assert result.scores["n"] == 5
    assert "not scored: 4 clips whose labels adapted the model" in result.remarks
    labels.write_text("clip,class\ndan0,calm\ndan3,calm\n")
    with pytest.raises(abaw.InputError, match=r"of 'dan' are the same .* label clips with other expressions"):
        abaw.personalise(run.folder, labels)


def test_a_run_of_another_model_does_not_adapt(job, tmp_path):
    run = abaw.train(
        job[1] / "va.yaml", {"name": "plain", "model": {"name": "concat"}, "adaptation": {}}, runs=job[1] / "runs"
    )
    with pytest.raises(abaw.InputError, match="has the model 'concat', which does not adapt to persons"):
        abaw.personalise(run.folder, job[1] / "labels.csv")
