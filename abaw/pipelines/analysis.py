"""Analysis of any media with trained runs: a table of every frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.dataset.layout import Dataset, open_dataset
from abaw.dataset.media_files import Streams, names_by_folder
from abaw.errors import InputError, NotFoundError
from abaw.files import as_list, as_path, as_paths, atomic_write, visible
from abaw.files.ownership import Owner, own_folder, read_owner, record_owner
from abaw.pipelines.rebuilding import WeightPlaces, rebuild
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results.observed import unobserved_lines
from abaw.results.runs import Run

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from abaw.dataset.clip import Clip
    from abaw.postprocessing import PostProcessing
    from abaw.results.predictions import Table
    from abaw.tasks.base import Task
    from extract.engine.plan import EncoderSpec
    from extract.engine.run import ExtractionReport
    from extract.faces.target import TargetConfig
    from extract.store.track_file import TrackFile


LOSSES_KEY = b"losses"  # in the metadata of a table's Parquet file
SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class FrameTable:
    """One clip's table of every frame: time, face box, and what the runs predict; empty cells where no face was found.

    It is read from ``path`` (Parquet) when it is converted.
    """

    clip_id: str
    path: Path

    def to_pandas(self) -> "pd.DataFrame":
        """The table as a pandas DataFrame. Raises InputError where pandas is not installed."""
        from abaw.results.predictions import to_pandas

        return to_pandas(self._read())

    def to_numpy(self) -> "dict[str, np.ndarray]":
        """Column name -> values, one a frame; NaN or None in empty cells."""
        table = self._read()
        return {name: table[name].to_numpy() for name in table.column_names}

    def _read(self) -> Any:
        from pyarrow import parquet

        with self.path.open("rb") as file:
            return parquet.read_table(file)

    @property
    def losses(self) -> str:
        """The line of what of the clip was lost, which the file's metadata hold; "" where nothing was."""
        from pyarrow import parquet

        with self.path.open("rb") as file:
            metadata: dict[bytes, bytes] = parquet.read_schema(file).metadata or {}
        return metadata.get(LOSSES_KEY, b"").decode()


@dataclass(frozen=True)
class Analysis:
    """What ``analyze`` made: ``<clip>.parquet`` and ``<clip>.csv`` in ``out``, and what of the extraction failed.

    ``unobserved``: by clip, in how many frames nothing was observed, and how many it has. ``extraction.losses``: what
    of each clip was lost. ``meaningless``: the clips without anything that the runs take, a face or sound, so that
    their predictions mean nothing, and why. As text: all of these where there are any.
    """

    out: Path
    clips: tuple[str, ...]
    extraction: "ExtractionReport"
    unobserved: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    meaningless: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lost = self.extraction.loss_lines(f"abaw store info {self.out / 'store'} --losses")
        meaningless = [f"{clip_id}: {why}" for clip_id, why in self.meaningless.items()]
        counts = f"{self.out}: {len(self.clips)} analyzed, {len(self.extraction.failed)} failed"
        return "\n".join([*lost, *unobserved_lines(self.unobserved), *meaningless, counts])

    def table(self, clip_id: str) -> FrameTable:
        """One clip's table. Raises NotFoundError for a clip that was not analysed."""
        if clip_id not in self.clips:
            raise NotFoundError(f"no table of {clip_id!r} in {self.out}: it has {', '.join(self.clips) or 'none'}")
        return FrameTable(clip_id, self.out / f"{clip_id}.parquet")


