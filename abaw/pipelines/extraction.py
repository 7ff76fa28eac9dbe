"""Feature extraction: encoders and detectors built from text, and the run over all clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset
    from extract.engine.estimate import Estimate
    from extract.engine.plan import EncoderSpec
    from extract.faces.detectors import FaceDetector
    from extract.faces.target import TargetConfig


def build(
    encoders: Sequence[str], faces: str, target: str, detect_every: int, device: str, download: bool
) -> "tuple[list[EncoderSpec], TargetConfig]":
    """The encoders asked for, and who is watched."""
    from extract.faces.target import TargetConfig

    watch = TargetConfig(build_finder(faces, download), target, detect_every)
    asked = [build_encoder(text, device, download) for text in encoders]
    for i, each in enumerate(asked):
        if any(each.name == other.name and each.encoder.recipe() != other.encoder.recipe() for other in asked[:i]):
            raise InputError(f"two encoders are named {each.name!r}: give one of them another name with as=NAME")
    return asked, watch


def build_encoder(text: str, device: str = "cpu", download: bool = False) -> "EncoderSpec":
    """An encoder from ``NAME`` or ``NAME:setting=value,...``; ``as`` and ``stored_dtype`` are for the store."""
    from extract import presets
    from extract.engine.plan import EncoderSpec

    name, settings = parse_encoder(text)
    label, stored_dtype = settings.pop("as", name), settings.pop("stored_dtype", "float16")
    if stored_dtype not in ("float16", "float32"):
        raise InputError(f"stored_dtype is {stored_dtype!r} in {text!r}, expected float16 or float32")
    if not isinstance(label, str) or not label.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise InputError(f"as={label!r} in {text!r} cannot name a folder: use letters, digits, '_', '-' and '.'")
    return EncoderSpec(label, presets.build(name, device=device, download=download, **settings), stored_dtype)


def rebuild(recipe: dict[str, Any], device: str = "cpu") -> "tuple[EncoderSpec, TargetConfig | None]":
    """The encoder and watch of a stored recipe. ValueError where they would give other numbers today."""
    from extract import DETECTORS, presets
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig

    if recipe["encoder"] == "import":
        raise InputError(
            f"the features {recipe['name']} were made elsewhere and imported, they cannot be made of other media: "
            "train a run on features of encoders"
        )
    encoder = presets.build(recipe["encoder"], device=device, **recipe["settings"])
    asked = EncoderSpec(recipe["name"], encoder, recipe["stored_dtype"])
    faces = recipe.get("faces")
    watch = None
    if faces:
        watch = TargetConfig(DETECTORS.build(faces["finder"], **faces["settings"]), faces["target"], faces["every"])
    now = asked.recipe(watch or TargetConfig(build_finder("haar")), "fill_missing_faces" in recipe)
    changed = [key for key in recipe.keys() | now.keys() if recipe.get(key) != now.get(key)]
    if changed:
        raise InputError(
            f"the run's {recipe['name']} features had another recipe ({', '.join(sorted(changed))}): give the encoder "
            "the weights it had, or extract and train again"
        )
    return asked, watch


def build_finder(text: str, download: bool = False) -> "FaceDetector":
    """A face finder from ``NAME`` or ``NAME:setting=value,...``."""
    from extract import DETECTORS

    name, settings = parse_encoder(text)
    handed = {"download": download} if "download" in DETECTORS.part(name).given else {}
    return DETECTORS.build(name, **settings, **handed)


def shard_of(dataset: "Dataset", shard: str | None) -> list[str]:
    """The clips of the I-th of N parts, from ``I/N``; clips of one video stay together. None: all clips."""
    if shard is None:
        return list(dataset.clips)
    part, _, whole = shard.partition("/")
    if not (part.isdigit() and whole.isdigit() and 1 <= int(part) <= int(whole)):
        raise InputError(f"--shard is {shard!r}, expected I/N with I from 1 to N, as 3/8")
    videos: dict[str, list[str]] = {}
    for clip_id, clip in dataset.clips.items():
        videos.setdefault(clip.media.stem if clip.media else clip_id, []).append(clip_id)
    return [clip_id for video in sorted(videos)[int(part) - 1 :: int(whole)] for clip_id in videos[video]]


def _estimate(
    dataset: "Dataset",
    store: Path,
    crew: "tuple[list[EncoderSpec], TargetConfig]",
    clip_ids: list[str],
    readers: int | None,
    settings: dict[str, Any],
) -> "Estimate":
    from extract.engine.estimate import estimate
    from extract.engine.plan import ExtractionPlan
    from extract.engine.run import default_readers
    from extract.store.store import FeatureStore

    asked, watch = crew
    work = ExtractionPlan(dataset, FeatureStore(store), watch, **settings)
    work.ask(asked)
    return estimate(work, clip_ids, default_readers() if readers is None else readers)


def parse_encoder(text: str) -> tuple[str, dict[str, Any]]:
    from abaw.config_file import parse_setting

    name, _, rest = text.partition(":")
    return name, dict(parse_setting(setting) for setting in rest.split(",") if setting)
