"""What was scored, the headline scores, and what makes them doubtful."""

from collections.abc import Iterator

from abaw.evaluation.coverage import ENOUGH, videos_words
from abaw.numbers import format_count, format_percent
from abaw.tasks.base import is_count
from abaw.views.report.content import Part, Rows, Section, Text, counted, doubts, number
from abaw.views.report.facts import FolderFacts, ReportFacts, TaskFacts

NOT_DOUBTS = ("observed: ",)  # beginnings of remarks that other sections show


def build(facts: ReportFacts) -> Section:
    parts: list[Part] = [Text(_what(folder)) for folder in facts.folders]
    parts.append(_headlines(facts))
    parts += [Text("No doubts are known about these scores.")] if not (found := _doubts(facts)) else doubts(found)
    parts.append(
        Text(
            "The 95 % intervals are of the score over all frames. They follow from how the score changes when a video "
            "is left out, or a group where the data set names groups. They cover neither the variation between "
            "training seeds nor a difference between these clips and others."
        )
    )
    return Section("summary", "Summary", tuple(parts))


def _what(folder: FolderFacts) -> str:
    first = folder.tasks[0]
    parts = [f"{task.name}: {_scored(task)}" for task in folder.tasks]
    if folder.training is not None:
        config = folder.training.config
        features = ", ".join(config["features"])
        what = f"is a run of the model {config['model']['name']} on {features}"
        on = f", trained on {config['data']}"
    else:
        runs = ", ".join(first.result.provenance.get("run", ()))
        what, on = f"holds prediction tables{f' of {runs}' if runs else ''}", ""
    return f"{folder.folder} {what}{on}. Scored here: {'; '.join(parts)}."


def _scored(task: TaskFacts) -> str:
    found = task.result
    unit = "frame" if task.labelled.task.resolution == "frame" else "label"
    return (
        f"the {found.split} clips ({counted(len(found.clips), 'clip')} of {counted(found.videos, found.unit)}, "
        f"{counted(int(found.scores['n']), f'scored {unit}')})"
    )


def _headlines(facts: ReportFacts) -> Part:
    rows = []
    for folder in facts.folders:
        for task in folder.tasks:
            found = task.result
            for name in headline_names(task):
                low, high = (found.intervals or {}).get(name, (None, None))
                rows.append((folder.folder, task.name, name, number(found.scores[name]), number(low), number(high)))
    head = ("folder", "task", "score", "value", "low", "high")
    return Rows("Official scores with 95 % intervals", head, tuple(rows))


def headline_names(task: TaskFacts) -> list[str]:
    """The ranking score, and its main parts: not those of single classes."""
    names = [name for name in task.result.scores if not is_count(name)]
    return [name for name in names if "_" not in name or name.startswith("CCC")]


def _doubts(facts: ReportFacts) -> list[str]:
    """Each doubt once, after the tasks and folders that it is about, where it is not about all."""
    about = dict[str, list[str]]()
    for folder in facts.folders:
        of_lines: dict[str, list[str]] = {line: [] for line in folder.remarks}
        for task in folder.tasks:
            for line in _doubts_of(task):
                of_lines.setdefault(line, []).append(task.name)
        for line, names in of_lines.items():
            is_partial = 0 < len(names) < len(folder.tasks)
            about.setdefault(f"{', '.join(names)}: {line}" if is_partial else line, []).append(folder.folder)
    return [line if len(each) == len(facts.folders) else f"{', '.join(each)}: {line}" for line, each in about.items()]


def _doubts_of(task: TaskFacts) -> Iterator[str]:
    found, ranking = task.result, next(iter(task.result.scores))
    if found.selection:
        yield f"{found.selection}: expect a lower score on clips on which nothing was chosen"
    if found.subject_labels:
        yield "labels of the persons adapted the model: the score is not to be compared with those of other predictions"
    if found.intervals is None:
        yield f"one {found.unit} alone: there is no interval"
    elif ranking not in found.intervals:
        yield f"{ranking} is at a limit of its range: it has no interval"
    elif found.coverage is not None and found.coverage < ENOUGH:
        yield f"intervals are of {videos_words(found.videos, found.unit, found.coverage)}"
    if found.unobserved:
        num = int(found.scores["n"])
        what = "frame" if task.labelled.task.resolution == "frame" else "clip"
        yield (
            f"nothing was observed in {format_count(found.unobserved, f'scored {what}')} "
            f"({format_percent(found.unobserved, num)}): the predictions there are guesses"
        )
    yield from (remark for remark in found.remarks if not remark.startswith(NOT_DOUBTS))
