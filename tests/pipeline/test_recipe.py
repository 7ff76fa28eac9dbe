"""A whole competition from one file, killed halfway and called again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from abaw.challenge.submission import submit
from abaw.challenge.verification import verify
from abaw.commands.extract import extract
from abaw.commands.recipe import recipe
from abaw.commands.synth import synth
from abaw.competition.job import open_job
from abaw.configs.file import read_config
from abaw.dataset.layout import open_dataset
from abaw.dataset.names import video_of
from abaw.evaluation.labelled_tables import open_labelled_predictions
from abaw.files import read_json, sha256
from abaw.pipelines import training
from abaw.postprocessing import PostProcessing, smooth
from abaw.results import predictions
from abaw.results.run_document import write_run_document
from abaw.results.runs import Run
from abaw.tasks import TASKS
from abaw.tuning.run import search
from benchmarks import protocol
from extract import ALIGNERS
from extract.store.store import FeatureStore
from fusion.models import FUSION_MODELS

CONFIG = Path(__file__).resolve().parents[2] / "abaw/configs/synthetic.yaml"
MODEL = ["model.hidden_dim=8", "trainer.max_epochs=1", "window.length=40", "window.stride=20", "training.batch_size=4"]
MEMBERS = "members={gru: {}, tcn: {model: {name: tcn, hidden_dim: 8, num_layers: 1}}}"
SETTINGS = [
    *MODEL, "data=data", "store=store", "folds.num=3", "encoders=[face_hog, voice_mel]", "ensemble=weighted", MEMBERS,
]  # fmt: skip
CHALLENGES = {"va": "ABAW_VA_test_set_sample.txt", "expr": "ABAW_EXPR_test_set_sample.txt"}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A folder with a data set, in which the recipe has run."""
    cwd = tmp_path_factory.mktemp("recipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        synth(Path("data"), clips=14, seconds=3)
        recipe(CONFIG, SETTINGS)
    return cwd


@pytest.fixture
def inside(job, monkeypatch):
    monkeypatch.chdir(job)
    return job


def plan(capsys, *settings):
    """The kinds of stages that are to do."""
    recipe(CONFIG, [*SETTINGS, *settings], dry_run=True, measure=False)
    lines = capsys.readouterr().out.splitlines()[:-1]
    return [line.split(":")[0].removeprefix("to do  ") for line in lines if line.startswith("to do")]


def submissions(folder):
    return {name: (folder / "work/synthetic/submission" / name).read_bytes() for name in CHALLENGES.values()}


def test_a_recipe_ends_with_verified_challenge_files_and_scores(inside, capsys):
    for task, name in CHALLENGES.items():
        out = Path("work/synthetic/submission", name)
        assert verify(out, Path("data/test_set", name), task=task) == []
    recipe(CONFIG, SETTINGS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("work/synthetic va CCC ")
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [
        "synthetic-gru", "synthetic-tcn", "mean", "weighted", *[line.split()[0] for line in lines[5:7]],
        "synthetic-gru", "synthetic-tcn", "mean", "weighted", *[line.split()[0] for line in lines[12:14]],
    ]  # fmt: skip
    assert "95 % of CCC" in Path("work/synthetic/scores.txt").read_text()


def test_a_finished_recipe_does_nothing_again(inside, capsys, caplog):
    files = (path for path in Path("work").rglob("[!.]*") if path.is_file())  # hidden: which process holds the folder
    before = {path: path.stat().st_mtime_ns for path in files}
    with caplog.at_level("INFO", "abaw"):
        recipe(CONFIG, SETTINGS)
    stages = [text for text in caplog.messages if text.startswith("[")]
    assert len(stages) == 19
    assert all(text.endswith("done before") for text in stages)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert plan(capsys) == []


def test_only_stages_that_depend_on_a_change_run_again(inside, capsys):
    submit = ["submit ABAW_EXPR_test_set_sample", "submit ABAW_VA_test_set_sample"]
    of_fit = ["fit", "validate", "score", "combine test", *submit]
    assert plan(capsys, "post_processing.bias=false") == of_fit
    assert plan(capsys, "ensemble=mean") == ["combine", *of_fit]
    added = plan(capsys, MEMBERS[:-1] + ", big: {model.hidden_dim: 16}}")
    assert added[:4] == [*(f"train synthetic-big fold {fold}" for fold in range(3)), "pool synthetic-big"]
    assert added[4:] == ["combine", *of_fit[:3], "predict synthetic-big", *of_fit[3:]]
    run = Path("runs/synthetic-tcn-fold2")
    weights, document = run / "weights/model.safetensors", (run / "run.json").read_bytes()
    before = weights.read_bytes()
    os.utime(weights)
    assert plan(capsys) == []
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"fold2/weights/model\.safetensors is damaged or of another training"):
        plan(capsys)
    hashes = {"weights": {weights.name: sha256(weights)}}
    write_run_document(run / "run.json", {**Run(run).document(), **hashes})  # as if it were trained again
    assert plan(capsys) == ["predict synthetic-tcn", *of_fit[3:]]  # only these read the weights
    weights.write_bytes(before)
    (run / "run.json").write_bytes(document)
    assert plan(capsys) == []


def test_what_was_cut_deleted_damaged_or_edited_is_made_again_and_ends_the_same(inside, capsys, caplog):
    work = Path("work/synthetic")
    held_out = Path("runs/synthetic-gru-fold1/predictions/validation/va")
    files = [path for path in work.rglob("*") if path.is_file()] + list(held_out.iterdir())
    before = {path: path.read_bytes() for path in files if not path.name.startswith(".") and path.name != "recipe.json"}
    challenge = work / "submission" / CHALLENGES["va"]
    challenge.write_bytes(before[challenge][:200])
    table = next((work / "test/synthetic-tcn/va").glob("*.parquet"))
    table.unlink()
    combined = next((work / "validation/expr").glob("*.parquet"))
    combined.write_bytes(before[combined][:-100])
    decoding = work / "post_processing.json"
    decoding.write_bytes(before[decoding].replace(b"0", b"1", 1))
    own = next(held_out.glob("*.parquet"))
    own.write_bytes(bytes([*before[own][:200], before[own][200] ^ 4, *before[own][201:]]))
    recipe(CONFIG, SETTINGS, dry_run=True, measure=False)
    text = capsys.readouterr().out
    for line, why in {
        "train synthetic-gru fold 1": f"{own}: it has changed since it was written",
        "pool synthetic-gru": "it reads what train synthetic-gru fold 1 makes",
        "predict synthetic-tcn": f"{table} is missing",
    }.items():
        assert any(each.startswith(f"to do  {line}: ") and f"(again: {why}" in each for each in text.splitlines())
    recipe(CONFIG, SETTINGS)
    assert {path: path.read_bytes() for path in before} == before
    kept = {own, challenge, decoding, combined}
    assert {*work.rglob("*.bak"), *held_out.glob("*.bak")} == {path.with_name(f"{path.name}.bak") for path in kept}
    for path in kept:
        assert (
            f"{path} has changed since it was made, and is made again: the changed file is now {path}.bak"
            in caplog.text
        )
        path.with_name(f"{path.name}.bak").unlink()
    assert plan(capsys) == []


def test_nothing_was_fitted_on_the_official_validation_split(inside):
    dataset = open_dataset(Path("data"))
    post_processings = json.loads(Path("work/synthetic/post_processing.json").read_text())
    for name, post_processing in post_processings.items():
        task = TASKS.build(name)
        about = json.loads(Path(f"work/synthetic/held-out/ensemble/{name}/predictions.json").read_text())
        official = {video_of(clip_id) for clip_id in task.clips(dataset, "validation")}
        training = {video_of(clip_id) for clip_id in task.clips(dataset, "train")}
        for member in ("gru", "tcn"):
            pool = predictions.clip_ids(Path(f"work/synthetic/held-out/synthetic-{member}/{name}"))
            assert pool == sorted(task.clips(dataset, "train"))
        for fitted_on in (post_processing["fitted_on"], about["ensemble"]["fitted_on"]):
            assert set(fitted_on) == training
            assert not set(fitted_on) & official


def test_weights_and_post_processing_do_not_depend_on_the_validation_labels(inside, tmp_path):
    before = Path("work/synthetic/post_processing.json").read_text()
    labels = [*Path("data/annotations").glob("*/Validation_Set/*.txt")]
    texts = {path: path.read_bytes() for path in labels}
    try:
        for path, text in texts.items():
            head, *rows = text.splitlines(keepends=True)
            path.write_bytes(b"".join([head, *reversed(rows)]))
        with pytest.raises(ValueError, match="runs/synthetic-gru-fold0 was trained on other labels than exist now"):
            recipe(CONFIG, SETTINGS, work=tmp_path)
        runs = shutil.copytree("runs", tmp_path / "runs")
        for path in runs.glob("*/run.json"):  # as if the runs did not record what they were trained on
            write_run_document(
                path, {key: value for key, value in read_json(path).items() if key not in ("labels", "sha256")}
            )
        recipe(CONFIG, SETTINGS, work=tmp_path, runs=runs)
        assert (tmp_path / "synthetic/post_processing.json").read_text() == before
        steps = [json.loads((work / "synthetic/steps.json").read_text()) for work in (Path("work"), tmp_path)]
        assert steps[0] != steps[1]  # the labels did change
    finally:
        for path, text in texts.items():
            path.write_bytes(text)


def test_a_recipe_that_was_killed_ends_with_the_same_files(job, tmp_path):
    for name in ("data", "store"):
        (tmp_path / name).symlink_to(job / name)
    words = [sys.executable, "-m", "abaw", "recipe", str(CONFIG), *SETTINGS]
    lines = []
    for stop in ("[6/19]", "[15/19]"):  # in the middle of training, and of what comes after
        process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for line in process.stderr:
            lines.append(line)
            if line.startswith(stop):
                process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[5/19] train synthetic-gru fold 1: done before" in done.stderr
    assert "[19/19]" not in "".join(lines)
    assert submissions(tmp_path) == submissions(job)


def test_a_dry_run_writes_nothing(job, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("abaw.competition.forecast.TRIALS_S", 0.2)
    recipe(CONFIG, [*SETTINGS, f"data={job / 'data'}"], dry_run=True)
    assert capsys.readouterr().out.splitlines()[-1] == "0 of 19 stages are done"
    assert not list(tmp_path.iterdir())


def test_without_members_the_config_itself_is_trained(inside, tmp_path, capsys):
    recipe(CONFIG, [*SETTINGS, "name=alone", "members={}", "tasks={va: {}}"], work=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [path.name for path in (tmp_path / "alone/submission").iterdir()] == [CHALLENGES["va"]]
    assert lines[-1].startswith(f"{tmp_path}/alone va CCC")
    assert (Path("runs") / "alone-fold2/run.json").is_file()


def test_the_benchmark_scores_as_the_recipe_does(inside):
    extraction = {"device": "cpu", "faces": "haar", "download": False, "assume_fps": None}
    opened = open_job(CONFIG, SETTINGS, None, Path("runs"), Path("work"), [], extraction)
    steps = json.loads(Path("work/synthetic/steps.json").read_text())
    for name, metric in {"va": "CCC", "expr": "F1"}.items():
        grid = protocol.judge(opened, TASKS.build(name))
        of = {step["name"]: step["scores"][metric] for step in steps[name]}
        assert grid["synthetic-gru"]["as it is"] == pytest.approx(of["synthetic-gru"], abs=1e-6)
        assert grid[protocol.MEAN]["as it is"] == pytest.approx(of["mean of 2"], abs=1e-6)
        weights = json.loads(Path(f"work/synthetic/validation/{name}/predictions.json").read_text())["ensemble"][
            "weights"
        ]
        taken = protocol.MEAN if len(set(weights)) == 1 else protocol.WEIGHTED  # weights that do not help are not kept
        assert grid[taken]["as it is"] == pytest.approx(of["weighted ensemble"], abs=1e-6)
        assert grid[taken][protocol.KEPT] == pytest.approx(list(of.values())[-1], abs=1e-6)
        assert grid[protocol.BEST] == max((grid[f"synthetic-{m}"] for m in ("gru", "tcn")), key=lambda g: g["as it is"])
        assert len({round(score, 9) for score in grid["synthetic-tcn"].values()}) > 1


def test_the_benchmarks_tables_say_where_a_stage_does_not_gain():
    systems = (protocol.SINGLE, protocol.BEST, protocol.MEAN, protocol.WEIGHTED)

    def grid(*scores):
        return {
            name: dict.fromkeys((*protocol.STAGES, protocol.KEPT), score)
            for name, score in zip(systems, scores, strict=True)
        }

    grids = [grid(0.4, 0.5, 0.6, 0.55), grid(0.4, 0.5, 0.7, 0.8)]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in protocol.gains_table({"CCC": grids}).splitlines()}
    assert "+0.1500 (+0.1000 to +0.2000), gains with every seed" in rows["the three averaged, on the best"]
    assert "+0.0250 (-0.0500 to +0.1000), gains (1 of 2 seeds)" in rows["weights fitted"]
    assert "+0.0000 (+0.0000 to +0.0000), does **not** gain (0 of 2 seeds)" in rows["smoothing"]
    assert "| mean of three | 0.650 (0.600 to 0.700) |" in protocol.scores_table(grids, "CCC")
    of = {name: dict.fromkeys((*protocol.STAGES, protocol.KEPT), score) for name, score in {"a": 0.2, "b": 0.4}.items()}
    singles = protocol.singles(of, ["a", "b"])
    assert singles[protocol.SINGLE]["both"] == pytest.approx(0.3)
    assert singles[protocol.BEST]["both"] == 0.4


def test_a_run_of_another_config_is_refused_before_the_first_stage(inside, tmp_path):
    with pytest.raises(ValueError, match="runs/synthetic-gru-fold0 holds a run with another training"):
        recipe(CONFIG, [*SETTINGS, "training.seed=1"], work=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_best_config_of_a_search_gives_the_same_score_again(inside, tmp_path):
    pytest.importorskip("optuna", reason="abaw search needs the extra search")
    extract(Path("data"), Path("store"), ["face_hog", "voice_mel"])
    settings = [*MODEL, "data=data", "store=store"]
    vary = ["model.name=[bigru, tcn]", "model.dropout=0:0.6"]
    found = search(CONFIG, settings, vary=vary, trials=2, runs=tmp_path)
    read_config(found.best_config).config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)
    scores = training.train(found.best_config, runs=tmp_path).finished()["scores"]
    assert (scores["va"]["CCC"] + scores["expr"]["F1"]) / 2 == found.ranked()[0].score


def test_an_mtl_recipe_smooths_over_labelled_images_from_the_score_to_the_challenge_file(inside, tmp_path, capsys):
    """The command of docs/protocol/post_processing.md as a plan; its stages run on tables without a training."""
    recipe("mtl", ["data=data", "store=store", "post_processing.widths=[1, 21, 201]"], dry_run=True, measure=False)
    assert "to do  fit" in capsys.readouterr().out
    mtl = read_config("mtl", ["post_processing.widths=[1, 21, 201]"]).config(
        models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS
    )
    assert (mtl.post_processing.unit, mtl.post_processing.widths) == ("images", [1, 21, 201])

    task, dataset, rng, tables = TASKS.build("mtl"), open_dataset(Path("data")), np.random.default_rng(0), {}
    made = PostProcessing(smoother="box", width=5, unit="images")
    for split in ("validation", "test"):
        for clip_id in task.clips(dataset, split):
            clock = FeatureStore("store").clock(clip_id)
            tables[clip_id] = task.probabilities(rng.normal(size=(len(clock), task.out_dim)) * 0.2)
            seen = np.ones(len(clock), bool)
            table = predictions.Table(clock.frames, clock.times_s, seen, tables[clip_id], task.columns)
            predictions.write_table(tmp_path / split, clip_id, table, task)
        about = {"task": "mtl", "split": split, "held_out": True, "post_processing": made.document()}
        predictions.write_metadata(tmp_path / split, about)

    scored = open_labelled_predictions(tmp_path / "validation", "validation", "mtl", Path("data"))
    for clip_id, pair in scored.pairs(post_processed=True).items():
        values, images = pair.prediction, np.flatnonzero(pair.labels.scored)
        assert np.diff(images).max(initial=5) >= 5, "the synthetic data set has an image every 5 frames"
        assert values[images, :2] == pytest.approx(
            smooth(tables[clip_id][images, :2].astype(float), "box", 5), abs=1e-6
        )
    (template,) = Path("data/test_set").glob("*MTL*sample.txt")
    submit(tmp_path / "test", template, tmp_path / "mtl.txt")
    assert verify(tmp_path / "mtl.txt", template, task="mtl") == []
    rows = [line.split(",") for line in (tmp_path / "mtl.txt").read_text().splitlines()[1:]]
    clip_id = rows[0][0].split("/")[0]
    of_clip = [(int(row[0][-9:-4]) - 1, *map(float, row[1:3])) for row in rows if row[0].startswith(f"{clip_id}/")]
    frames = np.array([frame for frame, *_ in of_clip])
    expected = smooth(tables[clip_id][frames, :2].astype(float), "box", 5)
    assert np.array([pair for _, *pair in of_clip]) == pytest.approx(expected, abs=1e-4)
