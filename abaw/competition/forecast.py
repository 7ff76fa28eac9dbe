"""The forecast of a dry run: hours and gigabytes of what a recipe has to do, on the device at hand.

Each part is measured for a few seconds and extrapolated: the check on a few clips, encoders on noise and a clip,
members by training on random features, work on tables on random ones. Only what is on this machine is measured.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from abaw.competition.encoders import label_of
from abaw.competition.job import Job
from abaw.competition.stages import Stage
from abaw.competition.table_costs import time_tables
from abaw.dataset.annotations import TimedLabels
from abaw.errors import AbawError, InputError
from abaw.evaluation.labels import labels_by_task
from abaw.files.disks import find_disk
from abaw.folds import split_labels
from abaw.numbers import format_count
from abaw.pipelines.configuration import open_config
from abaw.pipelines.extraction import estimate_extraction, find_missing_weights
from abaw.pipelines.trials import measuring
from abaw.tasks import TASKS, for_dataset

if TYPE_CHECKING:
    from abaw.dataset.annotations import Labels
    from abaw.tasks.base import Task

    ByTask = Mapping[str, Mapping[str, Labels]]

LOG = logging.getLogger("abaw")
TRIALS_S = 24.0  # of all members together
NUM_STATES = 3  # the weights and the two moments of Adam, which are kept until a training ends
FAILURES = (AbawError, OSError, RuntimeError)  # RuntimeError: torch's, such as too little memory of a GPU


@dataclass(frozen=True)
class Part:
    """What a part of a recipe costs: the fewest and the most seconds, bytes on disk, and what is behind the numbers.

    ``folder``: where the bytes are written.
    """

    name: str
    min_s: float
    max_s: float
    num_bytes: float = 0.0
    about: str = ""
    folder: Path | None = None

    @property
    def likely_s(self) -> float:
        """The single figure: the middle. The longest is never more than twice as long."""
        return (self.min_s + self.max_s) / 2


@dataclass(frozen=True)
class Forecast:
    """The parts of a recipe that were measured, and ``unknown``: what was not, and why. As text: a line for each.

    ``shortages``: what does not fit on a disk, in a line for each disk.
    """

    parts: Sequence[Part]
    unknown: Sequence[str] = field(default=())
    shortages: Sequence[str] = field(default=())

    @property
    def min_s(self) -> float:
        """The seconds of all measured parts, where every training ends as early as its patience allows."""
        return sum(part.min_s for part in self.parts)

    @property
    def max_s(self) -> float:
        """The seconds of all measured parts, where every training takes all its epochs."""
        return sum(part.max_s for part in self.parts)

    @property
    def likely_s(self) -> float:
        """The single figure that is compared with the time that a recipe takes: the sum over the parts."""
        return sum(part.likely_s for part in self.parts)

    @property
    def num_bytes(self) -> float:
        """The bytes that all measured parts write."""
        return sum(part.num_bytes for part in self.parts)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for part in self.parts:
            size = f", {_size(part.num_bytes)}" if part.num_bytes else ""
            about = f" ({part.about})" if part.about else ""
            yield f"{part.name}: {_time(part.likely_s)}{_range(part.min_s, part.max_s)}{size}{about}"
        yield from (f"not measured: {each}" for each in self.unknown)
        yield from (f"would fail: {each}" for each in self.shortages)
        besides = "; what was not measured is not included" if self.unknown else ""
        total = f"{_time(self.likely_s)}{_range(self.min_s, self.max_s)}, {_size(self.num_bytes)}"
        yield f"in all about {total}{besides}"


def forecast(job: Job, to_do: Sequence[Stage]) -> Forecast:
    """What the stages ``to_do`` cost on this machine. Takes about a minute; nothing is kept or downloaded."""
    kinds = {stage.kind for stage in to_do}
    LOG.info("measuring the start of a process%s", " and the check of the data set" if "check" in kinds else "")
    parts, unknown = [Part("start", start_s := measuring.time_start(), start_s)], list[str]()
    if "check" in kinds:
        check_s = measuring.time_check(job.dataset)
        parts.append(Part("check", check_s, check_s, about=format_count(len(job.dataset.clips), "clip")))
    estimated = measuring.Unextracted()
    if "extract" in kinds:
        LOG.info("measuring extraction")
        estimated, part, unknown = _of_extraction(job)
        parts += [part] if part else []
    lengths = measuring.find_lengths(job.dataset, job.places.store, estimated)
    members, states = [name for name in job.members if any(stage.member == name for stage in to_do)], 0.0
    for name in members:
        LOG.info("measuring training of %s", name)
        try:
            for part in _of_member(job, name, to_do, lengths, estimated, TRIALS_S / len(members)):
                parts.append(part)
                states = max(states, NUM_STATES * part.num_bytes)
        except FAILURES as error:
            unknown.append(f"training of {name}: {error}")
    LOG.info("measuring work on tables")
    try:
        parts.append(_of_tables(job, to_do, lengths))
    except FAILURES as error:
        unknown.append(f"work on tables: {error}")
    return Forecast(parts, unknown, list(_shortages([*parts, Part("", 0, 0, states, "", job.places.runs)])))


def _of_extraction(job: Job) -> tuple[measuring.Unextracted, Part | None, list[str]]:
    """What is known of the clips, the part of the encoders whose weights are here, and what is not measured."""
    lacking = {each: find_missing_weights(each) for each in job.config.encoders}
    unknown = [f"extraction by {label_of(each)}, whose weights are not here" for each, why in lacking.items() if why]
    present = [each for each, why in lacking.items() if why is None]
    if not present:
        return measuring.Unextracted(), None, unknown
    options = {key: job.extraction[key] for key in ("device", "faces", "assume_fps")}
    try:
        found = estimate_extraction(job.data, job.places.store, present, **options)
    except FAILURES as error:  # no media yet, no weights of the face detector
        return measuring.Unextracted(), None, [*unknown, f"extraction: {error}"]
    about = f"{format_count(found.num_clips, 'clip')}, {format_count(found.num_frames, 'frame')}"
    about += f", by {', '.join(map(label_of, present))}, on {job.extraction['device']}"
    if found.failing:
        clip_id, why = next(iter(found.failing.items()))
        about += f"; {format_count(len(found.failing), 'clip')} would fail, such as {clip_id}: {why}"
    shapes = {name: measuring.TrackShape(*each) for name, each in found.shapes.items()}
    part = Part("extraction", found.min_s, found.total_s, found.num_bytes, about, job.places.store)
    return measuring.Unextracted(found.frames, shapes), part, unknown


def _of_member(
    job: Job,
    name: str,
    to_do: Sequence[Stage],
    lengths: Mapping[str, int],
    estimated: measuring.Unextracted,
    for_s: float,
) -> Iterator[Part]:
    """The training of a member, and its predictions for the test clips."""
    config = open_config(job.path, job.of_fold(name, 0))[1]
    shapes = measuring.find_shapes(job.config.encoders, job.places.store, config.features, estimated)
    if lacking := [feature for feature in config.features if feature not in shapes]:
        raise InputError(f"the width of {', '.join(lacking)} is not known before extraction")
    built = {task: TASKS.build(task, **each.settings) for task, each in config.tasks.items()}
    tasks = for_dataset(built, job.dataset)
    official = {split: labels_by_task(job.dataset, tasks, split) for split in ("train", "validation")}
    num_frames = _num_frames(tasks, official, lengths)
    of_fold = [config.folds.model_copy(update={"fold": fold}) for fold in range(config.folds.number)]
    labels = [split_labels(official, tasks, folds) for folds in of_fold]
    trial = measuring.try_training(config, tasks, labels[0], shapes, num_frames, for_s)
    source = measuring.size_source(config, shapes, num_frames)
    folds = [stage.fold for stage in to_do if stage.kind == "train" and stage.member == name]
    runs = [measuring.forecast_run(config, job.dataset, tasks, labels[fold], source, trial) for fold in folds]
    if runs:
        min_s, max_s = sum(run.min_s for run in runs), sum(run.max_s for run in runs)
        if math.isinf(max_s):
            raise InputError(f"only its patience ends it: {_time(min_s)} at least; set trainer.max_epochs")
        batch_size = config.training.batch_size
        num_windows = batch_size * sum(run.num_batches for run in runs) / len(runs)
        about = f"{format_count(len(runs), 'run')}, {_epochs(runs)} of {num_windows:.0f} windows"
        about += f", {1000 * trial.train_s:.0f} ms for a batch of {batch_size}"
        about += _devices(config.trainer.get("devices", 1))
        yield Part(f"training {name}", min_s, max_s, len(runs) * trial.num_bytes, about, job.places.runs)
    if any(stage.kind == "predict" and stage.member == name for stage in to_do):
        test = {clip_id for task in job.tasks.values() for clip_id in task.clips(job.dataset, "test")}
        usual = sum(num_frames.values()) // max(1, len(num_frames))
        each = {clip_id: num_frames.get(clip_id, lengths.get(clip_id, usual)) for clip_id in test}
        seconds = len(of_fold) * trial.prediction_s(measuring.count_batches(config, each.values()))
        about = f"{format_count(len(test), 'test clip')}, {format_count(len(of_fold), 'fold')}"
        yield Part(f"prediction {name}", seconds, seconds, about=about)


def _of_tables(job: Job, to_do: Sequence[Stage], lengths: Mapping[str, int]) -> Part:
    """Writing, pooling, combining, fitting, scoring and submitting tables in all stages."""
    seconds, num_bytes, num_members, num_folds = 0.0, 0.0, len(job.members), job.config.folds.number
    official = {split: labels_by_task(job.dataset, job.tasks, split) for split in ("train", "validation")}
    num_frames = _num_frames(job.tasks, official, lengths)
    num_weighted = num_members if job.config.ensemble == "weighted" else 1
    for name, task in job.tasks.items():
        train, validation = (official[split][name] for split in ("train", "validation"))
        trial = time_tables(task, train, num_frames, job.config.post_processing, num_weighted)
        of_validation = len(validation) / max(1, len(train))
        of_test = len(task.clips(job.dataset, "test")) / max(1, len(train))
        shares = {"validate": of_validation, "score": of_validation}
        shares |= dict.fromkeys(("predict", "combine test", "submit"), of_test)
        for stage in to_do:
            is_part = stage.kind == "train" and stage.fold > 0
            share = 1 / (num_folds - 1) if is_part else of_validation if stage.kind == "train" else 1.0
            each = trial.stage(stage.kind, shares.get(stage.kind, share), num_members, num_folds)
            seconds, num_bytes = seconds + each[0], num_bytes + each[1]
    about = "writing, combining, fitting and scoring predictions"
    return Part("tables", seconds, seconds, num_bytes, about, job.places.work)


def _num_frames(
    tasks: "Mapping[str, Task]", labels: "Mapping[str, ByTask]", lengths: Mapping[str, int]
) -> dict[str, int]:
    """The frames of each clip: as found in its media, or at least as many as it has labels of frames."""
    found = dict(lengths)
    for by_task in labels.values():
        for name, by_clip in by_task.items():
            for clip_id, each in by_clip.items():
                if tasks[name].resolution == "frame" and not isinstance(each, TimedLabels):
                    found[clip_id] = max(found.get(clip_id, 0), len(each))
    return found


def _shortages(parts: Sequence[Part]) -> Iterator[str]:
    """What is written to each disk that has too little free space for it."""
    needed: dict[int, tuple[float, float, list[Path]]] = {}
    for part in parts:
        if part.folder is not None:
            disk = find_disk(part.folder)
            before, _, folders = needed.get(disk.number, (0.0, 0.0, []))
            needed[disk.number] = before + part.num_bytes, disk.free_bytes, [*folders, part.folder]
    for num_bytes, free_bytes, folders in needed.values():
        if num_bytes > free_bytes:
            where = ", ".join(dict.fromkeys(map(str, folders)))
            yield f"{where}: {_size(num_bytes)} are written there, but {_size(free_bytes)} are free"


def _epochs(runs: Sequence[measuring.RunForecast]) -> str:
    low, high = min(run.min_epochs for run in runs), max(run.max_epochs for run in runs)
    if math.isinf(high):
        return f"{low:.0f} epochs or more" if math.isfinite(low) else "epochs until trainer.max_time ends them"
    return format_count(int(high), "epoch") if low == high else f"{low:.0f} to {high:.0f} epochs"


def _devices(given: object) -> str:
    return "" if given in (1, "1") else f", measured on one device: trainer.devices is {given}"


def _range(min_s: float, max_s: float) -> str:
    low, high = _time(min_s), _time(max_s)
    return "" if low == high else f" ({low} to {high})"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.2f} MB"
