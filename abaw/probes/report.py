"""What a probe found: a score for every encoder, best first; as values, as text and as a table."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.evaluation.coverage import videos_words
from abaw.evaluation.intervals import SIGNIFICANCE, Interval
from abaw.numbers import format_count
from abaw.results import predictions
from abaw.tasks.base import is_count

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ProbeResult:
    """The held-out score of a linear model on the pooled features of one encoder, or of several side by side.

    ``scores``: the official score, ranking score first. ``interval``: the 95 % interval of that, by group.
    ``num_features``: what the model reads. ``num_unobserved``: rows (clips, or windows) in which the encoder observed
    nothing; they have the mean of the training rows. ``penalties``: chosen in each part; None where nothing could be.
    ``difference``: the ranking score minus that of the best encoder, with its 95 % interval and p,
    which is corrected for the number of comparisons (Holm); None for the best one.
    """

    task: str
    encoder: str
    scores: dict[str, float]
    interval: Interval | None
    num_features: int
    num_unobserved: int
    penalties: list[float | None]
    difference: float | None = None
    difference_interval: Interval | None = None
    p: float | None = None


@dataclass(frozen=True)
class ProbedTask:
    """What all encoders were scored on: ``num_rows`` are clips or, of a task of frames, windows around frames.

    ``coverage``: how often 95 % intervals of so many groups hold the true score, measured by simulation.
    """

    task: str
    score: str
    num_clips: int
    num_rows: int
    num_groups: int
    unit: str
    num_parts: int
    chance: float | None
    remarks: list[str] = field(default_factory=list)
    coverage: float | None = None


@dataclass(frozen=True)
class ProbeReport:
    """All that ``probe`` found. ``results``: by task, best first. ``normalise``: "none" or "group"."""

    data: str
    store: str
    normalise: str
    draws: int
    seed: int
    tasks: list[ProbedTask]
    results: list[ProbeResult]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return asdict(self)

    def to_pandas(self) -> "pd.DataFrame":
        """One row a task and encoder: task, encoder, num_features, score, value, low and high (95 %), difference, p.

        ``difference`` and ``p`` (corrected) are to the best encoder, whose own are NaN. Raises InputError where
        pandas is not installed.
        """
        rank = {each.task: each.score for each in self.tasks}
        bounds = np.array([each.interval or (np.nan, np.nan) for each in self.results]).reshape(-1, 2)
        columns = {
            "task": [each.task for each in self.results],
            "encoder": [each.encoder for each in self.results],
            "num_features": [each.num_features for each in self.results],
            "score": [rank[each.task] for each in self.results],
            "value": [each.scores[rank[each.task]] for each in self.results],
            "low": bounds[:, 0],
            "high": bounds[:, 1],
            "difference": np.array([each.difference for each in self.results], np.float64),
            "p": np.array([each.p for each in self.results], np.float64),
        }
        return predictions.to_pandas(columns)

    def __str__(self) -> str:
        return "\n".join(line for each in self.tasks for line in self._lines(each))

    def _lines(self, about: ProbedTask) -> Iterator[str]:
        found = [each for each in self.results if each.task == about.task]
        rows = "clips" if about.num_rows == about.num_clips else f"clips ({about.num_rows} windows)"
        yield (
            f"{about.task}: {about.num_clips} {rows} of {format_count(about.num_groups, about.unit)}, held out in "
            f"{about.num_parts} parts"
        )
        width = max([len("encoder"), *(len(each.encoder) for each in found)])
        yield f"  {'encoder':<{width}}  features  {about.score:<7} {'95 %':<17}  p"
        for each in found:
            interval = f"{each.interval[0]:.4f} to {each.interval[1]:.4f}" if each.interval else "none"
            others = [
                f"{name} {value:.4f}"
                for name, value in each.scores.items()
                if name != about.score and not is_count(name) and "_" not in name
            ]
            row = f"  {each.encoder:<{width}}  {each.num_features:>8}  {each.scores[about.score]:.4f}  {interval:<17}"
            row += f"  {'' if each.p is None else f'{each.p:.3g}':<7}"
            yield f"{row}  ({', '.join(others)})" if others else row.rstrip()
        if about.chance is not None:
            yield f"  {'(a constant guess)':<{width}}  {'':>8}  {about.chance:.4f}"
        if len(found) > 1:
            yield (
                f"  p: of the difference to {found[0].encoder}, by exchanging the predictions of whole {about.unit}s, "
                f"corrected for {format_count(len(found) - 1, 'comparison')}"
            )
        for remark in about.remarks:
            yield f"  note: {remark}"
        yield f"  95 %: intervals of {videos_words(about.num_groups, about.unit, about.coverage)}"
        if len(found) > 1 and (lowest := 2 / 2**about.num_groups) > SIGNIFICANCE:
            yield f"  note: with {format_count(about.num_groups, about.unit)} no p is below {lowest:.3g}"
