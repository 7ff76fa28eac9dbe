"""Prediction tables on disk: a folder for each task with one Parquet file per clip and predictions.json.

A table has one row per frame: ``frame`` (int32, from 1), ``time_s``, ``observed``, for each feature of the networks
``observed_<feature>`` (tables of other programs and older versions have none), the task's raw columns in float32
and, for a task of classes, the number of the class (int8), the same in every row where the task is clip-level. Values
can have standard deviations, in columns such as ``valence_sd`` (float32). Tables made by other programs can be used
too, and need no predictions.json.

predictions.json records the provenance of the tables; null, or a missing key, means unknown:
task, split             split: null where clips were named
run, commit, seeds      of every member
recognisers             of every member that is a recogniser: name, recipe of its track, map, licence, trained_on
probes                  of every member that is a probe's: encoder, classifier, normalise, parts held out
data                    of recognisers and probes: the data set
label_tasks_seen        the tasks whose labels a member was trained on
videos_seen             every video that a member was trained on
groups_seen             every group (speaker, session, subject), where the data set names groups
subject_adapted         whether the tables were adapted to persons; normalise: group does so, without labels
group_normalisation     of each run that standardises features within groups: which groups had too little material
held_out                whether every table is from runs that were not trained on its video
epoch_chosen_on         the clips of these tables on which the epoch of a member was chosen (training.select_on)
made_by                 clip -> the run that held it out, where several runs made the tables
post_processing         what is done to the tables before they are scored or submitted; {}: nothing
ensemble                how, weights, members and, where the weights are fitted, the videos fitted_on (and the
                        fitted_on_groups); {}: one run
folds                   of the mean of several folds: their numbers; ``folds/<number>`` is the prediction folder of each
deviations              of tables with standard deviations: on which clips each run's noise was measured
task_settings           of a task whose columns a data set defines (``classes``, ``values``): what rebuilds it
tables, sha256          the SHA-256 of each clip's table, and that of this document without it (``checksums``)
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from abaw.dataset.names import video_of
from abaw.errors import InputError, NotFoundError
from abaw.files import atomic_write, visible, write_json
from abaw.files.names import checked_name, first_few
from abaw.files.parquet import read_parquet, to_numpy
from abaw.files.seals import without_seal
from abaw.optional import import_optional
from abaw.postprocessing import PostProcessing, parse_post_processing
from abaw.probabilities.contexts import contexts_of
from abaw.registry import nearest
from abaw.results import checksums
from abaw.results.deviations import check_deviations
from abaw.results.plausible import check_plausible
from abaw.tasks.base import Task
from abaw.tasks.ranges import deviation_name

if TYPE_CHECKING:
    import pandas as pd

METADATA = "predictions.json"
WRITTEN = {"task", "split", "run", "commit", "seeds", "post_processing", "ensemble"}  # keys of every predictions.json
CLOCK_COLUMNS = {"frame": pa.int32(), "time_s": pa.float64(), "observed": pa.bool_()}
OF_MODALITY = "observed_"  # before the name of a feature: whether it was observed
CLIP_COLUMNS = {"clip", "clip_id", "video", "video_id"}  # in which other programs may name a row's clip
AGAIN = "mend the table or run abaw predict again"


@dataclass(frozen=True)
class Table:
    """One clip's predictions of one task: frames, times in seconds, observed flags (time), values (time columns).

    ``columns`` names the values. ``modalities``: feature -> whether it was observed (time); {} where it is not known.
    ``deviations``: column -> standard deviation of a label around its value (time), or {}. ``spreads``, in an analysis
    by several members only: column -> standard deviation over those of a frame (time), NaN with fewer than two. Raises
    InputError for frames other than 1 .. n, times that do not increase, different lengths, values that are not finite.

    >>> table = Table(np.array([1, 2]), np.array([0.0, 0.04]), np.array([True, True]), np.zeros((2, 1)), ("valence",))
    >>> list(table.to_numpy())
    ['frame', 'time_s', 'observed', 'valence']
    """

    frames: np.ndarray
    times_s: np.ndarray
    observed: np.ndarray
    values: np.ndarray
    columns: tuple[str, ...]
    modalities: Mapping[str, np.ndarray] = field(default_factory=dict)
    deviations: Mapping[str, np.ndarray] = field(default_factory=dict)
    spreads: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        num = len(self.frames)
        if wrong_lengths := [name for name, flags in self.modalities.items() if len(flags) != num]:
            raise InputError(f"observed flags of {', '.join(wrong_lengths)} are not {num}, one for each frame")
        if self.values.ndim != 2 or not num == len(self.times_s) == len(self.observed) == len(self.values):
            raise InputError(
                f"{num} frames, {len(self.times_s)} times, {len(self.observed)} observed flags and values of shape "
                f"{self.values.shape}: expected one row a frame"
            )
        if len(self.columns) != self.values.shape[1]:
            raise InputError(
                f"{self.values.shape[1]} values a frame and {len(self.columns)} names of columns: expected as many"
            )
        wrong = np.flatnonzero(self.frames != np.arange(1, num + 1))
        if wrong.size:
            row = int(wrong[0])
            raise InputError(f"row {row + 1} is frame {self.frames[row]}: frames must be 1, 2, 3 ... without a gap")
        with np.errstate(invalid="ignore"):  # inf - inf
            late = np.flatnonzero(~(np.diff(self.times_s, prepend=-np.inf) > 0) | ~np.isfinite(self.times_s))
        if late.size:
            row = int(late[0])
            place = f"row {row + 1}, column 'time_s' is {self.times_s[row]:g}"
            raise InputError(f"{place}: time_s must be finite and increase from frame to frame")
        broken = np.argwhere(~np.isfinite(self.values)).tolist()
        if broken:
            row, column = broken[0]
            value = self.values[row, column]
            raise InputError(f"row {row + 1}, column {self.columns[column]!r} is {value}, expected a finite number")
        check_deviations(self.deviations, self.columns, num)

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Column name -> values, one a frame: "frame", "time_s", "observed", "observed_<feature>" of each feature, the
        task's columns, and their deviations."""
        clock = dict(zip(CLOCK_COLUMNS, (self.frames, self.times_s, self.observed), strict=True))
        clock |= {OF_MODALITY + name: flags for name, flags in self.modalities.items()}
        values = {name: self.values[:, i] for i, name in enumerate(self.columns)}
        return {**clock, **values, **{deviation_name(name): each for name, each in self.deviations.items()}}

    def to_pandas(self) -> "pd.DataFrame":
        """``to_numpy`` as a pandas DataFrame. Raises InputError where pandas is not installed."""
        return to_pandas(self.to_numpy())


