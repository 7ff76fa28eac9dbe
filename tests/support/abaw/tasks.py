"""Settings, labels and predictions of any task, for the tests that every task must pass."""

import inspect
import itertools
from importlib import import_module
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import torch

from abaw.dataset.annotations import Labels
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair

TASK_NAMES = [part.name for part in TASKS.parts()]
NUM = 24
# settings that a data set gives, without which a task has no columns; the first is what the tests use by default
OF_DATASET = {
    "classes": [{"class_names": ["low", "middle", "high"], "level": level} for level in ("frame", "clip")],
    "values": [
        {"value_names": ["calm", "warm"], "ranges": [[-1, 1], [0, 1]], "level": level} for level in ("frame", "clip")
    ],
}
OF_LABEL_FILES = {"average_repeats"}  # settings that say how label files are read
ON = 0.5  # of a loss, or a term of it, that is off (0) by default


def build(name, **settings):
    """The task with these settings and, where a data set defines its columns, those of one."""
    return TASKS.build(name, **{**OF_DATASET.get(name, [{}])[0], **settings})


def settings_of(name):
    """Each setting of a task that concerns its labels, loss or score: its type and its default."""
    builder = getattr(import_module(TASKS.part(name).module), name)
    hints = get_type_hints(builder)
    known = OF_DATASET.get(name, [{}])[0]
    defaults = {key: each.default for key, each in inspect.signature(builder).parameters.items()}
    return {key: (hints[key], default) for key, default in defaults.items() if key not in {*known, *OF_LABEL_FILES}}


def enumerated(hint):
    return (False, True) if hint is bool else get_args(hint) if get_origin(hint) is Literal else ()


def variants(name):
    """Settings of a task, read from its annotations: every combination of the settings that are enumerated, each of
    them with every optional loss off, and with one of them on. A setting that is called as a task is that task's, and
    of what a data set gives there are other cases, each with default settings."""
    choices = {key: enumerated(hint) for key, (hint, _) in settings_of(name).items() if enumerated(hint)}
    switches = [{}]
    for key, (hint, default) in settings_of(name).items():
        if hint is float and default == 0:
            switches.append({key: ON})
        if key in TASK_NAMES:
            switches += [{key: variant} for variant in variants(key)[1:]]
    chosen = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    default = {key: settings_of(name)[key][1] for key in choices}
    chosen.sort(key=lambda each: each != default)  # the defaults first
    found = [{**values, **switch} for values in chosen for switch in switches]
    usual, *others = OF_DATASET.get(name, [{}])
    return [*({**usual, **settings} for settings in found), *others]


def raw(task, seed=0, num=NUM, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(num, task.out_dim))


def prediction(task, seed=0, num=NUM):
    """Labels that the task makes of random outputs: every task can, whatever its real labels are."""
    return labelled(task, task.probabilities(raw(task, seed, num)))


def labelled(task, table):
    """A row of each row: to a clip-level task a table is one clip, so it is given every row as a table."""
    pieces = [table] if task.resolution == "frame" else np.split(table, len(table))
    return np.concatenate([task.to_labels(piece) for piece in pieces])


def every_class(task):
    """As ``prediction``, and every class of a task of classes occurs."""
    return np.concatenate([prediction(task), labelled(task, task.probabilities(50 * np.eye(task.out_dim)))])


def clip(task, truth, prediction=None, scored=None):
    scored = np.ones(len(truth), bool) if scored is None else scored
    return PredictionPair(truth if prediction is None else prediction, Labels(truth.astype(np.float32), scored))


def tensors(task, seed=0):
    """raw (2 time out) with a gradient, target (2 time goal), scored (2 time) with some of both."""
    target = np.stack([prediction(task, seed + 1), prediction(task, seed + 2)])
    outputs = np.stack([raw(task, seed + 3), raw(task, seed + 4)])
    scored = np.random.default_rng(seed).random((2, NUM)) < 0.6
    return torch.tensor(outputs, dtype=torch.float32, requires_grad=True), torch.tensor(target), torch.tensor(scored)


def changes(name, known):
    """Each setting of a task with a value that is not its default; ``known``: the settings of a fitted task."""
    for key, (hint, default) in settings_of(name).items():
        if key in TASK_NAMES:
            for inner, changed in changes(key, known[key]):
                yield inner, {key: changed}
        elif enumerated(hint):
            yield from ((key, {key: value}) for value in enumerated(hint) if value != default)
        elif hint is float:
            yield key, {key: default + ON}
        elif isinstance(known[key], dict):
            yield from ((key, {key: {**known[key], inner: value + ON}}) for inner, value in known[key].items())
        else:
            yield key, {key: [1.0 + number for number in range(len(known[key]))]}
