"""A recipe that is open: its config, members, data set and stages, with all checked that can be before the first."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abaw.clips import Dataset
    from abaw.config import Config, FoldsConfig
    from abaw.plans.recipes import Places, Stage
    from abaw.runs import Run
    from abaw.tasks.base import Task

LOG = logging.getLogger("abaw")


@dataclass(frozen=True)
class Job:
    """A recipe that is open: ``members`` are their settings by name, ``extraction`` the options of that stage."""

    path: Path
    settings: list[str]
    config: "Config"
    tasks: "Mapping[str, Task]"
    dataset: "Dataset"
    places: "Places"
    members: Mapping[str, list[str]]
    stages: "list[Stage]"
    extraction: Mapping[str, Any]

    @property
    def data(self) -> Path:
        return Path(self.config.data)

    @property
    def record(self) -> Path:
        """The whole config as it was given, beside what came of it."""
        return self.places.work / "config.yaml"

    def of_fold(self, member: str, fold: int) -> list[str]:
        """The settings of one run."""
        return [*self.settings, *self.members[member], f"name={member}-fold{fold}", f"folds.fold={fold}"]

    def run(self, member: str, fold: int) -> "Run":
        from abaw.runs import Run

        return Run(self.places.run(member, fold))

    def is_trained(self, stage: "Stage") -> bool:
        """Whether a run is complete. ValueError where its folder holds another one."""
        config = read(self.path, self.of_fold(stage.member, stage.fold))[1]
        return self.run(stage.member, stage.fold).state(config) == "complete"


def open_job(
    path: Path,
    settings: list[str],
    data: Path | None,
    runs: Path,
    work: Path,
    templates: list[Path],
    extraction: Mapping[str, Any],
) -> Job:
    """All that can be wrong with a recipe is an error here, before the first stage."""
    from abaw.clips import open_dataset
    from abaw.plans import recipes
    from abaw.plans.ledger import facts
    from abaw.plans.space import as_setting
    from abaw.tasks import TASKS

    settings = [*settings, *([as_setting("data", str(data))] if data else [])]
    file, config = read(path, settings)
    members = recipes.members_of(file, config)
    tasks = {name: TASKS.build(name, **each.settings) for name, each in config.tasks.items()}
    for name, of_member in members.items():
        _check_member(path, [*settings, *of_member], name, tasks)
    if config.ensemble == "centred" and {kind for task in tasks.values() for kind, _ in task.blocks} != {"values"}:
        raise file.error(("ensemble",), f"centred is for values, as of va, not for {', '.join(tasks)}: take mean")
    dataset = open_dataset(Path(config.data))
    with file.at("folds"):
        _check_labels(dataset, tasks, config.folds)
    places = recipes.Places(work / config.name, runs, Path(config.store))
    found = _templates(templates, dataset, tasks)
    of_features = {key: extraction[key] for key in ("faces", "assume_fps")}
    with file.at("folds", "num"):
        stages = recipes.stages(config, list(members), places, facts(dataset), found, of_features)
    job = Job(path, settings, config, tasks, dataset, places, members, stages, extraction)
    for stage in stages:  # a run of the same name but another config is told now, not after days
        if stage.kind == "train":
            job.is_trained(stage)
    return job


def _templates(given: list[Path], dataset: "Dataset", tasks: "Mapping[str, Task]") -> list[Path]:
    """Those given, else those found. ValueError where there are some, but no list of test clips."""
    from abaw.plans.samples import templates_in

    missing = next((path for path in given if not path.is_file()), None)
    if missing:
        raise FileNotFoundError(f"no template at {missing}: give the organisers' sample prediction file")
    found = given or templates_in(dataset, tasks)
    if not found:
        LOG.info("no template for %s in %s: no challenge file is made; give --template", ", ".join(tasks), dataset.root)
    if found and not any(task.clips(dataset, "test") for task in tasks.values()):
        wanted = " or ".join(task.wanted("test") for task in tasks.values())
        raise ValueError(f"{found[0]} is a template, but {dataset.root} names no test clips: expected {wanted}")
    return found


def read(path: Path, settings: list[str]) -> "tuple[Any, Config]":
    """The config's file and the config."""
    from abaw.config_file import read_config
    from abaw.tasks import TASKS
    from extract import ALIGNERS
    from fusion.models import FUSION_MODELS

    file = read_config(path, settings)
    return file, file.config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)


def _check_labels(dataset: "Dataset", tasks: "Mapping[str, Task]", folds: "FoldsConfig") -> None:
    """ValueError where a fold cannot be held out: not after days of extraction."""
    from abaw.folds import split_labels
    from abaw.verbs.score import read_labels

    official = {split: read_labels(dataset, dict(tasks), split) for split in ("train", "validation")}
    for fold in range(folds.num):
        split_labels(official, tasks, folds.model_copy(update={"fold": fold}))


def _check_member(path: Path, settings: list[str], name: str, tasks: "Mapping[str, Task]") -> None:
    from fusion.models import FUSION_MODELS

    try:
        config = read(path, settings)[1]
        FUSION_MODELS.check(config.model.name, config.model.settings)
    except ValueError as error:
        raise ValueError(f"member {name}: {error}") from error
    if config.tasks.keys() != tasks.keys():
        raise ValueError(f"member {name} has the tasks {', '.join(config.tasks)}, the recipe {', '.join(tasks)}: same")
