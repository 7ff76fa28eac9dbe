from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command, show
from abaw.progress import Progress


@command("similar", order=57)
def similar(
    moment: Annotated[str, typer.Argument(help="CLIP@SECONDS: the moment to compare with")],
    store: Annotated[Path, typer.Option(help="folder of the features")],
    features: Annotated[
        str | None, typer.Option(help="features to compare, any of the store; default: joint_embedding (abaw embed)")
    ] = None,
    num: Annotated[int, typer.Option(help="how many moments to list")] = 10,
    min_gap_s: Annotated[
        float | None,
        typer.Option(help="list several moments of a clip, this far apart in seconds; default: one a clip"),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """List the moments of other clips whose features are most similar to those of one moment."""
    from abaw.errors import InputError
    from abaw.pipelines.embedding import searching

    if as_csv and as_json:
        raise InputError("--csv and --json are given: give one of them")
    with Progress("similar") as progress:
        found = searching.find_similar(
            moment, store, features=features, num=num, min_gap_s=min_gap_s, progress=progress
        )
    if as_csv:
        print(found.to_csv(), end="")
    else:
        show(found, as_json)
