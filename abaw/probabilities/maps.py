"""Maps of logits after which probabilities are as often right as they say: calibration, applied with numpy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from abaw.errors import InputError
from abaw.probabilities.contexts import Modalities, contexts_of
from abaw.registry import nearest
from abaw.tasks.base import Task

MapKind = Literal["temperature", "isotonic", "by modality"]
ALL = "all"  # the map of all contexts
LIMIT = 1e6  # of knots and of what they are mapped to, far beyond any logit: sums and differences stay finite
KEYS = ("kind", "columns", "modalities", "knots", "maps")
AGAIN = "fit one on tables of this task with abaw fit"


def centred(task: Task, logits: Float[np.ndarray, "n out"]) -> Float[np.ndarray, "n out"]:
    """Logits as the maps take them: those of a block of classes minus their mean, since only differences count."""
    found = np.array(logits, np.float64)
    for kind, own in blocks_of(task):
        if kind == "classes":
            found[:, own] -= found[:, own].mean(axis=1, keepdims=True)
    return found


def blocks_of(task: Task) -> list[tuple[str, slice]]:
    """The blocks of a task's logits that can be calibrated: classes and units; values cannot, CCC is no probability."""
    found: list[tuple[str, slice]] = []
    first = 0
    for kind, width in task.blocks:
        if kind != "values":
            found.append((kind, slice(first, first + width)))
        first += width
    return found


