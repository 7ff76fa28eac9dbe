"""Challenge files, written from prediction tables with exactly the rows of the organisers' template."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from abaw.challenge import own_files
from abaw.challenge.gaps import MAX_FILLED, MAX_HELD, ClipRows, GapLimits, gap_lines
from abaw.challenge.locations import VIDEO
from abaw.challenge.rules import provenance
from abaw.challenge.template import Template, read_template
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path, atomic_write
from abaw.files.names import first_few
from abaw.numbers import format_count
from abaw.postprocessing import PostProcessing
from abaw.results import predictions
from abaw.results.subjects import check_no_subjects
from abaw.tasks import TASKS
from abaw.tasks.base import Task

# clip -> labels (time goal; one row for a clip-level task), observed (time)
PredictionOf = Callable[[str], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Submission:
    """Counts of a submission's rows; ``notes`` are lines on the provenance of its predictions.

    ``num_observed`` rows of frames in which something was observed, ``num_between`` of other frames of the clip,
    ``num_beyond`` rows after the clip's last frame, which repeat its last value; ``clips`` has these of each clip.
    Where a clip has a single row, it is observed if any of its frames is.
    """

    task: str
    clips: tuple[ClipRows, ...]
    notes: tuple[str, ...] = ()

    @property
    def num_clips(self) -> int:
        return len(self.clips)

    @property
    def num_rows(self) -> int:
        return sum(each.num_rows for each in self.clips)

    @property
    def num_observed(self) -> int:
        return sum(each.num_observed for each in self.clips)

    @property
    def num_between(self) -> int:
        return sum(each.num_filled for each in self.clips)

    @property
    def num_beyond(self) -> int:
        return sum(each.num_held for each in self.clips)

    def __str__(self) -> str:
        counts = (
            f"{self.task}: {format_count(self.num_rows, 'row')} of {format_count(self.num_clips, 'clip')}: "
            f"{self.num_observed} observed, {self.num_between} between observed frames, "
            f"{self.num_beyond} beyond the clip's end (last value held)"
        )
        return "\n".join([counts, *gap_lines(self.clips), *self.notes])


@dataclass(frozen=True)
class Source:
    """The predictions for a submission: their folder, the task of the tables, and their post-processing."""

    where: Path
    task: Task
    post_processing: PostProcessing | None

    def prediction(self, clip_id: str, goal: Task, images: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """A clip's labels for the task ``goal``, and its observed flags. ``images``: which frames have rows."""
        table = predictions.read_table(self.where, clip_id, self.task)
        values = table.values
        if self.post_processing:
            values = self.post_processing.apply(
                self.task, values, table.observed, table.times_s, images, table.modalities
            )
        if goal.name != self.task.name:
            from abaw.tasks.ce import compound_probabilities

            values = compound_probabilities(values)
        return goal.to_labels(values), table.observed

    def notes(self, goal: Task) -> tuple[str, ...]:
        """Lines on provenance and post-processing for the summary."""
        lines = provenance(predictions.read_metadata(self.where), goal.name)
        if goal.name != self.task.name:
            lines = [f"made from {self.task.name} predictions, as there are none of {goal.name}", *lines]
        fitted_on = len(self.post_processing.fitted_on) if self.post_processing else 0
        fitted = f", fitted on {fitted_on} videos" if fitted_on else ""
        maps = self.post_processing.calibration if self.post_processing else None
        remark = maps.remark(predictions.count_contexts(self.where)) if maps else ""
        return (
            *lines,
            *([remark] if remark else ()),
            f"post-processing applied{fitted}" if self.post_processing else "no post-processing: raw tables",
        )


def find_source(folder: Path, task: Task) -> Source:
    """A folder's predictions of a task; compound expressions can be made from expressions where there are none."""
    is_of_expr = (folder / "expr").is_dir() or predictions.read_metadata(folder).get("task") == "expr"
    if task.name == "ce" and is_of_expr and not (folder / "ce").is_dir():
        task = TASKS.build("expr")
    where = predictions.resolve(folder, task.name)
    check_no_subjects(where, "a challenge file")
    return Source(where, task, predictions.post_processing_of(where))


def submit(
    folder: str | Path,
    template: str | Path,
    out: str | Path,
    *,
    task: str | None = None,
    max_held: float = MAX_HELD,
    max_filled: float = MAX_FILLED,
    split: str = "test",
) -> Submission:
    """Write ``out`` from the tables in ``folder`` (a prediction folder, or one that holds one for each task).

    ``max_held``: the share of rows, of a clip and of all, that may repeat the clip's last value because they are after
    its last frame; ``max_filled``: that may be of frames in which nothing was observed (``GapLimits``).

    ``template``: the organisers' sample file or, for labels of your own, the data set file (YAML) that defines them:
    then ``out`` is a CSV with a row for each clip or frame of ``split`` (``own_files``).

    Each table is read once. Raises NotFoundError where the template's task or one of its clips has no predictions, and
    InputError where the folder holds another task, or more rows would be held or filled; then nothing is written.
    """
    folder, out, limits = as_path(folder, "folder"), as_path(out, "out"), GapLimits(max_held, max_filled)
    template = as_path(template, "template")
    if own_files.is_data_set_file(template):
        dataset, own = own_files.open_own(template, task, predictions.tasks_in(folder))
        source = find_source(folder, own)
        clips = own_files.clips_of(dataset, own, split)
        rows = own_files.write_own(source.where, own, clips, source.post_processing, out, limits)
        return Submission(own.name, rows, source.notes(own))
    asked = read_template(template, task)
    source = find_source(folder, asked.task)
    _check_complete(asked, set(predictions.clip_ids(source.where)), source.where)

    place = f"{source.where} for {asked.path}"
    images = _images(asked) if source.post_processing and source.post_processing.unit == "images" else {}
    summary = write(
        asked,
        asked.task,
        lambda clip_id: source.prediction(clip_id, asked.task, images.get(clip_id)),
        out,
        limits,
        place,
    )
    return replace(summary, notes=(*source.notes(asked.task), *_short_names(asked)))


