"""Files of predictions for a data set of one's own: a row for each clip or frame of a split, under the names of its
data set file.

A row begins with ``clip`` (and ``frame``, counted from 1, where labels are of frames). Then follow ``class`` and
``p_NAME`` of every class, or a column for each value.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from abaw.challenge.gaps import ClipRows, GapLimits
from abaw.dataset.layout import SPLITS, Dataset, open_dataset
from abaw.dataset.manifests.text_table import TextTable, read_table
from abaw.errors import InputError, NotFoundError
from abaw.files import atomic_write
from abaw.files.csv_cells import csv_text
from abaw.files.names import first_few
from abaw.numbers import parse_integer
from abaw.postprocessing import PostProcessing
from abaw.results import predictions
from abaw.tasks import TASKS
from abaw.tasks.base import Task
from abaw.tasks.ranges import column_ranges, distributions, parse_values, values_row

SUFFIXES = (".yaml", ".yml")
MAX_SUM_ERROR = 1e-3  # of probabilities with six decimals
ROUNDING = 2e-6  # of a probability with six decimals


def is_data_set_file(path: Path) -> bool:
    """Whether a template is a data set file, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def open_own(path: Path, name: str | None, there: Sequence[str]) -> tuple[Dataset, Task]:
    """The data set of a file, and its task of the name, by default the only one of those ``there``."""
    dataset = open_dataset(path)
    if dataset.manifest is None:
        raise InputError(f"{path} names no manifest: give a data set file of your own labels, or a template")
    known = [part for part in TASKS.names() if TASKS.build(part).is_of_dataset]
    tasks = {part: task for part in known if (task := TASKS.build(part).for_dataset(dataset)).columns}
    names = [name] if name else [part for part in tasks if part in there]
    if len(names) != 1:
        listing = ", ".join(tasks) or "no task"
        why = f"there are predictions of {' and '.join(names)}" if names else f"there are none of {listing}"
        raise InputError(f"{path} defines {listing}, and {why}: name the task with --task")
    if names[0] not in tasks:
        raise InputError(f"{path} does not define {names[0]}: it has {', '.join(tasks)}")
    return dataset, tasks[names[0]]


def clips_of(dataset: Dataset, task: Task, split: str) -> tuple[str, ...]:
    """The clips of a split. Raises InputError where there is none."""
    if split not in SPLITS:
        raise InputError(f"no split {split!r}: there are {', '.join(SPLITS)}")
    if found := task.clips(dataset, split):
        return found
    place = dataset.manifest.file if dataset.manifest else dataset.root
    others = [each for each in SPLITS if task.clips(dataset, each)]
    raise InputError(f"{place} has no {split} clip: give --split {' or '.join(others)}")


