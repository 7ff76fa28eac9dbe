"""Clips, the worst first: the first ones drawn, all of them in a table."""

from collections.abc import Iterator, Sequence

from abaw.numbers import format_count, format_percent
from abaw.views.plots.clips import draw_clip
from abaw.views.report.clip_blocks import blocks_of_clip, stops_of
from abaw.views.report.content import Figure, Folded, Group, Part, Rows, Section, Text, in_columns, number, several
from abaw.views.report.facts import FolderFacts, ReportFacts, TaskFacts
from abaw.views.report.ranking import Ranking, rank_clips, rank_together
from abaw.views.report.sections.summary import headline_names

MAX_OPEN = 30  # clips of a table that is not folded
MAX_DRAWINGS = 60  # of a task, all folders together: a page of many more does not open in a browser


def build(facts: ReportFacts) -> Section:
    """Of folders with the same clips, each clip is shown with all predictions side by side."""
    parts = list[Part]()
    for name in facts.task_names:
        of_task = facts.of_task(name)
        rankings = [rank_clips(task) for _, task in of_task]
        if len(of_task) > 1 and len({frozenset(each.values) for each in rankings}) == 1:
            found = tuple(_together(_num_drawn(facts.num_worst, len(of_task)), of_task, rankings))
        else:
            of_folders = zip(of_task, rankings, strict=True)
            num = _num_drawn(facts.num_worst, len(of_task))
            found = in_columns({each[0].folder: tuple(_of_folder(num, *each, ranking)) for each, ranking in of_folders})
        parts.append(Group(name, found))
    return Section("clips", "Clips, worst first", tuple(parts))


def _num_drawn(num_worst: int, num_folders: int) -> int:
    """How many clips are drawn: fewer than asked for where each is drawn for many folders."""
    return num_worst if num_folders == 1 else min(num_worst, max(1, MAX_DRAWINGS // num_folders))


def _of_folder(num_worst: int, folder: FolderFacts, task: TaskFacts, ranking: Ranking) -> Iterator[Part]:
    yield _introduction(num_worst, ranking)
    worst = [*ranking.values][:num_worst]
    yield from several([_drawing(task, each, f"{ranking.name} {number(ranking.values[each])}") for each in worst])
    yield _maybe_folded(_table(folder, task, ranking))


def _together(
    num_worst: int, of_task: Sequence[tuple[FolderFacts, TaskFacts]], rankings: Sequence[Ranking]
) -> Iterator[Part]:
    ranking = rank_together(rankings)
    yield _introduction(num_worst, ranking)
    for clip_id in [*ranking.values][:num_worst]:
        drawings = [
            _drawing(task, clip_id, f"{folder.folder}, {own.name} {number(own.values[clip_id])}")
            for (folder, task), own in zip(of_task, rankings, strict=True)
        ]
        yield from several(drawings)
    losses, first = of_task[0][0].losses.lines, of_task[0][1]
    rows = [
        (
            clip_id,
            *(number(each.values[clip_id]) for each in rankings),
            _num_scored(first, clip_id),
            losses.get(clip_id, ""),
        )
        for clip_id in ranking.values
    ]
    head = ("clip", *(f"{folder.folder}: {ranking.name}" for folder, _ in of_task), "scored rows", "lost")
    yield _maybe_folded(Rows(f"All clips of {first.name}, worst first", head, tuple(rows)))


def _introduction(num_worst: int, ranking: Ranking) -> Text:
    total = len(ranking.values)
    drawn = "all of them are drawn" if num_worst >= total else f"the {num_worst} worst are drawn"
    return Text(f"{format_count(total, 'clip')}, sorted {ranking.why}; {drawn}, and the table has every clip.")


def _maybe_folded(table: Rows) -> Part:
    return table if len(table.rows) <= MAX_OPEN else Folded(f"All {len(table.rows)} clips", (table,))


def _drawing(task: TaskFacts, clip_id: str, words: str) -> Figure:
    """The predictions of a clip beside its labels, over time."""
    table, labels = task.labelled.tables[clip_id], task.labelled.labels[clip_id]
    blocks = blocks_of_clip(task.labelled.task, task.final_values(clip_id), labels)
    plot = draw_clip(clip_id, table.times_s, stops_of(table.times_s), blocks, table.observed, title=clip_id)
    decision = ", ".join(f"{what} {name}" for what, name in decisions(task, clip_id).items())
    return Figure(", ".join(part for part in (f"{clip_id}: {words}", decision) if part), plot)


def _table(folder: FolderFacts, task: TaskFacts, ranking: Ranking) -> Rows:
    names = [name for name in headline_names(task) if name != ranking.name]
    rows, chosen = [], dict[str, str]()
    for clip_id, value in ranking.values.items():
        scores, table = task.result.clips[clip_id], task.labelled.tables[clip_id]
        observed = format_percent(int(table.observed.sum()), len(table.frames))
        cells = [number(scores.get(name)) for name in names]
        lost = folder.losses.lines.get(clip_id, "")
        chosen = decisions(task, clip_id)
        rows.append((clip_id, number(value), *chosen.values(), *cells, _num_scored(task, clip_id), observed, lost))
    head = ("clip", ranking.name, *chosen, *names, "scored rows", "observed", "lost")
    return Rows(f"All clips of {task.name}, worst first", head, tuple(rows))


def decisions(task: TaskFacts, clip_id: str) -> dict[str, str]:
    """The label of a clip and what is predicted in its place, by name; {} for other tasks than one class a clip."""
    classes = getattr(task.labelled.task, "classes", ())
    if task.labelled.task.resolution != "clip" or task.result.confusion is None:
        return {}
    pair = task.pairs[clip_id]
    sides = {"label": pair.labels.values, "predicted": pair.prediction}
    return {what: classes[int(values[0, 0])] for what, values in sides.items()}


def _num_scored(task: TaskFacts, clip_id: str) -> str:
    return f"{int(task.labelled.labels[clip_id].scored.sum()):,}"
