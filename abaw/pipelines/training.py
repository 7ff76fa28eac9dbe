"""Training runs: one config, or every fold of it."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abaw.config import Config
    from abaw.config_file import ConfigFile
    from abaw.dataset.annotations import Labels
    from abaw.dataset.layout import Dataset
    from abaw.pipelines.prediction import Member
    from abaw.runs import Run
    from abaw.tasks.base import Task
    from extract.store.source import AlignedSource


LOG = logging.getLogger("abaw")


def train_folds(path: Path, settings: list[str], runs: Path) -> "list[Run]":
    """``train_run`` for every fold of the config, one after the other; complete ones are left as they are.

    ValueError with file and line where there is one fold, or a refit.
    """
    file, config = open_config(path, [*settings, "folds.fold=0"])  # whichever fold it names
    if config.folds.num == 1:
        raise file.error(("folds", "num"), "--folds trains every fold, but folds.num is 1: set folds.num, to 5 say")
    if config.folds.refit:
        raise file.error(("folds", "refit"), "a refit has no folds: take --folds away, or set folds.refit to false")
    of_fold = [[*settings, f"name={config.name}-fold{fold}", f"folds.fold={fold}"] for fold in range(config.folds.num)]
    return [train_run(path, each, runs) for each in of_fold]


def is_first_process() -> bool:
    """Whether this one writes and tells what was trained: of several (DDP, each started with this command) one does."""
    fusion = sys.modules.get("fusion.train")  # it takes seconds to load, and where nothing was trained nobody has
    return fusion is None or fusion.is_first_process()


def train_run(path: Path, settings: list[str], runs: Path) -> "Run":
    """Train what the config says, then predict and score what the fold holds out with the best weights.

    Whatever the config has wrong is told, with file and line, before any data are read or anything is written. Where
    several processes train (DDP), the first alone writes; for the others the run may not be complete on return.
    """
    from abaw.dataset.layout import open_dataset
    from abaw.evaluation.labelled_tables import read_labels
    from abaw.folds import split_labels
    from abaw.runs import Run

    file, config = open_config(path, settings)
    run = Run(runs / config.name)
    if run.state(config) == "complete":
        LOG.info("%s is complete already: delete it, or give another name=..., to train again", run.folder)
        return run
    tasks = _tasks(file, config)
    dataset = open_dataset(Path(config.data))
    official = {split: read_labels(dataset, tasks, split) for split in ("train", "validation")}
    with file.at("folds"):
        labels = split_labels(official, tasks, config.folds)
    tasks = {name: task.fitted(labels["train"][name]) for name, task in tasks.items()}
    source = _source(file, config)
    from fusion.train import train

    if is_first_process():
        run.begin(config, _facts(config, tasks, labels, source))
    try:
        module = train(config, tasks, labels, source, run.folder)
    except Exception:  # whatever it was, a run that has no epoch yet shall not block its name
        if is_first_process():
            run.discard_unless_trained()
        raise
    if is_first_process():
        _judge((run, module, source), dataset, tasks, labels["validation"])
    return run


def open_config(path: Path, settings: list[str]) -> "tuple[ConfigFile, Config]":
    """A config with ``key=value`` laid over it, checked against every registry. ValueError with file and line."""
    from abaw.config_file import read_config
    from abaw.tasks import TASKS
    from extract import ALIGNERS
    from fusion.models import FUSION_MODELS

    file = read_config(path, settings)
    return file, file.config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)


def _judge(
    member: "Member", dataset: "Dataset", tasks: "dict[str, Task]", held_out: "dict[str, dict[str, Labels]]"
) -> None:
    """Predict what was held out and score it; a refit, which holds nothing out, is complete without."""
    from abaw.evaluation.labelled_tables import score_folder
    from abaw.pipelines.prediction import write_predictions

    run, tables, scores = member[0], member[0].predictions("validation"), {}
    if held_out:
        write_predictions([member], dataset, tasks, {name: list(clips) for name, clips in held_out.items()}, tables)
        scores = {name: score_folder(tables, task, held_out[name]) for name, task in tasks.items()}
    run.finish(scores)


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
    from extract.store.source import AlignedSource
    from extract.store.store import FeatureStore
    from fusion.checkpoint import build_model
    from fusion.front import InputStage
    from fusion.module import check_loss

    with file.at("features"):
        source = AlignedSource(FeatureStore(Path(config.store)), config.features)
        dims = {name: source.dim(name) for name in source.names()}
        InputStage(dims, config.features)
    with file.at("model"):
        model = build_model(config, dims)
    for name in config.losses:
        with file.at("losses", name):
            check_loss(name, config, model)
    return source


def _facts(
    config: "Config",
    tasks: "dict[str, Task]",
    labels: "dict[str, dict[str, dict[str, Labels]]]",
    source: "AlignedSource",
) -> dict[str, Any]:
    """What run.json says of a run before it is trained."""
    from abaw.folds import videos_of
    from abaw.runs import labels_hash

    return {
        "tasks": {name: task.settings() for name, task in tasks.items()},
        "label_tasks_seen": sorted(tasks),
        "labels": labels_hash(labels),
        "recipes": source.recipes,
        "folds": config.folds.model_dump(include={"num", "fold", "seed", "refit"}),
        "videos": {split: sorted(videos_of(by_task)) for split, by_task in labels.items()},
        "splits": {
            split: {name: _size(by_clip) for name, by_clip in by_task.items()} for split, by_task in labels.items()
        },
    }


def _size(by_clip: "dict[str, Labels]") -> dict[str, int]:
    scored = sum(int(labels.scored.sum()) for labels in by_clip.values())
    return {"clips": len(by_clip), "frames": sum(map(len, by_clip.values())), "scored": scored}