def _short_names(asked: Template) -> Iterator[str]:
    """A note where the template names videos by numbers of fewer than five digits, as EMI's media files do not."""
    named = zip(asked.stems, asked.clips, strict=True)
    short = [(stem, clip) for stem, clip in named if clip.isdecimal() and clip not in stem]
    if asked.layout is VIDEO and short:
        stem, clip = short[0]
        yield (
            f"{asked.path} names {len(short)} of {len(asked.stems)} videos without leading zeros, such as {stem!r} for "
            f"{clip!r}, and so does the file: if a program rewrote the template, take the organisers' own"
        )


def write(
    template: Template,
    task: Task,
    prediction_of: PredictionOf,
    out: Path,
    limits: GapLimits | None = None,
    place: str = "",
) -> Submission:
    """Write the template's header and its rows in its order, with ``task``'s values; the file is complete or absent.

    A row has the values of its frame, or, after the clip's last frame, those of the last one. ``prediction_of`` is
    called once for each clip, and a clip is freed as soon as its rows are written. Raises what ``prediction_of``
    raises, and InputError for a clip without a frame, where ``out`` is the template, or beyond the ``limits``;
    ``place`` names the predictions in its message.
    """
    if out.exists() and out.samefile(template.path):
        raise InputError(f"{out} is the template itself: give the submission another name")
    found: dict[int, ClipRows] = {}
    clips, rows_of, waiting = template.clips, _by_clip(template), {}
    with atomic_write(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write("" if template.header is None else template.header + "\n")
        for clip, start, stop in _stretches(template.clip_of):
            if clip not in waiting:
                prediction, observed = prediction_of(clips[clip])
                texts, seen = _texts(template, task, rows_of[clip], prediction, observed)
                found[clip] = ClipRows(clips[clip], *map(int, seen))
                waiting[clip] = iter(texts)
            file.writelines(_lines(template, clip, start, stop, waiting[clip]))
            if stop > rows_of[clip][-1]:
                del waiting[clip]
        rows = tuple(found.values())
        if limits is not None:
            limits.check(rows, place or str(template.path))
    return Submission(task.name, rows)


def _texts(
    template: Template, task: Task, rows: np.ndarray, prediction: np.ndarray, observed: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """The text after the comma of each of a clip's rows; how many are observed, between and beyond; unused frames."""
    if not len(prediction) or not len(observed):
        clip = template.clips[template.clip_of[rows[0]]]
        raise InputError(f"clip {clip!r} has no predicted frame, so that there is no value to write")
    if template.layout is VIDEO:
        observed = np.array([observed.any()])
    wanted = template.frames[rows] - template.layout.first
    given = np.minimum(wanted, len(prediction) - 1)
    beyond = wanted > given
    texts = task.rows(prediction[given])
    if template.label_only:
        texts = [text.rpartition(",")[2] for text in texts]
    seen = observed[given]
    unused = max(0, len(prediction) - 1 - int(wanted.max()))
    return texts, np.array([(seen & ~beyond).sum(), (~seen & ~beyond).sum(), beyond.sum(), unused])


def _lines(template: Template, clip: int, start: int, stop: int, texts: Iterator[str]) -> Iterator[str]:
    stem, join = template.stems[clip], template.layout.join
    for frame, text in zip(template.frames[start:stop].tolist(), texts, strict=False):  # texts go on later
        yield f"{join(stem, frame)},{text}\n"


def _stretches(clip_of: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Clip, first row and the row after the last of every stretch of one clip's rows."""
    starts = np.flatnonzero(np.diff(clip_of, prepend=-1))
    stops = np.append(starts[1:], len(clip_of))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield int(clip_of[start]), start, stop


def _by_clip(template: Template) -> list[np.ndarray]:
    """Row numbers of each clip, ascending."""
    order = np.argsort(template.clip_of, kind="stable").astype(np.int32)
    return np.split(order, np.cumsum(np.bincount(template.clip_of))[:-1])


def _images(template: Template) -> dict[str, np.ndarray]:
    """Clip -> whether the template has a row of each frame, from frame 1 on."""
    found = {}
    for clip, rows in zip(template.clips, _by_clip(template), strict=True):
        frames = template.frames[rows] - template.layout.first
        found[clip] = np.bincount(frames, minlength=1) > 0
    return found


def _check_complete(template: Template, known: set[str], where: Path) -> None:
    missing = [clip for clip in template.clips if clip not in known]
    if missing:
        named = first_few([*map(repr, missing)])
        raise NotFoundError(
            f"{len(missing)} of {len(template.clips)} clips of {template.path} have no predictions in {where}: "
            f"{named}; run abaw predict --split test, or with --clips"
        )
