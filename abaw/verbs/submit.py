from pathlib import Path
from typing import Annotated

import typer


def submit(
    folder: Annotated[Path, typer.Argument(help="a folder of prediction tables, as abaw predict makes it")],
    template: Annotated[Path, typer.Option(help="the organisers' sample prediction file")],
    out: Annotated[Path, typer.Option(help="the challenge file to write")],
) -> None:
    """The challenge file, row for row the template's."""
    from abaw import submission

    summary = submission.submit(folder, template, out)
    print(summary)
    print(out)
