"""A recipe that is ready to run: its config, members, data set and stages, checked before the first stage."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.challenge.rules import OF_AFFWILD2
from abaw.challenge.template import find_templates
from abaw.competition.encoders import used_encoders
from abaw.competition.stages import Places, Stage, members_of, stages_of
from abaw.competition.state import check_same, check_weights, facts, why_predict_again
from abaw.competition.templates import check_templates
from abaw.configs.file import as_setting, read_config
from abaw.dataset.layout import open_dataset
from abaw.errors import InputError
from abaw.evaluation.labels import has_validation, labels_by_task
from abaw.folds import split_labels
from abaw.numbers import check_fps
from abaw.pipelines.configuration import check_encoders, check_plugins, check_training, open_config
from abaw.pipelines.extraction import check_detector, check_encoder
from abaw.pipelines.features import find_recipes, same_features
from abaw.results.runs import RESUME, Run, labels_hash
from abaw.tasks import TASKS, for_dataset
from abaw.teachers.targets import check_teachers

if TYPE_CHECKING:
    from abaw.configs.sections import Config, FoldsConfig
    from abaw.dataset.layout import Dataset
    from abaw.tasks.base import Task

LOG = logging.getLogger("abaw")


@dataclass(frozen=True)
class Job:
    """A recipe that is ready to run.

    ``settings`` are applied over the config at ``path``, for all members; ``members`` has the further settings of each
    by name. ``extraction``: the options of that stage. ``labels``: for each member, the hash of the labels by fold.
    ``trust``: whether the runs' plug-ins may be run.
    """

    path: str | Path
    settings: list[str]
    config: "Config"
    tasks: "Mapping[str, Task]"
    dataset: "Dataset"
    places: "Places"
    members: Mapping[str, list[str]]
    stages: "list[Stage]"
    extraction: Mapping[str, Any]
    labels: Mapping[str, list[str]]
    trust: bool = False

    @property
    def data(self) -> Path:
        """The data set."""
        return Path(self.config.data)

    @property
    def record(self) -> Path:
        """The file in which the whole config is kept, beside the results."""
        return self.places.work / "config.yaml"

    def of_fold(self, member: str, fold: int) -> list[str]:
        """The settings of one run."""
        return [*self.settings, *self.members[member], f"name={member}-fold{fold}", f"folds.fold={fold}"]

    def run(self, member: str, fold: int) -> Run:
        """The run of a member and a fold, trained or not."""
        return Run(self.places.run(member, fold), self.trust)

    def is_trained(self, stage: Stage) -> bool:
        """Whether the run of a training stage is complete, with its tables of the clips that it held out.

        Raises InputError where its folder holds a run of another config, of other labels or features, or one whose
        weights have changed.
        """
        run = self.run(stage.member, stage.fold)
        return self._check_run(stage) and why_predict_again(run) is None

    def why_again(self, stage: Stage) -> str | None:
        """Why a training stage must be done again although its run is complete: its tables are damaged."""
        run = self.run(stage.member, stage.fold)
        return why_predict_again(run) if self._check_run(stage) else None

    def _check_run(self, stage: Stage) -> bool:
        """Whether the run of a training stage is complete; raises as ``is_trained``."""
        config = open_config(self.path, self.of_fold(stage.member, stage.fold))[1]
        run = self.run(stage.member, stage.fold)
        state = run.state(config)
        if state == "complete" or (run.folder / RESUME).exists():  # otherwise nothing was trained yet
            labels = self.labels[stage.member][stage.fold]
            check_same(run, labels, *_features(self.places.store, config, run.folder))
        if state == "complete":
            check_weights(run)
        return state == "complete"

    def check_runs(self) -> None:
        """Check every run that exists: an error of ``is_trained`` comes before days of extraction, not after them."""
        for stage in self.stages:
            if stage.kind == "train":
                self._check_run(stage)


def open_job(
    path: str | Path,
    settings: list[str],
    data: Path | None,
    runs: Path,
    work: Path,
    templates: list[Path],
    extraction: Mapping[str, Any],
    *,
    trust: bool = False,
) -> Job:
    """Open a recipe and check all of it that needs no weights, media or features.

    Raises InputError or NotFoundError for what is wrong in the config, its members, the options of the extraction, the
    data set's labels, the templates, and the runs that exist; without ``trust`` also for code that the config names.
    """
    settings = [*settings, *([as_setting("data", str(data))] if data else [])]
    if not trust:
        given = read_config(path, settings)
        check_plugins(given, "a recipe")
        check_encoders(given, "a recipe")
    file, config = open_config(path, settings, trust=trust)
    members = members_of(file, config)
    tasks = {name: TASKS.build(name, **each.settings) for name, each in config.tasks.items()}
    tasks_of = {name: _tasks_of(path, [*settings, *of_member], name, tasks) for name, of_member in members.items()}
    if config.ensemble == "centred" and {kind for task in tasks.values() for kind, _ in task.blocks} != {"values"}:
        raise file.error(
            ("ensemble",), f"centred is for numbers such as those of va, not for {', '.join(tasks)}: set it to mean"
        )
    with file.at("encoders"):
        for encoder in config.encoders:
            check_encoder(encoder)
    _check_options(**extraction)
    places = Places(work / config.name, runs, Path(config.store))
    places.check()
    dataset = open_dataset(config.data)
    with file.at("tasks"):
        tasks, *of_members = (for_dataset(each, dataset) for each in (tasks, *tasks_of.values()))
    tasks_of = dict(zip(tasks_of, of_members, strict=True))
    with file.at("folds"):
        labels = _labels_of_members(dataset, tasks_of, config.folds)
    used = used_encoders(config.encoders, _features_of(path, settings, members))
    config = config.model_copy(update={"encoders": used})
    found = _templates(templates, dataset, tasks)
    of_features = {key: extraction[key] for key in ("faces", "assume_fps")}
    with file.at("folds", "num"):
        stages = stages_of(config, list(members), places, facts(dataset), found, of_features)
    job = Job(path, settings, config, tasks, dataset, places, members, stages, extraction, labels, trust)
    job.check_runs()
    _check_teachers(job, tasks_of)
    return job


def _check_teachers(job: Job, tasks_of: "Mapping[str, Mapping[str, Task]]") -> None:
    """Raise InputError where a run that is not complete cannot be trained by the teachers that its config names."""
    for stage in job.stages:
        if stage.kind != "train" or job.run(stage.member, stage.fold).is_complete():
            continue
        file, config = open_config(job.path, job.of_fold(stage.member, stage.fold))
        if config.pseudo_labels.tables or config.distillation.tables:
            tasks = tasks_of[stage.member]
            official = {split: labels_by_task(job.dataset, tasks, split) for split in ("train", "validation")}
            check_teachers(file, config, job.dataset, tasks, split_labels(official, tasks, config.folds))


def _features_of(path: str | Path, settings: list[str], members: Mapping[str, list[str]]) -> dict[str, None]:
    """The features that at least one member takes."""
    each = [open_config(path, [*settings, *of_member])[1].features for of_member in members.values()]
    return dict.fromkeys(name for features in each for name in features)


def _templates(given: list[Path], dataset: "Dataset", tasks: "Mapping[str, Task]") -> list[Path]:
    """The templates that are given, or else those in the data set. Raises InputError where one cannot be filled."""
    found = given or find_templates(dataset, tasks.values()) or _own_rows(dataset, tasks)
    if not found:
        names = ", ".join(tasks)
        if dataset.manifest is not None:
            LOG.info("%s has no test clips: no table of predictions will be written", dataset.manifest.file)
        else:
            LOG.info(
                "no template for %s in %s: no challenge file will be written; give --template", names, dataset.root
            )
    if found and not any(task.clips(dataset, "test") for task in tasks.values()):
        wanted = " or ".join(task.wanted("test") for task in tasks.values())
        raise InputError(f"{found[0]} is a template, but {dataset.root} names no test clips: expected {wanted}")
    check_templates(found, dataset, tasks)
    several = [name for name in tasks if name in OF_AFFWILD2]
    if found and len(several) > 1:
        LOG.warning(
            "uni-task rule: the runs learn from labels of %s; on Aff-Wild2 no challenge accepts their predictions: "
            "give the recipe one task, as the configs va and expr do",
            " and ".join(several),
        )
    return found


def _own_rows(dataset: "Dataset", tasks: "Mapping[str, Task]") -> list[Path]:
    """The data set file, where it defines the recipe's only task and the test clips."""
    if dataset.manifest is None or len(tasks) != 1:
        return []
    return [dataset.manifest.file] if any(task.clips(dataset, "test") for task in tasks.values()) else []