def write_table(folder: Path, clip_id: str, table: Table, task: Task) -> None:
    """Write ``<folder>/<clip>.parquet``, whole or not at all. InputError where the columns are not the task's."""
    if set(table.deviations) not in (set(), set(task.linear_columns)):
        raise InputError(
            f"clip {clip_id!r} has deviations of {', '.join(table.deviations)}, {task.name} can have them of "
            f"{', '.join(task.linear_columns) or 'nothing'}"
        )
    if table.columns != task.columns:
        raise InputError(
            f"clip {clip_id!r} has the columns {', '.join(table.columns)}, {task.name} needs {', '.join(task.columns)}"
        )
    values = table.values.astype(np.float32)
    columns = dict(zip(CLOCK_COLUMNS, (table.frames.astype(np.int32), table.times_s, table.observed), strict=True))
    columns |= {OF_MODALITY + name: flags for name, flags in table.modalities.items()}
    if clashes := columns.keys() & set(task.columns):
        raise InputError(f"columns {', '.join(sorted(clashes))} of {task.name} are in every table: rename them")
    columns |= {name: values[:, i] for i, name in enumerate(task.columns)}
    columns |= {deviation_name(name): each.astype(np.float32) for name, each in table.deviations.items()}
    numbers = [(name, task.goals.index(name)) for name in task.names(values)]
    number = np.int8 if len(task.columns) <= np.iinfo(np.int8).max else np.int32
    columns |= {name: task.row_labels(values)[:, i].astype(number) for name, i in numbers}
    path = folder / f"{checked_name(clip_id, f'a clip of {task.name}')}.parquet"
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        parquet.write_table(pa.table(columns), file)  # a file: pyarrow would take a path with a colon for an address


