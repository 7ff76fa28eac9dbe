"""A table of runs: what each is made of, its score with an interval, and whether it is complete."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from abaw.configs.sections import Config
from abaw.dataset.layout import open_once
from abaw.errors import AbawError, InputError, NotFoundError
from abaw.evaluation.intervals import intervals
from abaw.evaluation.labelled_tables import open_labelled_predictions
from abaw.files import as_path
from abaw.files.csv_cells import csv_text
from abaw.files.ownership import OWNER
from abaw.progress import ProgressCallback, as_progress, silent, with_progress
from abaw.results.runs import CONFIG, RESUME, Run
from abaw.results.selection import words_of_run

SHOWN = ("run", "state", "task", "score", "model", "features", "fold", "seed", "epoch", "time", "commit", "selection")


@dataclass(frozen=True)
class RunRow:
    """One task of one run; a run with two tasks has two rows, a run of which no task is known one.

    ``state``: "complete", "incomplete" (stopped, or in training now) or "damaged". ``score``: of the clips that the run
    held out, without post-processing, by the task's ranking ``metric``; ``low`` and ``high`` are its 95 % interval.
    ``fold``: "0 of 5", or "refit" of a run that held nothing out. ``epoch``: the one of the weights, from 1.
    ``time_s``: from the begin of the training to its end, pauses included. ``selection`` says where the epoch was
    chosen on the clips that are scored; else it is empty. ``remarks``: what is wrong or unknown.
    What is unknown is None.
    """

    run: str
    state: str
    name: str | None = None
    task: str | None = None
    metric: str | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    model: str | None = None
    features: tuple[str, ...] = ()
    fold: str | None = None
    seed: int | None = None
    epoch: int | None = None
    time_s: float | None = None
    commit: str | None = None
    selection: str = ""
    remarks: tuple[str, ...] = ()


COLUMNS = tuple(each.name for each in fields(RunRow))


@dataclass(frozen=True)
class RunTable:
    """The rows of all runs found, and how many rows did not fit the conditions. ``str(table)`` is what the command line
    prints."""

    rows: list[RunRow] = field(default_factory=list)
    num_left_out: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON has it."""
        return asdict(self)

    def to_csv(self) -> str:
        """The table as CSV with a header; lists are joined by spaces, what is unknown is empty. A name that a
        spreadsheet would compute has an apostrophe in front."""
        rows: list[Sequence[Any]] = [COLUMNS]
        for row in self.rows:
            lists = {"features": " ".join(row.features), "remarks": "; ".join(row.remarks)}
            rows.append([lists.get(name, getattr(row, name)) for name in COLUMNS])
        return csv_text(rows)

    def __str__(self) -> str:
        if not self.rows:
            return f"none of {self.num_left_out} rows fits the conditions"
        cells = [SHOWN, *map(_cells, self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(SHOWN))]
        lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells]
        remarks = dict.fromkeys(f"note: {row.run}: {remark}" for row in self.rows for remark in row.remarks)
        return "\n".join(line.rstrip() for line in (*lines, *remarks))


@open_once()
def read_runs(
    folder: str | Path = "runs",
    *,
    sort: str = "score",
    where: Sequence[str] = (),
    with_intervals: bool = True,
    progress: ProgressCallback = silent,
) -> RunTable:
    """Read every run in a folder and below it into a table, with scores, and what is incomplete or damaged.

    Each fold is a run and has rows of its own. ``sort``: a column, a ``-`` before it for the opposite order; by "score"
    the best of each task comes first. Rows without the value come last. ``where``: conditions ``column=pattern`` with
    ``*`` and ``?``, such as ``model=bigru``; all must hold, and of features one must match; what is unknown is empty
    text. ``with_intervals``: whether 95 % intervals are computed from the stored tables and the labels, and weights are
    compared with their hashes; without, only run.json and config.yaml are read.

    Raises NotFoundError where there is no such folder, InputError where it has no run or a column is unknown.
    """
    as_progress(progress)
    root = as_path(folder, "folder")
    conditions = [_condition(each) for each in ((where,) if isinstance(where, str) else where)]
    key, is_reversed = sort.removeprefix("-"), sort.startswith("-")
    _check_column(key, "sort")
    if not root.is_dir():
        raise NotFoundError(f"no folder {root}: name the folder of your runs")
    rows, num = list[RunRow](), 0
    # one run after the other, so that its files are parsed once
    for found in with_progress(list(_find(root)), progress, lambda each: str(getattr(each, "folder", each))):
        own = [found] if isinstance(found, RunRow) else _rows(found, check_content=with_intervals)
        num += len(own)
        own = [row for row in own if all(_matches(row, *each) for each in conditions)]
        rows += map(_with_interval, own) if with_intervals else own
    if not num:
        raise InputError(f"no run in {root}: name the folder of your runs, or train one with abaw train CONFIG")
    return RunTable(_sorted(rows, key, is_reversed), num - len(rows))


def _find(root: Path) -> Iterator[Run | RunRow]:
    """Every run, also behind links, each once; a row for each folder that cannot be read."""
    unreadable, seen = list[OSError](), set[Path]()
    for place, folders, files in os.walk(root, onerror=unreadable.append, followlinks=True):
        folders.sort()
        real = Path(place).resolve()
        if real in seen:  # a link to a folder that holds it, or to another that is listed
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        if {"run.json", RESUME} & set(files) or {CONFIG, OWNER} <= set(files):
            folders.clear()  # what is inside belongs to this run
            yield Run(Path(place))
    for error in unreadable:
        yield RunRow(str(error.filename), "damaged", remarks=(f"the folder cannot be read: {error.strerror}",))


