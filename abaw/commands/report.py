from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command, show
from abaw.progress import Progress


@command("report", order=122)
def report(
    folders: Annotated[
        list[Path], typer.Argument(help="runs, or folders of prediction tables; of several, every two are compared")
    ],
    out: Annotated[
        Path, typer.Option(help="HTML file to write; a report that is there is replaced, another file is not")
    ] = Path("report.html"),
    split: Annotated[str | None, typer.Option(help="train, validation, test or held-out, as for abaw score")] = None,
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folder has tables of")] = None,
    data: Annotated[Path | None, typer.Option(help="data set with the labels; default: the run's")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="leave out the folder's post-processing")] = False,
    worst: Annotated[int, typer.Option(help="clips of each task that are drawn, the worst first")] = 10,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="first measure it for each run for which that was not done (abaw robustness)"
        ),
    ] = False,
    draws: Annotated[int, typer.Option(help="random exchanges of videos, for p")] = 1000,
    seed: Annotated[int, typer.Option(help="seed of the exchanges")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Write one HTML page about runs or prediction folders: scores, errors, calibration, worst clips, provenance."""
    from abaw.pipelines.reporting.writing import report as write_report

    with Progress("report", "") as progress:
        found = write_report(
            folders,
            out,
            split=split,
            task=task,
            data=data,
            raw=raw,
            worst=worst,
            robustness=robustness,
            draws=draws,
            seed=seed,
            progress=progress,
        )
    show(found, as_json)
