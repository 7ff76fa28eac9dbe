"""Clips, the worst first: the first ones drawn, all of them in a table."""

from collections.abc import Iterator


from abaw.numbers import format_percent
from abaw.tasks.base import is_count
from abaw.views.plots.clips import draw_clip
from abaw.views.report.clip_blocks import blocks_of_clip, stops_of
from abaw.views.report.content import Figure, Folded, Part, Rows, Section, Text, number, titled
from abaw.views.report.facts import FolderFacts, ReportFacts, TaskFacts
from abaw.views.report.ranking import Ranking, rank_clips
from abaw.views.report.sections.summary import headline_names

MAX_OPEN = 30  # clips of a table that is not folded


def build(facts: ReportFacts) -> Section:
    parts = titled(facts, lambda folder, task: _of_task(facts, folder, task))
    return Section("clips", "Clips, worst first", tuple(parts))


def _of_task(facts: ReportFacts, folder: FolderFacts, task: TaskFacts) -> Iterator[Part]:
    ranking = rank_clips(task)
    num, total = min(facts.num_worst, len(ranking.values)), len(ranking.values)
    yield Text(f"Sorted {ranking.why}. The {num} worst of {total} clips are drawn; the table has all of them.")
    for clip_id in [*ranking.values][:num]:
        yield _drawing(task, clip_id, f"{ranking.name} {number(ranking.values[clip_id])}")
    table = _table(folder, task, ranking)
    yield table if total <= MAX_OPEN else Folded(f"All {total} clips", (table,))


def _drawing(task: TaskFacts, clip_id: str, words: str) -> Figure:
    """The predictions of a clip beside its labels, over time."""
    table, labels = task.labelled.tables[clip_id], task.labelled.labels[clip_id]
    blocks = blocks_of_clip(task.labelled.task, task.final_values(clip_id), labels)
    plot = draw_clip(clip_id, table.times_s, stops_of(table.times_s), blocks, table.observed, title=clip_id)
    return Figure(f"{clip_id}: {words}", plot)


def _table(folder: FolderFacts, task: TaskFacts, ranking: Ranking) -> Rows:
    names = [name for name in headline_names(task) if name != ranking.name]
    rows = []
    for clip_id, value in ranking.values.items():
        scores, table = task.result.clips[clip_id], task.labelled.tables[clip_id]
        observed = format_percent(int(table.observed.sum()), len(table.frames))
        cells = [number(scores.get(name)) for name in names]
        count = next((f"{int(each):,}" for name, each in scores.items() if is_count(name)), "")
        rows.append((clip_id, number(value), *cells, count, observed, folder.losses.lines.get(clip_id, "")))
    head = ("clip", ranking.name, *names, "scored rows", "observed", "lost")
    return Rows(f"All clips of {task.name}, worst first", head, tuple(rows))
