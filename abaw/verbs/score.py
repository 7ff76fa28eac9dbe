import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from abaw.annotations import Labels
    from abaw.clips import Dataset
    from abaw.tasks.base import Task


def score(
    folders: Annotated[list[Path], typer.Argument(help="runs, or folders of prediction tables")],
    split: Annotated[str, typer.Option(help="train or validation")] = "validation",
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folder has tables of")] = None,
    data: Annotated[Path | None, typer.Option(help="the data set; default: the run's")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """The official metric over the whole split, by class and by clip."""
    found = [result for folder in folders for result in score_all(folder, split, task, data)]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for result in found:
        for clip_id, scores in result["clips"].items():
            print(f"  {clip_id:<28} {summary(scores)}")
        parts = {key: value for key, value in result["scores"].items() if key.startswith("F1_")}
        if parts:
            print("  " + ", ".join(f"{key[3:]} {value:.3f}" for key, value in parts.items()))
    for result in found:
        print(f"{result['folder']} {result['task']} {split} {summary(result['scores'])}")


def score_all(folder: Path, split: str, task: str | None, data: Path | None) -> list[dict[str, Any]]:
    """For each task with tables: its scores over the split and by clip."""
    from abaw import predictions
    from abaw.clips import open_dataset
    from abaw.runs import Run
    from abaw.tasks import TASKS

    is_run = (folder / "run.json").exists()
    tables = Run(folder).predictions(split) if is_run else folder
    names = [task] if task else predictions.tasks_in(tables)
    results = []
    for name in names:
        where = predictions.resolve(tables, name)
        built = TASKS.build(name)
        root = data or _data_of(folder if is_run else None, where)
        labels = read_labels(open_dataset(root), {name: built}, split)[name]
        scores = score_folder(where, built, labels)
        clips = {clip: score_folder(where, built, {clip: labels[clip]}) for clip in labels if labels[clip].scored.any()}
        results.append({"folder": str(folder), "task": name, "split": split, "scores": scores, "clips": clips})
    return results


def read_labels(dataset: "Dataset", tasks: "dict[str, Task]", split: str) -> "dict[str, dict[str, Labels]]":
    """Labels by task and clip. ValueError where a task has none in the split."""
    labels = {name: task.read_labels(dataset, split) for name, task in tasks.items()}
    for name, by_clip in labels.items():
        if not by_clip:
            folders = " or ".join(tasks[name].folders)
            raise ValueError(f"{dataset.root} has no {split} labels for {name}: expected a folder {folders} below it")
    return labels


def summary(scores: dict[str, float]) -> str:
    """The ranking score and what it is made of, in one line."""
    return ", ".join(
        f"{key} {value:.4f}" if key != "n" else f"n {value}"
        for key, value in scores.items()
        if "_" not in key or key.startswith("CCC")
    )


def score_folder(folder: Path, task: "Task", labels: "Mapping[str, Labels]") -> dict[str, float]:
    """The task's official score of a prediction folder against labels; every labelled clip must be there."""
    from abaw import predictions
    from abaw.tasks.base import Scored

    where = predictions.resolve(folder, task.name)
    by_clip = {}
    for clip_id, clip_labels in labels.items():
        table = predictions.read_table(where, clip_id, task)
        by_clip[clip_id] = Scored(task.decode(table.values)[: len(clip_labels)], clip_labels)
    return task.score(by_clip)


def _data_of(run: Path | None, tables: Path) -> Path:
    from abaw import predictions
    from abaw.runs import Run

    runs = [run] if run else [Path(each) for each in predictions.read_metadata(tables).get("run", [])]
    if not runs:
        raise ValueError(f"{tables} does not say which run made it: name the data set with --data")
    return Path(Run(runs[0]).config().data)
