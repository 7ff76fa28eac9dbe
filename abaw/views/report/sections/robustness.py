"""Ablation by modality, and scores on features that are dropped, noisy or shifted."""

from collections.abc import Iterator

from abaw.evaluation.robustness import Curve, TaskRobustness
from abaw.numbers import format_count
from abaw.views.plots.curves import Robustness, draw_robustness
from abaw.views.plots.scores import SystemScore, draw_comparison
from abaw.views.report.content import Figure, Folded, Group, Part, Rows, Section, Text, doubts, number, several
from abaw.views.report.facts import ReportFacts

ALL = "all modalities"
Measured = list[tuple[str, TaskRobustness]]  # runs and what was measured for one task


def build(facts: ReportFacts) -> Section | None:
    """None where no folder is a run."""
    runs = [folder for folder in facts.folders if folder.training is not None]
    if not runs:
        return None
    parts: list[Part] = []
    if missing := [folder.folder for folder in runs if folder.robustness is None]:
        parts.append(
            Text(
                f"Not measured for {', '.join(missing)}. abaw robustness RUN measures it and keeps it; "
                "abaw report --robustness does so first. It needs the weights of the run and the store of its features."
            )
        )
    found = [(folder.folder, folder.robustness) for folder in runs if folder.robustness is not None]
    for task in facts.task_names:
        measured = [(name, each) for name, of_run in found for each in of_run.tasks if each.task == task]
        if measured:
            parts.append(Group(task, (*_ablations(measured), *_curves(measured))))
    notes = [f"{name}: {line}" for name, each in found for line in each.remarks]
    return Section("robustness", "Modalities and robustness", (*parts, *doubts(notes)))


def _ablations(measured: Measured) -> Iterator[Part]:
    for run, found in measured:
        if not found.ablation:
            continue
        rows = [_ablation_row(ALL, found.unchanged.rank, found.unchanged.interval)]
        for each in found.ablation:
            low, high = each.difference_interval or (None, None)
            change = (number(each.difference), number(low), number(high), number(each.corrected_p, 3))
            rows.append((*_ablation_row(each.name, each.rank, each.interval)[:4], *change))
        title = f"Ablation by modality of {run}, {found.task}"
        systems = [SystemScore(ALL, found.unchanged.rank, found.unchanged.interval)]
        systems += [SystemScore(each.name, each.rank, each.interval) for each in found.ablation]
        yield Figure(
            f"{title}: {found.score} if the other modalities are observed in no frame",
            draw_comparison(systems, score=found.score, title=title),
        )
        head = ("modalities", found.score, "low", "high", "change", "low", "high", "corrected p")
        num = format_count(found.num_videos, found.unit)
        yield Rows(f"{title}, with 95 % intervals of {num}; p corrected after Holm", head, tuple(rows))


def _ablation_row(name: str, score: float, bounds: tuple[float, float] | None) -> tuple[str, ...]:
    low, high = bounds or (None, None)
    return name, number(score), number(low), number(high), "–", "–", "–", "–"


def _curves(measured: Measured) -> Iterator[Part]:
    names = dict.fromkeys((curve.name, curve.unit) for _, found in measured for curve in found.curves)
    figures, tables, words = list[Part](), list[Part](), list[str]()
    for name, unit in names:
        curves = [
            (run, curve)
            for run, found in measured
            for curve in found.curves
            if (curve.name, curve.unit) == (name, unit)
        ]
        score = measured[0][1].score
        quantity = f"{name} ({unit})"
        lines = [
            Robustness(
                run,
                [each.strength for each in curve.points],
                [each.rank for each in curve.points],
                [each.interval for each in curve.points],
            )
            for run, curve in curves
        ]
        plot = draw_robustness(lines, score=score, quantity=quantity, title=name[:1].upper() + name[1:])
        figures.append(Figure(f"{quantity}: {curves[0][1].meaning}", plot))
        tables += [_table(run, curve, score) for run, curve in curves]
        words += [
            describe_optimum(run, curve) for run, curve in curves if any(each.strength < 0 for each in curve.points)
        ]
    yield from several(figures)
    yield from (Text(line) for line in words)
    if tables:
        yield Folded("Robustness as tables", tuple(tables))


def _table(run: str, curve: Curve, score: str) -> Rows:
    rows = []
    for each in curve.points:
        low, high = each.interval or (None, None)
        rows.append((f"{each.strength:g}", number(each.rank), number(low), number(high), f"{each.difference:+.4f}"))
    head = (curve.unit, score, "low", "high", "change")
    return Rows(f"{run}: {curve.name} ({', '.join(curve.modalities)})", head, tuple(rows))


def describe_optimum(run: str, curve: Curve) -> str:
    """Where a curve over shifts in both directions is highest: at 0, if pictures and sound are in step."""
    best = max(curve.points, key=lambda each: (each.rank, -abs(each.strength)))
    if best.strength == 0:
        return f"{run}, {curve.name}: the score is highest without a shift."
    low, high = best.difference_interval or (None, None)
    between = "" if low is None or high is None else f" (95 % {low:+.4f} to {high:+.4f})"
    by_chance = "" if low is None or low > 0 else ": a difference that chance explains"
    return (
        f"{run}, {curve.name}: the score is highest at {best.strength:g} {curve.unit}, {best.difference:+.4f}{between} "
        f"above that without a shift{by_chance}."
    )
