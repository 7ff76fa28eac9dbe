from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command, show


@command("score", order=120)
def score(
    folders: Annotated[
        list[Path], typer.Argument(help="runs, or folders of prediction tables; every two are compared")
    ],
    split: Annotated[
        str | None,
        typer.Option(
            help="train, validation, test (of a manifest with labels of test clips), or held-out: every clip with "
            "labels that the folder has; default: validation, or held-out where the data set has no validation split"
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folder has tables of")] = None,
    data: Annotated[Path | None, typer.Option(help="data set with the labels; default: the run's")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="leave out the folder's post-processing")] = False,
    draws: Annotated[int, typer.Option(help="random exchanges of videos, for p")] = 1000,
    seed: Annotated[int, typer.Option(help="seed of the exchanges")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Score with the official metric, with 95 % intervals; of several folders compare every two."""
    from abaw.evaluation import report

    show(report.score(folders, split=split, task=task, data=data, raw=raw, draws=draws, seed=seed), as_json)
