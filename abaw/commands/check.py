from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import AudioStream, VideoStream, command, show
from abaw.progress import Progress


@command("check", order=30)
def check(
    data: Annotated[Path, typer.Argument(help="a data set, a media file or a folder of media files")],
    video_stream: VideoStream = None,
    audio_stream: AudioStream = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="exit with code 1 when there are findings")] = False,
) -> None:
    """Show what a data set holds, and what in it would lose or shift rows."""
    from abaw.pipelines import checking

    with Progress("check") as progress:
        report = checking.check(data, video_stream=video_stream, audio_stream=audio_stream, progress=progress)
    show(report, as_json)
    if strict and report.findings:
        raise typer.Exit(1)