def _features(store: Path, config: "Config", run: Path) -> tuple[Any, Any]:
    """The recipes of a config's features that the store has, and a function that compares two recipes.

    Raises InputError where several recipes have the name of one feature, or one cannot be read.
    """
    try:
        return find_recipes(store, config.features), same_features
    except InputError as error:
        raise InputError(
            f"{run} was trained on features that cannot be compared with those in the store now: {error}. Of several "
            "recipes, delete those that this recipe does not use, or choose one and give another name=..."
        ) from error


def _labels_of_members(
    dataset: "Dataset", tasks_of: "Mapping[str, Mapping[str, Task]]", folds: "FoldsConfig"
) -> dict[str, list[str]]:
    """The hash of the labels of each fold, by member. Labels are read once for all members with the same tasks."""
    found: dict[str, list[str]] = {}
    keys = {name: repr([task.settings() for task in tasks.values()]) for name, tasks in tasks_of.items()}
    for name, key in keys.items():
        if key not in found:
            found[key] = _labels(dataset, tasks_of[name], folds)
    return {name: found[key] for name, key in keys.items()}


def _labels(dataset: "Dataset", tasks: "Mapping[str, Task]", folds: "FoldsConfig") -> list[str]:
    """The hash of the labels of each fold. Raises InputError where a fold cannot be held out."""
    if dataset.manifest is not None and not has_validation(dataset, tasks):
        raise InputError(
            f"{dataset.manifest.file} has no validation clip, on which a recipe scores: put groups into validation "
            "(column split), or train on folds without a recipe: abaw train CONFIG --folds"
        )
    official = {split: labels_by_task(dataset, tasks, split) for split in ("train", "validation")}
    of_fold = [folds.model_copy(update={"fold": fold}) for fold in range(folds.number)]
    return [labels_hash(split_labels(official, tasks, each)) for each in of_fold]


