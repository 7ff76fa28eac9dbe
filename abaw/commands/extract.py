import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from abaw.commands import FACES_HELP, GOES_ON, TARGET_HELP, AudioStream, Device, Download, VideoStream, command
from abaw.progress import Progress

LOG = logging.getLogger("abaw")


@command("extract", order=40, stopped=f"{GOES_ON}; clips that are complete are not extracted again")
def extract(
    data: Annotated[Path, typer.Argument(help="a data set, a media file or a folder of media files")],
    store: Annotated[Path, typer.Option(help="folder of features, created if missing")],
    encoder: Annotated[list[str], typer.Option(help="NAME or NAME:setting=value,...; may be given several times")],
    faces: Annotated[str, typer.Option(help=FACES_HELP)] = "centerface",
    target: Annotated[str, typer.Option(help=TARGET_HELP)] = "largest",
    detect_every: Annotated[int, typer.Option(help="detect faces every N frames and track them in between")] = 5,
    fill_missing_faces: Annotated[
        bool, typer.Option(help="frames without a face image take the face detected in the video")
    ] = False,
    device: Device = "cpu",
    download: Download = False,
    assume_fps: Annotated[
        float | None, typer.Option(help="frame rate of clips without a video, and of raw streams that state none")
    ] = None,
    video_stream: VideoStream = None,
    audio_stream: AudioStream = None,
    readers: Annotated[int | None, typer.Option(help="decoding threads; default: half of the cores, at most 8")] = None,
    shard: Annotated[
        str | None, typer.Option(help="I/N: only the I-th of N parts of the clips, for job arrays")
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray: the workers of a Ray cluster")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="address of the cluster, auto for this machine's; default: a new one")
    ] = None,
    ray_workers: Annotated[int | None, typer.Option(help="workers; default: one a GPU, or one for two cores")] = None,
    dry_run: Annotated[
        bool, typer.Option(help="only say what is left to do, how much it is and how long it takes")
    ] = False,
) -> None:
    """Extract frame timestamps and features of every clip into a store.

    Run the same command again to continue; several may work on one store at the same time.
    """
    from abaw.pipelines import extraction

    chosen: dict[str, Any] = {
        "faces": faces,
        "target": target,
        "detect_every": detect_every,
        "fill_missing_faces": fill_missing_faces,
        "device": device,
        "download": download,
        "assume_fps": assume_fps,
        "video_stream": video_stream,
        "audio_stream": audio_stream,
        "readers": readers,
        "shard": shard,
    }
    if dry_run:
        estimate = extraction.estimate_extraction(data, store, encoder, **chosen)
        print(estimate)
        if not estimate.is_feasible:
            raise typer.Exit(1)
        return
    spread: dict[str, Any] = {"engine": engine, "ray_address": ray_address, "ray_workers": ray_workers}
    with Progress("extract") as progress:
        report = extraction.extract(data, store, encoder, **chosen, **spread, progress=progress)
    for failure in report.failed:
        LOG.warning("%s", failure)
    for line in report.loss_lines(f"abaw store info {store} --losses"):
        print(line)
    print(f"{store}: {report}")
    if report.failed:
        raise typer.Exit(1)
