"""The forecast of a dry run: hours and gigabytes of what a recipe has to do, on the device at hand.

Encoders are timed on noise and a clip, members by training for a few seconds on random features of the right width;
both are extrapolated over all frames, windows, folds and epochs. Only what is on this machine is measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from abaw.competition.encoders import label_of
from abaw.competition.job import Job
from abaw.competition.stages import Stage
from abaw.errors import AbawError
from abaw.evaluation.labelled_tables import labels_by_task
from abaw.folds import split_labels
from abaw.numbers import format_count
from abaw.pipelines.configuration import open_config
from abaw.pipelines.extraction import find_missing_weights
from abaw.pipelines.trials.measuring import find_dims, try_extraction, try_training
from abaw.tasks import TASKS, for_dataset

TRIALS_S = 24.0  # of all members together


@dataclass(frozen=True)
class Part:
    """What a part of a recipe costs: the fewest and the most seconds, bytes on disk, and what is behind the numbers."""

    name: str
    min_s: float
    max_s: float
    num_bytes: float
    about: str


@dataclass(frozen=True)
class Forecast:
    """The parts of a recipe that were measured, and ``unknown``: what was not, and why. As text: a line for each."""

    device: str
    parts: Sequence[Part]
    unknown: Sequence[str] = field(default=())

    @property
    def min_s(self) -> float:
        """The seconds of all measured parts, where every training ends as early as its patience allows."""
        return sum(part.min_s for part in self.parts)

    @property
    def max_s(self) -> float:
        """The seconds of all measured parts, where every training takes all its epochs."""
        return sum(part.max_s for part in self.parts)

    @property
    def num_bytes(self) -> float:
        """The bytes that all measured parts write."""
        return sum(part.num_bytes for part in self.parts)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for part in self.parts:
            yield f"{part.name}: {_span(part.min_s, part.max_s)}, {_size(part.num_bytes)} ({part.about})"
        yield from (f"not measured: {each}" for each in self.unknown)
        also = " and what was not measured" if self.unknown else ""
        yield (
            f"in all on {self.device}: {_span(self.min_s, self.max_s)}, {_size(self.num_bytes)}; besides, the checks, "
            f"fitting and scoring{also}"
        )


def forecast(job: Job, to_do: Sequence[Stage]) -> Forecast:
    """What the stages ``to_do`` cost on this machine. Takes up to a minute or so; nothing is written or downloaded."""
    parts, unknown = [], []
    if any(stage.kind == "extract" for stage in to_do):
        lacking = {each: find_missing_weights(each) for each in job.config.encoders}
        unknown += [
            f"extraction by {label_of(each)}, whose weights are not here" for each, why in lacking.items() if why
        ]
        present = [each for each, why in lacking.items() if why is None]
        options = {key: job.extraction[key] for key in ("device", "faces", "assume_fps")}
        tried = try_extraction(job.data, job.places.store, present, **options)
        if tried.estimate is None:
            unknown += [f"extraction: {tried.why}"] if present else []
        else:
            found = tried.estimate
            about = f"{format_count(found.num_clips, 'clip')}, {format_count(found.num_frames, 'frame')}"
            about += f", {len(found.failing)} clips would fail" if found.failing else ""
            about += f", by {', '.join(map(label_of, present))}"
            parts.append(Part("extraction", found.total_s, found.total_s, found.num_bytes, about))
    members = [name for name in job.members if any(stage.member == name for stage in to_do)]
    for name in members:
        try:
            parts += _of_member(job, name, to_do, TRIALS_S / len(members))
        except AbawError as error:
            unknown.append(f"training of {name}: {error}")
    return Forecast(job.extraction["device"], parts, unknown)


def _of_member(job: Job, name: str, to_do: Sequence[Stage], for_s: float) -> Iterator[Part]:
    """Training of a member, and its predictions for the test clips."""
    config = open_config(job.path, job.of_fold(name, 0))[1]
    dims = find_dims(job.config.encoders, job.places.store, config.features)
    if lacking := [feature for feature in config.features if feature not in dims]:
        raise AbawError(f"the width of {', '.join(lacking)} is known once extracted")
    built = {task: TASKS.build(task, **each.settings) for task, each in config.tasks.items()}
    tasks = for_dataset(built, job.dataset)
    if any(task.resolution != "frame" for task in tasks.values()):
        raise AbawError("its task has one label for a clip, whose length is known once extracted")
    official = {split: labels_by_task(job.dataset, tasks, split) for split in ("train", "validation")}
    result = try_training(config, tasks, split_labels(official, tasks, config.folds), dims, for_s)
    num = sum(stage.kind == "train" and stage.member == name for stage in to_do)
    passes = 2 if config.training.select_on == "inner" else 1
    if num:
        epochs = f"{result.min_epochs} to {result.max_epochs} epochs of {result.num_train} batches"
        about = f"{format_count(num, 'run')}, {epochs}, {1000 * result.train_s:.0f} ms a batch"
        min_s, max_s = (num * passes * result.run_s(each) for each in (result.min_epochs, result.max_epochs))
        yield Part(f"training {name}", min_s, max_s, num * passes * result.num_bytes, about)
    if any(stage.kind == "predict" and stage.member == name for stage in to_do):
        yield _of_test(job, tasks, name, result, official["validation"])


def _of_test(job: Job, tasks: Mapping[str, object], name: str, result: Any, labels: Mapping[str, Any]) -> Part:
    """Predictions of the test clips, which are taken to be as long as those of the validation split."""
    num_test = len({clip for task in job.tasks.values() for clip in task.clips(job.dataset, "test")})
    num_validation = len({clip for by_clip in labels.values() for clip in by_clip})
    batches = result.num_validation * num_test / max(1, num_validation)
    seconds = job.config.folds.number * batches * result.validation_s
    about = f"{format_count(num_test, 'test clip')}, {format_count(job.config.folds.number, 'fold')}"
    return Part(f"prediction {name}", seconds, seconds, 0.0, about)


def _span(min_s: float, max_s: float) -> str:
    low, high = _time(min_s), _time(max_s)
    return low if low == high else f"{low} to {high}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e7 else f"{num_bytes / 1e6:.2f} MB"