def analyze(
    media: str | Path | Sequence[str | Path],
    runs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    device: str = "cpu",
    assume_fps: float | None = None,
    video_stream: int | None = None,
    audio_stream: int | None = None,
    weights: str | Sequence[str] = (),
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> Analysis:
    """Predict every frame of any media with trained runs; a table a clip, as Parquet and CSV, in ``out``.

    ``media``: video or sound files, or folders of them. ``runs``: runs of one task are averaged, runs of several tasks
    fill their columns. Features go to ``out/store``. ``assume_fps``: frame rate of the table of a file that is sound
    alone. ``video_stream`` and ``audio_stream``: the streams to read of every file, counted from 0 within their kind;
    by default those that players choose. ``weights``: where weights of encoders are now that lay elsewhere when the
    runs were trained, each ``OLD=NEW``, or a folder in which they are searched by name and SHA-256. Media that cannot
    be read do not stop the others: they are in the report with their reasons. ``trust``: use what the runs name that
    can run code or lead to any file: plug-ins, ``trust_remote_code``, absolute paths.

    Tables are named after the files, and where several have one name, after their folders too. Raises InputError where
    the runs chose faces in different ways, or a run asks for something that is not trusted.
    """
    as_progress(progress)
    out = as_path(out, "out")
    opened = [Run(folder, trust) for folder in as_paths(runs, "runs")]
    dataset = Dataset(out, _clips(as_paths(media, "media"))).with_streams(Streams(video_stream, audio_stream))
    places = WeightPlaces.of(
        [run.folder for run in opened], as_list(weights, "weights", "OLD=NEW, a folder, or a list")
    )
    specs, config, fill = _encoders(opened, device, places)
    for run in opened:  # before hours of extraction
        run.check_weights()
    tables = [f"{clip_id}{suffix}" for clip_id in dataset.clips for suffix in SUFFIXES]
    advice = "give another --out"
    with own_folder(out, "analysis", "abaw analyze", partial(_foreign, out, [*tables, "store"]), advice):
        before = read_owner(out, "analysis").get("tables", [])
        record_owner(out, "analysis", tables=sorted({*before, *tables, "store"}))
        return _analyze(opened, dataset, specs, config, fill, device, assume_fps, progress)


def _foreign(out: Path, names: Sequence[str], owner: Owner) -> list[str]:
    """Those of the files to write that are there already and were not written by an analysis."""
    by_us = owner.get("tables", [])
    if not owner and (out / "store/clock").is_dir():  # by a version without owner files: tables of both kinds
        pairs = [[path.with_suffix(suffix).name for suffix in SUFFIXES] for path in visible(out, "*.parquet")]
        by_us = [name for pair in pairs if all((out / name).is_file() for name in pair) for name in (*pair, "store")]
    return [name for name in names if name not in by_us and (out / name).exists()]


def _analyze(
    runs: list[Run],
    dataset: Dataset,
    specs: "list[EncoderSpec]",
    config: "TargetConfig",
    fill: bool,
    device: str,
    assume_fps: float | None,
    progress: ProgressCallback,
) -> Analysis:
    """Extract and predict, in the folder ``dataset.root``, which the caller holds."""
    from abaw.pipelines.prediction import open_member, post_processing_of, predict_tables
    from extract.engine import run as extraction
    from extract.engine.plan import faces_recipe
    from extract.store.store import FeatureStore

    out, store = dataset.root, FeatureStore(dataset.root / "store")
    report = extraction.extract(dataset, store, specs, config, assume_fps=assume_fps, fill=fill, progress=progress)
    good = [clip_id for clip_id in dataset.clips if clip_id in {*report.made, *report.present}]
    kept, unobserved = post_processing_of(runs, None), {}
    if good:
        members = [open_member(run, store.root, device) for run in runs]
        tasks = {name: task for run, _, _ in members for name, task in run.tasks().items()}
        faces = faces_recipe(config)
        for clip_id, tables in predict_tables(members, tasks, dict.fromkeys(tasks, good), progress):
            is_there = store.has(faces, clip_id, store.clock_metadata(clip_id).get("source"))
            boxes = store.open(faces, clip_id) if is_there else None
            write_frames(out, clip_id, tasks, tables, boxes, kept, str(report.losses.get(clip_id, "")))
            seen = next(iter(tables.values())).observed
            unobserved[clip_id] = int((~seen).sum()), len(seen)
    return Analysis(out, tuple(good), report, unobserved, _meaningless(report, specs))


def _meaningless(report: "ExtractionReport", specs: "list[EncoderSpec]") -> dict[str, str]:
    """The clips without a face where the encoders take faces alone, without sound where they take that, or both."""
    from extract.encoders.base import PictureEncoder

    takes_sound = any(not isinstance(spec.encoder, PictureEncoder) for spec in specs)
    pictures = [spec.encoder for spec in specs if isinstance(spec.encoder, PictureEncoder)]
    if any(encoder.crop is None for encoder in pictures):  # there is something to see in any picture
        return {}
    found: dict[str, str] = {}
    for clip_id, losses in report.losses.items():
        if (losses.has_no_face or not pictures) and (losses.has_no_sound or not takes_sound):
            reasons = ["no face was found"] * bool(pictures) + ["nothing is audible"] * takes_sound
            found[clip_id] = f"its predictions mean nothing: {' and '.join(reasons)}"
    return found


def write_frames(
    out: Path,
    clip_id: str,
    tasks: "Mapping[str, Task]",
    tables: "Mapping[str, Table]",
    boxes: "TrackFile | None",
    post_processing: "Mapping[str, PostProcessing] | None" = None,
    losses: str = "",
) -> None:
    """``<clip>.parquet`` and ``<clip>.csv``: one row a frame, empty face cells where the target was not found.

    ``person`` is the target's number in the clip, ``other_persons`` the numbers of the others in the picture.
    Where a task has post-processing, its numbers and names are those after it. ``losses``: the line of what of the clip
    was lost, kept in the metadata of the Parquet file.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    first = next(iter(tables.values()))
    columns: dict[str, Any] = {"frame": first.frames, "time_s": first.times_s, "observed": first.observed}
    columns |= _face_columns(first.times_s, boxes)
    for name, table in tables.items():
        kept = (post_processing or {}).get(name)
        final = kept.apply(tasks[name], table.values, table.observed) if kept else table.values
        columns |= {column: final[:, i] for i, column in enumerate(tasks[name].columns)}
        columns |= tasks[name].names(final)
    frames = pa.table(columns)
    if losses:
        frames = frames.replace_schema_metadata({LOSSES_KEY: losses.encode()})
    # pyarrow gets open files: it would take a path with a colon for an address
    with atomic_write(out / f"{clip_id}.parquet") as temporary, temporary.open("wb") as file:
        parquet.write_table(frames, file)
    with atomic_write(out / f"{clip_id}.csv") as temporary, temporary.open("wb") as file:
        csv.write_csv(frames, file)


def _face_columns(times_s: "np.ndarray", boxes: "TrackFile | None") -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa

    num = len(times_s)
    values, found = np.zeros((num, 6), np.float32), np.zeros(num, bool)
    others: list[list[int]] = [[] for _ in range(num)]
    if boxes is not None:  # a row of the track is a decoded frame; the table has a row for every frame
        places = np.searchsorted(times_s, boxes.times_s)
        values[places], found[places] = boxes.values, boxes.observed
        persons = boxes.table("persons")
        for frame, person in () if persons is None else persons[:, [0, 5]].astype(int).tolist():
            if not found[frame - 1] or person != values[frame - 1, 4]:
                others[frame - 1].append(person)
    sides = ("face_x_px", "face_y_px", "face_width_px", "face_height_px")
    columns = {side: pa.array(values[:, i], mask=~found) for i, side in enumerate(sides)}
    columns["person"] = pa.array(values[:, 4].astype(np.int32), mask=~found)
    columns["other_persons"] = pa.array([" ".join(map(str, sorted(each))) for each in others])
    return columns


def _clips(media: list[Path]) -> "dict[str, Clip]":
    """The clips of all the media; those of one name in several folders are named by their folders as well."""
    by_name: dict[str, dict[Path, Clip]] = {}
    for path in media:
        for clip_id, clip in open_dataset(path).clips.items():
            by_name.setdefault(clip_id, {})[(clip.media or clip.images or path).absolute()] = clip
    clips: dict[str, Clip] = {}
    for clip_id, clips_of_name in by_name.items():
        names = {clip_id: next(iter(clips_of_name))}
        if len(clips_of_name) > 1:
            names = names_by_folder(clip_id, list(clips_of_name), Path("/"), {*by_name, *clips})
        clips |= {name: replace(clips_of_name[path], clip_id=name) for name, path in names.items()}
    return clips


def _encoders(runs: list[Run], device: str, places: WeightPlaces) -> "tuple[list[EncoderSpec], TargetConfig, bool]":
    """Every encoder the runs were trained on, once, how they chose faces, and whether missing ones were filled."""
    from abaw.pipelines.extraction import build_detector
    from extract.faces.target import TargetConfig

    recipes = [recipe for run in runs for recipe in run.finished()["recipes"].values()]
    distinct = [recipe for i, recipe in enumerate(recipes) if recipe not in recipes[:i]]
    trusted = all(run.trusted for run in runs)
    rebuilt = [rebuild(recipe, device, trusted=trusted, places=places) for recipe in distinct]
    configs = [config for _, config in rebuilt if config is not None]
    if any(config.recipe() != configs[0].recipe() for config in configs):
        raise InputError("these runs chose faces in different ways: analyze with one run at a time")
    fills = {"fill_missing_faces" in recipe for recipe in distinct if "faces" in recipe}
    if len(fills) > 1:
        raise InputError("these runs filled missing faces in different ways: analyze with one run at a time")
    config = configs[0] if configs else TargetConfig(build_detector("centerface"))
    return [spec for spec, _ in rebuilt], config, fills == {True}
