import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.commands import (
    FACES_HELP,
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

if TYPE_CHECKING:
    from abaw.pipelines.live.running import LiveRow, LiveSession
    from abaw.pipelines.live.showing import Window

SHOWN_EVERY_S = 0.25  # the line on a terminal
LOGGED_EVERY_S = 10.0  # a line where there is none


@command("live", order=82, stopped="stopped: the rows up to here are complete")
def live(
    file: Annotated[Path | None, typer.Argument(help="a video file to play as a stream; default: the camera")] = None,
    camera: Annotated[
        str | None, typer.Option(help="number or path of a camera: 0, /dev/video0 (on Windows its name)")
    ] = None,
    microphone: Annotated[
        str | None, typer.Option(help="microphone beside the camera; none: no sound; default: the system's")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="file for the rows, .csv or .jsonl; each is complete in it at once")
    ] = None,
    recogniser: Annotated[
        list[str] | None,
        typer.Option(
            help="a pretrained recogniser: NAME or NAME:setting=value,...; may be given several times; default without "
            "--run: the best on this machine that can be used live"
        ),
    ] = None,
    run: Annotated[list[Path] | None, typer.Option(help="a trained run whose model depends on no later frame")] = None,
    show: Annotated[bool, typer.Option("--show", help="show the picture in a window; q ends")] = False,
    max_s: Annotated[float | None, typer.Option(help="end after so many seconds")] = None,
    max_delay_s: Annotated[
        float, typer.Option(help="how many seconds of sound after a frame its row may wait for")
    ] = 0.1,
    unsmoothed: Annotated[
        bool, typer.Option("--unsmoothed", help="leave out smoothing of runs, which depends on later frames")
    ] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="read a file as fast as it can be analysed; no frame is dropped")
    ] = False,
    faces: Annotated[
        str | None, typer.Option(help=f"{FACES_HELP}; default: centerface, or as the runs were trained")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="whose face: largest, leftmost, rightmost or central; default: largest, or as trained"),
    ] = None,
    commercial: Commercial = False,
    anyway: Anyway = False,
    device: Device = "cpu",
    download: Download = False,
    assume_fps: Annotated[float | None, typer.Option(help="frame rate of raw streams that state none")] = None,
    video_stream: VideoStream = None,
    audio_stream: AudioStream = None,
    weights: MovedWeights = None,
    trust: TrustRuns = False,
) -> None:
    """Predict each frame of a camera, or of a file played as a stream, as it arrives, and say how long it takes.

    Ends with the file, after --max-s, on Ctrl-C, or on q in the window.
    """
    from abaw.errors import InputError
    from abaw.pipelines.live import running
    from abaw.pipelines.live.showing import Window

    if file is not None and camera is not None:
        raise InputError(f"both the file {file} and the camera {camera} are given: give one of them")
    window = Window() if show else None
    session = running.live(
        file if file is not None else camera or 0,
        run or [],
        recognisers=recogniser or [],
        out=out,
        real_time=not fast,
        microphone=microphone,
        max_s=max_s,
        max_delay_s=max_delay_s,
        smoothed=not unsmoothed,
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
    )
    for line in session.sources:
        print(line)
    try:
        _follow(session, window)
    finally:
        try:
            session.close()
        finally:
            print(session.summary)


def _follow(session: "LiveSession", window: "Window | None") -> None:
    """Show the rows until the session ends, or the user ends it in the window."""
    line = _Line()
    try:
        for row in session:
            line.show(row, session)
            if window is not None and not row.is_dropped and not window.show(row, session.blocks):
                return
    finally:
        line.end()


class _Line:
    """The last row in a line of its own on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown_s = 0.0 if self._is_terminal else time.monotonic()

    def show(self, row: "LiveRow", session: "LiveSession") -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s < (SHOWN_EVERY_S if self._is_terminal else LOGGED_EVERY_S):
            return
        self._shown_s = now_s
        text = f"{row.time_s:8.2f} s  {row.short}  latency {1000 * row.latency_s:.0f} ms, {session.num_dropped} dropped"
        print(
            f"\r\x1b[K{text[:118]}" if self._is_terminal else text,
            end="" if self._is_terminal else "\n",
            file=sys.stderr,
        )

    def end(self) -> None:
        if self._is_terminal:
            print(file=sys.stderr)
