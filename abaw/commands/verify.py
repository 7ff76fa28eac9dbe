from pathlib import Path
from typing import Annotated

import typer


def verify(
    file: Annotated[Path, typer.Argument(help="a challenge file")],
    template: Annotated[Path, typer.Option(help="the organisers' sample prediction file")],
    task: Annotated[str | None, typer.Option(help="the template's task; default: what its first line says")] = None,
) -> None:
    """Whether a challenge file is what the template asks for; every reason by line number."""
    from abaw.challenge import verification

    faults = verification.verify(file, template, task)
    for fault in faults:
        print(fault)
    if faults:
        raise typer.Exit(1)
    print(f"{file} verified")
