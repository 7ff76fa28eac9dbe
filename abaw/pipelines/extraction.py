"""Feature extraction: encoders and face detectors built from text, and one run over all clips."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw import plugins
from abaw.configs.file import parse_setting
from abaw.dataset.layout import open_dataset
from abaw.dataset.media_files import Streams
from abaw.errors import InputError
from abaw.files import as_list, as_path
from abaw.files.names import checked_name
from abaw.numbers import INTEGER
from abaw.progress import ProgressCallback, as_progress, silent

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset
    from extract.engine.estimate import Estimate
    from extract.engine.plan import EncoderSpec
    from extract.engine.run import ExtractionReport
    from extract.faces.detector import FaceDetector
    from extract.faces.target import TargetConfig

ENGINES = ("local", "ray")


def extract(
    data: str | Path,
    store: str | Path,
    encoders: str | Sequence[str],
    *,
    faces: str = "centerface",
    target: str = "largest",
    detect_every: int = 5,
    fill_missing_faces: bool = False,
    device: str = "cpu",
    download: bool = False,
    assume_fps: float | None = None,
    video_stream: int | None = None,
    audio_stream: int | None = None,
    readers: int | None = None,
    shard: str | None = None,
    engine: str = "local",
    ray_address: str | None = None,
    ray_workers: int | None = None,
    progress: ProgressCallback = silent,
) -> "ExtractionReport":
    """Extract frame timestamps and features of every clip into a store; what is there already is kept.

    ``data``: a data set, a media file or a folder of media. ``store``: the folder of features. ``encoders``: ``NAME``
    or ``NAME:setting=value,...``, one or several. ``faces``: the detector used where there are no face images, in the
    same form. ``target``: whose face (largest, longest, leftmost, rightmost, central, speaking). ``detect_every``:
    frames from one detection to the next; the face is tracked between. ``fill_missing_faces``: frames without a face
    image take the face detected in the video. ``download``: fetch weights that are not on this machine.
    ``assume_fps``: the frame rate of clips without a video. ``video_stream`` and ``audio_stream``: the streams to
    read of every file, counted from 0 within their kind; by default those that players choose. ``readers``: decoding
    threads. ``shard``: "I/N", the I-th of N parts of the clips. ``engine``: "local", or "ray" with ``ray_address`` and
    ``ray_workers``.

    A clip that fails does not stop the others: it is in the report with its reason. Raises InputError for a wrong
    encoder, setting or option; NotFoundError for missing data or weights; OSError where the store cannot be written.
    """
    from extract.engine import run
    from extract.store.store import FeatureStore

    _check_engine(engine)
    texts = _several(encoders)
    # workers elsewhere have other folders to begin from
    dataset = open_dataset(as_path(data, "data").resolve() if engine == "ray" else data)
    opened = FeatureStore(as_path(store, "store").resolve() if engine == "ray" else store)
    dataset = dataset.with_streams(Streams(video_stream, audio_stream))
    clip_ids = shard_of(dataset, shard)
    parts = partial(build, texts, faces, target, detect_every, device, download, _plugin_paths())
    settings: dict[str, Any] = {"assume_fps": assume_fps, "fill": fill_missing_faces, "progress": as_progress(progress)}
    if engine == "ray":
        from extract.engine.ray import extract_on_ray

        num_gpus = int(device.startswith("cuda"))
        settings |= {"address": ray_address, "num_workers": ray_workers, "num_gpus": num_gpus}
        return extract_on_ray(dataset, opened, parts, clip_ids, **settings)
    return run.extract(dataset, opened, *parts(), clip_ids=clip_ids, num_readers=readers, **settings)


def estimate_extraction(
    data: str | Path,
    store: str | Path,
    encoders: str | Sequence[str],
    *,
    faces: str = "centerface",
    target: str = "largest",
    detect_every: int = 5,
    fill_missing_faces: bool = False,
    device: str = "cpu",
    download: bool = False,
    assume_fps: float | None = None,
    video_stream: int | None = None,
    audio_stream: int | None = None,
    readers: int | None = None,
    shard: str | None = None,
) -> "Estimate":
    """How much ``extract`` would have to do and about how long it would take; nothing is written."""
    from extract.engine.estimate import estimate
    from extract.engine.plan import ExtractionPlan
    from extract.engine.run import default_readers
    from extract.store.store import FeatureStore

    texts, dataset = _several(encoders), open_dataset(data).with_streams(Streams(video_stream, audio_stream))
    specs, config = build(texts, faces, target, detect_every, device, download)
    plan = ExtractionPlan(dataset, FeatureStore(store), config, assume_fps=assume_fps, fill=fill_missing_faces)
    plan.add_encoders(specs)
    num_readers = default_readers() if readers is None else readers
    return estimate(plan, shard_of(dataset, shard), num_readers, shares_cores=device == "cpu")


def make_clocks(
    data: str | Path,
    store: str | Path,
    clips: Iterable[str],
    *,
    assume_fps: float | None = None,
    progress: ProgressCallback = silent,
) -> "ExtractionReport":
    """Frame timestamps of those of ``clips`` that the data set has and the store lacks; nothing is encoded."""
    from extract.engine import run
    from extract.store.import_ import clips_without_clock
    from extract.store.store import FeatureStore

    dataset, target = open_dataset(data), FeatureStore(store)
    lacking = [clip_id for clip_id in clips_without_clock(target, list(clips)) if clip_id in dataset.clips]
    parts = build((), faces="centerface", target="largest", detect_every=1, device="cpu", download=False)
    return run.extract(dataset, target, *parts, assume_fps=assume_fps, clip_ids=lacking, progress=progress)


def build(
    encoders: Sequence[str],
    faces: str,
    target: str,
    detect_every: int,
    device: str,
    download: bool,
    plugin_paths: Sequence[Path] = (),
) -> "tuple[list[EncoderSpec], TargetConfig]":
    """The encoders asked for, and how the target's face is chosen; in any process, so plug-ins are loaded first."""
    from extract.faces.target import TargetConfig

    for path in plugin_paths:
        plugins.load_plugin(path)

    config = TargetConfig(build_detector(faces, download), target, detect_every)
    specs = [build_encoder(text, device, download) for text in encoders]
    for i, each in enumerate(specs):
        if any(each.name == other.name and each.encoder.recipe() != other.encoder.recipe() for other in specs[:i]):
            raise InputError(f"two encoders are named {each.name!r}: give one of them another name with as=NAME")
    return specs, config


