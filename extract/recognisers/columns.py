"""From a recogniser's outputs to the columns of a task's prediction tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from abaw.errors import InputError
from abaw.registry import nearest
from abaw.tasks.base import Task
from extract.recognisers.base import LEFT_OUT, Classes, Outputs, Recogniser, Units, Values, slices

KINDS: Mapping[str, type[Classes] | type[Units] | type[Values]] = {
    "classes": Classes,
    "units": Units,
    "values": Values,
}  # of a task's blocks

# words that data sets and networks use for the same class
ALIASES = (
    ("neutral", "neu", "neutrality"),
    ("anger", "angry", "ang"),
    ("disgust", "disgusted", "dis"),
    ("fear", "fearful", "fea"),
    ("happiness", "happy", "hap", "joy"),
    ("sadness", "sad"),
    ("surprise", "surprised", "sur"),
    ("contempt", "contemptuous"),
    ("calm", "calmness"),
    ("other", "others"),
)
MAX_VALUE = 2.0  # networks exceed [-1, 1], which scores clip; what is further out is of another range

_GROUP = {word: i for i, words in enumerate(ALIASES) for word in words}


@dataclass(frozen=True)
class _Block:
    """A group of outputs and what it fills: output i counts for column j of the block where ``matrix[i, j]`` is 1."""

    outputs: Outputs
    taken: slice
    filled: slice
    matrix: Float32[np.ndarray, "output column"]


@dataclass(frozen=True)
class Columns:
    """How outputs fill the columns of a task.

    ``goals``: output -> the column's name that takes it. ``left_out``: outputs of the same kind that no column takes.
    ``unknown``: classes and units of the task that no output stands for; their probability is 0.
    """

    task: Task
    blocks: tuple[_Block, ...]
    goals: Mapping[str, str]
    left_out: tuple[str, ...]
    unknown: tuple[str, ...]

    def table(
        self, rows: Float[np.ndarray, "time output"], observed: Bool[np.ndarray, " time"]
    ) -> Float32[np.ndarray, "time column"]:
        """The values of a prediction table.

        Rows that are not observed say nothing: their known classes are equally likely, units are at 0.5, and values in
        the middle of their range. Raises InputError where outputs cannot be what their activation, scale and shift say.
        """
        found = np.zeros((len(rows), len(self.task.columns)), np.float32)
        for block in self.blocks:
            given = rows[:, block.taken].astype(np.float64)
            made: np.ndarray
            if isinstance(block.outputs, Values):
                made = (block.outputs.scale * given + block.outputs.shift) @ block.matrix
                _check_values(block.outputs, given[observed], block.matrix)
                nothing = np.zeros(made.shape[1])
            else:
                _check_activation(block.outputs, given[observed])
                made = _probabilities(block.outputs, given, block.matrix)
                is_known = block.matrix.any(axis=0)
                nothing = np.asarray(is_known / (is_known.sum() if isinstance(block.outputs, Classes) else 2))
            found[:, block.filled] = np.where(observed[:, None], made, nothing)
        if all(isinstance(block.outputs, Values) for block in self.blocks):
            return self.task.probabilities(found)  # from -1 to 1 to the task's own range
        return found


def answers(recogniser: Recogniser, task: Task) -> bool:
    """Whether outputs of the recogniser stand for the task: at least for one class of each block, for every value."""
    if not task.columns or sum(width for _, width in task.blocks) != len(task.columns):
        return False
    return bool(task.blocks) and all(_group(recogniser, kind, names) is not None for kind, names, _ in _blocks_of(task))


def columns_of(recogniser: Recogniser, task: Task) -> Columns:
    """How the recogniser's outputs fill the task's columns.

    Raises InputError where a value of the task is none of its outputs, and where one of its classes is none of the
    task's and nothing says what becomes of it.
    """
    if not answers(recogniser, task):
        raise InputError(
            f"{recogniser.name} does not predict {task.name}: its outputs are {_listed(recogniser.names)}, the columns "
            f"of {task.name} are {_listed(_plain(task.columns))}; where these are other words for the same, give "
            f"map=OUTPUT:COLUMN/..."
        )
    blocks: list[_Block] = []
    goals: dict[str, str] = {}
    unknown: list[str] = []
    places = slices(recogniser.outputs)
    for kind, names, filled in _blocks_of(task):
        group = _group(recogniser, kind, names)
        assert group is not None
        outputs, taken = recogniser.outputs[group], places[group]
        of_block = _goals(recogniser, outputs, names, task)
        matrix = np.zeros((len(outputs.names), len(names)), np.float32)
        for name, goal in of_block.items():
            matrix[outputs.names.index(name), names.index(goal)] = 1
        blocks.append(_Block(outputs, taken, filled, matrix))
        goals |= of_block
        unknown += [name for i, name in enumerate(names) if not matrix[:, i].any()]
    used = [name for block in blocks for name in block.outputs.names]
    left_out = tuple(name for name in used if name not in goals and name != LEFT_OUT)
    return Columns(task, tuple(blocks), goals, left_out, tuple(unknown))


def find_name(word: str, names: Sequence[str]) -> str | None:
    """The name that means the same as the word; None where there is none, or several and none is the word itself.

    >>> find_name("happy", ["Neutral", "Happiness"])
    'Happiness'
    """
    if word in names:
        return word
    lower = word.lower()
    same = [name for name in names if name.lower() == lower]
    if not same and lower in _GROUP:
        same = [name for name in names if _GROUP.get(name.lower()) == _GROUP[lower]]
    return same[0] if len(same) == 1 else None


def _group(recogniser: Recogniser, kind: str, names: Sequence[str]) -> int | None:
    """The first group of outputs of a kind that stands for a block of a task; None where there is none."""
    for i, outputs in enumerate(recogniser.outputs):
        if not isinstance(outputs, KINDS[kind]):
            continue
        met = {_goal(recogniser, outputs, name, names) for name in outputs.names} - {None}
        if (met >= set(names)) if kind == "values" else met:
            return i
    return None


def _goal(recogniser: Recogniser, outputs: Outputs, name: str, names: Sequence[str]) -> str | None:
    """The task's name for an output, None where it has none."""
    if name in recogniser.chosen:
        return find_name(recogniser.chosen[name], names)
    found = find_name(name, names)
    if found is None and isinstance(outputs, Classes) and name in outputs.otherwise:
        return find_name(outputs.otherwise[name], names)
    return found


