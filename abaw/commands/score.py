import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.evaluation.report import _check_tasks, open_all, report

if TYPE_CHECKING:
    pass


def score(
    folders: Annotated[list[Path], typer.Argument(help="runs, or folders of prediction tables; two are compared")],
    split: Annotated[
        str, typer.Option(help="train, validation, or held-out: every clip with labels that the folder has")
    ] = "validation",
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folder has tables of")] = None,
    data: Annotated[Path | None, typer.Option(help="the data set; default: the run's")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="leave out the folder's post-processing")] = False,
    draws: Annotated[int, typer.Option(help="of videos, for intervals and p")] = 1000,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """The official metric without and with post-processing, with intervals; whether of two the second is better."""
    opened = [each for folder in folders for each in open_all(folder, split, task, data, raw=raw)]
    _check_tasks(folders, opened)
    found = report(opened, draws, seed)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    from abaw.evaluation import report

    print(*report.lines(found), sep="\n")


def summary(scores: Mapping[str, float]) -> str:
    """The ranking score and what it is made of, in one line."""
    from abaw.evaluation.report import summary

    return summary(scores)
