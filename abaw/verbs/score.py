import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from abaw.annotations import Labels
    from abaw.clips import Dataset
    from abaw.scoring.judged import Judged
    from abaw.tasks.base import Scored, Task


def score(
    folders: Annotated[list[Path], typer.Argument(help="runs, or folders of prediction tables; two are compared")],
    split: Annotated[
        str, typer.Option(help="train, validation, or held-out: every clip with labels that the folder has")
    ] = "validation",
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folder has tables of")] = None,
    data: Annotated[Path | None, typer.Option(help="the data set; default: the run's")] = None,
    undecoded: Annotated[bool, typer.Option("--undecoded", help="leave out the folder's decoding")] = False,
    draws: Annotated[int, typer.Option(help="of videos, for intervals and p")] = 1000,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """The official metric without and with decoding, with intervals; whether of two the second is better."""
    opened = [each for folder in folders for each in open_all(folder, split, task, data, undecoded=undecoded)]
    _check_tasks(folders, opened)
    found = report(opened, draws, seed)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    from abaw.scoring import scoreboard

    print(*scoreboard.lines(found), sep="\n")


def report(opened: "Sequence[Judged]", draws: int, seed: int) -> dict[str, Any]:
    """All there is to say, as JSON has it: a result each, of two of a task a comparison, of more their spread."""
    results = [result(each, draws, seed) for each in opened]
    comparisons, spreads = [], []
    for name in dict.fromkeys(each.task.name for each in opened):
        of_task = [each for each in opened if each.task.name == name]
        if len(of_task) == 2:
            comparisons.append(comparison(of_task[0], of_task[1], draws, seed))
        elif len(of_task) > 2:
            spreads.append(spread([each for each in results if each["task"] == name]))
    facts = {"draws": draws, "seed": seed, "level": 0.95}
    return {**facts, "results": results, "comparisons": comparisons, "spreads": spreads}


def open_all(
    folder: Path, split: str, task: str | None, data: Path | None, *, undecoded: bool = False
) -> "list[Judged]":
    """What judges each task with tables."""
    from abaw.scoring.judged import open_judged, tasks_in

    names = [task] if task else tasks_in(folder, split)
    return [open_judged(folder, split, name, data, undecoded=undecoded) for name in names]


def result(judged: "Judged", draws: int, seed: int) -> dict[str, Any]:
    """As JSON has it: the scores of the tables as a submission would have them, and ``undecoded`` beside them.

    ``undecoded`` and ``gain`` (what decoding adds) are None where the folder has no decoding.
    """
    from abaw.scoring.intervals import by_video
    from abaw.scoring.leaks import TOLD

    decoded = judged.scored(decoded=True)
    found = {
        "folder": str(judged.folder),
        "task": judged.task.name,
        "split": judged.split,
        "videos": len(by_video(decoded)),
        "unobserved": judged.num_unobserved(),
        **_measured(judged, decoded, draws, seed),
        "decoding": None,
        "undecoded": None,
        "gain": None,
        "provenance": {key: judged.about[key] for key in TOLD if judged.about.get(key) is not None},
        "remarks": list(judged.remarks),
    }
    if judged.decoding is not None:
        raw = judged.scored(decoded=False)
        found["decoding"] = judged.decoding.document()
        found["undecoded"] = _measured(judged, raw, draws, seed)
        found["gain"] = _compared(judged.task, raw, decoded, draws, seed)
    return found


def comparison(first: "Judged", second: "Judged", draws: int, seed: int) -> dict[str, Any]:
    """Whether the second is better than the first. ValueError names the first clip in which they differ."""
    before, after = first.scored(decoded=True), second.scored(decoded=True)
    about = {"task": first.task.name, "first": str(first.folder), "second": str(second.folder)}
    try:
        return {**about, **_compared(first.task, before, after, draws, seed)}
    except ValueError as error:
        raise ValueError(f"{first.folder} and {second.folder}, {first.task.name}: {error}") from None


def spread(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, least and greatest of each score over several folders, with the seeds that their metadata tell."""
    from abaw.scoring.rescoring import is_count

    names = [name for name in results[0]["scores"] if not is_count(name)]
    values = {name: [each["scores"][name] for each in results] for name in names}
    return {
        "task": results[0]["task"],
        "folders": [each["folder"] for each in results],
        "seeds": [each["provenance"].get("seeds") for each in results],
        "same_clips": all(each["clips"].keys() == results[0]["clips"].keys() for each in results),
        "scores": {
            name: {"mean": sum(each) / len(each), "least": min(each), "greatest": max(each)}
            for name, each in values.items()
        },
    }


def read_labels(dataset: "Dataset", tasks: "dict[str, Task]", split: str) -> "dict[str, dict[str, Labels]]":
    """Labels by task and clip. ValueError where a task has none in the split."""
    from abaw.scoring.judged import labels_of

    return {name: labels_of(dataset, task, split) for name, task in tasks.items()}


def summary(scores: Mapping[str, float]) -> str:
    """The ranking score and what it is made of, in one line."""
    from abaw.scoring.scoreboard import summary

    return summary(scores)


def score_folder(folder: Path, task: "Task", labels: "Mapping[str, Labels]") -> dict[str, float]:
    """The task's official score of a prediction folder against labels, undecoded; every labelled clip must be there."""
    from abaw import predictions
    from abaw.tasks.base import Scored

    where = predictions.resolve(folder, task.name)
    by_clip = {}
    for clip_id, clip_labels in labels.items():
        table = predictions.read_table(where, clip_id, task)
        by_clip[clip_id] = Scored(task.decode(table.values)[: len(clip_labels)], clip_labels)
    return task.score(by_clip)


def _measured(judged: "Judged", scored: "Mapping[str, Scored]", draws: int, seed: int) -> dict[str, Any]:
    """The scores over all, their intervals (None: one video), and the scores of each clip and of each run's clips."""
    from abaw.scoring.intervals import intervals

    task = judged.task
    runs = {run: {clip_id: scored[clip_id] for clip_id in clips} for run, clips in judged.runs.items()}
    return {
        "scores": task.score(scored),
        "intervals": intervals(task, scored, draws, seed),
        "clips": {clip: task.score({clip: each}) for clip, each in scored.items() if each.labels.scored.any()},
        "folds": {run: task.score(each) for run, each in runs.items() if _any_scored(each)},
    }


def _compared(
    task: "Task", first: "Mapping[str, Scored]", second: "Mapping[str, Scored]", draws: int, seed: int
) -> dict[str, Any]:
    from dataclasses import asdict

    from abaw.scoring.intervals import compare

    found = compare(task, first, second, draws, seed)
    return {"score": next(iter(task.score(second))), **asdict(found), "verdict": found.verdict}


def _any_scored(by_clip: "Mapping[str, Scored]") -> bool:
    return any(each.labels.scored.any() for each in by_clip.values())


def _check_tasks(folders: Sequence[Path], opened: "Sequence[Judged]") -> None:
    """ValueError where one of several folders has another task: only the same are set side by side."""
    of_folder = [[each.task.name for each in opened if each.folder == folder] for folder in folders]
    for folder, names in zip(folders, of_folder, strict=True):
        if set(names) != set(of_folder[0]):
            raise ValueError(
                f"{folders[0]} has tables of {', '.join(of_folder[0])}, {folder} of {', '.join(names)}: name a task "
                "that all have (--task), or score them one by one"
            )
