"""On which clips the epoch of a run is chosen: an inner part of the training side, and what scores say of it."""

import csv
import json

import pytest

import abaw
from abaw.commands.train import train as train_command
from fusion.module import FusionModule
from tests.support.abaw.speakers import CLIPS, SPEAKERS, write_data, write_store

CONFIG = {
    "name": "own",
    "tasks": {"classes": {}},
    "features": {"clear": {}},
    "model": {"name": "pooled", "dropout": 0.5, "percentiles": False},
    "window": {"length": 50, "stride": 50},
    "folds": {"num": 4},
    "training": {"loggers": [], "learning_rate": 0.02, "ema_decay": 0.5, "schedule": "cosine", "batch_size": 8},
    "trainer": {"max_epochs": 6, "accelerator": "cpu"},
}
SAID = "epoch chosen on these clips"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp("selection")
    data, store = write_data(root / "data"), write_store(root / "store", shift=0.3).root
    (root / "own.yaml").write_text(json.dumps({**CONFIG, "data": str(data), "store": str(store)}))
    return root / "own.yaml"


@pytest.fixture(scope="module")
def run(config):
    """With the defaults, on a data set without an official split."""
    return abaw.train(config, runs=config.parent / "runs")


@pytest.fixture(scope="module")
def peeked(config):
    return abaw.train(config, ["name=peeked", "training.select_on=validation"], runs=config.parent / "runs")


def weights(folder):
    return (folder / "weights/model.safetensors").read_bytes()


def test_the_epoch_is_chosen_on_an_inner_part_of_the_training_side(run):
    recorded = run.document()
    chosen = recorded["selection"]
    (inner,) = chosen["groups"]
    assert chosen["select_on"] == "inner"
    assert inner in recorded["groups"]["train"]
    assert not set(chosen["videos"]) & set(recorded["videos"]["validation"])
    assert len(recorded["groups"]["train"]) == len(SPEAKERS) - 1  # the inner part is trained on in the end
    assert 1 <= chosen["epochs"] == chosen["epochs_trained"] <= 6
    assert chosen["scores"]["classes"]["n"] == 9
    assert sorted(path.name for path in run.folder.iterdir() if path.is_file()) == [
        ".abaw.json",
        "config.yaml",
        "curves.csv",
        "post_processing.json",
        "run.json",
    ]
    (curves,) = run.inner.iterdir()
    assert curves.name == "curves.csv"
    scores = [float(row["validation/score"]) for row in csv.DictReader(curves.read_text().splitlines())]
    assert scores.index(max(scores)) + 1 == chosen["epochs"]


def test_the_network_is_trained_again_on_all_for_as_many_epochs(run, config):
    epochs = run.document()["selection"]["epochs"]
    settings = ["name=last", "training.select_on=last", "training.schedule=constant"]
    words = [*settings, f"trainer.max_epochs={epochs}"]
    last = abaw.train(config, words, runs=config.parent / "runs")
    settings = ["name=inner", "training.select_on=inner", "training.schedule=constant"]
    inner = abaw.train(config, settings, runs=config.parent / "runs")
    found = inner.document()["selection"]["epochs"]
    if found != epochs:
        words = [*settings, "training.select_on=last", f"trainer.max_epochs={found}", "name=other"]
        last = abaw.train(config, words, runs=config.parent / "runs")
    assert weights(last.folder).split(b"}}", 1)[1] == weights(inner.folder).split(b"}}", 1)[1]
    assert last.document()["selection"] == {"select_on": "last", "videos": [], "groups": [], "epochs_trained": found}


@pytest.mark.parametrize("share", [0.3, 0.9])  # while the epoch is chosen, and after
def test_a_training_that_was_stopped_in_either_part_ends_with_the_same_bytes(run, config, share, tmp_path, monkeypatch):
    real, steps = FusionModule.training_step, []
    counted = run.document()["selection"]["epochs_trained"]
    total = 6 * -(-18 // 8) + counted * -(-27 // 8)

    def step(self, *given):
        steps.append(1)
        if len(steps) == int(total * share):
            raise OSError("the power went")
        return real(self, *given)

    monkeypatch.setattr(FusionModule, "training_step", step)
    with pytest.raises(OSError, match="the power went"):
        abaw.train(config, runs=tmp_path)
    again = abaw.train(config, runs=tmp_path)
    assert weights(again.folder) == weights(run.folder)
    assert again.document()["selection"] == run.document()["selection"]
    assert again.document()["scores"] == run.document()["scores"]


def test_a_score_on_the_clips_on_which_the_epoch_was_chosen_says_so_in_the_same_line(run, peeked, config, capsys):
    for each, says in ((run, False), (peeked, True)):
        report = abaw.score(each.folder, draws=100)
        (result,) = report.results
        assert result.selection == (SAID if says else "")
        assert report.to_dict()["results"][0]["selection"] == result.selection
        (line,) = [line for line in str(report).splitlines() if line.startswith(f"{each.folder} classes validation F1")]
        assert (SAID in line) == says
        (held_out,) = [line for line in str(report).splitlines() if "held out yes" in line]
        assert (f"held out yes, {SAID}" in held_out) == says
        select_on = each.config().training.select_on
        name = [f"name={each.folder.name}", f"training.select_on={select_on}"]
        train_command(config, name, each.folder.parent)
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("classes validation F1")]
        assert (SAID in line) == says


