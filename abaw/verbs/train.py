import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from abaw.annotations import Labels
    from abaw.clips import Dataset
    from abaw.runs import Run
    from abaw.tasks.base import Task

LOG = logging.getLogger("abaw")


def train(
    config: Annotated[Path, typer.Argument(help="a YAML file, see configs/")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value laid over the file, e.g. model.name=concat")
    ] = None,
    runs: Annotated[Path, typer.Option(help="where the run's folder is made")] = Path("runs"),
) -> None:
    """A Lightning run; one that was stopped goes on, one that is complete is left as it is."""
    run = train_run(config, settings or [], runs)
    for task, scores in run.finished()["scores"].items():
        print(f"{task} validation {summary(scores)}")
    print(run.folder)


def train_run(path: Path, settings: list[str], runs: Path) -> "Run":
    """Train what the config says, then predict and score the validation split with the best weights."""
    from abaw.clips import open_dataset
    from abaw.config import read_config
    from abaw.runs import Run
    from abaw.tasks import TASKS
    from abaw.verbs.predict import write_predictions
    from abaw.verbs.score import score_folder
    from extract import ALIGNERS
    from extract.source import AlignedSource
    from extract.store import FeatureStore
    from fusion.models import FUSION_MODELS

    file = read_config(path, settings)
    config = file.config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)
    run = Run(runs / config.name)
    if run.state(config) == "complete":
        LOG.info("%s is complete already: delete it, or give another name=..., to train again", run.folder)
        return run
    tasks = {}
    for name, task in config.tasks.items():
        with file.at("tasks", name):
            tasks[name] = TASKS.build(name, **task.settings)
    with file.at("model"):
        FUSION_MODELS.check(config.model.name, config.model.settings)
    from fusion.train import train, trainer_errors

    for key, message in trainer_errors(config.trainer):
        raise file.error(("trainer", key), message)
    dataset = open_dataset(Path(config.data))
    labels = {split: read_labels(dataset, tasks, split) for split in ("train", "validation")}
    with file.at("features"):
        source = AlignedSource(FeatureStore(Path(config.store)), config.features)
    tasks = {name: task.fitted(labels["train"][name]) for name, task in tasks.items()}
    with file.at("model"):
        dims = {name: source.dim(name) for name in source.names()}
        FUSION_MODELS.build(config.model.name, dims=dims, **config.model.settings)
    run.begin(config, _facts(tasks, labels, source))
    module = train(config, tasks, labels, source, run.folder)
    write_predictions([(run, module, source)], dataset, tasks, "validation", run.predictions("validation"))
    run.finish(
        {name: score_folder(run.predictions("validation"), tasks[name], labels["validation"][name]) for name in tasks}
    )
    return run


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


def _facts(tasks: "dict[str, Task]", labels: dict, source: object) -> dict:
    sizes = {
        split: {
            name: {
                "clips": len(by_clip),
                "frames": sum(map(len, by_clip.values())),
                "scored": sum(int(c.scored.sum()) for c in by_clip.values()),
            }
            for name, by_clip in by_task.items()
        }
        for split, by_task in labels.items()
    }
    return {
        "tasks": {name: task.settings() for name, task in tasks.items()},
        "label_kinds_seen": sorted(tasks),
        "recipes": source.recipes,  # type: ignore[attr-defined]
        "splits": sizes,
    }