@dataclass(frozen=True)
class ProbabilityMaps:
    """A monotone, piecewise linear map of every logit of a task, which may depend on what was observed in the frame.

    ``maps``: context -> for each logit the values at ``knots``, linear between them; none for a logit that is a value.
    The context "all" is used for frames whose context has no map of its own. ``columns`` are those of the task's
    tables, ``modalities`` the features that tables with contexts have. Logits of classes are taken minus their mean
    (``centred``). Applied after smoothing, before scale and bias. Raises InputError where the maps decrease, do
    not have one value for each knot, or where the straight line of a temperature does not rise.
    """

    kind: MapKind
    columns: tuple[str, ...]
    modalities: tuple[str, ...]
    knots: tuple[float, ...]
    maps: tuple[tuple[str, tuple[tuple[float, ...], ...]], ...]

    def __post_init__(self) -> None:
        knots = np.array(self.knots)
        if len(knots) < 2 or not _are_usable(knots) or not (np.diff(knots) > 0).all():
            raise InputError(
                f"calibration: knots are {self.knots}, expected two or more numbers that increase, from {-LIMIT:g} to "
                f"{LIMIT:g}"
            )
        if ALL not in dict(self.maps):
            raise InputError(f"calibration: there is no map {ALL!r}, which serves frames without a map of their own")
        for context, maps in self.maps:
            for each in filter(len, maps):
                if len(each) != len(knots) or not _are_usable(each) or (np.diff(each) < 0).any():
                    raise InputError(
                        f"calibration: a map of {context!r} is not {len(knots)} numbers from {-LIMIT:g} to {LIMIT:g} "
                        "that do not decrease"
                    )
        if self.kind == "temperature" and not any(each[-1] > each[0] for each in self._of_all if each):
            raise InputError(f"calibration: kind is temperature, but no map rises: {AGAIN}")

    @property
    def _of_all(self) -> tuple[tuple[float, ...], ...]:
        return dict(self.maps)[ALL]

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts that have maps of their own."""
        return tuple(name for name, _ in self.maps if name != ALL)

    def apply(
        self, task: Task, logits: Float[np.ndarray, "time out"], modalities: Modalities | None = None
    ) -> Float[np.ndarray, "time out"]:
        """The mapped logits. Raises InputError for maps of another task and for tables of other modalities."""
        self.check(task)
        modalities = modalities or {}
        self.check_modalities(modalities)
        return self.apply_in(centred(task, logits), contexts_of(modalities, len(logits)))

    def apply_in(self, taken: Float[np.ndarray, "n out"], contexts: np.ndarray) -> Float[np.ndarray, "n out"]:
        """The maps of logits that are ``centred``, given the context of each row (n) in words."""
        found = np.array(taken, np.float64)
        own = np.isin(contexts.astype(str), self.contexts)
        for context, maps in self.maps:
            rows = np.flatnonzero(~own if context == ALL else contexts == context)
            for i, values in enumerate(maps):
                if values:
                    found[rows, i] = np.interp(taken[rows, i], self.knots, values)
        return found

    def check(self, task: Task) -> None:
        """Raises InputError where the maps are of another task or of other classes."""
        if self.columns != task.columns:
            raise InputError(
                f"calibration: it was fitted on the columns {', '.join(self.columns)}, {task.name} has "
                f"{', '.join(task.columns)}: {AGAIN}"
            )
        if any(len(maps) != task.out_dim for _, maps in self.maps):
            raise InputError(f"calibration: expected a map for each of the {task.out_dim} logits of {task.name}")
        mapped = {i for _, own in blocks_of(task) for i in range(own.start, own.stop)}
        for context, maps in self.maps:
            if mapped != {i for i, each in enumerate(maps) if each}:
                what = f"expected maps of its {len(mapped)} classes or units" if mapped else "expected no calibration"
                raise InputError(
                    f"calibration: the maps of {context!r} are not of the probabilities of {task.name}: {what}; values "
                    f"such as valence cannot be calibrated: {AGAIN}"
                )

    def check_modalities(self, names: Iterable[str]) -> None:
        """Raises InputError where the maps depend on what was observed, of other modalities than the tables have.

        Tables that do not say what was observed get the map of all (``remark``).
        """
        given = sorted(names)
        if self.contexts and given and given != sorted(self.modalities):
            raise InputError(
                f"calibration: it was fitted on tables of {', '.join(self.modalities)}, these are of "
                f"{', '.join(given)}: fit it on tables of the same features with abaw fit"
            )

    def remark(self, counts: Mapping[str, int]) -> str:
        """Which frames get the map of all because their context has none; ``counts``: context -> frames. "": none."""
        without = {name: num for name, num in counts.items() if num and name not in self.contexts}
        if not self.contexts or not without:
            return ""
        if without.keys() == {""}:
            return (
                "calibration: the tables do not say which modalities were observed, so every frame gets the map of all"
            )
        words = ", ".join(f"{name or 'unknown'} ({num} frames)" for name, num in sorted(without.items()))
        return f"calibration: the map of all is used where no map was fitted for what was observed: {words}"

    def __str__(self) -> str:
        if self.kind == "temperature":
            values = next(each for each in self._of_all if each and each[-1] > each[0])
            return f"calibrated by temperature {(self.knots[-1] - self.knots[0]) / (values[-1] - values[0]):.3g}"
        if not self.contexts:
            return "calibrated by isotonic maps"
        return f"calibrated by isotonic maps for {', '.join(self.contexts)} observed"

    def document(self) -> dict[str, Any]:
        """As it is written to JSON."""
        maps = {context: [list(each) for each in maps] for context, maps in self.maps}
        lists = {"columns": list(self.columns), "modalities": list(self.modalities), "knots": list(self.knots)}
        return {"kind": self.kind, **lists, "maps": maps}


def parse_maps(document: Any) -> ProbabilityMaps:
    """The inverse of ``ProbabilityMaps.document``. Raises InputError for anything else."""
    if not isinstance(document, dict):
        raise InputError(f"calibration is {document!r}, expected an object with the keys {', '.join(KEYS)}")
    for key in document:
        if key not in KEYS:
            raise InputError(f"unknown key {key!r} in calibration{nearest(key, KEYS)} known: {', '.join(KEYS)}")
    if missing := [key for key in KEYS if key not in document]:
        raise InputError(f"calibration has no {', '.join(missing)}: {AGAIN}")
    if document["kind"] not in get_args(MapKind):
        raise InputError(f"calibration: kind is {document['kind']!r}, expected one of {', '.join(get_args(MapKind))}")
    try:
        maps = {
            str(context): tuple(tuple(map(_number, each)) for each in maps)
            for context, maps in document["maps"].items()
        }
        columns, modalities = (tuple(map(str, document[key])) for key in ("columns", "modalities"))
        knots = tuple(map(_number, document["knots"]))
        return ProbabilityMaps(document["kind"], columns, modalities, knots, tuple(maps.items()))
    except (TypeError, AttributeError) as error:
        raise InputError(f"calibration is not what abaw fit writes ({error}): {AGAIN}") from None


def _are_usable(numbers: Sequence[float] | np.ndarray) -> bool:
    return bool((np.abs(numbers) <= LIMIT).all())  # False where one is NaN


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) <= LIMIT:
        raise InputError(f"calibration: {str(given)[:40]!r} is no number from {-LIMIT:g} to {LIMIT:g}: {AGAIN}")
    return float(given)
