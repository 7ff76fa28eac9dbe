from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command


@command("verify", order=140)
def verify(
    file: Annotated[Path, typer.Argument(help="challenge file")],
    template: Annotated[Path, typer.Option(help="the organisers' sample prediction file")],
    task: Annotated[str | None, typer.Option(help="the template's task; default: read from its first line")] = None,
) -> None:
    """Verify a challenge file against the template: every reason why it would be refused, by line number."""
    from abaw.challenge import verification

    faults = verification.verify(file, template, task=task)
    for fault in faults:
        print(fault)
    if faults:
        raise typer.Exit(1)
    print(f"{file} verified")