def write_own(
    where: Path,
    task: Task,
    clips: Sequence[str],
    post_processing: PostProcessing | None,
    out: Path,
    limits: GapLimits,
) -> tuple[ClipRows, ...]:
    """Write the predictions of the clips in their order; the file is complete or absent.

    Raises NotFoundError where a clip has no table, InputError beyond the limits.
    """
    known = set(predictions.clip_ids(where))
    if missing := [clip for clip in clips if clip not in known]:
        raise NotFoundError(
            f"{len(missing)} of {len(clips)} clips have no predictions in {where}: {first_few([*map(repr, missing)])}; "
            "run abaw predict for this split, or name another with --split"
        )
    found = []
    with atomic_write(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(_line(header_of(task)))
        for clip in clips:
            table = predictions.read_table(where, clip, task)
            values = table.values
            if post_processing:
                values = post_processing.apply(task, values, table.observed, table.times_s, modalities=table.modalities)
            if not len(values):
                raise InputError(f"clip {clip!r} has no predicted frame, so that there is no value to write")
            observed = table.observed if task.resolution == "frame" else np.array([table.observed.any()])
            frames = table.frames.tolist() if task.resolution == "frame" else [None]
            for frame, cells in zip(frames, _cells(task, values), strict=True):
                file.write(_line([clip, *([] if frame is None else [str(frame)]), *cells]))
            found.append(ClipRows(clip, int(observed.sum()), int((~observed).sum()), 0))
        limits.check(found, str(where))
    return tuple(found)


def header_of(task: Task) -> list[str]:
    """The columns of a file of the task."""
    place = ["clip", "frame"] if task.resolution == "frame" else ["clip"]
    return [*place, *(["class"] if distributions(task) else []), *task.columns]


def faults_of(path: Path, task: Task, clips: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Every fault of a file with its line. Raises InputError where it is no table."""
    table, header = read_table(path), header_of(task)
    if list(table.columns) != header:
        yield 1, f"the header is {_line(table.columns).strip()!r}, expected {_line(header).strip()!r}"
        return
    known, rows_of = set(clips), dict.fromkeys(clips, 0)
    by_frame = task.resolution == "frame"
    last = ""
    first_line: dict[str, int] = {}
    for row, line in enumerate(table.numbers):
        cells = table.cells(row)
        clip = cells[0]
        if clip not in known:
            yield line, f"{clip!r} is no clip of this split"
        elif by_frame:
            if clip != last and rows_of[clip]:
                yield line, f"the rows of {clip!r} are not together: they began on line {first_line[clip]}"
            rows_of[clip] += 1
            if cells[1] != str(rows_of[clip]):
                yield (
                    line,
                    f"frame {cells[1]!r} of {clip!r}, expected {rows_of[clip]}: frames count from 1 without gaps",
                )
                rows_of[clip] = _frame(cells[1], rows_of[clip])
        elif rows_of[clip]:
            yield line, f"{clip!r} is there twice, first on line {first_line[clip]}"
        else:
            rows_of[clip] = 1
        first_line.setdefault(clip, line)
        last = clip
        if words := _value_fault(task, cells[1 + by_frame :]):
            yield line, words
    end = table.numbers[-1] + 1 if table.numbers else 2
    if missing := [clip for clip, num in rows_of.items() if not num]:
        yield end, f"{len(missing)} of {len(clips)} clips have no row: {first_few([*map(repr, missing)])}"


def has_classes(path: Path) -> list[str]:
    """The task that a file is of, by its header: of classes where it has a column of that name."""
    table: TextTable = read_table(path)
    return ["classes" if "class" in table.columns else "values"]


def _cells(task: Task, values: np.ndarray) -> Iterator[list[str]]:
    if not distributions(task):
        for label in task.to_labels(values):
            yield values_row(label).split(",")
        return
    rows = values if task.resolution == "frame" else task.pooled(values)
    (names,) = task.names(rows).values()
    for name, row in zip(names, rows, strict=True):
        yield [name, *values_row(row).split(",")]


def _value_fault(task: Task, cells: list[str]) -> str | None:
    numbers = cells[1:] if distributions(task) else cells
    limits = column_ranges(task) if distributions(task) else task.limits()  # type: ignore[attr-defined]
    try:
        found = parse_values(",".join(numbers), task.columns, np.array(limits))
    except InputError as error:
        return str(error)
    if not distributions(task):
        return None
    names = [column.removeprefix("p_") for column in task.columns]
    if cells[0] not in names:
        return f"{cells[0]!r} is no class, expected {', '.join(names)}"
    if abs(found.sum() - 1) > MAX_SUM_ERROR:
        return f"the probabilities sum to {found.sum():.4f}, expected 1"
    if found[names.index(cells[0])] < found.max() - ROUNDING:
        return f"the class is {cells[0]}, but {names[int(found.argmax())]} is more probable"
    return None


def _frame(text: str, expected: int) -> int:
    """The frame from which counting goes on after a wrong one."""
    try:
        return max(expected, parse_integer(text))
    except InputError:
        return expected


def _line(cells: Sequence[str]) -> str:
    return csv_text([cells])
