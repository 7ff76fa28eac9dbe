"""Folds as a user trains them: one run each, scored on the videos it was not trained on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from abaw.commands.extract import extract
from abaw.commands.synth import synth
from abaw.commands.train import train
from abaw.dataset.layout import open_dataset
from abaw.dataset.names import video_of
from abaw.errors import InputError
from abaw.files import write_json
from abaw.pipelines import training
from abaw.pipelines.prediction import predict
from abaw.postprocessing import PostProcessing, fitted_document
from abaw.results import predictions
from abaw.results.runs import Run

CONFIG = Path(__file__).resolve().parents[2] / "abaw/configs/synthetic.yaml"
SMALL = [
    "features={voice_mel: {align: window_mean}}",
    "model.hidden_dim=8",
    "trainer.max_epochs=1",
    "window.length=40",
    "window.stride=20",
]
FOLDS = [*SMALL, "name=small", "folds.num=3"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set and its features; on the command line data= and store=."""
    folder = tmp_path_factory.mktemp("folds")
    synth(folder / "data", clips=14, seconds=3)
    extract(folder / "data", folder / "store", ["voice_mel"])
    return folder


@pytest.fixture(scope="module")
def settings(made):
    return [f"data={made / 'data'}", f"store={made / 'store'}"]


@pytest.fixture(scope="module")
def runs(made, settings):
    """Three folds, trained."""
    training.train_folds(CONFIG, [*FOLDS, *settings], runs=made / "runs")
    return made / "runs"


def document(run):
    return json.loads((run / "run.json").read_text())


def official(made, task, split):
    folder = {"va": "VA_Estimation_Challenge", "expr": "EXPR_Recognition_Challenge"}[task]
    return set(open_dataset(made / "data").annotation_files([folder], split))


def test_every_fold_is_a_run_scored_on_its_own_held_out_clips(made, runs):
    found = {name: document(runs / name) for name in ("small-fold0", "small-fold1", "small-fold2")}
    for fold, (name, recorded) in enumerate(found.items()):
        assert recorded["folds"] == {"num": 3, "fold": fold, "seed": 0, "refit": False}
        assert (recorded["name"], recorded["seed"]) == (name, 0)
        train_videos, held_out = (set(recorded["videos"][split]) for split in ("train", "validation"))
        assert not train_videos & held_out
        assert recorded["label_tasks_seen"] == ["expr", "va"]
        for task in ("va", "expr"):
            tables = {path.stem for path in (runs / name / "predictions/validation" / task).glob("*.parquet")}
            every = official(made, task, "train") | official(made, task, "validation")
            assert tables == {clip for clip in every if video_of(clip) in held_out}
            assert recorded["splits"]["validation"][task]["clips"] == len(tables)
            assert recorded["splits"]["train"][task]["clips"] == len(every) - len(tables)
            assert recorded["scores"][task]["n"] == recorded["splits"]["validation"][task]["scored"]
    held_out = [video for recorded in found.values() for video in recorded["videos"]["validation"]]
    assert sorted(held_out) == sorted(set(found["small-fold0"]["videos"]["train"]) | set(held_out))
    assert len(held_out) == len(set(held_out))
    assert set(found["small-fold0"]["videos"]["validation"]) == official(made, "va", "validation")


def test_folds_are_printed_one_by_one_then_their_mean_and_range(runs, settings, capsys, caplog):
    """They are complete: the command trains none again."""
    caplog.set_level("INFO", "abaw")
    before = [(runs / f"small-fold{fold}/weights/model.safetensors").stat().st_mtime_ns for fold in range(3)]
    train(CONFIG, [*FOLDS, *settings], runs, folds=True)
    printed = capsys.readouterr().out.splitlines()
    assert before == [(runs / f"small-fold{fold}/weights/model.safetensors").stat().st_mtime_ns for fold in range(3)]
    assert sum("is complete already" in line for line in caplog.messages) == 3
    assert [line.split(" CCC")[0] for line in printed if " CCC" in line][:3] == [
        f"small-fold{fold} va validation" for fold in range(3)
    ]
    scores = [document(runs / f"small-fold{fold}")["scores"]["va"]["CCC"] for fold in range(3)]
    mean, least, greatest = sum(scores) / 3, min(scores), max(scores)
    peeked = "; epoch chosen on these clips"
    assert f"va CCC over 3 folds: mean {mean:.4f}, from {least:.4f} to {greatest:.4f}{peeked}" in printed
    assert printed[-1] == " ".join(str(runs / f"small-fold{fold}") for fold in range(3))


def test_folds_that_were_stopped_are_continued(made, runs, settings, tmp_path, monkeypatch):
    """Only the missing fold is trained, and its weights are as before."""
    import fusion.train

    shutil.copytree(runs, tmp_path / "runs")
    weights = tmp_path / "runs/small-fold1/weights/model.safetensors"
    before = weights.read_bytes()
    shutil.rmtree(weights.parent.parent)
    trained, real = [], fusion.train.train
    monkeypatch.setattr(
        fusion.train, "train", lambda *words, **more: (trained.append(words[-1].name), real(*words, **more))[1]
    )
    training.train_folds(CONFIG, [*FOLDS, *settings], runs=tmp_path / "runs")
    assert trained == ["small-fold1"]
    assert weights.read_bytes() == before


