from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.errors import InputError
from abaw.pipelines.prediction import open_member, post_processing_of, write_predictions

if TYPE_CHECKING:
    pass


def predict(
    runs: Annotated[list[Path], typer.Argument(help="one run, or several as an ensemble")],
    out: Annotated[Path, typer.Option(help="the folder of tables; a folder for each task is made in it")],
    split: Annotated[str | None, typer.Option(help="train, validation or test")] = None,
    clips: Annotated[
        list[str] | None, typer.Option(help="single clips instead of a split; may be given several times")
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="what each run predicted for the clips it held out, pooled (folds)")
    ] = False,
    post_processing: Annotated[
        Path | None, typer.Option(help="what abaw fit wrote, kept with the tables; default: a single run's own")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="the data set; default: the run's")] = None,
    store: Annotated[Path | None, typer.Option(help="the store of features; default: the run's")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1")] = "cpu",
) -> None:
    """Prediction tables, one a clip; several runs are averaged, or with --held-out pooled."""
    from abaw.dataset.layout import SPLITS, open_dataset
    from abaw.ensembling.pooling import pool
    from abaw.runs import Run

    if (split is not None) + bool(clips) + held_out != 1:
        raise InputError("give either --split NAME or --clips ID (one or several), or --held-out: one of them")
    if split is not None and split not in SPLITS:
        raise InputError(f"no split {split!r}: there are {', '.join(SPLITS)}")
    opened = [Run(folder) for folder in runs]
    post_processings = post_processing_of(opened, post_processing)
    if held_out:
        count = pool(opened, out, post_processings)
    else:
        members = [open_member(folder, store, device) for folder in runs]
        tasks = {name: task for run, _, _ in members for name, task in run.tasks().items()}
        dataset = open_dataset(data or Path(members[0][0].config().data))
        count = write_predictions(members, dataset, tasks, split or list(clips or ()), out, post_processings)
    print(f"{out}: {count} tables")
