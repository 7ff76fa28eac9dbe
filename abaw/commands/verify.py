from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command


@command("verify", order=140)
def verify(
    file: Annotated[Path, typer.Argument(help="file written by abaw submit")],
    template: Annotated[
        Path,
        typer.Option(help="the organisers' sample prediction file, or the data set file of your own labels (YAML)"),
    ],
    task: Annotated[str | None, typer.Option(help="the template's task; default: read from its first line")] = None,
    split: Annotated[str, typer.Option(help="of a data set file: the split whose clips to check")] = "test",
) -> None:
    """Verify a challenge file against the template: every reason why it would be refused, by line number."""
    from abaw.challenge import verification

    faults = verification.verify(file, template, task=task, split=split)
    for fault in faults:
        print(fault)
    if faults:
        raise typer.Exit(1)
    print(f"{file} verified")
