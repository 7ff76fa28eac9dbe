"""Whether what a store holds is sound: every file against its own checksum, its clock, its recipe, and its media."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from abaw.dataset.layout import Dataset
from abaw.files import read_json
from abaw.tracks import Clock
from extract.media import MediaInfo, probe
from extract.store.fingerprint import fingerprint
from extract.store.listing import (
    BLOCK_BYTES,
    ProgressCallback,
    TrackFile,
    failures,
    feature_folders,
    modality,
    silent,
    stale_files,
    tracks,
)
from extract.store.store import FeatureStore, Recipe

ASSUMED_FPS = re.compile(r" at \S+ fps$")  # what an assumed frame rate adds to a source's stamp

SOUND_SLACK_S = 0.1  # a sound's times are known to a sound frame, and encoders pad their ends


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file; its path is relative to the store."""

    file: str
    what: str


@dataclass
class VerifyReport:
    """What was looked at, and every fault; ``unchecked`` tracks were written without a checksum."""

    store: str
    clocks: int = 0
    tracks: int = 0
    bytes: int = 0
    unchecked: int = 0
    failed: int = 0
    stale_files: int = 0
    faults: list[Fault] = field(default_factory=list)

    def __str__(self) -> str:
        return _text(self)


def verify(store: FeatureStore, dataset: Dataset | None = None, progress: ProgressCallback = silent) -> VerifyReport:
    """Read everything in the store once, and, given a data set, look whether its media are those of the clocks.

    Values are read in blocks. FileNotFoundError where there is no store.
    """
    folders = feature_folders(store)
    work = _Work(store, dataset)
    report = work.report
    report.stale_files = len(stale_files(store))
    for clip_id, path in tracks(store.root / "clock").items():
        report.clocks += 1
        work.note(path, work.clock(clip_id, path))
    files = [(folder, tracks(folder)) for folder in folders]
    total = sum(len(found) for _, found in files)
    for folder, found in files:
        recipe = work.recipe(folder)
        kind = modality(recipe)
        work.dims(found)
        for clip_id, path in found.items():
            progress(f"{folder.name}/{clip_id}", report.tracks, total)
            report.tracks, report.bytes = report.tracks + 1, report.bytes + path.stat().st_size
            work.note(path, work.track(clip_id, path, recipe, kind))
    report.faults.sort(key=lambda fault: fault.file)
    return report


