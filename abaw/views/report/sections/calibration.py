"""Whether probabilities are as often right as they say: reliability diagrams and expected calibration errors."""

from collections.abc import Iterator

from abaw.evaluation.reliability import Calibration
from abaw.views.plots.scores import draw_reliability
from abaw.views.report.content import Figure, Folded, Part, Rows, Section, Text, by_task, number
from abaw.views.report.facts import ReportFacts, TaskFacts

MAX_CURVES = 8  # lines in one diagram


def build(facts: ReportFacts) -> Section | None:
    """None where no task has probabilities."""
    parts = by_task(facts, lambda _, task: _of_task(task))
    return Section("calibration", "Calibration", tuple(parts)) if parts else None


def _of_task(task: TaskFacts) -> Iterator[Part]:
    found = task.result.calibration
    if found is None:
        return
    raw, kept = task.result.raw_calibration, task.labelled.post_processing
    before = f", that of the raw tables is {number(raw.overall.error)}" if raw else ""
    shift = " Scale and bias are left out: they move decisions." if kept and (kept.scale or kept.bias) else ""
    yield Text(
        f"The expected calibration error is {number(found.overall.error)} over {found.num_bins} bins{before}. It is "
        f"the mean difference between probabilities and how often they are right; 0 is best.{shift}"
    )
    overall = found.overall
    title = f"Reliability of {task.name}"
    if overall.top is not None:
        curves = {"most probable class": overall.top}
        yield Figure(
            f"{title}: how often the most probable class is right",
            draw_reliability(curves, error=overall.error, title=title),
        )
    else:
        names = sorted(overall.curves, key=lambda name: -overall.curves[name].error)[:MAX_CURVES]
        which = f"the {len(names)} with the largest errors" if len(names) < len(overall.curves) else "each"
        curves = {name.removeprefix("p_"): overall.curves[name] for name in names}
        yield Figure(f"{title}: {which}", draw_reliability(curves, error=overall.error, title=title))
    yield _errors(found)
    yield Folded("Reliability by bin", (_bins(found),))


def _errors(found: Calibration) -> Rows:
    names = [*found.overall.curves]
    parts = {"all": found.overall, **found.contexts}
    rows = [
        (name, f"{each.num:,}", number(each.error), *(number(each.curves[column].error) for column in names))
        for name, each in parts.items()
    ]
    head = ("observed", "rows", "error", *(name.removeprefix("p_") for name in names))
    return Rows("Expected calibration errors, by what was observed and by class", head, tuple(rows))


def _bins(found: Calibration) -> Rows:
    curves = {**({"most probable class": found.overall.top} if found.overall.top else {}), **found.overall.curves}
    rows = [
        (name.removeprefix("p_"), str(i + 1), number(predicted), number(true), f"{num:,}")
        for name, curve in curves.items()
        for i, (predicted, true, num) in enumerate(zip(curve.predicted, curve.true, curve.counts, strict=True))
        if num
    ]
    head = ("class", "bin", "mean probability", "share that is true", "rows")
    return Rows("Reliability by bin", head, tuple(rows))
