import logging
from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import GOES_ON, AudioStream, VideoStream, command
from abaw.progress import Progress

LOG = logging.getLogger("abaw")


@command("analyze", order=80, stopped=f"{GOES_ON}; features that are complete are not extracted again")
def analyze(
    media: Annotated[list[Path], typer.Argument(help="video or sound files, or folders of them")],
    run: Annotated[list[Path], typer.Option(help="a trained run; runs of one task are averaged")],
    out: Annotated[Path, typer.Option(help="folder for <file>.parquet, <file>.csv and store/ with the features")],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps")] = "cpu",
    assume_fps: Annotated[
        float | None, typer.Option(help="rows per second for sound files, and for raw streams that state no frame rate")
    ] = None,
    video_stream: VideoStream = None,
    audio_stream: AudioStream = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW|FOLDER",
            help="weights of encoders that moved since the run was trained, or a folder to search",
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="use plug-ins, code of models and absolute paths that the runs name")
    ] = False,
) -> None:
    """Predict every frame of any video or sound file: a table with time, face box and the runs' predictions."""
    from abaw.pipelines import analysis

    with Progress("analyze") as progress:
        found = analysis.analyze(
            media,
            run,
            out,
            device=device,
            assume_fps=assume_fps,
            video_stream=video_stream,
            audio_stream=audio_stream,
            weights=weights or (),
            trust=trust,
            progress=progress,
        )
    for failure in found.extraction.failed:
        LOG.warning("%s", failure)
    print(found)
    if found.extraction.failed:
        raise typer.Exit(1)
