from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import Device, command, show
from abaw.progress import Progress


@command("robustness", order=125)
def robustness(
    run: Annotated[Path, typer.Argument(help="a complete run")],
    split: Annotated[
        str, typer.Option(help="validation: what the run held out; test: of a manifest with labels of test clips")
    ] = "validation",
    data: Annotated[Path | None, typer.Option(help="data set with the labels; default: the run's")] = None,
    store: Annotated[Path | None, typer.Option(help="store with the features; default: the run's")] = None,
    seeds: Annotated[int, typer.Option(help="how often what is random is repeated")] = 3,
    stretch: Annotated[
        float, typer.Option(help="seconds: length of the stretches in which sound and faces are dropped")
    ] = 2.0,
    device: Device = "cpu",
    trust: Annotated[bool, typer.Option("--trust", help="run the plug-ins that the run names")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Score a run without each modality and on features that are dropped, noisy or shifted; say what it costs."""
    from abaw.pipelines.robustness.measuring import measure_robustness

    with Progress("robustness", "prediction") as progress:
        found = measure_robustness(
            run,
            split=split,
            data=data,
            store=store,
            num_seeds=seeds,
            stretch_s=stretch,
            device=device,
            trust=trust,
            progress=progress,
        )
    show(found, as_json)
