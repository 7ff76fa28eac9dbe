"""abaw plot: what is drawn of runs and prediction folders, and what is refused."""

import shutil

import numpy as np
import pytest

import abaw
from abaw.configs.sections import Config
from abaw.errors import InputError
from abaw.results.runs import Run
from tests.support.abaw.commands import abaw as command
from tests.support.abaw.reports import FRAMES, KNOWN, VALIDATION, open_data, write_labels, write_tables


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("labels")
    write_labels(root, {"Validation_Set": VALIDATION})
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data):
    """Prediction folders "a" and "b" of both tasks, and "va" of one."""
    root = tmp_path_factory.mktemp("folders")
    for name, noise in (("a", 0.2), ("b", 0.8)):
        for task in ("va", "expr"):
            write_tables(root / name / task, data, task, noise=noise, **{**KNOWN, "run": ["runs/gone"]})
    write_tables(root / "va/va", data, "va", **KNOWN)
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data):
    """A run that was stopped in its third epoch and chose an epoch on an inner part, and one without an epoch."""
    root = tmp_path_factory.mktemp("runs")
    values = {"data": str(data), "store": "s", "tasks": {"va": {}}, "features": {"f": {}}}
    values["model"] = {"name": "concat"}
    for name in ("stopped", "empty"):
        facts = {
            "tasks": {"va": {}},
            "recipes": {},
            "videos": {},
            "selection": {"videos": [], "groups": [], "epochs": 1},
        }
        Run(root / name).begin(Config.model_validate({**values, "name": name}), facts)
    header = "epoch,learning_rate,train/loss,validation/loss/va,validation/loss,validation/va/CCC,validation/va/n"
    (root / "stopped/curves.csv").write_text("epoch,learning_rate,train/loss\n1,0.1,3.5\n2,0.1,2.5\n")
    (root / "stopped/inner").mkdir()
    (root / "stopped/inner/curves.csv").write_text(f"{header}\n1,0.1,3,2,2,0.25,9\n2,0.1,2.5,,,,\n")
    return root


def lines(axes):
    return [each.get_xydata().tolist() for each in axes.lines if len(each.get_xdata())]


def test_a_stopped_run_has_curves_and_its_inner_training_has_its_own(runs):
    plot = abaw.plot_curves(runs / "stopped")
    losses, scores = plot.figure.axes
    assert [[1, 3.5], [2, 2.5]] in lines(losses)
    assert [[1, 2.0]] in lines(losses)
    assert [[1, 0.25]] in lines(scores)
    assert scores.get_title("left") == "va CCC"
    assert f"{runs / 'stopped'} (not complete): 2 epochs" in plot.alternative
    assert f"{runs / 'stopped'}, inner part (not complete): 2 epochs" in plot.alternative


def test_a_confusion_matrix_counts_the_scored_frames(folder, data):
    plot = abaw.plot_confusion(folder / "a", data=data)
    num = sum(int(each.get_text().split("\n")[1]) for each in plot.figure.axes[0].texts)
    assert num == len(VALIDATION) * FRAMES * 4 / 5


def test_values_and_reliability_name_what_they_are_of(folder, data):
    values = abaw.plot_values(folder / "a", data=data)
    assert values.title == f"Predictions against labels of {folder / 'a'}, va, validation"
    assert values.alternative.startswith("valence: 168 rows, CCC 0.9")
    assert "most probable class: " in abaw.plot_reliability(folder / "a", data=data).alternative


def test_figures_of_labels_that_are_not_there_are_refused(folder, data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    for path in (tmp_path / "data").rglob("*.txt"):
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([header, *(["-1" if "Neutral" in header else "-5,-5"] * len(rows))]) + "\n")
    for draw in (abaw.plot_values, abaw.plot_confusion, abaw.plot_reliability):
        with pytest.raises(InputError, match="label"):
            draw(folder / "a", data=tmp_path / "data")


def test_a_clip_has_its_labels_with_gaps_beside_the_predictions(folder, data):
    plot = abaw.plot_clip(folder / "va", "11", data=data)
    label, prediction = lines(plot.figure.axes[0])[:2]
    labels = open_data(data).annotation_files(("VA_Estimation_Challenge",), "validation")["11"]
    rows = [[float(each) for each in line.split(",")] for line in labels.read_text().splitlines()[1:]]
    assert [time for time, _ in label] == pytest.approx(np.arange(FRAMES + 2) / 30)
    expected = [row[0] if row[0] != -5 else np.nan for row in rows] + [np.nan] * 2
    np.testing.assert_allclose([value for _, value in label], expected, atol=1e-6)
    assert np.isfinite([value for _, value in prediction[:FRAMES]]).all()
    assert "in 11 nothing was observed" in plot.alternative
    assert len(abaw.plot_clip(folder / "a", "11", data=data).figure.axes) == 3  # both tasks


def test_a_comparison_has_the_paired_difference(folder, data):
    plot = abaw.plot_comparison([folder / "a", folder / "b"], task="va", data=data, draws=100)
    assert f"{folder / 'b'} minus {folder / 'a'}: -0." in plot.alternative
    assert len(plot.figure.axes) == 2


BAD = {
    "a task without classes": ("confusion va --out x.svg", "has tables of va, but this figure needs a task of classes"),
    "a task without values": ("values a --task expr --out x.svg", "needs a task of values"),
    "values have no calibration": ("reliability va --out x.svg", "needs a task of classes or action units"),
    "an unknown clip": ("clip va nobody --out x.svg", "has no clip 'nobody' with va labels; it has 10_left"),
    "an unknown task": ("confusion a --task exprs --out x.svg", "exprs"),
    "an unknown suffix": ("confusion a --out x.jpg", "suffix '.jpg' is unknown, expected one of .png, .svg, .pdf"),
    "several tasks": ("compare a b --out x.svg", "name one of them"),
    "a single folder": ("compare a --out x.svg", "give two or more"),
    "an unknown width": ("confusion a --width 3 --out x.svg", "width is '3', expected one of column, page"),
    "no run": ("curves a --out x.svg", "no run at a"),
    "no labels": ("confusion a --split train --out x.svg", ""),
}


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_drawn_is_an_error_and_nothing_is_written(folder, data, words, message):
    name = words.split()[0]
    more = [] if name == "curves" else ["--data", data]
    done = command("plot", *words.split(), *more, cwd=folder, code=2)
    assert message in done.stderr
    assert not list(folder.glob("x.*"))


def test_a_run_without_an_epoch_has_no_curves(runs, tmp_path):
    done = command("plot", "curves", runs / "empty", "--out", "x.svg", cwd=tmp_path, code=2)
    assert "no curves.csv in" in done.stderr
    assert "no epoch of its training has ended" in done.stderr


def test_the_command_writes_the_file_and_prints_what_the_figure_shows(runs, tmp_path):
    done = command("plot", "curves", runs / "stopped", "--width", "column", "--out", "out/x.svg", cwd=tmp_path)
    assert done.stdout.startswith(f"out/x.svg: {runs / 'stopped'} (not complete): 2 epochs, training loss 3.500 to")
    assert "<svg" in (tmp_path / "out/x.svg").read_text()
