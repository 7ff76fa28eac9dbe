from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command, show
from abaw.progress import Progress


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
    reliability: Annotated[
        bool,
        typer.Option(
            "--reliability",
            help="also print calibration errors by class and by what was observed, and the "
            "data of reliability diagrams (--json has them always)",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Score with the official metric, with 95 % intervals; of several folders compare every two."""
    from abaw.evaluation import report
    from abaw.evaluation.report_text import reliability_lines

    with Progress("score", "") as progress:
        found = report.score(
            folders, split=split, task=task, data=data, raw=raw, draws=draws, seed=seed, progress=progress
        )
    show(found, as_json)
    if reliability and not as_json:
        print(*reliability_lines(found), sep="\n")
