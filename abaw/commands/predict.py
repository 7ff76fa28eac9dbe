from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command
from abaw.progress import Progress


@command("predict", order=90)
def predict(
    runs: Annotated[list[Path], typer.Argument(help="one run, or several to average")],
    out: Annotated[Path, typer.Option(help="folder for the tables; it gets a folder for each task")],
    split: Annotated[str | None, typer.Option(help="train, validation or test")] = None,
    clips: Annotated[
        list[str] | None, typer.Option(help="single clips instead of a split; may be given several times")
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="pool what each run predicted for the clips it held out (folds)")
    ] = False,
    post_processing: Annotated[
        Path | None, typer.Option(help="file written by abaw fit, kept with the tables; default: a single run's own")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="data set; default: the run's")] = None,
    store: Annotated[Path | None, typer.Option(help="store of features; default: the run's")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1")] = "cpu",
    trust: Annotated[bool, typer.Option("--trust", help="run the plug-ins that the runs name")] = False,
) -> None:
    """Write prediction tables, one a clip; several runs are averaged, or with --held-out pooled."""
    from abaw.pipelines import prediction

    with Progress("predict") as progress:
        found = prediction.predict(
            runs,
            out,
            split=split,
            clips=clips,
            held_out=held_out,
            post_processing=post_processing,
            data=data,
            store=store,
            device=device,
            trust=trust,
            progress=progress,
        )
    print(found)