def _rows(run: Run, *, check_content: bool) -> list[RunRow]:
    """The rows of one run, whatever state its files are in."""
    row, document, remarks = RunRow(str(run.folder), "incomplete"), dict[str, Any](), list[str]()
    tasks: Sequence[str] = ()
    try:
        config = run.config()
        row, tasks = _of_config(row, config), list(config.tasks)
        document = run.document() if run.has_begun() else {}
        row = _of_document(row, document)
        if "scores" in document:
            run.check_weights(content=check_content)
            row = replace(row, state="complete")
        else:
            remarks.append("not complete: training was stopped, or is under way")
    except (AbawError, OSError) as error:
        remarks.append(str(error))
        row = replace(row, state="damaged")
    scores: Mapping[str, Mapping[str, float]] = document.get("scores", {})
    if row.state == "complete" and not scores:
        remarks.append("a refit: nothing was held out, so there is no score")
    row = replace(row, selection=words_of_run(document) if scores else "", remarks=tuple(remarks))
    return [_of_task(row, name, scores.get(name, {})) for name in scores or tasks] or [row]


def _of_config(row: RunRow, config: Config) -> RunRow:
    folds = config.folds
    fold = "refit" if folds.refit else f"{folds.fold} of {folds.num}"
    features, seed = tuple(config.features), config.training.seed
    return replace(row, name=config.name, model=config.model.name, features=features, fold=fold, seed=seed)


def _of_document(row: RunRow, document: Mapping[str, Any]) -> RunRow:
    try:
        began, ended = (datetime.fromisoformat(document[key]) for key in ("began_at", "ended_at"))
        time_s = (ended - began).total_seconds()
    except (KeyError, TypeError, ValueError):  # runs of older versions, and those in training
        time_s = None
    epoch = document.get("selection", {}).get("epochs_trained")
    return replace(row, commit=document.get("commit"), epoch=epoch, time_s=time_s)


def _of_task(row: RunRow, task: str, scores: Mapping[str, float]) -> RunRow:
    metric = next(iter(scores), None)
    return replace(row, task=task, metric=metric, score=scores[metric] if metric else None)


def _with_interval(row: RunRow) -> RunRow:
    """The row with the interval of its score; where that cannot be computed, with a remark that says why."""
    if row.state != "complete" or row.score is None or row.metric is None or row.task is None:
        return row
    try:
        labelled = open_labelled_predictions(Path(row.run), None, row.task, raw=True)
        pairs = labelled.pairs(post_processed=False)
        found = intervals(labelled.task, pairs)
        again = labelled.task.score(pairs)[row.metric]
    except (AbawError, OSError, KeyError) as error:
        return replace(row, remarks=(*row.remarks, f"no interval: {error}"))
    if abs(again - row.score) > 1e-6:
        changed = f"{row.task}: run.json has {row.metric} {row.score:.4f}, its tables and labels have {again:.4f} now"
        return replace(row, remarks=(*row.remarks, changed))
    if found is None or row.metric not in found:
        return row
    low, high = found[row.metric]
    return replace(row, low=low, high=high)


def _check_column(name: str, what: str) -> None:
    if name not in COLUMNS:
        raise InputError(f"{what} names {name!r}: there are {', '.join(COLUMNS)}")


def _condition(text: str) -> tuple[str, str]:
    name, is_given, pattern = text.partition("=")
    if not is_given:
        raise InputError(f"the condition is {text!r}, expected COLUMN=PATTERN, such as model=bigru")
    _check_column(name, "a condition")
    return name, pattern


def _matches(row: RunRow, name: str, pattern: str) -> bool:
    value = "" if (found := getattr(row, name)) is None else found
    return any(fnmatchcase(str(each), pattern) for each in (value if isinstance(value, tuple) else (value,)))


def _sorted(rows: list[RunRow], key: str, is_reversed: bool) -> list[RunRow]:
    """By a column, then by name; the highest score of a task first. Rows without the value come last."""
    known = [row for row in rows if getattr(row, key) not in (None, ())]
    unknown = [row for row in rows if getattr(row, key) in (None, ())]
    known.sort(key=lambda row: row.run)
    known.sort(key=lambda row: getattr(row, key), reverse=is_reversed != (key == "score"))
    if key == "score":
        known.sort(key=lambda row: row.task or "")
    return [*known, *sorted(unknown, key=lambda row: row.run)]


def _cells(row: RunRow) -> tuple[str, ...]:
    between = "" if row.low is None or row.high is None else f" ({row.low:.4f} to {row.high:.4f})"
    texts = {
        "score": "" if row.score is None else f"{row.metric} {row.score:.4f}{between}",
        "features": ", ".join(row.features),
        "time": "" if row.time_s is None else _duration(row.time_s),
    }
    return tuple(texts[key] if key in texts else str("" if (v := getattr(row, key)) is None else v) for key in SHOWN)


def _duration(seconds: float) -> str:
    """
    >>> _duration(59.4), _duration(3725)
    ('59 s', '1 h 2 min')
    """
    minutes = round(seconds) // 60
    if not minutes:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {round(seconds) % 60} s"
