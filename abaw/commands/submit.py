from pathlib import Path
from typing import Annotated

import typer


def submit(
    folder: Annotated[Path, typer.Argument(help="a folder of prediction tables, as abaw predict makes it")],
    template: Annotated[Path, typer.Option(help="the organisers' sample prediction file")],
    out: Annotated[Path, typer.Option(help="the challenge file to write")],
    task: Annotated[str | None, typer.Option(help="the template's task; default: what its first line says")] = None,
) -> None:
    """The challenge file, row for row the template's, and what its predictions are made of."""
    from abaw.challenge import submission

    summary = submission.submit(folder, template, out, task)
    print(summary)
    print(out)
