"""What was scored: splits and labels, what of the clips was observed, and what was lost."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from abaw.numbers import format_count, format_percent
from abaw.probabilities.contexts import contexts_of
from abaw.results.observed import parse_observed
from abaw.views.report.content import Folded, Part, Rows, Section, Text, counted, in_columns, number, several
from abaw.views.report.facts import FolderFacts, ReportFacts, TaskFacts

MAX_OPEN = 12  # clips with losses that are shown without unfolding


def build(facts: ReportFacts) -> Section:
    parts = in_columns({folder.folder: tuple(_of_folder(folder)) for folder in facts.folders})
    return Section("data", "Data and what was observed", parts)


def _of_folder(folder: FolderFacts) -> Iterator[Part]:
    tables = [*_splits(folder)]
    for task in folder.tasks:
        tables += [*_labels(task), *_observed(task)]
    yield from several(list({str(each): each for each in tables}.values()))
    yield from _losses(folder)


def _splits(folder: FolderFacts) -> Iterator[Part]:
    if folder.training is None:
        return
    document = folder.training.document
    rows = [
        (split, task, f"{each['clips']:,}", f"{each['frames']:,}", f"{each['scored']:,}")
        for split, tasks in document.get("splits", {}).items()
        for task, each in tasks.items()
    ]
    if rows:
        head = ("part", "task", "clips", "rows", "scored rows")
        yield Rows("What the run was trained on, and what it held out (validation)", head, tuple(rows))
    folds = document.get("folds", {})
    if folds.get("fold"):
        yield Text(f"Fold {folds['fold']} of {folds['num']}: it held out this part of the training videos.")


def _labels(task: TaskFacts) -> Iterator[Part]:
    """How often each class is the label and is predicted; of values means and deviations."""
    found, confusion = task.result, task.result.confusion
    if confusion is not None:
        counts = np.array(confusion.counts)
        total = int(counts.sum())
        of_classes = [
            (name, f"{labelled:,}", format_percent(labelled, total), f"{predicted:,}", format_percent(predicted, total))
            for name, labelled, predicted in zip(
                confusion.classes, counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist(), strict=True
            )
        ]
        caption = f"Labels and predictions of {task.name}, {found.split} clips"
        yield Rows(caption, ("class", "labels", "share", "predictions", "share"), tuple(of_classes))
        return
    goals = task.labelled.task.goals
    prediction, label = rows_of(task)
    rows = list[tuple[str, ...]]()
    for i, name in enumerate(goals):
        known = ~np.isnan(label[:, i])
        for side, values in (("label", label), ("prediction", prediction)):
            if known.any():
                own = values[known, i]
                cells = (number(float(each), 3) for each in (own.mean(), own.std(), own.min(), own.max()))
                rows.append((f"{name}, {side}", f"{len(own):,}", *cells))
    head = ("value", "rows", "mean", "deviation", "lowest", "highest")
    yield Rows(f"Labels and predictions of {task.name}, {found.split} clips", head, tuple(rows))


def rows_of(task: TaskFacts) -> tuple[np.ndarray, np.ndarray]:
    """Final predictions and labels of all scored rows: (rows, goals) both, NaN where a label is not known."""
    num = len(task.labelled.task.goals)
    pairs = task.pairs.values()
    prediction = np.concatenate([each.prediction[each.labels.scored][:, :num] for each in pairs])
    label = np.concatenate([each.labels.values[each.labels.scored][:, :num] for each in pairs])
    return prediction.astype(np.float64), label.astype(np.float64)


def _observed(task: TaskFacts) -> Iterator[Part]:
    """Each feature's share of frames, and which features were observed together."""
    counts = parse_observed(task.labelled.about.get("observed"))
    rows = [
        (
            name,
            f"{each.num_frames:,}",
            format_percent(each.num_observed, each.num_frames),
            format_percent(each.num_lost, each.num_frames),
        )
        for name, each in counts.items()
    ]
    if rows:
        head = ("feature", "frames", "observed", "lost by alignment")
        yield Rows("Frames of these clips in which each feature was observed", head, tuple(rows))
    together = Counter[str]()
    for table in task.labelled.tables.values():
        together.update(contexts_of(table.modalities, len(table.frames)).tolist())
    total = sum(together.values())
    if set(together) - {""}:
        words = [
            (name or "not recorded", f"{num:,}", format_percent(num, total)) for name, num in together.most_common()
        ]
        yield Rows("Features that were observed together", ("observed", "frames", "share"), tuple(words))
    elif not rows:
        num = sum(int(table.observed.sum()) for table in task.labelled.tables.values())
        all_frames = sum(len(table.frames) for table in task.labelled.tables.values())
        yield Text(
            f"{task.name}: something was observed in {format_percent(num, all_frames)} of "
            f"{counted(all_frames, 'frame')}; the tables do not say which feature."
        )


def _losses(folder: FolderFacts) -> Iterator[Part]:
    losses, num = folder.losses, len({clip_id for task in folder.tasks for clip_id in task.labelled.tables})
    if losses.unknown:
        yield Text(f"{losses.unknown_words[:1].upper()}{losses.unknown_words[1:]}.", is_doubt=True)
        return
    if not losses.lines:
        yield Text(f"Nothing was lost of {format_count(num, 'clip')} when their features were extracted.")
        return
    worst = sorted(losses.lines, key=lambda clip_id: (-losses.shares[clip_id], clip_id))
    rows = tuple((clip_id, losses.lines[clip_id]) for clip_id in worst)
    caption = f"What was lost of {len(rows)} of {format_count(num, 'clip')}, most first"
    yield Rows(caption, ("clip", "lost"), rows[:MAX_OPEN])
    if len(rows) > MAX_OPEN:
        title = f"{len(rows) - MAX_OPEN} more clips with losses"
        yield Folded(title, (Rows(title, ("clip", "lost"), rows[MAX_OPEN:]),))
