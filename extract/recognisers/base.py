"""The interface of a recogniser: an encoder whose outputs are predictions, and what these outputs mean.

A recogniser is one file in ``extract/recognisers`` or a user's plug-in. The file contains

- the builder, a function decorated with ``@RECOGNISERS.register``. Its keyword-only arguments are the settings;
  ``download`` is handed over where the builder takes it. It reads no weights; only the encoder does;
- ``FACTS``, a literal: ``modality``; ``answers``, what the outputs are, in words; ``licence`` of the weights;
  ``commercial``, whether it allows commercial use (None: not known, or it depends); ``trained_on``, the data sets whose
  labels the network has seen, () where they depend on the settings; ``limits``, where there is something that users
  must not expect of it: a clause whose subject is its name;
- ``examples()``, where the defaults do not suffice to build it and its encoder: a list of settings (dicts) for the
  contract tests (tests/contracts/test_recognisers.py), as ``extract.encoders.base`` explains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from abaw.errors import InputError
from abaw.registry import nearest

LEFT_OUT = "-"  # in place of a name: this output is not used
SEPARATOR = "/"  # between the names in a setting

Activation = Literal["softmax", "sigmoid", "none"]


@dataclass(frozen=True)
class Classes:
    """Outputs of which each is a class and one class is right. ``names``: of all of them, in the network's order.

    ``activation`` makes probabilities of the outputs: "softmax"; "sigmoid", each for itself, then divided by their sum;
    "none" where they are probabilities. ``otherwise``: the class that takes the probability of another one where a task
    lacks that (Contempt -> Other). Outputs named "-" are left out: they get no probability.
    """

    names: tuple[str, ...]
    activation: Activation = "softmax"
    otherwise: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Units:
    """Outputs of which each is active or not, for itself: action units. ``names`` and "-" as in ``Classes``."""

    names: tuple[str, ...]
    activation: Literal["sigmoid", "none"] = "sigmoid"


@dataclass(frozen=True)
class Values:
    """Outputs that are values; ``scale`` * output + ``shift`` lies in [-1, 1]. ``names`` and "-" as in ``Classes``."""

    names: tuple[str, ...]
    scale: float = 1.0
    shift: float = 0.0


Outputs = Classes | Units | Values


@dataclass(frozen=True)
class Recogniser:
    """An encoder with the meaning of every one of its outputs. Raises InputError where a name occurs twice.

    ``encoder`` and ``settings``: the name of an encoder or preset, and its settings. ``outputs``: in the network's
    order, and all of them. ``licence``, ``commercial`` and ``trained_on``: as in FACTS; ``trained_on`` is None where it
    is not known. ``limits``: what users must not expect of it, a clause whose subject is its name.
    ``align`` and ``max_gap_s``: how its rows are brought to the frame timestamps. ``chosen``: what the user says
    becomes of a class or unit: the name of one of the task's, or "-" to leave it out.
    """

    name: str
    encoder: str
    settings: Mapping[str, Any]
    outputs: tuple[Outputs, ...]
    licence: str
    commercial: bool | None
    trained_on: tuple[str, ...] | None
    align: str = "linear"
    max_gap_s: float = 0.5
    chosen: Mapping[str, str] = field(default_factory=dict)
    limits: str = ""

    def __post_init__(self) -> None:
        used = [name for name in self.names if name != LEFT_OUT]
        if not used:
            raise InputError(f"{self.name} names no output: give its classes, its values, or both")
        twice = next((name for name in used if used.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{self.name} names two of its outputs {twice!r}: give each output a name of its own")
        others = [name for each in self.outputs if isinstance(each, Classes) for name in each.otherwise]
        for name in [*others, *self.chosen]:
            if name not in used:
                raise InputError(
                    f"{self.name}: the map names {name!r}, which the network lacks{nearest(name, used)} its outputs "
                    f"are {', '.join(used)}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all outputs, in the network's order."""
        return tuple(name for each in self.outputs for name in each.names)

    @property
    def label(self) -> str:
        """The name of its track in a store: that of the encoder alone may be a track of features."""
        return f"{self.name}_outputs"

    def with_map(self, text: str) -> "Recogniser":
        """With what becomes of classes or units, as ``contempt:Other/sad:-``. Raises InputError for anything else."""
        pairs = [part.partition(":") for part in parse_names(text, "map")]
        if not all(name.strip() and goal.strip() for name, _, goal in pairs):
            raise InputError(
                f"map is {text!r}, expected pairs of the network's class and the task's, as sad:Sadness/joy:Other, or "
                f"sad:{LEFT_OUT} to leave one out"
            )
        return replace(self, chosen={name.strip(): goal.strip() for name, _, goal in pairs})

    def check_outputs(self, num: int, own_names: Sequence[str] = ()) -> None:
        """Raises InputError where the network has another number of outputs than this recogniser names, or other names.

        ``own_names``: what the network itself calls its outputs, where it does.
        """
        if num == len(self.names):
            for i, (name, own) in enumerate(zip(self.names, own_names, strict=False)):
                if name not in (LEFT_OUT, own):
                    raise InputError(
                        f"{self.name} names output {i + 1} {name!r}, the network calls it {own!r}: name its outputs "
                        f"as it does, in its order ({', '.join(own_names)})"
                    )
            return
        listed = ", ".join(self.names)
        if num < len(self.names):
            lacking = ", ".join(self.names[num:])
            raise InputError(
                f"{self.name} names {len(self.names)} outputs ({listed}), but the network has {num}: it lacks {lacking}"
            )
        raise InputError(
            f"{self.name} names {len(self.names)} outputs ({listed}), but the network has {num}: name all of them in "
            f"the network's order, and {LEFT_OUT!r} for one to leave out"
        )


def stated(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Of a file's FACTS what a recogniser holds itself: licence, commercial, trained_on, and limits if it has any."""
    return {
        "licence": facts["licence"],
        "commercial": facts["commercial"],
        "trained_on": tuple(facts["trained_on"]) or None,
        "limits": facts.get("limits", ""),
    }


def in_windows(window_s: float) -> dict[str, Any]:
    """How rows that answer for windows of sound are aligned: a frame gets the nearest window, which covers it."""
    return {"align": "nearest", "max_gap_s": window_s / 2 + Recogniser.max_gap_s}


def parse_names(text: str, setting: str) -> tuple[str, ...]:
    """The names in a setting, separated by slashes. Raises InputError where one is empty.

    >>> parse_names("Anger/-/Happiness", "classes")
    ('Anger', '-', 'Happiness')
    """
    names = tuple(name.strip() for name in str(text).split(SEPARATOR)) if text else ()
    if not all(names):
        raise InputError(
            f"{setting} is {text!r}, expected names separated by slashes, and {LEFT_OUT!r} to leave one out"
        )
    return names


def slices(outputs: Sequence[Outputs]) -> list[slice]:
    """The columns of each group in the network's output."""
    found, first = [], 0
    for each in outputs:
        found.append(slice(first, first + len(each.names)))
        first += len(each.names)
    return found


def stated_by_user(licence: str, commercial: bool | None, trained_on: str) -> dict[str, Any]:
    """What the user says of a network that this project does not know: licence, commercial and trained_on."""
    return {
        "licence": licence or "not given",
        "commercial": commercial,
        "trained_on": parse_names(trained_on, "trained_on") or None,
    }
