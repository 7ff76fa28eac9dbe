"""Every score with its interval, after each stage of post-processing, and of each run where several made the tables."""

from collections.abc import Iterator

from abaw.evaluation.report import Measurement
from abaw.evaluation.wording import difference_words
from abaw.postprocessing import parse_post_processing
from abaw.tasks.base import is_count
from abaw.views.report.content import Part, Rows, Section, Text, by_task, number, with_bounds
from abaw.views.report.facts import ReportFacts, TaskFacts
from abaw.views.report.sections.summary import headline_names
from abaw.views.report.stages import Stage


def build(facts: ReportFacts) -> Section:
    return Section("scores", "Scores", tuple(by_task(facts, lambda _, task: _of_task(task))))


def _of_task(task: TaskFacts) -> Iterator[Part]:
    found = task.result
    names = [name for name in found.scores if not is_count(name)]
    rows = []
    for name in names:
        low, high = (found.intervals or {}).get(name, (None, None))
        cells = [number(found.scores[name]), number(low), number(high)]
        if found.raw is not None:
            cells += [number(found.raw.scores.get(name)), number(found.scores[name] - found.raw.scores.get(name, 0.0))]
        rows.append((name, *cells))
    head = ("score", "value", "low", "high", *(("raw", "gain") if found.raw is not None else ()))
    yield Rows(f"Scores of {task.name} with 95 % intervals", head, tuple(rows))
    yield from _stages(task)
    yield from _folds(task)


def _stages(task: TaskFacts) -> Iterator[Part]:
    if not task.stages:
        yield Text(
            "The tables have no post-processing: these are the scores of the raw predictions (abaw fit fits one)."
        )
        return
    names = headline_names(task)
    rows = [(stage.name, _gain(stage), *_scores_of(stage.measured, names)) for stage in task.stages]
    head = ("after", "change over the stage before", *names)
    yield Rows("Stages of post-processing, one after the other", head, tuple(rows))
    kept = parse_post_processing(task.result.post_processing, task.result.folder)
    yield Text(f"Post-processing: {kept}.")
    if task.result.gain is not None:
        yield Text(f"All of it together changes {task.result.gain.words}.")


def _scores_of(found: Measurement, names: list[str]) -> list[str]:
    return [with_bounds(found.scores[name], (found.intervals or {}).get(name)) for name in names]


def _gain(stage: Stage) -> str:
    gain = stage.gain
    if gain is None:
        return "–"
    if gain.difference == 0 and gain.p == 1:
        return "none"
    return difference_words(gain.score, gain.difference, gain.interval, gain.p)


def _folds(task: TaskFacts) -> Iterator[Part]:
    folds = task.result.folds
    if len(folds) < 2:
        return
    names = headline_names(task)
    rows = [(run, *(number(scores.get(name)) for name in names)) for run, scores in folds.items()]
    yield Rows("Scores of the clips that each run held out", ("run", *names), tuple(rows))
