from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import GOES_ON, Device, command, show
from abaw.progress import Progress


@command("embed", order=55, stopped=f"{GOES_ON}; clips that have their embedding are not embedded again")
def embed(
    run: Annotated[Path, typer.Argument(help="run of the model multitask_contrastive (abaw train contrastive)")],
    store: Annotated[Path, typer.Option(help="store with the features of the run, to which the embedding is written")],
    data: Annotated[
        Path | None, typer.Option(help="data set whose clips to embed; default: every clip of the store")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="export the embedding that was trained on this task alone, instead of the joint one"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="name of the features; default: joint_embedding, or TASK_embedding")
    ] = None,
    device: Device = "cpu",
    trust: Annotated[bool, typer.Option("--trust", help="run the plug-ins that the run names")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Write the embedding of a run into the store: small features that training, probe and similar can use."""
    from abaw.pipelines.embedding import exporting

    with Progress("embed") as progress:
        found = exporting.embed(
            run, store, data=data, task=task, name=name, device=device, trust=trust, progress=progress
        )
    show(found, as_json)
