import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def check(
    data: Annotated[Path, typer.Argument(help="a data set, a media file or a folder of them")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="exit 1 when anything found will hurt")] = False,
) -> None:
    """What a data set holds and what will hurt."""
    from abaw.dataset.layout import open_dataset
    from abaw.progress import Progress
    from extract.dataset_check import check as checking

    with Progress("check") as progress:
        report = checking.check(open_dataset(data), progress=progress)
    print(json.dumps(asdict(report), indent=2, default=str) if as_json else checking.render(report))
    if strict and report.findings:
        raise typer.Exit(1)
