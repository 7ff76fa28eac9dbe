"""A training that continues another run: what it starts from, what it records, and which parents are refused."""

import json

import pytest
import safetensors.torch
import torch

from abaw.cli import main
from abaw.errors import InputError, NotFoundError
from abaw.evaluation.report import score
from abaw.pipelines.prediction import predict
from abaw.pipelines.training import train
from abaw.results import predictions
from abaw.results.run_document import find_changed_inputs
from abaw.results.runs import Run
from tests.support.fitted import store_labels, write_dataset

NUM = 40
OLD, NEW = {"t1": "train", "t2": "train", "v1": "validation"}, {"n1": "train", "n2": "train", "w1": "validation"}


EXPRESSIONS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")


def write(root, name, clips):
    write_dataset(root / name, clips, NUM)
    store_labels(root / "store", clips, NUM)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Settings of small trainings: on old clips, complete, and on new ones."""
    root = tmp_path_factory.mktemp("continuing")
    write(root, "old", OLD)
    write(root, "new", NEW)
    settings = [
        f"store={root / 'store'}",
        "tasks={va: {}}",
        "features={hog: {}}",
        "model={name: concat, hidden_dim: 8}",
        "window={length: 40, stride: 40}",
        "training.loggers=[]",
        "trainer={max_epochs: 2, accelerator: cpu}",
    ]
    train("synthetic", [*settings, f"data={root / 'old'}", "name=old"], runs=root / "runs")
    new = [*settings, f"data={root / 'new'}", f"continuing.run={root / 'runs/old'}"]
    return root, settings, new


def weights_of(run, name="model"):
    return safetensors.torch.load_file(run.folder / "weights" / f"{name}.safetensors")


def test_a_continued_run_records_its_parent_and_has_seen_its_clips(given):
    root, _, new = given
    run = train("synthetic", [*new, "name=next", "continuing.save_fisher=true"], runs=root / "runs")
    document = run.finished()
    (parent,) = document["continued_from"]
    assert (parent["run"], parent["seed"], len(parent["sha256"])) == (str(root / "runs/old"), 0, 64)
    assert document["videos"]["train"] == ["n1", "n2", "t1", "t2"]
    assert document["selection"]["videos"] == ["v1", "w1"]
    assert set(document["weights"]) == {"model.safetensors", "first.safetensors", "fisher.safetensors"}
    where = run.predictions("validation") / "va"
    assert predictions.read_metadata(where)["continued_from"] == [str(root / "runs/old")]
    assert f"continued from {root / 'runs/old'}" in str(score([run.folder]))

    # what the first run of the chain ended with goes with it, and its own Fisher information is used as it is stored
    later = train("synthetic", [*new[:-1], f"continuing.run={run.folder}", "name=later"], runs=root / "runs")
    assert [each["run"] for each in later.finished()["continued_from"]] == [str(run.folder), str(root / "runs/old")]
    for key, value in weights_of(later, "first").items():
        assert torch.equal(value, weights_of(run, "first")[key])


def test_with_a_large_penalty_weights_that_matter_stay_and_without_one_they_move(given):
    root, _, new = given
    moved = {}
    for penalty in ("0.0", "1.0e+9"):
        name = f"penalty{penalty[0]}"
        rate = "training.learning_rate=0.0001"
        run = train("synthetic", [*new, f"name={name}", f"continuing.penalty={penalty}", rate], runs=root / "runs")
        first = weights_of(run, "first")
        end = weights_of(run)
        moved[penalty] = sum(
            float((first[f"fisher/{key}"] * (end[key] - first[f"weights/{key}"]) ** 2).sum())
            for key in end
            if f"fisher/{key}" in first
        )
    assert moved["1.0e+9"] < 0.3 * moved["0.0"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("model.hidden_dim=9", r"model\.hidden_dim is 8 there and 9 here"),
        ("features.hog.max_gap_s=1.0", r"features\.hog\.max_gap_s is 0\.5 there and 1\.0 here"),
        ("tasks={va: {}, expr: {}}", r"tasks\.expr is not given there and given here"),
    ],
)
def test_a_parent_with_other_features_model_or_tasks_is_refused_with_what_differs(given, changed, message):
    root, _, new = given
    if changed.startswith("tasks"):
        write_expr(root / "new", NEW)
    with pytest.raises(InputError, match=rf"continuing\.run=: .*{message}"):
        train("synthetic", [*new, "name=other", changed], runs=root / "runs")
    assert not (root / "runs/other/run.json").exists()


def write_expr(data, clips):
    for clip_id, split in clips.items():
        folder = data / "EXPR_Recognition_Challenge" / f"{split.capitalize()}_Set"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{clip_id}.txt").write_text("\n".join([",".join(EXPRESSIONS), *["0"] * NUM]) + "\n")


def test_a_parent_that_was_trained_on_what_is_held_out_is_a_leak(given):
    root, settings, _ = given
    refit = train("synthetic", [*settings, f"data={root / 'new'}", "name=all", "folds.refit=true"], runs=root / "runs")
    leaking = [*settings, f"data={root / 'new'}", f"continuing.run={refit.folder}", "name=leaking"]
    with pytest.raises(InputError, match=r"a leak: the continued run .* has seen video 'w1'"):
        train("synthetic", leaking, runs=root / "runs")


def test_a_parent_that_is_missing_unfinished_changed_or_without_its_clips_is_refused(given, tmp_path):
    _, settings, new = given
    with pytest.raises(NotFoundError, match="no run at"):
        train("synthetic", [*new[:-1], f"continuing.run={tmp_path / 'none'}", "name=x"], runs=tmp_path)
    write(tmp_path, "gone", {"g1": "train", "w2": "validation"})
    data = [f"data={tmp_path / 'gone'}", f"store={tmp_path / 'store'}"]
    parent = train("synthetic", [*settings, *data, "name=parent"], runs=tmp_path)
    following = [*new[:-1], f"continuing.run={parent.folder}", "name=x"]
    labels = tmp_path / "gone/VA_Estimation_Challenge/Train_Set/g1.txt"
    labels.write_text(labels.read_text().replace("0.", "0.1"))
    with pytest.raises(InputError, match=r"cannot be measured .*labels .* are not those.*save_fisher=true"):
        train("synthetic", following, runs=tmp_path)
    begun = json.loads((parent.folder / "run.json").read_text())
    for key in ("scores", "config", "sha256"):
        del begun[key]
    (parent.folder / "run.json").write_text(json.dumps(begun))
    with pytest.raises(InputError, match="is not complete"):
        train("synthetic", following, runs=tmp_path)


def test_a_parent_that_got_a_posterior_meanwhile_is_still_the_same_run(given):
    root, _, new = given
    parents = []
    for name in ("without", "with"):
        (parent,) = train("synthetic", [*new, f"name={name}"], runs=root / "runs").document()["continued_from"]
        parents.append(parent)
        if name == "without":
            predict(root / "runs/old", root / "spread", clips=["v1"], deviation=True)
    assert any(name.startswith("posterior") for name in Run(root / "runs/old").document()["weights"])
    assert parents[0] == parents[1]


def test_alpha_out_of_range_and_a_penalty_without_a_run_are_errors(given):
    root, settings, new = given
    with pytest.raises(InputError, match=r"continuing\.alpha.*less than or equal to 1"):
        train("synthetic", [*new, "name=x", "continuing.alpha=1.5"], runs=root / "runs")
    with pytest.raises(InputError, match=r"penalty has no effect without continuing\.run"):
        train("synthetic", [*settings, f"data={root / 'new'}", "name=x", "continuing.penalty=3.0"], runs=root / "runs")


def test_the_option_of_the_command_sets_the_run(given, capsys):
    root, _, new = given
    words = [*new[:-1], "name=by-option", "--runs", str(root / "runs"), "--continue", str(root / "runs/old")]
    with pytest.raises(SystemExit) as end:
        main(["train", "synthetic", *words])
    assert end.value.code == 0
    assert Run(root / "runs/by-option").config().continuing.run == str(root / "runs/old")
    assert "by-option" in capsys.readouterr().out


def test_a_stopped_training_does_not_go_on_from_another_run():
    one, other = ({"continued_from": [{"run": "a", "sha256": key}]} for key in "ab")
    assert find_changed_inputs(one, other) == ["runs to continue"]
    assert find_changed_inputs(one, one) == []
