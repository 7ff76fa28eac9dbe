"""Training: one run from a config, or one for every fold of it."""

import logging
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.configs.sections import BY_GROUP
from abaw.dataset.layout import open_dataset, open_once
from abaw.dataset.synthetic import kind_of
from abaw.errors import InputError
from abaw.evaluation.labelled_tables import score_folder
from abaw.evaluation.labels import official_labels
from abaw.files import as_path
from abaw.folds import count_folds, seen_in, split_labels
from abaw.pipelines.configuration import Settings, as_texts, check_training, open_config
from abaw.pipelines.embedding.pair_scores import add_pair_scores, check_pairs
from abaw.pipelines.embedding.seen import add_seen, chosen_by
from abaw.pipelines.persons.groups import group_record, measured_groups
from abaw.pipelines.preparing.continuing import open_parent, save_beside_weights
from abaw.pipelines.preparing.facts import count_observed, record_facts
from abaw.pipelines.preparing.selecting import VALIDATION, find_selection
from abaw.processes import end_with_parent_if_any
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results.observed import observed_lines
from abaw.results.runs import RESUME, Run
from abaw.tasks import TASKS, for_dataset
from abaw.teachers.targets import check_teachers, read_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from abaw.configs.file import ConfigFile
    from abaw.configs.sections import Config
    from abaw.dataset.annotations import Labels
    from abaw.dataset.layout import Dataset
    from abaw.pipelines.prediction import Member
    from abaw.tasks.base import Task
    from extract.store.source import AlignedSource
    from fusion.module import FusionModule

LOG = logging.getLogger("abaw")
RUNS = Path("runs")