def read_table(folder: Path, clip_id: str, task: Task) -> Table:
    """The clip's table. Raises NotFoundError where there is none, and InputError, naming file, row and column, where it
    is broken, has changed since it was written, or holds what cannot be predictions of the task (``check_plausible``).
    """
    path = folder / f"{clip_id}.parquet"
    if not path.is_file():
        raise NotFoundError(f"no {task.name} predictions for clip {clip_id!r} in {folder}: run abaw predict")
    content = path.read_bytes()
    is_unchanged = checksums.is_unchanged(_document(folder), clip_id, content)
    try:
        found = _parse(content, clip_id, task)
    except ValueError as error:
        changed = "" if is_unchanged else " (it has changed since it was written)"
        raise InputError(f"{path}: {error}{changed}; {AGAIN}") from error
    if not is_unchanged:
        raise InputError(f"{path}: it has changed since it was written; {AGAIN}, or {checksums.ACCEPT}")
    return found


def _parse(content: bytes, clip_id: str, task: Task) -> Table:
    found = read_parquet(content)
    repeated = [name for name in dict.fromkeys(found.column_names) if found.column_names.count(name) > 1]
    if repeated:
        raise InputError(f"there are several columns {repeated[0]!r}")
    _check_clip(found, clip_id)
    types = CLOCK_COLUMNS | dict.fromkeys(task.columns, pa.float32())
    frames, times_s, observed, *values = (_column(found, name, type_) for name, type_ in types.items())
    names = [name for name in found.column_names if name.startswith(OF_MODALITY) and name not in task.columns]
    modalities = {name.removeprefix(OF_MODALITY): _column(found, name, pa.bool_()) for name in names}
    deviations = _deviations(found, task)
    table = Table(frames, times_s, observed, np.stack(values, axis=1), task.columns, modalities, deviations)
    check_plausible(table.values, task)
    return table


def _deviations(found: pa.Table, task: Task) -> dict[str, np.ndarray]:
    """The standard deviations of all columns that can have one; {} where the table has none of them."""
    names = {column: deviation_name(column) for column in task.linear_columns}
    if not set(names.values()) & set(found.column_names):
        return {}
    return {column: _column(found, name, pa.float32()) for column, name in names.items()}


def _check_clip(found: pa.Table, clip_id: str) -> None:
    """Raises InputError where a table of another program says that its rows are of another clip."""
    for name in CLIP_COLUMNS & set(found.column_names):
        for named in found[name].unique().to_pylist():
            if str(named) not in (clip_id, video_of(clip_id)):
                raise InputError(f"column {name!r} has rows of {named!r}, expected only rows of {clip_id!r}")


def _column(found: pa.Table, name: str, type_: pa.DataType) -> np.ndarray:
    if name not in found.column_names:
        known = found.column_names
        raise InputError(f"no column {name!r}{nearest(name, known)} it has {', '.join(known)}")
    column = found[name]
    if column.null_count:
        raise InputError(f"column {name!r} has {column.null_count} empty cells")
    given = column.type
    is_number = pa.types.is_integer(given) or pa.types.is_floating(given)
    if not (is_number or (pa.types.is_boolean(type_) and pa.types.is_boolean(given))):
        raise InputError(f"column {name!r} is {given}, expected {type_}")
    try:
        values = to_numpy(column.cast(type_))
    except pa.ArrowException as error:
        raise InputError(f"column {name!r} is {given}, expected {type_}: {error}") from error
    if pa.types.is_boolean(type_) and not np.array_equal(values, to_numpy(column)):  # True is not what 5 stands for
        raise InputError(f"column {name!r} has other values than 0 and 1, expected {type_}")
    return values


def settings_of(task: Task) -> dict[str, Any]:
    """The entry of predictions.json that rebuilds a task whose columns a data set defines; {} for other tasks."""
    return {"task_settings": task.settings()} if task.is_of_dataset else {}


def write_metadata(folder: Path, about: Mapping[str, Any]) -> None:
    """Write predictions.json with the checksums of all tables in the folder, which completes it."""
    write_json(folder / METADATA, checksums.sealed(about, folder))


def read_metadata(folder: Path) -> dict[str, Any]:
    """The content of predictions.json without its checksums; {} where there is none.

    Raises InputError where it is no JSON object, or has changed since it was written.
    """
    return {key: value for key, value in without_seal(_document(folder)).items() if key != checksums.TABLES}


def _document(folder: Path) -> dict[str, Any]:
    path = folder / METADATA
    return checksums.parse_sealed(path.read_bytes(), path) if path.is_file() else {}


def check_unchanged(folder: Path) -> None:
    """Raises InputError for the first table that is missing, was added, or has changed since it was written."""
    document, there = _document(folder), clip_ids(folder)
    checksums.check_names(document, folder, there)
    if changed := changed_files(folder):
        raise InputError(f"{changed[0]}: it has changed since it was written; {AGAIN}, or {checksums.ACCEPT}")


