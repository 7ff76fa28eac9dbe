import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from extract.faces import FaceFinder
    from extract.run import Asked, Report

LOG = logging.getLogger("abaw")


def extract(
    data: Annotated[Path, typer.Argument(help="a data set, a media file or a folder of them")],
    store: Annotated[Path, typer.Option(help="the folder of features; made where it is missing")],
    encoder: Annotated[list[str], typer.Option(help="NAME or NAME:setting=value,... ; may be given several times")],
    faces: Annotated[
        str, typer.Option(help="who finds faces where there are no face images: haar or yunet:file=PATH")
    ] = "haar",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps")] = "cpu",
    assume_fps: Annotated[float | None, typer.Option(help="frame rate of clips that have no video to tell it")] = None,
) -> None:
    """Clocks and features of every clip; goes on where it was stopped."""
    from abaw.clips import open_dataset
    from abaw.progress import Progress
    from extract import run
    from extract.store import FeatureStore

    dataset = open_dataset(data)
    finder = build_finder(faces)
    asked = [build_encoder(text, device) for text in encoder]
    with Progress("extract") as progress:
        report = run.extract(dataset, FeatureStore(store), asked, finder, assume_fps=assume_fps, tell=progress)
    tell_report(report)
    print(
        f"{store}: {len(report.made)} clips extracted, {len(report.present)} done before, {len(report.failed)} failed"
    )
    if report.failed:
        raise typer.Exit(1)


def build_encoder(text: str, device: str = "cpu") -> "Asked":
    """An encoder from ``NAME`` or ``NAME:setting=value,...``; ``as`` and ``stored_dtype`` are for the store."""
    from extract.encoders import ENCODERS
    from extract.run import Asked

    name, settings = _parse(text)
    label, stored_dtype = settings.pop("as", name), settings.pop("stored_dtype", "float16")
    if stored_dtype not in ("float16", "float32"):
        raise ValueError(f"stored_dtype is {stored_dtype!r} in {text!r}, expected float16 or float32")
    if not isinstance(label, str) or not label.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise ValueError(f"as={label!r} in {text!r} cannot name a folder: use letters, digits, '_', '-' and '.'")
    return Asked(label, ENCODERS.build(name, **settings, **_device(name, device)), stored_dtype)


def rebuild(recipe: dict[str, Any], device: str = "cpu") -> tuple["Asked", "FaceFinder | None"]:
    """The encoder and finder of a stored recipe. ValueError where they would give other numbers today."""
    from extract import FINDERS
    from extract.encoders import ENCODERS
    from extract.run import Asked

    encoder = ENCODERS.build(recipe["encoder"], **recipe["settings"], **_device(recipe["encoder"], device))
    asked = Asked(recipe["name"], encoder, recipe["stored_dtype"])
    faces = recipe.get("faces")
    finder = FINDERS.build(faces["finder"], **faces["settings"]) if faces else None
    now = asked.recipe(finder or build_finder("haar"))
    changed = [key for key in recipe.keys() | now.keys() if recipe.get(key) != now.get(key)]
    if changed:
        raise ValueError(
            f"the run's {recipe['name']} features had another recipe ({', '.join(sorted(changed))}): give the encoder "
            "the weights it had, or extract and train again"
        )
    return asked, finder


def build_finder(text: str) -> "FaceFinder":
    """A face finder from ``NAME`` or ``NAME:setting=value,...``."""
    from extract import FINDERS

    name, settings = _parse(text)
    return FINDERS.build(name, **settings)


def tell_report(report: "Report") -> None:
    """The clips that failed, each with its reason, at the end where they are seen."""
    for failure in report.failed:
        LOG.warning("%s: %s: %s", failure.clip, failure.stage, failure.reason)


def _device(name: str, device: str) -> dict[str, str]:
    """The device for an encoder that has one to choose; those that run on the CPU only ignore it."""
    from extract.encoders import ENCODERS

    return {"device": device} if "device" in ENCODERS.part(name).given else {}


def _parse(text: str) -> tuple[str, dict[str, Any]]:
    from abaw.config import parse_setting

    name, _, rest = text.partition(":")
    return name, dict(parse_setting(setting) for setting in rest.split(",") if setting)
