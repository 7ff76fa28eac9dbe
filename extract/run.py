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

    A clip that fails is reported and leaves no half-written file; the others go on. ``tell(clip_id, done, total)`` is
    called before each clip. Raises ValueError where a recipe is asked for twice or ``assume_fps`` is no frame rate.
    """
    if assume_fps is not None and not 0 < assume_fps < math.inf:
        raise ValueError(f"--assume-fps is {assume_fps}, expected frames per second above 0")
    work = _Work(dataset, store, finder, assume_fps)
    work.ask(asked)
    report = Report()
    chosen = list(dataset.clips) if clip_ids is None else list(clip_ids)
    for done, clip_id in enumerate(chosen):
        tell(clip_id, done, len(chosen))
        try:
            (report.made if work.clip(dataset.clips[clip_id]) else report.present).append(clip_id)
        except ClipError as error:
            report.failed.append(Failure(clip_id, error.stage, str(error)))
        except (ValueError, OSError) as error:
            if getattr(error, "errno", None) in DISK_ERRORS:
                raise
            report.failed.append(Failure(clip_id, "read or write", str(error)))
    for recipe in work.recipes.values():
        store.put_failures(recipe, report.failed)
    return report


@dataclass
class _Work:
    """What one extraction is about. ``encoders`` and ``recipes`` by the folder their tracks lie in."""

    dataset: Dataset
    store: FeatureStore
    finder: FaceFinder
    assume_fps: float | None
    encoders: dict[str, Encoder] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)

    def ask(self, asked: Iterable[Asked]) -> None:
        """Take on these encoders. ValueError where one is asked for twice."""
        for each in asked:
            recipe = each.recipe(self.finder)
            folder = self.store.folder(recipe).name
            if folder in self.recipes:
                raise ValueError(f"the encoder {each.name!r} is asked for twice with the same settings: leave one out")
            self.encoders[folder], self.recipes[folder] = each.encoder, recipe

    def clip(self, clip: Clip) -> bool:
        """Write the clip's clock and missing tracks; False where all was there already."""
        num_rows = max((count_rows(path) for path in self.dataset.label_files(clip.clip_id)), default=0)
        numbers = clip.image_numbers()
        source = fingerprint(clip, numbers)
        known = self.store.clock_metadata(clip.clip_id)
        fps = self.assume_fps or (float(known["assumed_fps"]) if "assumed_fps" in known else None)
        stamp = _stamp(source, fps if "assumed_fps" in known else None)
        missing = {
            folder: encoder
            for folder, encoder in self.encoders.items()
            if not self.store.has(self.recipes[folder], clip.clip_id, stamp)
        }
        if not missing and self._clock_serves(clip.clip_id, known, stamp, max(num_rows, max(numbers, default=0))):
            return False
        made = extract_clip(clip, numbers, missing, self.finder, num_rows, fps)
        self._write(clip.clip_id, _stamp(source, made.facts.get("assumed_fps")), made)
        return True

    def _clock_serves(self, clip_id: str, known: Mapping[str, str], stamp: str, least: int) -> bool:
        if known.get("source") != stamp:
            return False
        # no frame and no label: the clock is as long as the sound
        return max(int(known["num_frames"]), least) in (0, len(self.store.clock(clip_id)))

    def _write(self, clip_id: str, stamp: str, made: Extracted) -> None:
        about = {"source": stamp, "tool": f"abaw {version('abaw')}"}
        self.store.put_clock(clip_id, made.clock, about | {key: str(value) for key, value in made.facts.items()})
        for folder, track in made.tracks.items():
            self.store.put(self.recipes[folder], clip_id, track, about | {"crops": made.crops})
        if made.faces is not None:
            self.store.put(faces_recipe(self.finder), clip_id, made.faces, about)


def _stamp(source: str, assumed_fps: float | None) -> str:
    """What a clock and its tracks were made from; an assumed frame rate moves both."""
    return source if assumed_fps is None else f"{source} at {assumed_fps} fps"


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
