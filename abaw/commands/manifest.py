from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command


@command("manifest", order=25)
def manifest(
    corpus: Annotated[str, typer.Argument(help="NAME or NAME:setting=value,... (abaw list corpora)")],
    folder: Annotated[Path, typer.Argument(help="the folder in which the corpus was unpacked")],
    out: Annotated[Path, typer.Option(help="the data set file to write (YAML); the table is beside it (CSV)")],
    with_affwild2: Annotated[
        bool, typer.Option("--with-affwild2", help="even though Aff-Wild2 lies in the same folder")
    ] = False,
) -> None:
    """Write a data set file for a corpus in its official layout: RAVDESS, CREMA-D, AffectNet, IEMOCAP and others."""
    from abaw.corpora.writing import make_manifest
    from abaw.pipelines.extraction import parse_part

    name, settings = parse_part(corpus)
    print(make_manifest(name, folder, out, settings, with_affwild2=with_affwild2))
