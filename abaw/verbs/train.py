import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from abaw.annotations import Labels
    from abaw.config import Config, ConfigFile
    from abaw.runs import Run
    from abaw.tasks.base import Task
    from extract.source import AlignedSource

LOG = logging.getLogger("abaw")


def train(
    config: Annotated[Path, typer.Argument(help="a YAML file, see configs/")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value laid over the file, e.g. model.name=concat")
    ] = None,
    runs: Annotated[Path, typer.Option(help="where the run's folder is made")] = Path("runs"),
) -> None:
    """A Lightning run; one that was stopped goes on, one that is complete is left as it is."""
    from abaw.verbs.score import summary

    run = train_run(config, settings or [], runs)
    for task, scores in run.finished()["scores"].items():
        print(f"{task} validation {summary(scores)}")
    print(run.folder)


def train_run(path: Path, settings: list[str], runs: Path) -> "Run":
    """Train what the config says, then predict and score the validation split with the best weights.

    Whatever the config has wrong is told, with file and line, before any data are read or anything is written.
    """
    from abaw.clips import open_dataset
    from abaw.config import read_config
    from abaw.runs import Run
    from abaw.tasks import TASKS
    from abaw.verbs.predict import write_predictions
    from abaw.verbs.score import read_labels, score_folder
    from extract import ALIGNERS
    from fusion.models import FUSION_MODELS

    file = read_config(path, settings)
    config = file.config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)
    run = Run(runs / config.name)
    if run.state(config) == "complete":
        LOG.info("%s is complete already: delete it, or give another name=..., to train again", run.folder)
        return run
    tasks = _tasks(file, config)
    dataset = open_dataset(Path(config.data))
    labels = {split: read_labels(dataset, tasks, split) for split in ("train", "validation")}
    tasks = {name: task.fitted(labels["train"][name]) for name, task in tasks.items()}
    source = _source(file, config)
    run.begin(config, _facts(tasks, labels, source))
    from fusion.train import train

    try:
        module = train(config, tasks, labels, source, run.folder)
    except (ValueError, OSError):
        run.discard_unless_trained()
        raise
    tables = run.predictions("validation")
    write_predictions([(run, module, source)], dataset, tasks, "validation", tables)
    run.finish({name: score_folder(tables, task, labels["validation"][name]) for name, task in tasks.items()})
    return run


def _tasks(file: "ConfigFile", config: "Config") -> "dict[str, Task]":
    """The config's tasks; whatever is wrong in it that needs no data to be seen is an error here."""
    from abaw.tasks import TASKS
    from fusion.models import FUSION_MODELS
    from fusion.train import config_errors

    tasks = {}
    for name, task in config.tasks.items():
        with file.at("tasks", name):
            tasks[name] = TASKS.build(name, **task.settings)
    with file.at("model"):
        FUSION_MODELS.check(config.model.name, config.model.settings)
    for keys, message in config_errors(config):
        raise file.error(keys, message)
    return tasks


def _source(file: "ConfigFile", config: "Config") -> "AlignedSource":
    """The features, tried out on the model: it must take them before a run is begun."""
    from extract.source import AlignedSource
    from extract.store import FeatureStore
    from fusion.front import Front
    from fusion.module import check_loss
    from fusion.weights import build_model

    with file.at("features"):
        source = AlignedSource(FeatureStore(Path(config.store)), config.features)
        dims = {name: source.dim(name) for name in source.names()}
        Front(dims, config.features)
    with file.at("model"):
        model = build_model(config, dims)
    for name in config.losses:
        with file.at("losses", name):
            check_loss(name, config, model)
    return source


def _facts(
    tasks: "dict[str, Task]", labels: "dict[str, dict[str, dict[str, Labels]]]", source: "AlignedSource"
) -> dict[str, Any]:
    """What run.json says of a run before it is trained."""
    return {
        "tasks": {name: task.settings() for name, task in tasks.items()},
        "label_kinds_seen": sorted(tasks),
        "recipes": source.recipes,
        "splits": {
            split: {name: _size(by_clip) for name, by_clip in by_task.items()} for split, by_task in labels.items()
        },
    }


def _size(by_clip: "dict[str, Labels]") -> dict[str, int]:
    scored = sum(int(labels.scored.sum()) for labels in by_clip.values())
    return {"clips": len(by_clip), "frames": sum(map(len, by_clip.values())), "scored": scored}
