"""What a probe found: a score for every encoder, best first; as values, as text and as a table."""

from collections.abc import Iterator, Sequence
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

MIN_RANKED = 3  # encoders, for a correlation of two rankings


@dataclass(frozen=True)
class ProbeResult:
    """The held-out score of a classifier of the pooled features of one encoder, or of several side by side.

    ``scores``: the official score, ranking score first. ``interval``: the 95 % interval of that, by group.
    ``num_features``: what the model reads. ``num_unobserved``: rows (clips, or windows) in which the encoder observed
    nothing. ``penalties``: of a linear model, chosen in each part; None where nothing could be. ``scales``: of the
    log-odds of ``empirical_bayes``, by part one for each choice of the task (a unit, a class); None likewise.
    ``difference``: the ranking score minus that of the best encoder, with its 95 % interval and p,
    which is corrected for the number of comparisons (Holm); None for the best one.
    """

    task: str
    encoder: str
    classifier: str
    scores: dict[str, float]
    interval: Interval | None
    num_features: int
    num_unobserved: int
    penalties: list[float | None]
    scales: list[list[float | None]]
    difference: float | None = None
    difference_interval: Interval | None = None
    p: float | None = None


@dataclass(frozen=True)
class ProbedTask:
    """What all encoders were scored on: ``num_rows`` are clips or, of a task of frames, windows around frames.

    ``rank_correlation``: of two classifiers' rankings of three encoders or more (Spearman), else None.
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
    rank_correlation: float | None = None


@dataclass(frozen=True)
class ProbeReport:
    """All that ``probe`` found. ``results``: by task, best first. ``normalise``: "none" or "group".

    ``tables``: the folder of prediction tables, with ``<classifier>/<encoder>/<task>`` in it; None where none were
    asked for. ``skipped``: tasks that a classifier does not predict, in a line each.
    """

    data: str
    store: str
    normalise: str
    draws: int
    seed: int
    tasks: list[ProbedTask]
    results: list[ProbeResult]
    tables: str | None = None
    skipped: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return asdict(self)

    def to_pandas(self) -> "pd.DataFrame":
        """One row a task, encoder and classifier, with num_features, score, value, low and high (95 %), difference, p.

        ``difference`` and ``p`` (corrected) are to the best encoder, whose own are NaN. Raises InputError where
        pandas is not installed.
        """
        rank = {each.task: each.score for each in self.tasks}
        bounds = np.array([each.interval or (np.nan, np.nan) for each in self.results]).reshape(-1, 2)
        columns = {
            "task": [each.task for each in self.results],
            "encoder": [each.encoder for each in self.results],
            "classifier": [each.classifier for each in self.results],
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
        lines = [line for each in self.tasks for line in self._lines(each)]
        lines += [f"note: {line}" for line in self.skipped]
        if self.tables is not None:
            folders = f"{self.tables}/<classifier>/<encoder>/<task>"
            lines.append(f"prediction tables: {folders}, for abaw score, combine and fit")
        return "\n".join(lines)

    def _lines(self, about: ProbedTask) -> Iterator[str]:
        found = [each for each in self.results if each.task == about.task]
        rows = "clips" if about.num_rows == about.num_clips else f"clips ({about.num_rows} windows)"
        yield (
            f"{about.task}: {about.num_clips} {rows} of {format_count(about.num_groups, about.unit)}, held out in "
            f"{about.num_parts} parts"
        )
        width = max([len("encoder"), *(len(each.encoder) for each in found)])
        kind = max([len("classifier"), *(len(each.classifier) for each in found)])
        yield f"  {'encoder':<{width}}  {'classifier':<{kind}}  features  {about.score:<7} {'95 %':<17}  p"
        for each in found:
            interval = f"{each.interval[0]:.4f} to {each.interval[1]:.4f}" if each.interval else "none"
            others = [
                f"{name} {value:.4f}"
                for name, value in each.scores.items()
                if name != about.score and not is_count(name) and "_" not in name
            ]
            row = f"  {each.encoder:<{width}}  {each.classifier:<{kind}}  {each.num_features:>8}"
            row += f"  {each.scores[about.score]:.4f}  {interval:<17}"
            row += f"  {'' if each.p is None else f'{each.p:.3g}':<7}"
            yield f"{row}  ({', '.join(others)})" if others else row.rstrip()
        if about.chance is not None:
            yield f"  {'(a constant guess)':<{width}}  {'':<{kind}}  {'':>8}  {about.chance:.4f}"
        if len(found) > 1:
            yield (
                f"  p: of the difference to {found[0].encoder} ({found[0].classifier}), by exchanging predictions of "
                f"whole {about.unit}s, corrected for {format_count(len(found) - 1, 'comparison')}"
            )
        if about.rank_correlation is not None:
            yield f"  rank correlation of the two classifiers (Spearman): {about.rank_correlation:.2f}"
        for remark in about.remarks:
            yield f"  note: {remark}"
        yield f"  95 %: intervals of {videos_words(about.num_groups, about.unit, about.coverage)}"
        if len(found) > 1 and (lowest := 2 / 2**about.num_groups) > SIGNIFICANCE:
            yield f"  note: with {format_count(about.num_groups, about.unit)} no p is below {lowest:.3g}"


def correlate_rankings(results: Sequence[ProbeResult], score: str) -> float | None:
    """Spearman's correlation of two classifiers' rankings of the encoders; None for less than three encoders.

    None, too, where there are not two classifiers, or all scores of one of them are equal.
    """
    from scipy.stats import spearmanr

    by_classifier: dict[str, dict[str, float]] = {}
    for each in results:
        by_classifier.setdefault(each.classifier, {})[each.encoder] = each.scores[score]
    if len(by_classifier) != 2:
        return None
    first, second = by_classifier.values()
    if len(first) < MIN_RANKED or any(len(set(each.values())) == 1 for each in (first, second)):
        return None
    return float(spearmanr(list(first.values()), [second[name] for name in first]).statistic)
