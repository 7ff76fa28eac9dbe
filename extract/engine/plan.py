"""The plan of one extraction: its encoders and recipes, which tracks a clip lacks, and writing the finished ones."""

import errno
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version

from abaw.dataset.clip import Clip
from abaw.dataset.layout import Dataset
from abaw.dataset.media_files import is_picture, name_problem, printable
from abaw.errors import InputError
from abaw.files import write_json
from abaw.numbers import check_fps, format_count
from extract.encoders import ENCODERS
from extract.encoders.base import Encoder, PictureEncoder
from extract.engine.batching import OpenClip
from extract.engine.requests import ClipError, ReadRequest
from extract.faces.target import TargetConfig
from extract.losses import ClipLosses
from extract.store.origins.sources import ClipSource, Sources, with_fps
from extract.store.packs.index import packs_in
from extract.store.packs.writing import pack
from extract.store.store import HAS_LOSSES, Failure, FeatureStore, Recipe, load_recipe

DEFAULT_ROWS_HZ = 25.0  # of clips of sound alone in a manifest whose labels do not count frames, and of an analysis
LOG = logging.getLogger("abaw")
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # every further clip would fail as well


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder with the name and the number format of its tracks in the store."""

    name: str
    encoder: Encoder
    stored_dtype: str = "float16"

    def recipe(self, target: TargetConfig, fill: bool = False) -> Recipe:
        """Everything that can change a value: the encoder's recipe and, for encoders with a crop, ``target``'s.

        ``fill``: frames without a face image take the face detected in the video.
        """
        recipe = {"name": self.name, "stored_dtype": self.stored_dtype, **self.encoder.recipe()}
        if (plugin := ENCODERS.plugin(str(recipe.get("encoder")))) is not None:
            recipe["plugin"] = plugin.record()
        if isinstance(self.encoder, PictureEncoder):
            recipe |= {"span": self.encoder.span, "stride": self.encoder.stride}
        if not isinstance(self.encoder, PictureEncoder) or self.encoder.crop is None:
            return recipe
        recipe |= {"crop": asdict(self.encoder.crop), "faces": target.recipe()}
        return recipe | ({"fill_missing_faces": True} if fill else {})


def faces_recipe(target: TargetConfig) -> Recipe:
    """The recipe of the target's face track.

    Its columns, and those of the table ``persons`` beside it: see ``extract.engine.requests.FoundFaces``.
    """
    return {"name": "faces", "stored_dtype": "float32", **target.recipe()}


@dataclass
class ExtractionPlan:
    """One extraction: its data set, store and encoders. ``encoders`` and ``recipes``: by the folder of their tracks.

    ``assume_fps``: the frame rate of clips without a video. ``fill``: frames without a face image take the face
    detected in the video. ``rows_hz``: the frame rate of clips of sound alone without one, where no label counts
    frames; None: they fail. Raises InputError where ``assume_fps`` is not a positive number.
    """

    dataset: Dataset
    store: FeatureStore
    target: TargetConfig
    assume_fps: float | None = None
    fill: bool = False
    rows_hz: float | None = None
    encoders: dict[str, Encoder] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sources = Sources(self.store.root)
        self.with_default_rate: set[str] = set()
        if self.assume_fps is not None:
            check_fps(self.assume_fps, "--assume-fps")
            self.assume_fps = float(self.assume_fps)

    def add_encoders(self, specs: Iterable[EncoderSpec]) -> None:
        """Add encoders. Raises InputError where one is given twice with the same settings."""
        for spec in specs:
            recipe = spec.recipe(self.target, self.fill)
            folder = self.store.folder(recipe).name
            if folder in self.recipes:
                raise InputError(f"the encoder {spec.name!r} is given twice with the same settings: remove one")
            self.encoders[folder], self.recipes[folder] = spec.encoder, recipe

    def restore_recipes(self) -> None:
        """Write recipe.json again where it is missing or damaged beside tracks: their folder's name is its hash."""
        for recipe in (*self.recipes.values(), faces_recipe(self.target)):
            path = self.store.folder(recipe) / "recipe.json"
            if next(path.parent.glob("*.safetensors"), None) is None and not packs_in(path.parent):
                continue
            with suppress(InputError, FileNotFoundError):
                if self.store.folder(load_recipe(path)) == path.parent:
                    continue
            write_json(path, recipe)
            LOG.warning("%s was missing or damaged: it is written again", path)

    def check_media(self) -> None:
        """Raises InputError where no clip of the data set has anything to extract features from."""
        clips = self.dataset.clips.values()
        if clips and not any(clip.media or clip.images for clip in clips):
            num = format_count(len(clips), "clip")
            raise InputError(
                f"{self.dataset.root} names {num} in labels and lists, but holds no media and no face images of them: "
                "give the folder that holds these too, or a data set file (YAML) with the keys videos and images"
            )

    def check_detector(self, clip_ids: Iterable[str]) -> None:
        """Raises MissingWeights where a clip lacks tracks of detected faces and the detector's weights are not here."""
        if any(self._may_detect_faces(self.dataset.clips[clip_id]) for clip_id in clip_ids):
            self.target.detector.check_weights()

    def _may_detect_faces(self, clip: Clip) -> bool:
        if clip.problem or clip.media is None:
            return False
        takes_face = [
            folder
            for folder, encoder in self.encoders.items()
            if isinstance(encoder, PictureEncoder) and encoder.crop is not None
        ]
        lacks_any = any(not self.store.has(self.recipes[folder], clip.clip_id) for folder in takes_face)
        try:
            return lacks_any and (self.fill or not clip.image_numbers())
        except InputError:  # the clip fails alone, when it is read
            return False

    def make_request(self, clip: Clip, *, remember: bool = False) -> tuple[ReadRequest, str] | None:
        """What to read of a clip for its missing tracks, and the source they are made from; None if none is missing.

        The source names the content of the files, and the streams where they were chosen. Where the stored clock is
        reused, the source is the clock's, which includes an assumed frame rate. ``remember``: the store then remembers
        the files of a clip that lacks nothing. Raises InputError where the clip cannot be read whatever its files hold.
        """
        if clip.problem:
            raise InputError(clip.problem)
        num_rows = self.dataset.num_label_rows(clip.clip_id)
        images = clip.face_images()
        numbers = images.numbers
        known = self.store.clock_metadata(clip.clip_id)
        source = self.sources.look(clip, images, known.get("source", ""))
        try:
            self.store.losses(clip.clip_id)
        except InputError as error:
            LOG.warning("%s: the clip is extracted again", str(error).removesuffix(": run abaw extract again"))
            known = {}
        fps = clip.fps or self.assume_fps or (float(known["assumed_fps"]) if "assumed_fps" in known else None)
        known_fps = fps if "assumed_fps" in known else None
        labels, rows_hz = None, self.rows_hz
        if (manifest := self.dataset.manifest) is not None:
            labels, rows_hz = manifest.rows[clip.clip_id].labels, DEFAULT_ROWS_HZ
        rows_hz = None if num_rows else rows_hz
        missing = {
            folder: encoder
            for folder, encoder in self.encoders.items()
            if not self._has(self.recipes[folder], clip.clip_id, source, known_fps)
        }
        if known and self._is_clock_valid(
            clip.clip_id, known, with_fps(source.text, known_fps), max(num_rows, max(numbers, default=0))
        ):
            if not missing:
                if remember and not self.is_packed(clip.clip_id):
                    self.sources.remember(clip.clip_id, source)
                return None
            clock = self.store.clock(clip.clip_id)
            request = ReadRequest(
                clip, images, num_rows, missing, self.target, fps, self.fill, clock, source, labels, rows_hz
            )
            return request, with_fps(source.text, known_fps)
        if int(known.get("num_frames", 0)) < 2:  # the new clock may assume another rate, which moves every track
            missing = dict(self.encoders)
        request = ReadRequest(
            clip, images, num_rows, missing, self.target, fps, self.fill, None, source, labels, rows_hz
        )
        return request, source.text

    def _has(self, recipe: Recipe, clip_id: str, source: ClipSource, fps: float | None) -> bool:
        """Whether a track exists that was made from this source; media are not read where there is no track at all."""
        is_there = self.store.has(recipe, clip_id)
        return is_there and self.store.has(recipe, clip_id, with_fps(source.text, fps))

    def open_clip(self, request: ReadRequest, source: str) -> OpenClip:
        """The clip with a writer for each missing track."""
        clip = OpenClip(request.clip.clip_id, source)
        clip.found = request.source
        try:
            for folder, encoder in request.encoders.items():
                clip.add_writer(folder, self.store.writer(self.recipes[folder], clip.clip_id, encoder.dim))
        except OSError:
            clip.close()
            raise
        return clip

    def close_clip(self, clip: OpenClip) -> bool | Failure:
        """Write the tracks of a clip and return True, or record and return its failure."""
        if clip.error is None:
            try:
                self._write(clip)
            except (ValueError, OSError) as error:
                clip.fail(ClipError("write", error))
        clip.close()
        return self.record(clip.clip_id, list(clip.writers), clip.error) or True

    def reject(self, clip: Clip) -> Failure:
        """The failure of a clip that cannot be read whatever its files hold, recorded where its name can be."""
        failure = Failure(printable(clip.clip_id), "read", clip.problem)
        for recipe in [] if name_problem(clip.clip_id) else self.recipes.values():
            self.store.record_failure(recipe, failure)
        return failure

    def record(self, clip_id: str, folders: Iterable[str], error: ClipError | None) -> bool | Failure:
        """Record in the store that a clip failed, or that it no longer fails: then False.

        Raises the OSError itself where the disk is full or read-only.
        """
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
        metadata = {"source": clip.source, "tool": f"abaw {version('abaw')}"}
        if read.facts:  # else the clock was stored before
            metadata["source"] = with_fps(clip.source, read.facts.get("assumed_fps"))
        faces = faces_recipe(self.target)
        is_packed = self.is_packed(clip.clip_id)  # packs are synced
        self._write_losses(clip.clip_id, metadata["source"], read.losses)  # first: what is complete is not read again
        if read.facts:
            facts = {key: str(value) for key, value in read.facts.items()}
            if read.facts.get("assumed_fps") and not (self.assume_fps or self.dataset.clips[clip.clip_id].fps):
                self.with_default_rate.add(clip.clip_id)
            if self.store.losses_path(clip.clip_id).exists():
                facts[HAS_LOSSES] = "1"
            self.store.put_clock(clip.clip_id, read.clock, metadata | facts, sync=not is_packed)
        # before the tracks: a clip that has all of them is not read again
        if read.faces is not None and not self.store.has(faces, clip.clip_id, metadata["source"]):
            tables = {"persons": read.faces.persons}
            self.store.put(faces, clip.clip_id, read.faces.target, metadata, tables, sync=not is_packed)
        clip.finish(metadata, sync=not is_packed)
        if clip.found is not None and not is_packed:  # a picture is hashed as fast as its memory would be read
            self.sources.remember(clip.clip_id, clip.found)

    def is_packed(self, clip_id: str) -> bool:
        """Whether the tracks of a clip are moved into packs: of a still picture, a few hundred bytes each."""
        clip = self.dataset.clips[clip_id]
        return clip.media is not None and is_picture(clip.media)

    def pack(self, clip_ids: Sequence[str]) -> None:
        """Move the clocks and tracks of still pictures into packs; this process has leased the clips."""
        folders = [self.store.folder(recipe) for recipe in (*self.recipes.values(), faces_recipe(self.target))]
        for folder in (*folders, self.store.root / "clock"):
            pack(self.store.root, folder, clip_ids)

    def _write_losses(self, clip_id: str, source: str, losses: ClipLosses) -> None:
        """Add what was lost to the clip's losses; those of faces in the video under the folder of their boxes."""
        folder = self.store.folder(faces_recipe(self.target)).name
        faces = {folder if name == "video" else name: each for name, each in losses.faces.items()}
        self.store.add_losses(clip_id, source, replace(losses, faces=faces))

    def _is_clock_valid(self, clip_id: str, known: Mapping[str, str], source: str, min_frames: int) -> bool:
        """Whether the stored clock was made from this source and is as long as the frames, images and labels need."""
        if known.get("source") != source:
            return False
        try:
            num = len(self.store.clock(clip_id))
        except InputError:  # damaged: it is made again
            return False
        # without any frame, image or label (0) the clock is as long as the sound
        return max(int(known["num_frames"]), min_frames) in (0, num)