def test_tables_say_on_which_of_their_clips_an_epoch_was_chosen(run, peeked, tmp_path):
    """Also after pooling, and where one of two averaged runs has chosen its epoch on them."""
    held_out = run.document()["videos"]["validation"]
    abaw.predict(run.folder, tmp_path / "inner", held_out=True)
    abaw.predict(peeked.folder, tmp_path / "peeked", held_out=True)
    abaw.predict([run.folder, peeked.folder], tmp_path / "both", clips=held_out)
    abaw.combine([tmp_path / "inner", tmp_path / "peeked"], tmp_path / "combined")
    for name, chosen in (("inner", []), ("peeked", held_out), ("both", held_out), ("combined", held_out)):
        about = json.loads((tmp_path / name / "classes/predictions.json").read_text())
        assert about["epoch_chosen_on"] == chosen, name
        result = abaw.score(tmp_path / name, split="held-out", draws=100).results[0]
        assert result.selection == (SAID if chosen else ""), name


def test_a_run_that_does_not_record_it_chose_its_epoch_on_what_it_held_out(peeked):
    from abaw.results.selection import words_of_run

    old = {key: value for key, value in peeked.document().items() if key != "selection"}
    assert words_of_run(old) == SAID
    assert words_of_run({**old, "folds": {"refit": True}}) == ""


def test_one_group_to_train_on_keeps_the_last_weights_with_a_word_or_is_refused_where_inner_is_asked_for(
    config, tmp_path, caplog
):
    rows = [f"{who}{i}.wav,{who},{mood}" for who in SPEAKERS[:2] for i, mood in enumerate(("calm", "glad", "angry"))]
    data = write_data(tmp_path / "data", rows=rows)
    words = [f"data={data}", "folds.num=2"]
    run = abaw.train(config, words, runs=tmp_path / "runs")
    assert run.document()["selection"]["select_on"] == "last"
    assert "the training side has 1 group" in caplog.text
    assert "the last weights are kept" in caplog.text
    with pytest.raises(ValueError, match=r"training.select_on is inner, but the training side has 1 group"):
        abaw.train(config, [*words, "training.select_on=inner", "name=refused"], runs=tmp_path / "runs")
    assert not (tmp_path / "runs/refused").exists()


def test_folds_of_several_tasks_choose_their_epochs_on_inner_parts_with_labels_of_each(config, tmp_path):
    """The mean of the tasks' scores chooses; what a fold holds out is in no inner part of it."""
    effort = {"calm": 1, "glad": 5, "angry": 9}
    rows = [f"{clip}.wav,{who},{mood},{effort[mood] + i % 2}" for i, (clip, (who, mood)) in enumerate(CLIPS.items())]
    keys = {
        "classes": {"column": "mood", "names": list(effort)},
        "values": {"columns": ["effort"], "range": [0, 10]},
    }
    data = write_data(tmp_path / "data", "path,group,mood,effort", rows, **keys)
    tasks = "tasks={classes: {pooling: mean}, values: {pooling: mean}}"
    words = [f"data={data}", tasks, "folds.num=2", "training.select_on=inner", "trainer.max_epochs=3"]
    train_command(config, words, tmp_path / "runs", folds=True)
    held_out = []
    for fold in range(2):
        recorded = json.loads((tmp_path / f"runs/own-fold{fold}/run.json").read_text())
        chosen, groups = recorded["selection"], recorded["groups"]
        assert (chosen["select_on"], len(groups["train"])) == ("inner", 2)
        assert len(chosen["groups"]) == 1
        assert set(chosen["groups"]) < set(groups["train"])
        assert {task: scores["n"] for task, scores in chosen["scores"].items()} == {"classes": 9, "values": 9}
        assert {task: scores["n"] for task, scores in recorded["scores"].items()} == {"classes": 18, "values": 18}
        assert 1 <= chosen["epochs"] == chosen["epochs_trained"] <= 3
        held_out += groups["validation"]
    assert sorted(held_out) == sorted(SPEAKERS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["training.select_on=validation", "folds.refit=true"], "a refit holds nothing out to choose an epoch on"),
        (["training.select_on=inner", "trainer={max_steps: 5}"], "inner repeats a number of epochs"),
        (["training.select_on=last", "training.schedule=constant", "trainer={}"], "training cannot stop by itself"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(config, tmp_path, words, message):
    with pytest.raises(ValueError, match=message):
        abaw.train(config, words, runs=tmp_path / "runs")
