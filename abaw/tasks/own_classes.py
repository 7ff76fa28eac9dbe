"""Classes of any labelled data set: their names come from its data set file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from unicodedata import category

import numpy as np
from jaxtyping import Float, Int

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset
from abaw.dataset.manifests.labels import read_manifest_labels
from abaw.errors import InputError
from abaw.metrics import f1
from abaw.numbers import format_count, parse_integer
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair, ResampledScores, Task
from abaw.tasks.classes import ClassTask, class_counts

Level = Literal["clip", "frame"]
BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and signs of Unicode that nobody sees


@TASKS.register
def classes(
    *,
    class_names: Sequence[str] = (),
    level: Level | None = None,
    class_balance: float = 0.5,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    focal_gamma: float = 0.0,
    focal_alpha: float = 1.0,
    kl_weight: float = 0.0,
    r_drop_weight: float = 0.0,
) -> Task:
    """The classes of a data set with a manifest, per clip or per frame, ranked by macro-F1."""
    return OwnClasses(
        class_balance,
        label_smoothing,
        class_weights,
        focal_gamma,
        focal_alpha,
        kl_weight,
        r_drop_weight,
        tuple(class_names),
        level,
    )


class TaskOfDataset(Task):
    """A task of any labelled data set. ``level`` is that of its labels; before it is known, "clip"."""

    level: Level | None

    header = ""
    folders = ()
    test_lists = ()
    is_of_dataset = True

    @property
    def resolution(self) -> Level:  # type: ignore[override]
        return self.level or "clip"

    def clips(self, dataset: Dataset, split: str) -> tuple[str, ...]:
        return dataset.manifest.clips(split) if dataset.manifest is not None else ()

    def wanted(self, split: str) -> str:
        return f"a data set file with the keys manifest and {self.name}, and labels of {split} clips"


@dataclass(frozen=True, eq=False)
class OwnClasses(TaskOfDataset, ClassTask):  # type: ignore[misc]
    """``class_names`` and ``level`` are those of the data set (``for_dataset``); before that there is no column.

    Scored by macro-F1 over the classes that occur in the scored labels ("classes" of the score counts them), the mean
    of their recalls (UAR), and accuracy. Where ``class_names`` are given, they may have another order than in the data
    set, or more classes. Shares of classes (soft labels) are scored by the class with the largest.
    """

    class_names: tuple[str, ...] = ()
    level: Level | None = None

    name = "classes"
    goal = "class"

    def __post_init__(self) -> None:
        check_names("classes: class_names", self.class_names)
        if len(self.class_names) == 1:
            raise InputError(f"classes: class_names are {self.class_names[0]!r} alone, expected two or more")
        super().__post_init__()

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.class_names

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"p_{name}" for name in self.class_names)

    @property
    def out_dim(self) -> int:  # type: ignore[override]
        return len(self.class_names)

    def for_dataset(self, dataset: Dataset) -> Task:
        found = dataset.manifest.classes if dataset.manifest else None
        if dataset.manifest is None or found is None:
            return self
        lacking = [name for name in found.names if name not in self.class_names]
        if self.class_names and lacking:
            raise InputError(
                f"{dataset.manifest.file} has the class {lacking[0]!r}, the task has {', '.join(self.class_names)}: "
                "give a data set with these classes (aliases rename them), or train a run with its own"
            )
        check_level("classes", self.level, found.level, dataset.manifest.file)
        return replace(self, class_names=self.class_names or found.names, level=found.level)

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        declared = dataset.manifest.classes if dataset.manifest else None
        if dataset.manifest is None or declared is None:
            return {}
        numbers = [self.class_names.index(name) for name in declared.names]
        labels = read_manifest_labels(dataset.manifest, "classes", split)
        convert = self._with_shares if declared.is_soft else self._renumbered
        return {clip_id: replace(each, values=convert(each.values, numbers)) for clip_id, each in labels.items()}

    def _renumbered(self, values: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        return np.array(numbers, np.float32)[values.astype(int)]

    def _with_shares(self, values: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        """The class with the largest share, and the share of every class."""
        shares = np.zeros((len(values), self.out_dim), np.float32)
        shares[:, list(numbers)] = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-6)
        return np.concatenate([shares.argmax(axis=1)[:, None].astype(np.float32), shares], axis=1)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "class_names": list(self.class_names)}

    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        counts = class_counts(by_clip, self.out_dim)
        found = {name: float(values[0]) for name, values in self._scores(counts[None], counts).items()}
        return {**found, "classes": int((counts[2] > 0).sum()), "n": int(counts[2].sum())}

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        statistics = np.stack([class_counts(group, self.out_dim) for group in groups])
        return lambda counts: self._scores(np.tensordot(counts, statistics, 1), statistics.sum(axis=0))

    def _scores(self, counts: np.ndarray, of_all: np.ndarray) -> dict[str, np.ndarray]:
        """The scores of each draw, without the F1 of classes that no clip at all has."""
        absent = {f"F1_{name}" for name, num in zip(self.class_names, of_all[2], strict=True) if not num}
        found = _scores(counts, self.class_names)
        return {name: values for name, values in found.items() if name not in absent}

    def remarks(self, by_clip: Mapping[str, PredictionPair]) -> tuple[str, ...]:
        """The classes without a scored label, which the mean leaves out."""
        counts = class_counts(by_clip, self.out_dim)
        absent = [name for name, num in zip(self.class_names, counts[2], strict=True) if not num]
        if not absent:
            return ()
        return (
            f"F1 and UAR are means over {self.out_dim - len(absent)} of {self.out_dim} classes: no label is "
            f"{' or '.join(absent)} ({format_count(int(counts[1][counts[2] == 0].sum()), 'row')} predicted as such)",
        )

    def parse_row(self, text: str) -> np.ndarray:
        try:
            label = parse_integer(text)
        except InputError as error:
            raise InputError(f"{text!r} is not the number of a class: {error}") from error
        if not 0 <= label < self.out_dim:
            raise InputError(f"{text!r} is not one class 0 .. {self.out_dim - 1}")
        return np.array([float(label)])


def _scores(counts: Int[np.ndarray, "draws 3 classes"], names: Sequence[str]) -> dict[str, Float[np.ndarray, " draws"]]:
    """Macro-F1 and mean recall over the classes that occur, accuracy, and F1 of each class, of each draw."""
    by_class, occurs = f1(counts), counts[:, 2] > 0
    num = np.maximum(occurs.sum(axis=1), 1)
    recall = counts[:, 0] / np.maximum(counts[:, 2], 1)
    return {
        "F1": (by_class * occurs).sum(axis=1) / num,
        "UAR": (recall * occurs).sum(axis=1) / num,
        "accuracy": counts[:, 0].sum(axis=1) / np.maximum(counts[:, 2].sum(axis=1), 1),
        **{f"F1_{name}": by_class[:, i] for i, name in enumerate(names)},
    }


def check_names(what: str, names: Sequence[str]) -> None:
    """Raises InputError where a name is empty, is there twice, or cannot name a column of a table."""
    for i, name in enumerate(names):
        if name != name.strip() or not name.isprintable() or not any(map(_has_ink, name)):
            raise InputError(
                f"{what}: {name!r} is empty or looks so, or has spaces around it or characters that cannot be printed"
            )
        if name in names[:i]:
            raise InputError(f"{what}: {name!r} is there twice: remove one")


def _has_ink(character: str) -> bool:
    return category(character)[0] in "LNPS" and character not in BLANK


def check_level(what: str, given: Level | None, found: Level, file: Path) -> None:
    """Raises InputError where the data set has labels of another level than the task was made for."""
    if given not in (None, found):
        raise InputError(
            f"{file} has labels for every {found}, but {what} has level {given}: leave level out of a config, and "
            "score a run on a data set with labels of its level"
        )
