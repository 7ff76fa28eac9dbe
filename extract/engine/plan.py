"""What one extraction is about: which tracks a clip still lacks, what they are made from, and writing them."""

import errno
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

from abaw.dataset.layout import Clip, Dataset
from abaw.errors import InputError
from extract.encoders import ENCODERS
from extract.encoders.base import Encoder, PictureEncoder
from extract.engine.batching import OpenClip
from extract.engine.streams import ClipError, ReadRequest
from extract.faces.target import TargetConfig
from extract.store.fingerprint import fingerprint
from extract.store.store import Failure, FeatureStore, Recipe

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # the next clip would fail as well


@dataclass(frozen=True)
class EncoderSpec:
    """One encoder, and the name and number format its tracks get in the store."""

    name: str
    encoder: Encoder
    stored_dtype: str = "float16"

    def recipe(self, watch: TargetConfig, fill: bool = False) -> Recipe:
        """Everything that can change a number: the encoder's recipe and, where it takes a crop, whose face it is."""
        recipe = {"name": self.name, "stored_dtype": self.stored_dtype, **self.encoder.recipe()}
        if (plugin := ENCODERS.plugin(str(recipe.get("encoder")))) is not None:
            recipe["plugin"] = plugin.record()
        if isinstance(self.encoder, PictureEncoder):
            recipe |= {"span": self.encoder.span, "stride": self.encoder.stride}
        if not isinstance(self.encoder, PictureEncoder) or self.encoder.crop is None:
            return recipe
        recipe |= {"crop": asdict(self.encoder.crop), "faces": watch.recipe()}
        return recipe | ({"fill_missing_faces": True} if fill else {})


def faces_recipe(watch: TargetConfig) -> Recipe:
    """The track of the target's face: left, top, width, height in pixels, person, 1 if found, 0 if followed."""
    return {"name": "faces", "stored_dtype": "float32", **watch.recipe()}


@dataclass
class ExtractionPlan:
    """What one extraction is about. ``encoders`` and ``recipes`` by the folder their tracks lie in."""

    dataset: Dataset
    store: FeatureStore
    watch: TargetConfig
    assume_fps: float | None = None
    fill: bool = False
    encoders: dict[str, Encoder] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.assume_fps is not None and not 0 < self.assume_fps < math.inf:
            raise InputError(f"--assume-fps is {self.assume_fps}, expected frames per second above 0")
        self.assume_fps = None if self.assume_fps is None else float(self.assume_fps)

    def ask(self, asked: Iterable[EncoderSpec]) -> None:
        """Take on these encoders. ValueError where one is asked for twice."""
        for each in asked:
            recipe = each.recipe(self.watch, self.fill)
            folder = self.store.folder(recipe).name
            if folder in self.recipes:
                raise InputError(f"the encoder {each.name!r} is asked for twice with the same settings: leave one out")
            self.encoders[folder], self.recipes[folder] = each.encoder, recipe

    def order(self, clip: Clip) -> tuple[ReadRequest, str] | None:
        """What is still to be read of a clip, and its source; None where all is there.

        The source of a clip whose clock is there is that of the clock; an assumed frame rate is part of it.
        """
        num_rows = self.dataset.num_label_rows(clip.clip_id)
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
        if self._clock_serves(clip.clip_id, known, stamp, max(num_rows, max(numbers, default=0))):
            clock = self.store.clock(clip.clip_id)
            order = ReadRequest(clip, numbers, num_rows, missing, self.watch, fps, self.fill, clock)
            return (order, stamp) if missing else None
        if int(known.get("num_frames", 0)) < 2:  # the new clock may assume another rate, and with it move every track
            missing = dict(self.encoders)
        return ReadRequest(clip, numbers, num_rows, missing, self.watch, fps, self.fill), source

    def open(self, order: ReadRequest, source: str) -> OpenClip:
        """The clip, with a writer for each track it lacks."""
        clip = OpenClip(order.clip.clip_id, source)
        try:
            for folder, encoder in order.encoders.items():
                clip.write(folder, self.store.writer(self.recipes[folder], clip.clip_id, encoder.dim))
        except OSError:
            clip.close()
            raise
        return clip

    def close(self, clip: OpenClip) -> bool | Failure:
        """Write what was made of a clip, or note why nothing was."""
        if clip.error is None:
            try:
                self._write(clip)
            except (ValueError, OSError) as error:
                clip.fail(ClipError("write", error))
        clip.close()
        return self.settle(clip.clip_id, list(clip.writers), clip.error) or True

    def settle(self, clip_id: str, folders: Iterable[str], error: ClipError | None) -> bool | Failure:
        """Note in the store that a clip failed, or no longer does. Raises what is at fault where it is the disk."""
        if error is not None and getattr(error.reason, "errno", None) in DISK_ERRORS:
            raise error.reason
        failure = None if error is None else Failure(clip_id, error.stage, str(error))
        for folder in folders:
            if failure is None:
                self.store.remove_failure(self.recipes[folder], clip_id)
            else:
                self.store.record_failure(self.recipes[folder], failure)
        return failure or False

    def _write(self, clip: OpenClip) -> None:
        read = clip.read
        assert read is not None
        about = {"source": clip.source, "tool": f"abaw {version('abaw')}"}
        if read.facts:  # else the clock was there
            about["source"] = _stamp(clip.source, read.facts.get("assumed_fps"))
            facts = {key: str(value) for key, value in read.facts.items()}
            self.store.put_clock(clip.clip_id, read.clock, about | facts)
        # before the tracks: a clip that has them all is not looked at again
        faces = faces_recipe(self.watch)
        if read.faces is not None and not self.store.has(faces, clip.clip_id, about["source"]):
            self.store.put(faces, clip.clip_id, read.faces, about)
        clip.finish(about)

    def _clock_serves(self, clip_id: str, known: Mapping[str, str], stamp: str, least: int) -> bool:
        if known.get("source") != stamp:
            return False
        # no frame and no label: the clock is as long as the sound
        return max(int(known["num_frames"]), least) in (0, len(self.store.clock(clip_id)))


def _stamp(source: str, assumed_fps: float | None) -> str:
    """What a clock and its tracks were made from; an assumed frame rate moves both."""
    return source if assumed_fps is None else f"{source} at {assumed_fps} fps"