class _Work:
    """One audit: the clocks that can be read, and what the data set says."""

    def __init__(self, store: FeatureStore, dataset: Dataset | None) -> None:
        self.store, self.dataset = store, dataset
        self.report = VerifyReport(str(store.root))
        self.clocks: dict[str, Clock] = {}
        self.heard = cache(self._heard)

    def note(self, path: Path, faults: Iterator[str]) -> None:
        """Keep a file's faults. A file that cannot be read is one."""
        name = path.relative_to(self.store.root).as_posix()
        try:
            for what in faults:
                self.report.faults.append(Fault(name, what))
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:  # whatever was edited by hand
            self.report.faults.append(Fault(name, f"cannot be read: {error}"))

    def clock(self, clip_id: str, path: Path) -> Iterator[str]:
        """The faults of a clock."""
        clock = self.clocks[clip_id] = self.store.clock(clip_id)
        about = self.store.clock_metadata(clip_id)
        yield from wrong_checksum(path, about)
        num = int(about.get("num_frames", clock.decoded.sum()))
        if num != int(clock.decoded.sum()):
            yield f"{int(clock.decoded.sum())} frames are marked as decoded, {num} were"
        if self.dataset is not None:
            yield from self._media(clip_id, about.get("source", ""))

    def _media(self, clip_id: str, source: str) -> Iterator[str]:
        assert self.dataset is not None
        clip = self.dataset.clips.get(clip_id)
        if clip is None or (clip.media is None and clip.images is None):
            yield f"no media and no images of this clip in {self.dataset.root}"
        elif fingerprint(clip, clip.image_numbers()) != ASSUMED_FPS.sub("", source):
            yield f"{clip.media or clip.images} is not what it was extracted from: run abaw extract again"

    def recipe(self, folder: Path) -> Recipe:
        """The folder's recipe, {} where it cannot be read; its faults are noted."""
        path, recipe = folder / "recipe.json", {}
        try:
            recipe = read_json(path)
            expected = self.store.folder(recipe).name
            if expected != folder.name:
                self.note(path, iter([f"its hash is that of {expected}: the recipe or the folder's name was changed"]))
        except FileNotFoundError:
            if tracks(folder):
                self.note(path, iter(["is missing: nothing says what made these tracks"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.note(path, iter([f"is no recipe: {error}"]))
        try:
            self.report.failed += len(failures(folder))
        except ValueError as error:
            self.note(folder / "failed.jsonl", iter([str(error)]))
        return recipe if isinstance(recipe, dict) else {}

    def dims(self, found: dict[str, Path]) -> None:
        """Every track of a folder must be as wide as most are."""
        widths = {}
        for path in found.values():
            try:
                widths[path] = TrackFile(path).shape[-1]
            except (ValueError, OSError):
                continue  # told where the track is looked at
        usual = Counter(widths.values()).most_common(1)
        for path, width in widths.items():
            if width != usual[0][0]:
                self.note(path, iter([f"{width} numbers a row, the other tracks of its folder have {usual[0][0]}"]))

    def track(self, clip_id: str, path: Path, recipe: Recipe, kind: str | None) -> Iterator[str]:
        """The faults of a track; those that make others meaningless come alone."""
        file = TrackFile(path)
        if broken := [*wrong_shapes(file, recipe)]:
            yield from broken
            return
        late = np.flatnonzero(~(np.diff(file.times_s) > 0))
        if not np.isfinite(file.times_s).all() or late.size:
            yield f"times do not increase strictly, first at row {int(late[0]) + 1 if late.size else 0}"
        if "sha256" not in file.metadata:
            self.report.unchecked += 1
        yield from wrong_checksum(path, file.metadata)
        yield from wrong_values(file)
        if not (self.store.root / "clock" / path.name).exists():
            yield "its clip has no clock"
        elif clip_id in self.clocks:
            if file.metadata.get("source") != self.store.clock_metadata(clip_id).get("source"):
                yield "it is of other media than its clip's clock: run abaw extract again"
            else:
                yield from self._place(clip_id, file, recipe, kind)

    def _place(self, clip_id: str, file: TrackFile, recipe: Recipe, kind: str | None) -> Iterator[str]:
        """Faults of the times, given what the clip is."""
        if kind == "vision":
            yield from wrong_moments(file, recipe, self.clocks[clip_id])
        elif not len(file.times_s):
            return  # a clip without sound
        elif kind is not None and recipe.get("encoder") != "import" and self.dataset is not None:
            yield from self._unheard(clip_id, file.times_s)

    def _unheard(self, clip_id: str, times_s: np.ndarray) -> Iterator[str]:
        """Whether rows of sound lie outside the clip's sound."""
        heard = self.heard(clip_id)
        slack_s = SOUND_SLACK_S + (float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0)
        if heard is None:
            return
        start_s, stop_s = heard.sound_start_s, heard.sound_stop_s
        if not heard.has_sound:
            yield f"{len(times_s)} rows of a clip without sound"
        elif times_s[0] < start_s - slack_s or times_s[-1] > stop_s + slack_s:
            yield (
                f"its rows are of {times_s[0]:.3f} to {times_s[-1]:.3f} s, the clip's sound of {start_s:.3f} "
                f"to {stop_s:.3f} s"
            )

    def _heard(self, clip_id: str) -> MediaInfo | None:
        """What the clip's media file announces; None where that is told with its clock, or cannot be known."""
        clip = self.dataset.clips.get(clip_id) if self.dataset else None
        if clip is None or clip.media is None or not clip.media.is_file():
            return None
        try:
            return probe(clip.media)
        except ValueError:
            return None  # its pictures cannot be decoded: the clock's source has told of the change


def _text(report: VerifyReport) -> str:
    """Every fault by file, and what was looked at."""
    lines = [f"{fault.file}: {fault.what}" for fault in report.faults]
    if report.unchecked:
        lines.append(f"no checksum recorded: {report.unchecked} of {report.tracks} tracks, written by an older abaw")
    if report.failed:
        lines.append(f"{report.failed} tracks could not be extracted: abaw store info {report.store} tells which")
    looked = f"{report.store}: {report.clocks} clocks and {report.tracks} tracks looked at"
    return "\n".join([*lines, f"{looked}, {len(report.faults)} faults" if report.faults else f"{looked}, all sound"])


def wrong_shapes(file: TrackFile, recipe: Recipe) -> Iterator[str]:
    """Whether the tensors are those of one track, in the formats they must have."""
    if len(file.shape) != 2:
        yield f"values have the shape {file.shape}, expected rows of numbers"
        return
    for name, array, dtype in [
        ("times_s", file.times_s, "float64"),
        *((name, flags, "bool") for name, flags in file.flags.items()),
    ]:
        if array.shape != file.shape[:1] or array.dtype != dtype:
            yield (
                f"{name} has the shape {array.shape} in {array.dtype}, expected {file.shape[:1]} in {dtype}, as values "
                f"have {file.shape[0]} rows"
            )
    if int(file.metadata.get("rows", file.shape[0])) != file.shape[0]:
        yield f"{file.shape[0]} rows, {file.metadata['rows']} were written"
    expected = recipe.get("stored_dtype", "float16")
    if recipe and file.dtype != expected:
        yield f"values are {file.dtype}, the recipe says {expected}"


def wrong_values(file: TrackFile) -> Iterator[str]:
    """Observed rows finite, the others zero; one pass."""
    wrong: dict[str, int] = {}
    for first, block in file.blocks():
        observed = file.observed[first : first + len(block)]
        for what, rows in (
            ("is observed, but not finite", observed & ~np.isfinite(block).all(axis=1)),
            ("is not observed, but not zero", ~observed & (block != 0).any(axis=1)),
        ):
            if rows.any():
                wrong.setdefault(what, first + int(np.flatnonzero(rows)[0]))
    for what, row in wrong.items():
        yield f"row {row} {what}"


def wrong_checksum(path: Path, metadata: Mapping[str, str]) -> Iterator[str]:
    """Whether what follows a file's header is what was written; nothing where no checksum was recorded."""
    if "sha256" not in metadata:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != metadata["sha256"]:
        yield "it is not what was written (sha256): delete it and run abaw extract again"


def wrong_moments(file: TrackFile, recipe: Recipe, clock: Clock) -> Iterator[str]:
    """Whether rows of pictures are at the moments of the clock's frames, or of tubes of them."""
    times_s, is_import = file.times_s, recipe.get("encoder") == "import"
    if not len(times_s) and (is_import or _told(recipe)["span"] is None):
        return  # perhaps a clip shorter than a tube
    assumed = recipe.get("assumed_clock", {})
    if is_import and "times" in assumed:
        return  # they were given, and judged as they came in
    if is_import and "clock" not in assumed:
        step_s = 1 / assumed["fps"] if "fps" in assumed else float(assumed.get("hop_s", 0.0))
        yield from _inside(times_s, clock, max(step_s, clock.interval_s if len(clock) > 1 else 0.0) * (1 + 1e-6))
        return
    # a clip's crops have gaps, and so may what was made elsewhere
    by_video = not is_import and ("crop" not in recipe or file.metadata.get("crops", "found") == "found")
    if by_video and clock.decoded.any():
        expected_s = _tubes(clock.times_s[clock.decoded], *_span(recipe, times_s, clock.times_s[clock.decoded]))
        if not np.array_equal(times_s, expected_s):
            num = int(clock.decoded.sum())
            yield f"{len(times_s)} rows, expected {len(expected_s)} at the times of the {num} frames that were decoded"
            yield from _inside(times_s, clock, 0.0)
    elif (strange := np.flatnonzero(~np.isin(times_s, clock.times_s))).size:
        if _told(recipe)["span"] != 1:  # tubes, perhaps: they begin anew after every gap
            yield from _inside(times_s, clock, 0.0)
        else:
            yield f"row {int(strange[0])}, at {times_s[strange[0]]} s, is of no frame of the clock"


def _inside(times_s: np.ndarray, clock: Clock, margin_s: float) -> Iterator[str]:
    if not len(times_s) or not len(clock):
        return
    first_s, last_s = clock.times_s[0], clock.times_s[-1]
    if times_s[0] < first_s - margin_s or times_s[-1] > last_s + margin_s:
        yield f"its rows are of {times_s[0]:.3f} to {times_s[-1]:.3f} s, the clip of {first_s:.3f} to {last_s:.3f} s"


def _told(recipe: Recipe) -> Recipe:
    """The recipe with its span and stride, in pictures; None leaves them to the network."""
    return {"span": 1, "stride": 1} | recipe.get("settings", {}) | recipe


def _span(recipe: Recipe, times_s: np.ndarray, frames_s: np.ndarray) -> tuple[int, int]:
    """Pictures a row and from row to row; what the recipe leaves to the network is told from the first two rows."""
    told = _told(recipe)
    if told["span"] == 1:
        return 1, 1
    span = told["span"] or _place(2 * times_s[0] - frames_s[0], frames_s) + 1
    middles_s = _tubes(frames_s, span, 1)
    stride = told["stride"] or (_place(times_s[1], middles_s) if len(times_s) > 1 and len(middles_s) else 1)
    return span, max(1, stride)


def _place(time_s: float, times_s: np.ndarray) -> int:
    """The place of the time nearest to one."""
    return int(np.abs(times_s - time_s).argmin())


def _tubes(frames_s: np.ndarray, span: int, stride: int) -> np.ndarray:
    """The moments midway between the first and the last of every ``span`` frames, ``stride`` apart."""
    return ((frames_s[: max(0, len(frames_s) - span + 1)] + frames_s[span - 1 :]) / 2)[::stride]
