from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command
from abaw.progress import Progress


@command("fit", order=100)
def fit(
    folder: Annotated[Path, typer.Argument(help="held-out tables (abaw predict --held-out, abaw combine), or a run")],
    out: Annotated[Path, typer.Option(help="JSON file to write, for --post-processing; an existing one is replaced")],
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folder has tables of")] = None,
    data: Annotated[Path | None, typer.Option(help="data set with the labels; default: the run's")] = None,
    config: Annotated[
        Path | None, typer.Option(help="config whose section post_processing says what is tried; default: the run's")
    ] = None,
    exclude_split: Annotated[
        str | None,
        typer.Option(help="split to exclude from the fit (usually validation), to score the result on it"),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="also fit maps after which probabilities of classes and units are as often right as "
            "they say (post_processing.calibration)",
        ),
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="fit on tables that do not say whether they are held out")
    ] = False,
) -> None:
    """Fit post-processing on held-out predictions: gap filling, smoothing, calibration, biases, thresholds."""
    from abaw.calibration.fit import fit as fit_tables
    from abaw.pipelines.configuration import open_config

    options = None if config is None else open_config(config)[1].post_processing
    with Progress("fit", "candidate") as progress:
        found = fit_tables(
            folder,
            out,
            task=task,
            data=data,
            options=options,
            exclude_split=exclude_split,
            calibrate=calibrate,
            trust=trust,
            progress=progress,
        )
    print(found)
