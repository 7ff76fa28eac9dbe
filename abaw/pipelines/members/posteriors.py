"""Posteriors of trained networks' last layers: fitted to the clips of a run, and deviations of its predictions."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from abaw.dataset.layout import open_dataset
from abaw.errors import InputError
from abaw.evaluation.labels import official_labels
from abaw.folds import split_labels
from abaw.pipelines.persons.groups import within_groups
from abaw.progress import ProgressCallback, silent
from abaw.results.posteriors import has_posterior, read_posterior, write_posterior
from abaw.results.runs import Run, labels_hash
from abaw.uncertainty.last_layer import LastLayerPosterior, LastLayerRows, fit_last_layer

if TYPE_CHECKING:
    from abaw.dataset.annotations import Labels
    from abaw.pipelines.prediction import Member
    from abaw.tasks.base import Task

LOG = logging.getLogger("abaw")


def fit_posteriors(member: "Member", *, progress: ProgressCallback = silent) -> None:
    """Fit and store the posterior of every task with values whose posterior the run does not have.

    The weights' posterior is fitted to the clips that the run was trained on, the noise to those that it held out,
    where there are some. Raises InputError where the run has no such task, where its labels are not those that it was
    trained on, and where another process holds its folder.
    """
    run, module, _ = member
    tasks = {name: task for name, task in run.tasks().items() if task.linear_columns}
    if not tasks:
        raise InputError(
            f"{run.folder} predicts {', '.join(run.tasks())}, and only values have a standard deviation: give a run of "
            "va, mtl or values"
        )
    lacking = {name: task for name, task in tasks.items() if not has_posterior(run, name)}
    if not lacking:
        return
    config = run.config()
    dataset, every = open_dataset(config.data), dict(run.tasks())
    sides = split_labels(official_labels(dataset, every), every, config.folds)
    recorded = run.document().get("labels")
    if recorded is not None and labels_hash(sides) != recorded:
        raise InputError(
            f"the labels in {config.data} are not those that {run.folder} was trained on: restore them, or train again"
        )
    from fusion.predict import predict as run_network
    from fusion.validation import state_key

    clips = list(dict.fromkeys(clip for side in sides.values() for name in lacking for clip in side.get(name, ())))
    _, module, source = within_groups([member], dataset.groups)[0]
    rows: dict[str, dict[str, LastLayerRows]] = {name: {} for name in lacking}
    stream = run_network(module, source, clips, config.window, states_of=list(lacking))
    for done, (clip_id, raw, _) in enumerate(stream):
        progress(f"posterior {clip_id}", done, len(clips))
        times_s = source.clock(clip_id).times_s
        for name, task in lacking.items():
            of_clip = next((each for s in sides.values() if (each := s.get(name, {}).get(clip_id)) is not None), None)
            if of_clip is not None:
                of_frames = of_clip.at(times_s)
                rows[name][clip_id] = labelled_rows(task, raw[state_key(name)], raw[name], of_frames, times_s)
    found = {}
    for name, task in lacking.items():
        trained, held_out = (
            [rows[name][clip] for clip in sides.get(split, {}).get(name, ())] for split in ("train", "validation")
        )
        try:
            found[name] = fit_last_layer(trained, task.linear_columns, held_out)
        except InputError as error:
            raise InputError(f"{run.folder}, {name}: {error}") from error
    with run.hold("a measurement of the posterior", "give another run"):
        for name, posterior in found.items():
            write_posterior(run, name, posterior)
            LOG.info("%s: stored the posterior of the last layer of %s, %s", run.folder, name, posterior)


def labelled_rows(
    task: "Task", states: np.ndarray, raw: np.ndarray, labels: "Labels", times_s: np.ndarray
) -> LastLayerRows:
    """A clip's states, labels and outputs at its scored frames, or in one row where the task is clip-level.

    ``times_s``: of its frames.
    """
    goals = [task.goals.index(column) for column in task.linear_columns]
    if task.resolution == "clip" and len(states):
        states, raw = states.mean(axis=0, keepdims=True), raw.mean(axis=0, keepdims=True)
    num = min(len(states), len(labels))
    values = labels.values[:num, goals]
    scored = labels.scored[:num] & ~np.isnan(values).any(axis=1)
    columns = [task.columns.index(column) for column in task.linear_columns]
    outputs = task.probabilities(raw[:num])[:, columns]
    return LastLayerRows(states[:num][scored], values[scored], outputs[scored], times_s[:num][scored])


def stored_posteriors(run: Run) -> dict[str, LastLayerPosterior]:
    """By task, the posteriors that a run stores."""
    return {name: read_posterior(run, name) for name in run.tasks() if has_posterior(run, name)}


def noise_sources(runs: Sequence[Run], task: str) -> dict[str, str]:
    """Run -> on which clips its noise was measured; {} where a run has no posterior of the task."""
    if not all(has_posterior(run, task) for run in runs):
        return {}
    return {str(run.folder): f"noise from {read_posterior(run, task).noise_source}" for run in runs}


def deviations(
    task: "Task", raw: Mapping[str, np.ndarray], posterior: LastLayerPosterior | None
) -> dict[str, np.ndarray]:
    """The standard deviations of a clip's table by column; {} without a posterior. ``raw`` has the task's states.

    Where the task is clip-level, all frames have the deviation of the clip's label.
    """
    if posterior is None:
        return {}
    from fusion.validation import state_key

    states = raw[state_key(task.name)]
    if not len(states):
        return {column: np.zeros(0, np.float32) for column in posterior.columns}
    if task.resolution == "clip":
        found = np.repeat(posterior.deviations(states.mean(axis=0, keepdims=True)), len(states), axis=0)
    else:
        found = posterior.deviations(states)
    return dict(zip(posterior.columns, found.astype(np.float32).T, strict=True))
