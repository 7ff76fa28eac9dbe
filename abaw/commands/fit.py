from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.calibration.fitting import fit_task
from abaw.errors import InputError

if TYPE_CHECKING:
    from abaw.tasks.base import PredictionPair

    Tried = Mapping[str, PredictionPair]


def fit(
    folder: Annotated[Path, typer.Argument(help="held-out tables (abaw predict --held-out, abaw combine), or a run")],
    out: Annotated[
        Path, typer.Option(help="the JSON file to write, for --post-processing; one that is there is replaced")
    ],
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folder has tables of")] = None,
    data: Annotated[Path | None, typer.Option(help="the data set; default: the run's")] = None,
    config: Annotated[
        Path | None, typer.Option(help="its section 'post-processing' says what is tried; default: the run's")
    ] = None,
    exclude_split: Annotated[
        str | None, typer.Option(help="validation: leave it out, so that it may be judged with what is fitted")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="tables that do not say so are held out all the same")] = False,
) -> None:
    """What makes of tables final predictions: gaps, smoothing, biases, thresholds; by the labels of held-out clips."""
    from abaw import predictions
    from abaw.files import write_json
    from abaw.runs import Run

    if out.is_dir():
        raise InputError(f"{out} is a folder: --out is the JSON file to write")
    tables = Run(folder).predictions("validation") if (folder / "run.json").is_file() else folder
    names = [task] if task else predictions.tasks_in(tables)
    found = {name: fit_task(tables, name, data, config, exclude_split, trust=trust) for name in names}
    write_json(out, {name: post_processing.document() for name, post_processing in found.items()})
    print(out)