def changed_files(folder: Path) -> list[Path]:
    """The tables that have changed since they were written; predictions.json alone where it has changed itself."""
    try:
        document = _document(folder)
    except InputError:
        return [folder / METADATA]
    paths = {clip_id: folder / f"{clip_id}.parquet" for clip_id in clip_ids(folder)}
    return [path for name, path in paths.items() if not checksums.is_unchanged(document, name, path.read_bytes())]


def clip_ids(folder: Path) -> list[str]:
    """The clips that have a table, sorted."""
    return [path.stem for path in visible(folder, "*.parquet")]


def num_unobserved(folder: Path) -> dict[str, tuple[int, int]]:
    """By clip, in how many frames nothing was observed, and how many it has; of tables that this project wrote."""
    columns = {
        clip_id: to_numpy(read_parquet(folder / f"{clip_id}.parquet", ["observed"])["observed"])
        for clip_id in clip_ids(folder)
    }
    return {clip_id: (int((~observed).sum()), len(observed)) for clip_id, observed in columns.items()}


def count_contexts(folder: Path) -> dict[str, int]:
    """In how many frames of all tables each set of modalities was observed ("face+voice"); "" where it is not known."""
    found: Counter[str] = Counter()
    for clip_id in clip_ids(folder):
        table = read_parquet(folder / f"{clip_id}.parquet")
        names = [name for name in table.column_names if name.startswith(OF_MODALITY)]
        flags = {name.removeprefix(OF_MODALITY): to_numpy(table[name]) for name in names}
        found.update(contexts_of(flags, table.num_rows).tolist())
    return dict(found)


def tasks_in(folder: Path) -> list[str]:
    """The tasks of a folder of prediction folders, or of a single one. Raises NotFoundError where there is none."""
    if not folder.is_dir():
        raise NotFoundError(f"no predictions at {folder}, which is no folder: check the path, or run abaw predict")
    below = sorted(path.name for path in folder.iterdir() if path.is_dir() and _holds_tables(path))
    if below:
        return below
    if not _holds_tables(folder):
        runs = first_few([str(path.parent) for path in sorted(folder.glob("*/run.json"))])
        what = f"it holds runs, so name one: {runs}" if runs else "run abaw predict, or name the folder of its --out"
        raise NotFoundError(f"no predictions in {folder}: {what}")
    task = read_metadata(folder).get("task")
    if task is None:
        raise InputError(f"{folder} has no {METADATA} that names its task: name the task (--task)")
    return [checked_name(task, f"the task in {folder / METADATA}")]


def resolve(folder: Path, task_name: str) -> Path:
    """The prediction folder of a task: ``<folder>/<task>``, or ``folder`` itself.

    Raises NotFoundError, naming the tasks that are there, and InputError for an incomplete folder, or one whose tables
    were deleted or added since it was written.
    """
    where = next((path for path in (folder / task_name, folder) if _holds_tables(path)), None)
    if where is None:
        raise NotFoundError(
            f"no {task_name} predictions in {folder}: it has {', '.join(tasks_in(folder))}; predict with a run of "
            f"{task_name}, or name another folder"
        )
    about = read_metadata(where)
    if about.get("complete") is False:
        raise InputError(f"{where} is not complete because its abaw predict or combine was stopped: run that again")
    if about.get("task", task_name) != task_name:
        raise InputError(f"{where} holds {about['task']} predictions, not {task_name}: name another folder or task")
    checksums.check_names(_document(where), where, clip_ids(where))
    return where


def post_processing_of(where: Path) -> PostProcessing | None:
    """The post-processing that is kept with a folder's tables; None where there is none."""
    document = read_metadata(where).get("post_processing")
    return parse_post_processing(document, str(where / METADATA)) if document else None


def _holds_tables(folder: Path) -> bool:
    return (folder / METADATA).is_file() or bool(clip_ids(folder))


def to_pandas(table: pa.Table | Mapping[str, Any]) -> "pd.DataFrame":
    """A pyarrow table, or columns by name, as a pandas DataFrame. Raises InputError where pandas is not installed."""
    import_optional("pandas", needed_by="to_pandas()")
    return (table if isinstance(table, pa.Table) else pa.table(dict(table))).to_pandas()
