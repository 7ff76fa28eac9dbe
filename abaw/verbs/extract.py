import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from abaw.clips import Dataset
    from extract.estimate import Estimate
    from extract.finders import FaceFinder
    from extract.persons import Watch
    from extract.run import Report
    from extract.work import Asked

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
    from abaw.clips import open_dataset
    from abaw.progress import Progress
    from extract import run
    from extract.store import FeatureStore

    if engine not in ("local", "ray"):
        raise ValueError(f"--engine is {engine!r}, expected local or ray")
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
            from extract.on_ray import extract_on_ray

            settings |= {"address": ray_address, "num_workers": ray_workers, "num_gpus": int(device.startswith("cuda"))}
            report = extract_on_ray(dataset, FeatureStore(store.resolve()), crew, clip_ids, tell=progress, **settings)
        else:
            settings |= {"clip_ids": clip_ids, "num_readers": readers}
            report = run.extract(dataset, FeatureStore(store), *crew(), tell=progress, **settings)
    tell_report(report)
    print(
        f"{store}: {len(report.made)} clips extracted, {len(report.present)} done before, {len(report.failed)} failed"
    )
    if report.failed:
        raise typer.Exit(1)


def build(
    encoders: Sequence[str], faces: str, target: str, detect_every: int, device: str, download: bool
) -> "tuple[list[Asked], Watch]":
    """The encoders asked for, and who is watched."""
    from extract.persons import Watch

    watch = Watch(build_finder(faces, download), target, detect_every)
    asked = [build_encoder(text, device, download) for text in encoders]
    for i, each in enumerate(asked):
        if any(each.name == other.name and each.encoder.recipe() != other.encoder.recipe() for other in asked[:i]):
            raise ValueError(f"two encoders are named {each.name!r}: give one of them another name with as=NAME")
    return asked, watch


def build_encoder(text: str, device: str = "cpu", download: bool = False) -> "Asked":
    """An encoder from ``NAME`` or ``NAME:setting=value,...``; ``as`` and ``stored_dtype`` are for the store."""
    from extract import presets
    from extract.work import Asked

    name, settings = parse_encoder(text)
    label, stored_dtype = settings.pop("as", name), settings.pop("stored_dtype", "float16")
    if stored_dtype not in ("float16", "float32"):
        raise ValueError(f"stored_dtype is {stored_dtype!r} in {text!r}, expected float16 or float32")
    if not isinstance(label, str) or not label.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise ValueError(f"as={label!r} in {text!r} cannot name a folder: use letters, digits, '_', '-' and '.'")
    return Asked(label, presets.build(name, device=device, download=download, **settings), stored_dtype)


def rebuild(recipe: dict[str, Any], device: str = "cpu") -> "tuple[Asked, Watch | None]":
    """The encoder and watch of a stored recipe. ValueError where they would give other numbers today."""
    from extract import FINDERS, presets
    from extract.persons import Watch
    from extract.work import Asked

    if recipe["encoder"] == "import":
        raise ValueError(
            f"the features {recipe['name']} were made elsewhere and imported, they cannot be made of other media: "
            "train a run on features of encoders"
        )
    encoder = presets.build(recipe["encoder"], device=device, **recipe["settings"])
    asked = Asked(recipe["name"], encoder, recipe["stored_dtype"])
    faces = recipe.get("faces")
    watch = None
    if faces:
        watch = Watch(FINDERS.build(faces["finder"], **faces["settings"]), faces["target"], faces["every"])
    now = asked.recipe(watch or Watch(build_finder("haar")), "fill_missing_faces" in recipe)
    changed = [key for key in recipe.keys() | now.keys() if recipe.get(key) != now.get(key)]
    if changed:
        raise ValueError(
            f"the run's {recipe['name']} features had another recipe ({', '.join(sorted(changed))}): give the encoder "
            "the weights it had, or extract and train again"
        )
    return asked, watch


def build_finder(text: str, download: bool = False) -> "FaceFinder":
    """A face finder from ``NAME`` or ``NAME:setting=value,...``."""
    from extract import FINDERS

    name, settings = parse_encoder(text)
    handed = {"download": download} if "download" in FINDERS.part(name).given else {}
    return FINDERS.build(name, **settings, **handed)


def shard_of(dataset: "Dataset", shard: str | None) -> list[str]:
    """The clips of the I-th of N parts, from ``I/N``; clips of one video stay together. None: all clips."""
    if shard is None:
        return list(dataset.clips)
    part, _, whole = shard.partition("/")
    if not (part.isdigit() and whole.isdigit() and 1 <= int(part) <= int(whole)):
        raise ValueError(f"--shard is {shard!r}, expected I/N with I from 1 to N, as 3/8")
    videos: dict[str, list[str]] = {}
    for clip_id, clip in dataset.clips.items():
        videos.setdefault(clip.media.stem if clip.media else clip_id, []).append(clip_id)
    return [clip_id for video in sorted(videos)[int(part) - 1 :: int(whole)] for clip_id in videos[video]]


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


def _estimate(
    dataset: "Dataset",
    store: Path,
    crew: "tuple[list[Asked], Watch]",
    clip_ids: list[str],
    readers: int | None,
    settings: dict[str, Any],
) -> "Estimate":
    from extract.estimate import estimate
    from extract.run import default_readers
    from extract.store import FeatureStore
    from extract.work import Work

    asked, watch = crew
    work = Work(dataset, FeatureStore(store), watch, **settings)
    work.ask(asked)
    return estimate(work, clip_ids, default_readers() if readers is None else readers)


def parse_encoder(text: str) -> tuple[str, dict[str, Any]]:
    from abaw.config_file import parse_setting

    name, _, rest = text.partition(":")
    return name, dict(parse_setting(setting) for setting in rest.split(",") if setting)
