import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from abaw.commands import command
from abaw.progress import Progress

LOG = logging.getLogger("abaw")
# true of runs, too: nothing is extracted for them
STOPPED = "stopped: the same command writes all tables again; features that are in the store are not extracted again"


@command("predict", order=90, stopped=STOPPED)
def predict(
    out: Annotated[Path, typer.Option(help="folder for the tables; it gets a folder for each task")],
    runs: Annotated[list[Path] | None, typer.Argument(help="one run, or several to average")] = None,
    recogniser: Annotated[
        list[str] | None,
        typer.Option(
            help="a pretrained recogniser instead of a run: NAME or NAME:setting=value,...; may be given several times"
        ),
    ] = None,
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
    subjects: Annotated[
        Path | None,
        typer.Option(help="folder of vectors (abaw personalise): predict their persons with them; not for a challenge"),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="of recognisers: only this task; may be given several times; default: all that they answer"),
    ] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="refuse recognisers whose licence does not allow commercial use")
    ] = False,
    download: Annotated[bool, typer.Option(help="of recognisers: fetch weights that are not on this machine")] = False,
    assume_fps: Annotated[
        float | None,
        typer.Option(
            help="of recognisers: frame rate of clips without a video; default: 25 rows a second of own sound"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1")] = "cpu",
    deviation: Annotated[
        bool,
        typer.Option(
            "--deviation", help="of values, with standard deviations; a run's posterior is fitted where it has none"
        ),
    ] = False,
    trust: Annotated[bool, typer.Option("--trust", help="run the plug-ins that the runs name")] = False,
) -> None:
    """Write prediction tables, one a clip; several runs are averaged, or with --held-out pooled.

    With --recogniser, of pretrained networks: what the store lacks is extracted into it.
    """
    from abaw.errors import InputError
    from abaw.pipelines import prediction

    if recogniser:
        _recognise(
            recogniser,
            data,
            store,
            out,
            bool(runs or held_out or post_processing or deviation or subjects),
            split=split,
            clips=clips,
            tasks=task,
            commercial=commercial,
            device=device,
            download=download,
            assume_fps=assume_fps,
        )
        return
    if task or commercial or download or assume_fps is not None:
        raise InputError(
            "--task, --commercial, --download and --assume-fps are for recognisers: give --recogniser NAME"
        )
    with Progress("predict") as progress:
        found = prediction.predict(
            runs or [],
            out,
            split=split,
            clips=clips,
            held_out=held_out,
            post_processing=post_processing,
            data=data,
            store=store,
            subjects=subjects,
            device=device,
            deviation=deviation,
            trust=trust,
            progress=progress,
        )
    print(found)


def _recognise(
    recognisers: list[str], data: Path | None, store: Path | None, out: Path, has_runs: bool, **chosen: Any
) -> None:
    from abaw.errors import InputError
    from abaw.pipelines.recognised_tables import recognise

    if has_runs:
        raise InputError(
            "--recogniser is given with runs, --held-out, --deviation, --subjects or --post-processing: predict with "
            "each alone, then average the folders with abaw combine"
        )
    if data is None or store is None:
        raise InputError("--recogniser needs --data DATA and --store STORE: no run says where they are")
    with Progress("predict") as progress:
        found = recognise(recognisers, data, store, out, **chosen, progress=progress)
    for failure in found.failed:
        LOG.warning("%s", failure)
    print(found)
    if found.failed:
        raise typer.Exit(1)
