"""How well a run does without a modality and on worse features, and what it costs: values, JSON file, text.

RUN/robustness-<split>.json   what ``abaw robustness`` measured
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from abaw.errors import InputError, NotFoundError
from abaw.evaluation.intervals import Interval
from abaw.files import as_path, read_json, write_json
from abaw.files.seals import is_sealed, seal, without_seal
from abaw.results.run_document import network_weights
from abaw.results.runs import Run

FILE = "robustness-{split}.json"


@dataclass(frozen=True)
class Measured:
    """The score of a task under one condition; of several ``seeds`` it is their mean, and ``by_seed`` has each score.

    ``scores``: of every entry of the task's score but counts; the first one ranks. ``intervals``: by video, None for a
    single one. ``difference``: the ranking score minus that on the features as they are, with its interval.
    """

    scores: dict[str, float]
    intervals: dict[str, Interval] | None
    difference: float
    difference_interval: Interval | None
    seeds: list[int] = field(default_factory=list, kw_only=True)
    by_seed: list[float] = field(default_factory=list, kw_only=True)

    @property
    def rank(self) -> float:
        """The score that ranks."""
        return next(iter(self.scores.values()))

    @property
    def interval(self) -> Interval | None:
        """The interval of the score that ranks; None where it has none."""
        return (self.intervals or {}).get(next(iter(self.scores)))


@dataclass(frozen=True)
class Ablation(Measured):
    """The score where only the modalities in ``observed`` are, and the others are unobserved in every frame.

    ``p``: of the difference (randomisation test); ``corrected_p``: for the number of ablations of the task (Holm 1979).
    """

    name: str
    observed: list[str]
    p: float
    corrected_p: float


@dataclass(frozen=True)
class Point(Measured):
    """The score at one strength of a disturbance."""

    strength: float


@dataclass(frozen=True)
class Curve:
    """The score at growing strengths of a disturbance of some modalities, strengths in increasing order.

    ``unit``: of the strengths: "share of the time", "standard deviations" or "s". ``meaning``: what was done, in a
    sentence. The point at strength 0 is the score on the features as they are.
    """

    name: str
    unit: str
    meaning: str
    modalities: list[str]
    points: list[Point]


@dataclass(frozen=True)
class TaskRobustness:
    """What was measured for one task. ``unchanged``: the score on the features as they are.

    ``score``: the name of the score that ranks. ``num_videos``: of how many videos or groups (``unit``) intervals are.
    """

    task: str
    score: str
    num_clips: int
    num_videos: int
    unit: str
    unchanged: Measured
    ablation: list[Ablation]
    curves: list[Curve]


@dataclass(frozen=True)
class Cost:
    """What a run costs; None: not known.

    ``num_parameters`` of the fusion model with its heads, without encoders. ``training_s``: of all epochs that count,
    without pauses; of runs that do not record it, None. ``peak_memory_bytes`` of the process that trained, and
    ``peak_gpu_bytes`` that torch held on its GPU. ``predicting_s_per_hour``: seconds to predict one hour of clips from
    the store, measured on ``device`` with ``num_cores`` cores while this report was made. ``feature_bytes``: by
    modality, on disk, of the ``num_clips`` clips of ``clip_hours`` hours that were predicted.
    """

    num_parameters: int
    training_s: float | None
    peak_memory_bytes: int | None
    peak_gpu_bytes: int | None
    predicting_s_per_hour: float | None
    device: str
    num_cores: int
    num_clips: int
    clip_hours: float
    feature_bytes: dict[str, int]

    def __str__(self) -> str:
        where = f"on {self.device}, {self.num_cores} cores"
        speed = _known(self.predicting_s_per_hour, f"{{:.2f}} s for an hour of clips, measured now {where}")
        return (
            f"cost: {self.num_parameters:,} parameters; training: {_known(self.training_s, '{:.0f} s')}, peak memory: "
            f"{_known(self.peak_memory_bytes, '{:.0f} MB', 1e6)}, of the GPU: "
            f"{_known(self.peak_gpu_bytes, '{:.0f} MB', 1e6)}; prediction: {speed}; features: "
            f"{sum(self.feature_bytes.values()) / 1e3:,.0f} kB on disk of {self.num_clips} clips"
        )


@dataclass(frozen=True)
class Robustness:
    """What ``abaw robustness`` found for a run; ``str`` of it is text, ``to_dict`` is JSON.

    ``modalities``: name -> "face", "picture" (whole pictures), "sound" or "" (not known). ``commit``: of the code that
    measured, ``run_commit`` and ``run_seed`` of the training. ``seeds`` of what is random here; ``stretch_s``: the
    length of the stretches in which sound and faces are dropped. ``weights`` and ``post_processing`` say of which state
    of the run this is true. ``remarks``: what must be known to read it.
    """

    run: str
    split: str
    measured_at: str
    commit: str | None
    run_commit: str | None
    run_seed: int | None
    seeds: list[int]
    stretch_s: float
    modalities: dict[str, str]
    tasks: list[TaskRobustness]
    cost: Cost
    weights: dict[str, str]
    post_processing: dict[str, Any]
    remarks: list[str]

    def task(self, name: str) -> TaskRobustness:
        """What was measured for a task. Raises InputError where it was not measured."""
        found = {each.task: each for each in self.tasks}
        if name not in found:
            raise InputError(f"the robustness of {self.run} has no task {name!r}: it has {', '.join(found)}")
        return found[name]

    def to_dict(self) -> dict[str, Any]:
        """The content as JSON has it."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [line for each in self.tasks for line in _lines(each)]
        return "\n".join(
            [f"{self.run}, {self.split}", *lines, str(self.cost), *(f"note: {each}" for each in self.remarks)]
        )


