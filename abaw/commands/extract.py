import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abaw.errors import InputError
from abaw.pipelines.extraction import _estimate, build, shard_of

if TYPE_CHECKING:
    from extract.engine.estimate import Estimate
    from extract.engine.run import Report

LOG = logging.getLogger("abaw")


def extract(
    data: Annotated[Path, typer.Argument(help="a data set, a media file or a folder of them")],
    store: Annotated[Path, typer.Option(help="the folder of features; made where it is missing")],
    encoder: Annotated[list[str], typer.Option(help="NAME or NAME:setting=value,... ; may be given several times")],
    faces: Annotated[
        str, typer.Option(help="who finds faces where there are no face images: NAME or NAME:setting=value,...")
    ] = "haar",
    target: Annotated[
        str, typer.Option(help="whose face: largest, longest, leftmost, rightmost, central or speaking")
    ] = "largest",
    detect_every: Annotated[int, typer.Option(help="frames from one detection to the next; followed between")] = 5,
    fill_missing_faces: Annotated[
        bool, typer.Option(help="frames without an organisers' face image take the face found in the video")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps")] = "cpu",
    download: Annotated[bool, typer.Option(help="fetch weights that are not on this machine")] = False,
    assume_fps: Annotated[float | None, typer.Option(help="frame rate of clips that have no video to tell it")] = None,
    readers: Annotated[
        int | None, typer.Option(help="threads that decode; default: half of the cores, 8 at most")
    ] = None,
    shard: Annotated[str | None, typer.Option(help="I/N: the I-th of N parts of the clips, for job arrays")] = None,
    engine: Annotated[str, typer.Option(help="local, or ray: the workers of a Ray cluster")] = "local",
    ray_address: Annotated[str | None, typer.Option(help="the cluster's address; default: this machine's")] = None,
    ray_workers: Annotated[int | None, typer.Option(help="workers; default: one a GPU, or one for two cores")] = None,
    dry_run: Annotated[bool, typer.Option(help="say what is to do, how much and how long, and do nothing")] = False,
) -> None:
    """Clocks and features of every clip; goes on where it was stopped, beside others on the same store."""
    from abaw.dataset.layout import open_dataset
    from abaw.progress import Progress
    from extract.engine import run
    from extract.store.store import FeatureStore

    if engine not in ("local", "ray"):
        raise InputError(f"--engine is {engine!r}, expected local or ray")
    # workers elsewhere have other folders to begin from
    dataset = open_dataset(data.resolve() if engine == "ray" else data)
    clip_ids = shard_of(dataset, shard)
    crew = partial(build, encoder, faces, target, detect_every, device, download)
    settings: dict[str, Any] = {"assume_fps": assume_fps, "fill": fill_missing_faces}
    if dry_run:
        tell_estimate(_estimate(dataset, store, crew(), clip_ids, readers, settings))
        return
    with Progress("extract") as progress:
        if engine == "ray":
            from extract.engine.ray import extract_on_ray

            settings |= {"address": ray_address, "num_workers": ray_workers, "num_gpus": int(device.startswith("cuda"))}
            report = extract_on_ray(
                dataset, FeatureStore(store.resolve()), crew, clip_ids, progress=progress, **settings
            )
        else:
            settings |= {"clip_ids": clip_ids, "num_readers": readers}
            report = run.extract(dataset, FeatureStore(store), *crew(), progress=progress, **settings)
    tell_report(report)
    print(
        f"{store}: {len(report.made)} clips extracted, {len(report.present)} done before, {len(report.failed)} failed"
    )
    if report.failed:
        raise typer.Exit(1)


def tell_report(report: "Report") -> None:
    """The clips that failed, each with its reason, at the end where they are seen."""
    for failure in report.failed:
        LOG.warning("%s: %s: %s", failure.clip, failure.stage, failure.reason)


def tell_estimate(found: "Estimate") -> None:
    """What there is to do, in lines."""
    from datetime import timedelta

    for clip_id in found.unreadable:
        LOG.warning("%s: cannot be read, it would fail", clip_id)
    for name, num_rows in found.num_rows.items():
        print(f"{name}: {num_rows:.0f} rows, about {timedelta(seconds=round(found.seconds[name]))} of encoding")
    print(f"reading: about {timedelta(seconds=round(found.read_s))}, at the same time")
    print(
        f"{found.num_clips} clips to extract, {found.num_present} done before, {len(found.unreadable)} unreadable; "
        f"{found.num_frames} frames, {found.num_bytes / 1e9:.2f} GB, about {timedelta(seconds=round(found.total_s))}"
    )