def build_encoder(text: str, device: str = "cpu", download: bool = False) -> "EncoderSpec":
    """An encoder from ``NAME`` or ``NAME:setting=value,...``; ``as`` and ``stored_dtype`` are for the store."""
    from extract import presets
    from extract.engine.plan import EncoderSpec
    from extract.store.track_file import check_stored_dtype

    name, settings = parse_part(text)
    label, given = settings.pop("as", name), settings.pop("stored_dtype", "float16")
    stored_dtype = check_stored_dtype(given, f"stored_dtype in {text!r}")
    if not isinstance(label, str) or not label.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise InputError(f"as={label!r} in {text!r} cannot name a folder: use letters, digits, '_', '-' and '.'")
    return EncoderSpec(
        checked_name(label, f"as= in {text!r}"),
        presets.build(name, device=device, download=download, **settings),
        stored_dtype,
    )


def check_encoder(text: str) -> None:
    """Check an encoder given as ``NAME:setting=value,...``; no weights are read.

    Raises InputError where the name, a setting or its type is wrong.
    """
    from extract import presets
    from extract.encoders import ENCODERS
    from extract.store.track_file import check_stored_dtype

    name, settings = parse_part(text)
    check_stored_dtype(settings.get("stored_dtype", "float16"), f"stored_dtype in {text!r}")
    own = {key: value for key, value in settings.items() if key not in ("as", "stored_dtype")}
    ENCODERS.check(*presets.resolve(name, own))


def find_missing_weights(text: str, *, download: bool = False) -> str | None:
    """What an encoder given as ``NAME:setting=value,...`` lacks on this machine, and how to get it; None: nothing.

    ``download``: what can be downloaded is not missing. No network is loaded.
    """
    from extract.missing import find_missing

    name, settings = parse_part(text)
    return find_missing(name, settings, download=download)


def build_detector(text: str, download: bool = False) -> "FaceDetector":
    """A face detector from ``NAME`` or ``NAME:setting=value,...``."""
    from extract import DETECTORS

    name, settings = parse_part(text)
    given = {"download": download} if "download" in DETECTORS.part(name).given else {}
    detector: FaceDetector = DETECTORS.build(name, **settings, **given)
    return detector


def check_detector(text: str) -> None:
    """Check a face detector given as ``NAME:setting=value,...``. Raises InputError where name or setting is wrong."""
    from extract import DETECTORS

    DETECTORS.check(*parse_part(text))


def shard_of(dataset: "Dataset", shard: str | None) -> list[str]:
    """The clips of the I-th of N parts, from ``I/N``; clips of one video stay together. None: all clips."""
    if shard is None:
        return list(dataset.clips)
    part, _, total = shard.partition("/")
    if not (INTEGER.fullmatch(part) and INTEGER.fullmatch(total) and 1 <= int(part) <= int(total)):
        raise InputError(f"--shard is {shard!r}, expected I/N with I from 1 to N, as 3/8")
    videos: dict[str, list[str]] = {}
    for clip_id, clip in dataset.clips.items():
        videos.setdefault(clip.media.stem if clip.media else clip_id, []).append(clip_id)
    return [clip_id for video in sorted(videos)[int(part) - 1 :: int(total)] for clip_id in videos[video]]


def parse_part(text: str) -> tuple[str, dict[str, Any]]:
    """Name and settings from ``NAME:setting=value,...``.

    >>> parse_part("hf_audio:model=folder,layer=-1")
    ('hf_audio', {'model': 'folder', 'layer': -1})
    """
    name, _, rest = text.partition(":")
    return name, dict(parse_setting(setting) for setting in rest.split(",") if setting)


def _plugin_paths() -> tuple[Path, ...]:
    """The plug-ins of this process, for workers elsewhere."""
    return tuple(plugin.path for plugin in plugins.loaded())


def _several(encoders: str | Sequence[str]) -> list[str]:
    several = as_list(encoders, "encoders", "NAME:setting=value or a list of these")
    if not all(isinstance(each, str) for each in several):
        raise InputError(f"encoders is {encoders!r}, expected NAME:setting=value or a list of these")
    if not several:
        raise InputError("no encoder: give one or several, as voice_mel (abaw list encoders names them)")
    return several


def _check_engine(engine: str) -> None:
    if engine not in ENGINES:
        raise InputError(f"--engine is {engine!r}, expected {' or '.join(ENGINES)}")