def _check_options(*, device: str, faces: str, assume_fps: float | None, **_: Any) -> None:
    """Raise InputError where an option of the extraction is wrong."""
    import torch

    check_detector(faces)
    if assume_fps is not None:
        check_fps(assume_fps, "--assume-fps")
    try:
        asked = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"--device is {device!r}, expected cpu, cuda or cuda:1") from error
    num_devices = torch.cuda.device_count()  # initialises none of them
    if asked.type == "cuda" and (asked.index or 0) >= num_devices:
        raise InputError(f"no device {device!r}: this machine has {num_devices} CUDA devices; give --device cpu")


def _tasks_of(path: str | Path, settings: list[str], name: str, tasks: "Mapping[str, Task]") -> "dict[str, Task]":
    """A member's tasks. Raises InputError where its settings are wrong or its tasks are not those of the recipe."""
    try:
        file, config = open_config(path, settings)
        check_training(file, config)
        found = {task: TASKS.build(task, **each.settings) for task, each in config.tasks.items()}
    except ValueError as error:
        raise InputError(f"member {name}: {error}") from error
    if found.keys() != tasks.keys():
        raise InputError(
            f"member {name} has the tasks {', '.join(found)}, the recipe {', '.join(tasks)}: give both the same tasks"
        )
    return found
