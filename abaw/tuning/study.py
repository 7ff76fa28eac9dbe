"""A search's memory: which trials were drawn and what they gave, with Optuna's sampler, in one SQLite file."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.files import folder_lock, read_json, write_json
from abaw.tuning.space import Vary


@dataclass(frozen=True)
class Trial:
    """``drawn``: key -> value. ``score``: None until it is told, and where the trial failed."""

    number: int
    drawn: dict[str, Any]
    score: float | None
    is_over: bool


@contextmanager
def open_study(folder: Path, about: dict[str, Any], seed: int) -> Iterator["Study"]:
    """The study in ``folder``, new or as it was left.

    ValueError where it is of another search (``about``), where one goes on in it at this moment, or where Optuna is not
    installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError("abaw search needs the package optuna: pip install 'abaw[search]'") from error
    with folder_lock(folder, "a search"):
        _check_same(folder / "search.json", about)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
        try:
            study = optuna.create_study(storage=storage, study_name="search", direction="maximize", load_if_exists=True)
            yield Study(study, seed)
        finally:
            storage.engine.dispose()


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
    """Trials are drawn from seed, number and what earlier ones gave alone: a search that was killed and called again
    draws what an unbroken one draws."""

    def __init__(self, study: Any, seed: int) -> None:
        self._study, self._seed = study, seed

    def trials(self) -> list[Trial]:
        """Every trial, by number, without those in whose drawing the process was killed."""
        return [
            Trial(each.number, each.user_attrs["drawn"], each.value, each.state.is_finished())
            for each in self._study.get_trials(deepcopy=False)
            if "drawn" in each.user_attrs
        ]

    def draw(self, space: Sequence[Vary], has_meaning: Callable[[str, dict[str, Any]], bool]) -> Trial:
        """A new trial; a key that has no meaning beside what was drawn before it is left out."""
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
        """What a trial gave; None or a score that is no number: it failed."""
        from optuna.trial import TrialState

        if score is None or not math.isfinite(score):
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, score)


def forget(folder: Path) -> None:
    """Take away a study in which nothing was trained, so that a wrong input blocks no right one."""
    for name in ("search.json", "study.db", "lock"):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
