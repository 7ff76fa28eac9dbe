from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import STARTS_AGAIN, STOPPED, group

plot = group("plot", order=123, help="Draw figures of runs for papers and talks: PNG, SVG or PDF.")
STOPPED["plot"] = STARTS_AGAIN

Out = Annotated[Path, typer.Option(help="the file to write: .png (300 dpi), .svg or .pdf")]
Folder = Annotated[Path, typer.Argument(help="a run, or a folder of prediction tables")]
Task = Annotated[str | None, typer.Option(help="one task; default: the one that fits")]
Split = Annotated[str | None, typer.Option(help="as in abaw score: train, validation, test or held-out")]
Data = Annotated[Path | None, typer.Option(help="data set with the labels; default: the run's")]
Raw = Annotated[bool, typer.Option("--raw", help="leave out the folder's post-processing")]
Width = Annotated[str, typer.Option(help="page (7 inches) or column (3.35 inches, one of two in a paper)")]


@plot.command("curves")
def curves(
    runs: Annotated[list[Path], typer.Argument(help="runs, complete or not")], out: Out, width: Width = "page"
) -> None:
    """Draw learning curves: losses and scores over the epochs, a line a run."""
    from abaw.pipelines.plotting import plot_curves, write_plot

    print(write_plot(out, lambda: plot_curves(runs, width=width)))


@plot.command("confusion")
def confusion(
    folder: Folder,
    out: Out,
    task: Task = None,
    split: Split = None,
    data: Data = None,
    raw: Raw = False,
    width: Width = "column",
) -> None:
    """Draw the confusion matrix: shares of the rows of each label, with counts."""
    from abaw.pipelines.plotting import plot_confusion, write_plot

    print(write_plot(out, lambda: plot_confusion(folder, task=task, split=split, data=data, raw=raw, width=width)))


@plot.command("values")
def values(
    folder: Folder,
    out: Out,
    task: Task = None,
    split: Split = None,
    data: Data = None,
    raw: Raw = False,
    width: Width = "page",
) -> None:
    """Draw predicted values, such as valence and arousal, against their labels."""
    from abaw.pipelines.plotting import plot_values, write_plot

    print(write_plot(out, lambda: plot_values(folder, task=task, split=split, data=data, raw=raw, width=width)))


@plot.command("reliability")
def reliability(
    folder: Folder,
    out: Out,
    task: Task = None,
    split: Split = None,
    data: Data = None,
    raw: Raw = False,
    width: Width = "column",
) -> None:
    """Draw whether probabilities are as often right as they say, with the expected calibration error."""
    from abaw.pipelines.plotting import plot_reliability, write_plot

    print(write_plot(out, lambda: plot_reliability(folder, task=task, split=split, data=data, raw=raw, width=width)))


@plot.command("clip")
def clip(
    folder: Annotated[Path, typer.Argument(help="a run, a folder of prediction tables, or one that analyze wrote")],
    name: Annotated[str, typer.Argument(metavar="CLIP", help="the name of a clip")],
    out: Out,
    task: Task = None,
    split: Split = None,
    data: Data = None,
    raw: Raw = False,
    width: Width = "page",
) -> None:
    """Draw predictions beside labels over the time of a clip; of an analysis, the timeline of a clip."""
    from abaw.pipelines.plotting import plot_clip, write_plot

    print(write_plot(out, lambda: plot_clip(folder, name, task=task, split=split, data=data, raw=raw, width=width)))


@plot.command("compare")
def compare(
    folders: Annotated[list[Path], typer.Argument(help="two or more runs or folders of prediction tables")],
    out: Out,
    task: Task = None,
    split: Split = None,
    data: Data = None,
    raw: Raw = False,
    draws: Annotated[int, typer.Option(help="random exchanges of videos, for p")] = 1000,
    seed: Annotated[int, typer.Option(help="seed of the exchanges")] = 0,
    width: Width = "page",
) -> None:
    """Draw the scores of several runs with 95 % intervals, and the paired differences of every two."""
    from abaw.pipelines.plotting import plot_comparison, write_plot

    draw = partial(plot_comparison, task=task, split=split, data=data, raw=raw, draws=draws, seed=seed, width=width)
    print(write_plot(out, lambda: draw(folders)))
