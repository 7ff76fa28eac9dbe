from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command


@command("submit", order=130)
def submit(
    folder: Annotated[Path, typer.Argument(help="folder of prediction tables, made by abaw predict")],
    template: Annotated[
        Path,
        typer.Option(help="the organisers' sample prediction file, or the data set file of your own labels (YAML)"),
    ],
    out: Annotated[Path, typer.Option(help="file to write")],
    task: Annotated[str | None, typer.Option(help="the template's task; default: read from its first line")] = None,
    split: Annotated[str, typer.Option(help="of a data set file: the split whose clips to write")] = "test",
    max_held: Annotated[
        float, typer.Option(help="largest share of a clip's rows, and of all rows, that may repeat its last prediction")
    ] = 0.01,
    max_filled: Annotated[
        float, typer.Option(help="largest share of a clip's rows, and of all rows, in which nothing was observed")
    ] = 0.5,
) -> None:
    """Write the challenge file, row for row as the template asks, and say what its predictions were made from."""
    from abaw.challenge import submission

    print(submission.submit(folder, template, out, task=task, max_held=max_held, max_filled=max_filled, split=split))
    print(out)
