"""From clips to tracks in the store: resumable, and it says what failed.

Each clip is finished before the next begins and each file is whole or absent, so a run that is stopped goes on
where it was, and a second run beside it does no harm.
"""

import errno
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

from abaw.annotations import count_rows
from abaw.clips import Clip, Dataset
from extract.decode import ClipError, Extracted, extract_clip
from extract.encoders.base import Encoder, PictureEncoder
from extract.faces import FaceFinder
from extract.store import Failure, FeatureStore, Recipe

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # the next clip would fail as well
EDGE_BYTES = 1 << 20  # a file's size and its first and last MiB tell versions of it apart without reading gigabytes


@dataclass(frozen=True)
class Asked:
    """One encoder, and the name and number format its tracks get in the store."""

    name: str
    encoder: Encoder
    stored_dtype: str = "float16"

    def recipe(self, finder: FaceFinder) -> Recipe:
        """Everything that can change a number: the encoder's recipe and, where it takes a crop, who finds the face."""
        recipe = {"name": self.name, "stored_dtype": self.stored_dtype, **self.encoder.recipe()}
        if not isinstance(self.encoder, PictureEncoder) or self.encoder.crop is None:
            return recipe
        return {**recipe, "crop": asdict(self.encoder.crop), "faces": finder.recipe()}


def faces_recipe(finder: FaceFinder) -> Recipe:
    """The track of found boxes: left, top, width and height in pixels of the picture."""
    return {"name": "faces", "stored_dtype": "float32", **finder.recipe()}


@dataclass
class Report:
    """What an extraction did: clips made now, clips that were there already, clips that failed and why."""

    made: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


def extract(
    dataset: Dataset,
    store: FeatureStore,
    asked: Iterable[Asked],
    finder: FaceFinder,
    *,
    assume_fps: float | None = None,
    clip_ids: Iterable[str] | None = None,
    tell: Callable[[str, int, int], None] = lambda clip_id, done, total: None,
) -> Report:
    """Write the clock and the missing tracks of every clip (or of ``clip_ids``).

    A clip that fails is reported and leaves nothing behind; the others go on. ``tell(clip_id, done, total)`` is called
    before each clip. Raises ValueError where the same recipe is asked for twice or ``assume_fps`` is no frame rate.
    """
    if assume_fps is not None and not 0 < assume_fps < math.inf:
        raise ValueError(f"--assume-fps is {assume_fps}, expected frames per second above 0")
    recipes: dict[str, tuple[Encoder, Recipe]] = {}
    for each in asked:
        recipe = each.recipe(finder)
        folder = store.folder(recipe).name
        if folder in recipes:
            raise ValueError(f"the encoder {each.name!r} is asked for twice with the same settings: leave one out")
        recipes[folder] = (each.encoder, recipe)
    report = Report()
    chosen = list(dataset.clips) if clip_ids is None else list(clip_ids)
    for done, clip_id in enumerate(chosen):
        tell(clip_id, done, len(chosen))
        _one(dataset, dataset.clips[clip_id], store, recipes, finder, assume_fps, report)
    for _, recipe in recipes.values():
        store.put_failures(recipe, report.failed)
    return report


def _one(
    dataset: Dataset,
    clip: Clip,
    store: FeatureStore,
    recipes: Mapping[str, tuple[Encoder, Recipe]],
    finder: FaceFinder,
    assume_fps: float | None,
    report: Report,
) -> None:
    """Any error but a full or read-only disk is this clip's alone."""
    try:
        num_rows = max((count_rows(path) for path in dataset.label_files(clip.clip_id)), default=0)
        numbers = clip.image_numbers()
        known = store.clock_metadata(clip.clip_id)
        fps = assume_fps or (float(known["assumed_fps"]) if "assumed_fps" in known else None)
        source = fingerprint(clip, numbers)
        stamp = _stamp(source, fps if "assumed_fps" in known else None)
        missing = {
            name: encoder for name, (encoder, recipe) in recipes.items() if not store.has(recipe, clip.clip_id, stamp)
        }
        least = max(num_rows, max(numbers, default=0))
        if not missing and _clock_serves(store, clip.clip_id, known, stamp, least):
            report.present.append(clip.clip_id)
            return
        made = extract_clip(clip, numbers, missing, finder, num_rows, fps)
        stamp = _stamp(source, made.facts.get("assumed_fps"))
        _write(store, clip.clip_id, stamp, made, {name: recipe for name, (_, recipe) in recipes.items()}, finder)
        report.made.append(clip.clip_id)
    except ClipError as error:
        report.failed.append(Failure(clip.clip_id, error.stage, str(error)))
    except (ValueError, OSError) as error:
        if getattr(error, "errno", None) in DISK_ERRORS:
            raise
        report.failed.append(Failure(clip.clip_id, "read or write", str(error)))


def _stamp(source: str, assumed_fps: float | None) -> str:
    """What a clock and its tracks were made from; an assumed frame rate moves both."""
    return source if assumed_fps is None else f"{source} at {assumed_fps} fps"


def _clock_serves(store: FeatureStore, clip_id: str, known: Mapping[str, str], stamp: str, least: int) -> bool:
    if known.get("source") != stamp:
        return False
    # no frame and no label: the clock is as long as the sound
    return max(int(known["num_frames"]), least) in (0, len(store.clock(clip_id)))


def _write(
    store: FeatureStore, clip_id: str, stamp: str, made: Extracted, recipes: Mapping[str, Recipe], finder: FaceFinder
) -> None:
    about = {"source": stamp, "tool": f"abaw {version('abaw')}"}
    store.put_clock(clip_id, made.clock, about | {key: str(value) for key, value in made.facts.items()})
    for name, track in made.tracks.items():
        store.put(recipes[name], clip_id, track, about | {"crops": made.crops})
    if made.faces is not None:
        store.put(faces_recipe(finder), clip_id, made.faces, about)


def fingerprint(clip: Clip, numbers: list[int]) -> str:
    """Tells one version of a clip's media and images from another without reading them whole.

    Of the media its size and both ends, of the images their numbers and the first, the middle and the last.
    """
    digest = hashlib.sha256()
    if clip.media is not None:
        size = clip.media.stat().st_size
        digest.update(str(size).encode())
        with clip.media.open("rb") as file:
            digest.update(file.read(EDGE_BYTES))
            file.seek(max(0, size - EDGE_BYTES))
            digest.update(file.read(EDGE_BYTES))
    digest.update(repr(numbers).encode())
    for place in (0, len(numbers) // 2, -1) if numbers else ():
        digest.update(clip.image(numbers[place]).read_bytes())
    return digest.hexdigest()[:32]