def _goals(recogniser: Recogniser, outputs: Outputs, names: Sequence[str], task: Task) -> dict[str, str]:
    """Output -> the task's name for it, without those that are left out."""
    found: dict[str, str] = {}
    over: list[str] = []
    for name in outputs.names:
        goal = _goal(recogniser, outputs, name, names)
        chosen = recogniser.chosen.get(name)
        if goal is not None:
            found[name] = goal
        elif chosen is not None and chosen != LEFT_OUT:
            raise InputError(
                f"{recogniser.name}: the map gives {name!r} to {chosen!r}, which {task.name} lacks"
                f"{nearest(chosen, names)} it has {_listed(names)}"
            )
        elif chosen is None and name != LEFT_OUT and isinstance(outputs, Classes):
            over.append(name)  # a unit or a value is for itself: without it the others are the same
    if over:
        raise InputError(
            f"{recogniser.name} has outputs for {_listed(over)}, which {task.name} lacks (it has {_listed(names)}): "
            f"say what becomes of each, as {recogniser.name}:map={over[0]}:{names[0]}, or map={over[0]}:{LEFT_OUT} to "
            "leave it out; several are separated by slashes"
        )
    return found


def _blocks_of(task: Task) -> list[tuple[str, list[str], slice]]:
    """The kind of each block of a task, the names of its columns, and which columns these are."""
    found: list[tuple[str, list[str], slice]] = []
    first = 0
    for kind, width in task.blocks:
        filled = slice(first, first + width)
        found.append((kind, _plain(task.columns[filled]), filled))
        first += width
    return found


def _plain(columns: Sequence[str]) -> list[str]:
    return [column.removeprefix("p_") for column in columns]


def _probabilities(outputs: Classes | Units, given: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    kept = matrix.any(axis=1)
    if outputs.activation == "softmax":
        kept_rows = given[:, kept]  # the probabilities given that one of the kept classes is right
        exp = np.exp(kept_rows - kept_rows.max(axis=1, keepdims=True))
        made = exp @ matrix[kept]
    elif outputs.activation == "sigmoid":
        made = (0.5 * (1 + np.tanh(given / 2))) @ matrix
    else:
        made = given @ matrix
    if isinstance(outputs, Units):
        return np.clip(made, 0, 1)
    return np.divide(made, (total := made.sum(axis=1, keepdims=True)), where=total > 0, out=np.zeros_like(made))


def _check_activation(outputs: Classes | Units, given: np.ndarray) -> None:
    """Raises InputError where outputs are not of the kind that their activation takes."""
    if not len(given):
        return
    low, high = float(given.min()), float(given.max())
    is_within = low >= -1e-3 and high <= 1 + 1e-3
    if outputs.activation == "none" and not is_within:
        raise InputError(
            f"the outputs {_listed(outputs.names)} lie between {low:g} and {high:g}, so they are no probabilities: "
            "give activation=softmax or activation=sigmoid"
        )
    if outputs.activation == "softmax" and is_within and np.allclose(given.sum(axis=1), 1, atol=1e-3):
        raise InputError(
            f"the outputs {_listed(outputs.names)} are probabilities already (each row sums to 1): give activation=none"
        )


def _check_values(outputs: Values, given: np.ndarray, matrix: np.ndarray) -> None:
    """Raises InputError where a value is far from [-1, 1]: its scale and shift are those of another range."""
    for name, column, row in zip(outputs.names, given.T, matrix, strict=True):
        scaled = outputs.scale * column + outputs.shift
        far = np.flatnonzero(abs(scaled) > MAX_VALUE)
        if row.any() and far.size:
            raise InputError(
                f"{name} is {column[far[0]]:g}, and {scaled[far[0]]:g} with scale {outputs.scale:g} and shift "
                f"{outputs.shift:g}, expected about -1 to 1: give the scale and shift of the network's range (scale=2 "
                "and shift=-1 for 0 to 1)"
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