def train(
    config: str | Path,
    settings: Settings = (),
    *,
    runs: str | Path = RUNS,
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> Run:
    """Train what a config says, then predict and score what it holds out with the weights of the chosen epoch.

    ``training.select_on`` says on which clips the epoch is chosen. "inner" trains twice: without an inner part of the
    training side, on which the epoch is chosen, then on the whole training side for as many epochs.

    ``config``: a YAML file, or the name of a config that comes with the package. ``settings``: ``key=value`` texts or
    a mapping of dotted keys, applied over it. The run's folder is ``runs/<name>``. A run that was stopped continues,
    one that is complete is returned as it is. ``trust``: run the plug-ins that a run names, where its own config is
    given or it continues; those that another config names are the user's own.

    Everything that is wrong in the config is an InputError with file and line before any data are read or anything is
    written. Where several processes train (DDP), the first alone writes; in the others the run may not be complete on
    return. ``progress`` is called for every batch, then for every clip that is predicted.
    """
    as_progress(progress)
    end_with_parent_if_any()
    file, checked = open_config(config, settings, trust=trust)
    run = Run(as_path(runs, "runs") / checked.name, trust)
    if run.is_complete():
        return _as_it_is(run, checked)
    from fusion.train import is_first_process

    # before anything is read: a second training in the folder is refused at once
    with run.hold() if is_first_process() else nullcontext():
        if run.state(checked) == "complete":  # another process has finished it meanwhile
            return _as_it_is(run, checked)
        _train(run, file, checked, progress)
    return run


def _as_it_is(run: Run, config: "Config") -> Run:
    """A run that is complete. Raises InputError where it is one of other settings."""
    run.state(config)
    LOG.info("%s is complete already: delete it, or give another name=..., to train again", run.folder)
    return run


def _train(run: Run, file: "ConfigFile", checked: "Config", progress: ProgressCallback) -> None:
    """Train a run that is new or was stopped, in its folder; the caller holds that."""
    if run.has_begun():
        run.require_plugins()
    dataset, tasks, labels = _of_fold(file, checked)
    tasks = {name: task.fitted(labels["train"][name]) for name, task in tasks.items()}
    own = _source(file, checked)
    with file.at("model"):
        check_pairs(checked, tasks, labels["train"])
    taught = read_targets(file, checked, dataset, tasks, labels, lambda clip_id: len(own.clock(clip_id)))
    every = taught.added_to(labels)
    with file.at("features"):
        source = measured_groups(own, checked.features, dataset.groups, every)
    about = {"data": {"path": str(checked.data), "kind": kind_of(dataset)}}
    facts = {**about, **record_facts(checked, tasks, labels, own.recipes), **group_record(source)}
    with file.at("features"):
        facts |= add_seen(facts, own.recipes, labels["validation"])
    facts |= taught.added_to_facts(facts)
    parent = open_parent(file, checked, labels, own.recipes, trust=run.trusted)
    facts |= parent.added_to_facts(facts)
    observed = count_observed(own, every)
    facts["observed"] = {name: each.document() for name, each in observed.items()}
    with file.at("training", "select_on"):
        select_on, inner = find_selection(checked, dataset, tasks, labels)
    chosen_on = seen_in(inner["validation"] if inner else labels["validation"] if select_on == VALIDATION else {})
    chosen_on = chosen_on | taught.chosen_on | parent.chosen_on | chosen_by(own.recipes)
    selection: dict[str, Any] = {
        "select_on": select_on,
        "videos": list(chosen_on.videos),
        "groups": list(chosen_on.groups),
    }
    from fusion.callbacks import TrainingCost, TrainingProgress
    from fusion.train import is_first_process
    from fusion.train import train as train_module

    cost = TrainingCost()
    if is_first_process():
        for line in observed_lines(observed, "frames of the training clips"):
            LOG.log(logging.INFO if line.startswith("observed: ") else logging.WARNING, "%s", line)
        for line in _label_remarks(dataset, tasks):
            LOG.warning("%s", line)
        run.begin(checked, {**facts, "selection": selection})
    train_network = partial(train_module, anchors=parent.anchors, state=parent.state)
    train_network = partial(train_network, callbacks=[cost, TrainingProgress(progress, checked.name)])
    if select_on == VALIDATION:
        module = train_network(checked, tasks, every, source, run.folder)
    elif inner is None:
        module = train_network(checked, tasks, {**every, "validation": {}}, source, run.folder)
    else:
        parent.warn_of_inner(inner["validation"])
        chosen = _choose_epoch(run, checked, dataset, tasks, taught.added_to(inner), own, train_network)
        LOG.info("best epoch on the inner part: %d; training again on the whole training side", chosen["epochs"])
        selection |= chosen
        every = {**every, "validation": {}}
        module = train_network(checked, tasks, every, source, run.folder, epochs=chosen["epochs"])
    if is_first_process():
        selection["epochs_trained"] = (module.epoch or 0) + 1
        added = {"selection": selection, "cost": cost.record()}
        save_beside_weights(run, parent, checked, module, labels["train"], source)
        _score_held_out((run, module, source), dataset, tasks, labels["validation"], added, progress)


def _label_remarks(dataset: "Dataset", tasks: "Mapping[str, Task]") -> "Iterator[str]":
    """What must be known of the label files that are trained on."""
    for split in ("train", "validation"):
        for task in tasks.values():
            yield from task.label_remarks(dataset, split)


def _choose_epoch(
    run: Run,
    config: "Config",
    dataset: "Dataset",
    tasks: "Mapping[str, Task]",
    inner: "dict[str, dict[str, dict[str, Labels]]]",
    own: "AlignedSource",
    train_network: "Callable[..., FusionModule]",
) -> dict[str, Any]:
    """Train without the inner part, in a folder of its own; the number of epochs with the best score on it, and that.

    Where the run trains on the whole training side already, because it was stopped then, only the weights are read.
    """
    from fusion.checkpoint import load_module, weights_path

    fitted = {name: task.fitted(inner["train"][name]) for name, task in tasks.items()}  # on labels alone
    if (run.folder / RESUME).exists() and weights_path(run.inner).is_file():
        module = load_module(run.inner, config, fitted)
    else:
        source = measured_groups(own, config.features, dataset.groups, inner)
        module = train_network(config, fitted, inner, source, run.inner)
    return {"epochs": (module.epoch or 0) + 1, "scores": module.scores}


@open_once()
def train_folds(
    config: str | Path,
    settings: Settings = (),
    *,
    runs: str | Path = RUNS,
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> list[Run]:
    """Train a run for every fold of the config, one after the other; complete ones are returned as they are.

    The runs are named ``<name>-fold0``, ``<name>-fold1`` and so on. ``trust``: as for ``train``.

    Raises InputError with file and line where the config has a single fold, or asks for a refit.
    """
    as_progress(progress)
    texts = as_texts(settings)
    file, checked = open_config(config, [*texts, "folds.fold=0"], trust=trust)  # whichever fold it names
    if checked.folds.num == 1:
        raise file.error(
            ("folds", "num"), "--folds trains every fold, but folds.num is 1: set folds.num, to 5 say, or groups"
        )
    if checked.folds.refit:
        raise file.error(("folds", "refit"), "a refit has no folds: take --folds away, or set folds.refit to false")
    each = [
        [*texts, f"name={checked.name}-fold{fold}", f"folds.fold={fold}"] for fold in range(_num_folds(file, checked))
    ]
    if checked.pseudo_labels.tables or checked.distillation.tables:
        for own in each:  # before the first is trained: a teacher has often seen what another fold holds out
            file, of_fold = open_config(config, own, trust=trust)
            check_teachers(file, of_fold, *_of_fold(file, of_fold))
    return [train(config, own, runs=runs, trust=trust, progress=progress) for own in each]


def _num_folds(file: "ConfigFile", config: "Config") -> int:
    """How many folds there are; where each group is one, the data set says."""
    if config.folds.num != BY_GROUP:
        return config.folds.number
    dataset, tasks = _of_dataset(file, config)
    with file.at("folds"):
        return count_folds(official_labels(dataset, tasks), tasks, config.folds)


def _of_dataset(file: "ConfigFile", config: "Config") -> "tuple[Dataset, dict[str, Task]]":
    """The data set, and the config's tasks as they are for it."""
    tasks = _tasks(file, config)
    dataset = open_dataset(config.data)
    with file.at("tasks"):
        return dataset, for_dataset(tasks, dataset)


def _of_fold(
    file: "ConfigFile", config: "Config"
) -> "tuple[Dataset, dict[str, Task], dict[str, dict[str, dict[str, Labels]]]]":
    """The data set, the tasks, and the labels of both sides of the config's fold."""
    dataset, tasks = _of_dataset(file, config)
    official = official_labels(dataset, tasks)
    with file.at("folds"):
        return dataset, tasks, split_labels(official, tasks, config.folds)


def predict_held_out(run: Run, device: str = "cpu", progress: ProgressCallback = silent) -> None:
    """Predict and score again, with the weights of a complete run, what it held out. Raises InputError where the labels
    are missing, or another process holds the run's folder.
    """
    from abaw.pipelines.prediction import open_member

    config, tasks = run.config(), dict(run.tasks())
    dataset = open_dataset(config.data)
    official = official_labels(dataset, tasks)
    held_out = split_labels(official, tasks, config.folds)["validation"]
    with run.hold():
        _score_held_out(open_member(run, None, device), dataset, tasks, held_out, progress=progress)


def is_first_process() -> bool:
    """Whether this process writes and reports a training: of several (DDP, each started with this command) one does."""
    fusion = sys.modules.get("fusion.train")  # it takes seconds to load, and where nothing was trained nobody has
    return fusion is None or fusion.is_first_process()


def _score_held_out(
    member: "Member",
    dataset: "Dataset",
    tasks: "dict[str, Task]",
    held_out: "dict[str, dict[str, Labels]]",
    about: "Mapping[str, Any] | None" = None,
    progress: ProgressCallback = silent,
) -> None:
    """Predict and score what was held out; a refit holds nothing out and is complete without."""
    from abaw.pipelines.prediction import write_predictions

    run, tables, scores = member[0], member[0].predictions("validation"), {}
    if held_out:
        chosen = {name: list(clips) for name, clips in held_out.items()}
        write_predictions([member], dataset, tasks, chosen, tables, progress=progress)
        scores = {name: score_folder(tables, task, held_out[name]) for name, task in tasks.items()}
    scores, pairs = add_pair_scores(scores, member, held_out)
    run.finish(scores, {**(about or {}), **pairs})


def _tasks(file: "ConfigFile", config: "Config") -> "dict[str, Task]":
    """The config's tasks; whatever is wrong in it that needs no data to be seen is an error here."""
    tasks = {}
    for name, task in config.tasks.items():
        with file.at("tasks", name):
            tasks[name] = TASKS.build(name, **task.settings)
            _check_rebuilds(name, tasks[name], task.settings)
    check_training(file, config)
    return tasks


def _check_rebuilds(name: str, task: "Task", given: "Mapping[str, Any]") -> None:
    """A task must say by what name and settings the run rebuilds it: an error now, not after the last epoch."""
    if task.name != name:
        raise InputError(f"task {name!r} has the attribute name = {task.name!r}, expected {name!r}")
    settings = task.settings()
    if not isinstance(settings, dict) or not given.keys() <= settings.keys():
        lacking = sorted(given) if not isinstance(settings, dict) else sorted(given.keys() - settings.keys())
        raise InputError(
            f"task {name!r}: its method settings() returns {settings!r}, expected a dict of all settings"
            + (f", with {', '.join(lacking)}" if lacking else "")
        )
    TASKS.check(name, settings)


def _source(file: "ConfigFile", config: "Config") -> "AlignedSource":
    """The features, tried on the model: it must accept them before a run is begun."""
    from extract.store.source import AlignedSource
    from extract.store.store import FeatureStore
    from fusion.adaptation.inner_loop import check_adaptation
    from fusion.checkpoint import build_model
    from fusion.input_stage import InputStage, compute_model_dims
    from fusion.validation import check_loss

    with file.at("features"):
        source = AlignedSource(FeatureStore(config.store), config.features)
        dims = {name: source.dim(name) for name in source.names()}
        InputStage(dims, config.features)
    with file.at("model"):
        model = build_model(config, dims)
    with file.at("adaptation"):
        check_adaptation(model, compute_model_dims(dims, config.features), config.adaptation)
    for name in config.losses:
        with file.at("losses", name):
            check_loss(name, config, model)
    return source
