from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command, show
from abaw.progress import Progress


@command("runs", order=95)
def runs(
    folder: Annotated[Path, typer.Argument(help="folder with runs in it, or below it")] = Path("runs"),
    sort: Annotated[
        str, typer.Option(help="column to sort by, best score first; -COLUMN for the other order")
    ] = "score",
    where: Annotated[
        list[str] | None, typer.Option(help="COLUMN=PATTERN with * and ?, such as model=bigru; may be repeated")
    ] = None,
    intervals: Annotated[
        bool, typer.Option("--intervals/--no-intervals", help="compute 95 % intervals, which reads tables and labels")
    ] = True,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV with all columns")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """List runs with scores, settings and state in one table; incomplete and damaged ones are listed as such."""
    from abaw.errors import InputError
    from abaw.evaluation import run_table

    if as_csv and as_json:
        raise InputError("--csv and --json are given: give one of them")
    with Progress("runs", "run") as progress:
        found = run_table.read_runs(folder, sort=sort, where=where or (), with_intervals=intervals, progress=progress)
    if as_csv:
        print(found.to_csv(), end="")
    else:
        show(found, as_json)