def write_robustness(folder: Path, found: Robustness) -> Path:
    """Write it into the folder of its run; the file is complete or absent. Returns its path."""
    path = folder / FILE.format(split=found.split)
    write_json(path, seal(found.to_dict()))
    return path


def read_robustness(run: str | Path, split: str = "validation") -> Robustness:
    """What ``abaw robustness`` wrote into a run's folder. A remark says where the run has changed since.

    Raises NotFoundError where it was not measured, InputError where the file is damaged.
    """
    folder = as_path(run, "run")
    path = folder / FILE.format(split=split)
    if not path.is_file():
        raise NotFoundError(f"no {path}: measure it with abaw robustness {folder} --split {split}")
    again = f"measure it again with abaw robustness {folder} --split {split}"
    try:
        document = read_json(path)
    except InputError as error:
        raise InputError(f"{error}: {again}") from error
    if not isinstance(document, dict) or not is_sealed(document):
        raise InputError(f"{path} is damaged or was edited: {again}")
    try:
        found = _parse(without_seal(document))
    except (TypeError, KeyError) as error:
        raise InputError(f"{path} is of another version ({error}): {again}") from error
    now = Run(folder)
    changed = [
        what
        for what, before, after in (
            ("weights", found.weights, network_weights(now.document())),
            ("post-processing", found.post_processing, now.post_processing()),
        )
        if before != after
    ]
    if changed:
        found.remarks.append(f"the run has other {' and '.join(changed)} now than when this was measured: {again}")
    return found


def _parse(document: Mapping[str, Any]) -> Robustness:
    tasks = [
        TaskRobustness(
            **{
                **each,
                "unchanged": Measured(**_scores(each["unchanged"])),
                "ablation": [Ablation(**_scores(one)) for one in each["ablation"]],
                "curves": [Curve(**{**one, "points": _points(one)}) for one in each["curves"]],
            }
        )
        for each in document["tasks"]
    ]
    return Robustness(**{**document, "tasks": tasks, "cost": Cost(**document["cost"])})


def _points(curve: Mapping[str, Any]) -> list[Point]:
    return [Point(**_scores(point)) for point in curve["points"]]


def _scores(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``Measured``; JSON has lists where they have tuples."""
    intervals, of_difference = document["intervals"], document["difference_interval"]
    return {
        **document,
        "intervals": None if intervals is None else {name: tuple(each) for name, each in intervals.items()},
        "difference_interval": None if of_difference is None else tuple(of_difference),
    }


def _known(value: float | None, words: str, unit: float = 1.0) -> str:
    return "not known" if value is None else words.format(value / unit)


def _lines(found: TaskRobustness) -> Iterator[str]:
    yield f"{found.task}, {found.score} on {found.num_clips} clips, intervals over {found.num_videos} {found.unit}s"
    width = max([len("all modalities"), *(len(each.name) for each in found.ablation)])
    yield f"  {'all modalities':<{width}}  {_score_words(found.unchanged)}"
    for each in found.ablation:
        yield f"  {each.name:<{width}}  {_score_words(each)}  {_difference_words(each)}"
    for curve in found.curves:
        yield f"  {curve.name} ({curve.unit}; {', '.join(curve.modalities)})"
        for point in curve.points:
            spread = ""
            if len(point.by_seed) > 1:
                low, high = min(point.by_seed), max(point.by_seed)
                spread = f"; {low:.4f} to {high:.4f} with {len(point.by_seed)} seeds"
            yield f"  {point.strength:>9g}  {_score_words(point)}{spread}"


def _score_words(each: Measured) -> str:
    between = f" (95 % {each.interval[0]:.4f} to {each.interval[1]:.4f})" if each.interval else ""
    return f"{each.rank:.4f}{between}"


def _difference_words(each: Ablation) -> str:
    found = each.difference_interval
    between = f" (95 % {found[0]:+.4f} to {found[1]:+.4f})" if found else ""
    return f"{each.difference:+.4f}{between}, corrected p = {each.corrected_p:.3f}"