def test_a_single_fold_is_trained_by_its_number(runs, settings, tmp_path):
    run = training.train(CONFIG, [*FOLDS, *settings, "folds.fold=2", "training.seed=5", "name=other"], runs=tmp_path)
    recorded, other = run.document(), document(runs / "small-fold2")
    assert (recorded["seed"], recorded["folds"]["fold"]) == (5, 2)
    assert recorded["videos"] == other["videos"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["folds.num=1"], "folds.num=: --folds trains every fold, but folds.num is 1: set folds.num, to 5 say"),
        (["folds.refit=true"], "folds.refit=: a refit has no folds: take --folds away"),
        (["folds.num=9"], r"synthetic.yaml:\d+: folds.num is 9, .* only 6 training videos can be divided"),
    ],
)
def test_impossible_folds_are_refused_before_anything_is_written(settings, tmp_path, words, message):
    with pytest.raises(ValueError, match=message):
        training.train_folds(CONFIG, [*FOLDS, *settings, *words], runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def leaking(made, tmp_path):
    """The data set with a video of VA's validation in EXPR's training."""
    shutil.copytree(made / "data", tmp_path / "data", ignore=shutil.ignore_patterns("EXPR_*"))
    shutil.copytree(made / "data/annotations", tmp_path / "data/annotations", dirs_exist_ok=True)
    folder = tmp_path / "data/annotations/EXPR_Recognition_Challenge"
    (folder / "Validation_Set/107.txt").rename(folder / "Train_Set/107.txt")
    return tmp_path / "data"


def test_a_leak_across_tasks_is_refused_and_left_out_if_asked(leaking, settings, tmp_path):
    words = [*SMALL, *settings, f"data={leaking}", "name=leaky"]
    with pytest.raises(
        ValueError,
        match=r"synthetic.yaml:\d+: a leak: video '107' is trained on \(expr, clip '107'\) and held out",
    ):
        training.train(CONFIG, words, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    recorded = training.train(CONFIG, [*words, "folds.drop_leaks=true"], runs=tmp_path / "runs").finished()
    assert "107" not in recorded["videos"]["train"]
    assert recorded["splits"]["train"]["expr"]["clips"] == 6


def test_a_refit_is_complete_without_scores_and_predictions(runs, settings, capsys, tmp_path):
    words = [*SMALL, *settings, "name=refit", "folds.refit=true"]
    train(CONFIG, words, tmp_path)
    assert capsys.readouterr().out == f"{tmp_path / 'refit'}\n"
    recorded = Run(tmp_path / "refit").finished()
    assert recorded["scores"] == {}
    assert recorded["folds"]["refit"] is True
    fold0 = document(runs / "small-fold0")["videos"]
    assert recorded["videos"] == {"train": sorted(fold0["train"] + fold0["validation"]), "validation": []}
    assert not (tmp_path / "refit/predictions").exists()
    assert (tmp_path / "refit/weights/model.safetensors").is_file()
    assert not (tmp_path / "refit/resume.ckpt").exists()
    before = (tmp_path / "refit/run.json").stat().st_mtime_ns
    training.train(CONFIG, words, runs=tmp_path)
    assert (tmp_path / "refit/run.json").stat().st_mtime_ns == before


def test_only_the_first_of_several_processes_writes_the_runs_folder(settings, tmp_path, monkeypatch, capsys):
    import fusion.train

    trained = []
    monkeypatch.setattr(fusion.train, "train", lambda *words, **_: trained.append(words[-1]))
    monkeypatch.setattr(fusion.train, "is_first_process", lambda: False)
    train(CONFIG, [*SMALL, *settings, "name=second"], tmp_path)
    assert trained == [tmp_path / "second"]
    assert not (tmp_path / "second").exists()
    assert capsys.readouterr().out == ""

    def refused(*_, **__):
        raise ValueError("no")

    (tmp_path / "second").mkdir()  # what the first process has begun
    monkeypatch.setattr(fusion.train, "train", refused)
    with pytest.raises(ValueError, match="no"):
        training.train(CONFIG, [*SMALL, *settings, "name=second"], runs=tmp_path)
    assert (tmp_path / "second").exists()


def test_one_flipped_bit_in_the_weights_is_an_error_that_names_the_file(made, runs):
    run = next(runs.glob("*-fold0"))
    weights = run / "weights/model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    try:
        with pytest.raises(InputError, match=r"weights/model\.safetensors is damaged or of another training"):
            predict([run], made / "flipped", split="validation")
    finally:
        weights.write_bytes(content)
    assert not (made / "flipped").exists()


def test_the_mean_of_folds_keeps_the_tables_of_each_and_is_matched_to_them(made, runs, tmp_path):
    fitted = PostProcessing(scale=(1.5, 2.0), bias=(0.0, 0.1))
    write_json(tmp_path / "p.json", fitted_document({"va": fitted}))
    clip_id = sorted(open_dataset(made / "data").clips)[0]
    folders = [runs / f"small-fold{fold}" for fold in range(3)]
    found = predict(folders, tmp_path / "out", clips=[clip_id], post_processing=tmp_path / "p.json")
    assert found.num_tables == len(found.tasks)
    where = tmp_path / "out/va"
    task, post_processing = found.tasks["va"], predictions.post_processing_of(where)
    mean = predictions.read_table(where, clip_id, task).values
    singles = [predictions.read_table(where / "folds" / str(fold), clip_id, task).values for fold in range(3)]
    np.testing.assert_allclose(mean, np.mean(singles, axis=0), atol=1e-6)
    np.testing.assert_allclose(
        post_processing.match_scale, np.concatenate(singles).std(axis=0) / mean.std(axis=0), 1e-3
    )
    assert predictions.read_metadata(where)["folds"] == [0, 1, 2]
    assert predictions.read_metadata(where / "folds/1")["run"] == [str(folders[1])]
    predict(folders[:1], tmp_path / "out", clips=[clip_id], post_processing=tmp_path / "p.json")
    assert predictions.post_processing_of(where) == fitted, "one fold, as it was fitted on"
    assert "folds" not in predictions.read_metadata(where)
    assert not predictions.clip_ids(where / "folds/1")
