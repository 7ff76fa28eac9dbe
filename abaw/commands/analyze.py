import logging
from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import (
    FACES_HELP,
    GOES_ON,
    TARGET_HELP,
    Anyway,
    AudioStream,
    Commercial,
    Device,
    Download,
    MovedWeights,
    TrustRuns,
    VideoStream,
    command,
)
from abaw.files.names import one_line
from abaw.progress import Progress

LOG = logging.getLogger("abaw")


@command("analyze", order=80, stopped=f"{GOES_ON}; features that are complete are not extracted again")
def analyze(
    media: Annotated[list[Path], typer.Argument(help="video or sound files, or folders of them")],
    out: Annotated[
        Path,
        typer.Option(
            help="folder for <file>.parquet, <file>.csv, <file>.html, analysis.json and store/ with the features"
        ),
    ] = Path("analysis"),
    recogniser: Annotated[
        list[str] | None,
        typer.Option(
            help="a pretrained recogniser: NAME or NAME:setting=value,...; may be given several times; default without "
            "--run: the best on this machine"
        ),
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="a trained run; runs and recognisers of one task are averaged")
    ] = None,
    persons: Annotated[
        str,
        typer.Option(
            help="target: one row a frame; all: one row for each person seen in a frame (the voice is the same for all)"
        ),
    ] = "target",
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="write <file>.html, a page with the player and the timeline")
    ] = True,
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay", help="write <file>.overlay.mp4: the video with faces, classes, valence and arousal drawn on it"
        ),
    ] = False,
    plot: Annotated[
        list[str] | None,
        typer.Option(metavar="png|svg", help="draw the timeline of each clip; may be given several times"),
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option(
            metavar="eaf|srt|vtt|rrd",
            help="write files for other tools: ELAN annotations, SubRip and WebVTT subtitles of the most probable "
            "class, a Rerun recording; may be given several times",
        ),
    ] = None,
    shortest_subtitle: Annotated[
        float, typer.Option(help="seconds; subtitles that would be shown for less are left out and counted")
    ] = 0.5,
    embed: Annotated[
        bool, typer.Option("--embed", help="put the video into the page, so that the page can be sent alone")
    ] = False,
    faces: Annotated[
        str | None, typer.Option(help=f"{FACES_HELP}; default: centerface, or as the runs were trained")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help=f"{TARGET_HELP}; default: largest, or as the runs were trained")
    ] = None,
    commercial: Commercial = False,
    anyway: Anyway = False,
    device: Device = "cpu",
    download: Download = False,
    assume_fps: Annotated[
        float | None,
        typer.Option(help="rows per second for sound files (default 25), and for raw streams that state no frame rate"),
    ] = None,
    video_stream: VideoStream = None,
    audio_stream: AudioStream = None,
    weights: MovedWeights = None,
    trust: TrustRuns = False,
) -> None:
    """Predict every frame of any video or sound file: a table with time, face box and predictions.

    Without --run and --recogniser, the best pretrained recognisers on this machine predict.
    """
    from abaw.pipelines.analysis import analyzing
    from abaw.pipelines.viewing.writing import EXPORTS, PLOTS, chosen

    with Progress("analyze", "") as progress:
        found = analyzing.analyze(
            media,
            run or [],
            out,
            recognisers=recogniser or [],
            persons=persons,
            views=[
                *(["page"] if page else []),
                *(["overlay"] if overlay else []),
                *chosen(plot, PLOTS, "--plot"),
                *chosen(export, EXPORTS, "--export"),
            ],
            embed=embed,
            shortest_subtitle_s=shortest_subtitle,
            faces=faces,
            target=target,
            commercial=commercial,
            anyway=anyway,
            device=device,
            download=download,
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
    failed = found.views_failed
    pages = [name for name in found.clips if not any(line.startswith(f"{name}: page: ") for line in failed)]
    if page and pages:
        others = f"; the other {len(pages) - 1} beside it" if pages[1:] else ""
        print(f"open {one_line(str(found.out / pages[0]))}.html in a browser{others}")
    if found.extraction.failed or failed:
        raise typer.Exit(1)
