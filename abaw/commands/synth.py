from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command
from abaw.progress import Progress


@command("synth", order=20)
def synth(
    out: Annotated[Path, typer.Argument(help="folder to create")],
    clips: Annotated[int, typer.Option(help="number of clips")] = 36,
    seconds: Annotated[float, typer.Option(help="length of each clip")] = 12.0,
    seed: Annotated[int, typer.Option(help="the same seed gives the same bytes")] = 0,
) -> None:
    """Make a small synthetic data set in Aff-Wild2's layout whose answers are known."""
    from abaw.pipelines import checking

    with Progress("synth", "video") as progress:
        print(checking.synthesize(out, clips=clips, seconds=seconds, seed=seed, progress=progress))
