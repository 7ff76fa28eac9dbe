"""Whether a store is sound: every file against its checksum, clock and recipe, and against the media if given.

Behind ``abaw store verify``. The checks of a single track are in ``track_checks.py``.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from abaw.files import read_json
from abaw.progress import ProgressCallback, silent
from abaw.tracks import Clock
from extract.losses import ClipLosses, summarize
from extract.media import MediaInfo, probe
from extract.store.listing import all_losses, feature_folders, losses_paths, modality, temporary_files, track_paths
from extract.store.origins.sources import Sources, chosen_streams, without_choices
from extract.store.packs.index import is_stored, num_bytes
from extract.store.store import FeatureStore, Recipe, read_failures
from extract.store.tensor_file import BODY_SUM, HEADER_SUM, TensorFile
from extract.store.track_checks import check_times_on_clock, check_values, wrong_shapes
from extract.store.track_file import TrackFile

SOUND_MARGIN_S = 0.1  # times of sound are exact to one frame of the codec, and encoders pad the ends


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file; its path is relative to the store."""

    file: str
    message: str


@dataclass
class VerifyReport:
    """How much was checked, and every fault; ``str`` of it is text for a terminal.

    ``num_unchecked`` tracks have no checksum, ``num_unchecked_headers`` one of their content alone; ``num_failed``
    could not be extracted. Of ``num_partly_compared`` clips an earlier version recorded only parts of their media and
    images. ``losses``: of the clips of which anything was lost, which is no fault of the store.
    """

    store: str
    num_clocks: int = 0
    num_tracks: int = 0
    num_bytes: int = 0
    num_unchecked: int = 0
    num_unchecked_headers: int = 0
    num_partly_compared: int = 0
    num_failed: int = 0
    num_temporary_files: int = 0
    losses: dict[str, ClipLosses] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The report line by line: the faults by file, then how much was checked."""
        yield from (f"{fault.file}: {fault.message}" for fault in self.faults)
        if self.num_unchecked:
            yield f"no checksum recorded in {self.num_unchecked} of {self.num_tracks} tracks"
        if self.num_unchecked_headers:
            yield (
                f"{self.num_unchecked_headers} of {self.num_tracks} tracks were written by an earlier version: their "
                "content has a checksum, their header has none"
            )
        if self.num_partly_compared:
            yield (
                f"{self.num_partly_compared} clips were extracted by an earlier version: only the size and parts of "
                "their media and images could be compared"
            )
        if self.num_failed:
            yield f"{self.num_failed} tracks could not be extracted: abaw store info {self.store} lists them"
        yield from summarize(self.losses, self.num_clocks, f"abaw store info {self.store} --losses")
        result = f"{len(self.faults)} faults" if self.faults else "no faults"
        yield f"{self.store}: {self.num_clocks} clocks and {self.num_tracks} tracks checked, {result}"


def verify(store: FeatureStore, dataset: Dataset | None = None, progress: ProgressCallback = silent) -> VerifyReport:
    """Read everything in a store once and report every fault; values are read in blocks.

    With a data set, also check that its media are those that the clocks were made from. Raises NotFoundError where
    there is no store.
    """
    folders = feature_folders(store)
    run = _Verification(store, dataset)
    report = run.report
    report.num_temporary_files = len(temporary_files(store))
    for clip_id, path in track_paths(store.root / "clock").items():
        report.num_clocks += 1
        run.record(path, run.check_clock(clip_id, path))
    for clip_id in {**losses_paths(store), **track_paths(store.root / "clock")}:
        run.record(store.losses_path(clip_id), run.check_losses(clip_id))
    report.losses = all_losses(store)
    paths = [(folder, track_paths(folder)) for folder in folders]
    total = sum(len(of_folder) for _, of_folder in paths)
    for folder, of_folder in paths:
        recipe = run.check_recipe(folder)
        kind = modality(recipe)
        run.check_dims(of_folder)
        for clip_id, path in of_folder.items():
            progress(f"{folder.name}/{clip_id}", report.num_tracks, total)
            report.num_tracks += 1
            report.num_bytes += num_bytes(path)
            run.record(path, run.check_track(clip_id, path, recipe, kind))
    report.faults.sort(key=lambda fault: fault.file)
    return report


class _Verification:
    """The state of one verification: the report, and the clocks that could be read."""

    def __init__(self, store: FeatureStore, dataset: Dataset | None) -> None:
        self.store, self.dataset = store, dataset
        self.report = VerifyReport(str(store.root))
        self.clocks: dict[str, Clock] = {}
        self.media_info = cache(self._media_info)
        self.sources = Sources(store.root)

    def record(self, path: Path, messages: Iterable[str]) -> None:
        """Add a file's faults to the report; a file that cannot be read is a fault too."""
        name = path.relative_to(self.store.root).as_posix()
        try:
            for message in messages:
                self.report.faults.append(Fault(name, message))
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:  # whatever was edited by hand
            self.report.faults.append(Fault(name, f"cannot be read: {error}"))

    def check_clock(self, clip_id: str, path: Path) -> Iterator[str]:
        """The faults of a clock."""
        clock = self.clocks[clip_id] = self.store.clock(clip_id)
        about = self.store.clock_metadata(clip_id)
        yield from _check_sum(TensorFile(path), about)
        num_marked = int(clock.decoded.sum())
        num = int(about.get("num_frames", num_marked)) - int(about.get("num_undecodable", 0))
        if num != num_marked:
            yield f"{num_marked} frames are marked as decoded, but {num} were decoded"
        if self.dataset is not None:
            yield from self._check_media(self.dataset, clip_id, about.get("source", ""))

    def _check_media(self, dataset: Dataset, clip_id: str, source: str) -> Iterator[str]:
        clip = dataset.clips.get(clip_id)
        if clip is None or (clip.media is None and clip.images is None):
            yield f"{dataset.root} has no media and no images of this clip"
            return
        found = self.sources.look(clip, clip.face_images(), source, trust_stamp=False)
        if found.files != without_choices(source):
            yield f"{clip.media or clip.images} has changed since it was extracted: run abaw extract again"
        self.report.num_partly_compared += found.is_of_earlier_version

    def check_losses(self, clip_id: str) -> Iterator[str]:
        """The faults of a file of losses."""
        try:
            self.store.losses(clip_id)
        except InputError as error:
            yield str(error)

    def check_recipe(self, folder: Path) -> Recipe:
        """The folder's recipe, {} where it cannot be read; records the faults of the recipe and of failed.jsonl."""
        path, recipe = folder / "recipe.json", {}
        try:
            recipe = read_json(path)
            expected = self.store.folder(recipe).name
            if expected != folder.name:
                self.record(path, [f"its hash is that of {expected}: the recipe or the folder's name was changed"])
        except FileNotFoundError:
            if track_paths(folder):
                self.record(path, ["is missing: it is unknown how these tracks were made"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.record(path, [f"is not a recipe: {error}"])
        try:
            self.report.num_failed += len(read_failures(folder))
        except ValueError as error:
            self.record(folder / "failed.jsonl", [str(error)])
        return recipe if isinstance(recipe, dict) else {}

    def check_dims(self, paths: Mapping[str, Path]) -> None:
        """Record the tracks that have another number of values in a row than most tracks of their folder."""
        dims = {}
        for path in paths.values():
            try:
                dims[path] = TrackFile(path, check=False).values.shape[-1]
            except (ValueError, OSError):
                continue  # reported when the track itself is checked
        most_common = Counter(dims.values()).most_common(1)
        for path, dim in dims.items():
            if dim != most_common[0][0]:
                self.record(path, [f"dim is {dim}, but {most_common[0][0]} in the other tracks of its folder"])

    def check_track(self, clip_id: str, path: Path, recipe: Recipe, kind: str | None) -> Iterator[str]:
        """The faults of a track; wrong shapes come alone because they make all other checks meaningless."""
        file = TrackFile(path, check=False)
        if wrong := [*wrong_shapes(file, recipe)]:
            yield from wrong
            return
        yield from file.wrong_times()
        if BODY_SUM not in file.metadata:
            self.report.num_unchecked += 1
        elif HEADER_SUM not in file.metadata:
            self.report.num_unchecked_headers += 1
        yield from _check_sum(file, file.metadata)
        yield from check_values(file)
        if not is_stored(self.store.clock_path(clip_id)):
            yield "its clip has no clock"
        elif clip_id in self.clocks:  # a damaged clock is a fault of its own
            if file.metadata.get("source") != self.store.clock_metadata(clip_id).get("source"):
                yield "it was made from other media than its clip's clock: run abaw extract again"
            elif kind in ("vision", "joint"):  # an embedding has a row for each frame
                yield from check_times_on_clock(file, recipe, self.clocks[clip_id])
            elif kind is not None and recipe.get("encoder") != "import" and len(file.times_s):
                yield from self._check_sound(clip_id, file.times_s)

    def _check_sound(self, clip_id: str, times_s: np.ndarray) -> Iterator[str]:
        """Whether the rows lie within the clip's sound."""
        info = self.media_info(clip_id)
        if info is None:
            return
        margin_s = SOUND_MARGIN_S + (float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0)
        start_s, stop_s = info.sound_start_s, info.sound_stop_s
        if not info.has_sound:
            yield f"{len(times_s)} rows, but the clip has no sound"
        elif times_s[0] < start_s - margin_s or times_s[-1] > stop_s + margin_s:
            yield (
                f"its rows are at {times_s[0]:.3f} to {times_s[-1]:.3f} s, but the clip's sound is from "
                f"{start_s:.3f} to {stop_s:.3f} s"
            )

    def _media_info(self, clip_id: str) -> MediaInfo | None:
        """What the clip's media file contains; None without a data set or a readable file."""
        clip = self.dataset.clips.get(clip_id) if self.dataset else None
        if clip is None or clip.media is None or not clip.media.is_file():
            return None
        streams = chosen_streams(self.store.clock_metadata(clip_id).get("source", ""))
        try:
            return probe(clip.media, video_stream=streams.video, audio_stream=streams.audio)
        except ValueError:
            return None  # the file was changed, which is already a fault of the clock


def _check_sum(file: TensorFile | TrackFile, metadata: Mapping[str, str]) -> Iterator[str]:
    """Whether the content is what was written; no fault where no checksum was recorded."""
    if BODY_SUM in metadata and file.body_sha256() != metadata[BODY_SUM]:
        yield "its content is not what was written (SHA-256): delete it and run abaw extract again"
