"""The trials of a search and their scores, in an SQLite file of Optuna's, and its sampler, which draws new ones."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.files import read_json, visible, write_json
from abaw.files.ownership import Owner, own_folder
from abaw.optional import import_optional
from abaw.tuning.space import Vary


@dataclass(frozen=True)
class Trial:
    """``drawn``: the values by key. ``score``: None until the trial is finished, and where it failed."""

    number: int
    drawn: dict[str, Any]
    score: float | None
    is_finished: bool


@contextmanager
def open_study(folder: Path, about: dict[str, Any], seed: int) -> Iterator["Study"]:
    """Open the study in ``folder``, or begin one.

    ``about``: what makes a search another one (its config, space and seed). Raises InputError where the folder holds
    another search, where one is running in it, or where Optuna is not installed.
    """
    optuna = import_optional("optuna", needed_by="a search", extra="search")
    with own_folder(folder, "search", "a search", partial(_foreign, folder), "give another name=..."):
        _check_same(folder / "search.json", about)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
        try:
            study = optuna.create_study(storage=storage, study_name="search", direction="maximize", load_if_exists=True)
            yield Study(study, seed)
        finally:
            storage.engine.dispose()


def _foreign(folder: Path, owner: Owner) -> list[str]:
    """The files in a search's folder that no search wrote."""
    if owner or (
        (folder / "search.json").is_file() and (folder / "study.db").is_file()
    ):  # the latter: an older version
        return []
    return [path.name for path in visible(folder, "*")]


def _check_same(path: Path, about: dict[str, Any]) -> None:
    if not path.is_file():
        write_json(path, about)
        return
    before = read_json(path)
    changed = [key for key in about if before.get(key) != about[key]]
    if changed:
        raise InputError(
            f"{path.parent} holds a search with another {', '.join(changed)}: give this one another name (name=...), "
            "or delete that folder"
        )


class Study:
    """Trials of one search. Each is drawn from the seed, its number and the scores before it, so that a search that was
    stopped and continued draws the same values as one that was not."""

    def __init__(self, study: Any, seed: int) -> None:
        self._study, self._seed = study, seed

    def trials(self) -> list[Trial]:
        """Every trial, by number, without those that were being drawn when the process was killed."""
        return [
            Trial(each.number, each.user_attrs["drawn"], each.value, each.state.is_finished())
            for each in self._study.get_trials(deepcopy=False)
            if "drawn" in each.user_attrs
        ]

    def draw(self, space: Sequence[Vary], has_meaning: Callable[[str, dict[str, Any]], bool]) -> Trial:
        """Draw a new trial, without the keys that have no effect beside the values drawn before them."""
        import optuna

        number = len(self._study.get_trials(deepcopy=False))
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        trial = self._study.ask()
        drawn: dict[str, Any] = {}
        for vary in space:
            if has_meaning(vary.key, drawn):
                drawn[vary.key] = vary.draw(trial)
        trial.set_user_attr("drawn", drawn)
        return Trial(trial.number, drawn, None, False)

    def record(self, number: int, score: float | None) -> None:
        """Record the score of a trial; None, or a score that is not finite, records that it failed."""
        from optuna.trial import TrialState

        if score is None or not math.isfinite(score):
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, score)


def forget(folder: Path) -> None:
    """Delete a study in which nothing was trained, so that a search with corrected input can begin."""
    for name in ("search.json", "study.db"):
        (folder / name).unlink(missing_ok=True)
