from pathlib import Path
from typing import Annotated

import typer


def synth(
    out: Annotated[Path, typer.Argument(help="the folder to make")],
    clips: Annotated[int, typer.Option(help="how many clips")] = 36,
    seconds: Annotated[float, typer.Option(help="how long each is")] = 12.0,
    seed: Annotated[int, typer.Option(help="the same seed gives the same bytes")] = 0,
) -> None:
    """A small data set in Aff-Wild2's layout whose answers are known."""
    from abaw.progress import Progress
    from extract.synthetic.dataset import make_dataset

    with Progress("synth") as progress:
        make_dataset(
            out,
            num_clips=clips,
            seconds=seconds,
            seed=seed,
            progress=lambda done, total: progress("video", done, total),
        )
    print(out)
