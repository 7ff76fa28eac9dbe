"""A hyper-parameter search: draw trials, train and rank them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.configs.file import as_setting, read_config
from abaw.dataset.layout import open_once
from abaw.errors import InputError
from abaw.files import as_path, atomic_write
from abaw.files.yaml import dump_yaml
from abaw.pipelines.configuration import Settings, as_texts, model_settings, open_config
from abaw.pipelines.training import RUNS, train
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results.runs import RESUME, Run
from abaw.results.selection import to_ending, words_of_run
from abaw.tuning.space import Vary, read_space
from abaw.tuning.study import Study, Trial, forget, open_study

if TYPE_CHECKING:
    from abaw.configs.file import ConfigFile
    from abaw.configs.sections import Config

LOG = logging.getLogger("abaw")


@dataclass(frozen=True)
class SearchResult:
    """A finished search: its trials, the keys that were varied, and the config of the best trial.

    ``selection``: by number, of trials whose epoch was chosen on the clips that they are scored on, words that say so.
    """

    trials: list[Trial]
    keys: tuple[str, ...]
    best_config: Path
    selection: Mapping[int, str] = field(default_factory=dict)

    def ranked(self) -> list[Trial]:
        """The trials, best first, failed ones last; of equal scores the earlier trial comes first."""
        return sorted(self.trials, key=lambda each: (each.score is None, -(each.score or 0.0)))

    def table(self) -> list[str]:
        """Lines of text: a header, then one line for each trial, best first: number, score and the values drawn.

        Where the epoch of a trial was chosen on the clips that it is scored on, its line ends with these words.
        """
        rows = [["trial", "score", *self.keys]]
        for each in self.ranked():
            values = (each.drawn.get(key, "") for key in self.keys)
            texts = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
            rows.append([str(each.number), "failed" if each.score is None else f"{each.score:.4f}", *texts])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        words = ["", *(to_ending(self.selection.get(each.number, "")) for each in self.ranked())]
        return [
            "  ".join(map(str.ljust, row, widths)).rstrip() + ending for row, ending in zip(rows, words, strict=True)
        ]

    def last_line(self) -> str:
        """The config of the best trial and its score, with what that score was chosen on."""
        best = self.ranked()[0]
        chosen = f"; the best of {len(self.trials)} trials chosen on these clips" if len(self.trials) > 1 else ""
        return f"{self.best_config} {best.score:.4f}{chosen}{to_ending(self.selection.get(best.number, ''))}"


@open_once()
def search(
    config: str | Path,
    settings: Settings = (),
    *,
    vary: Mapping[str, Any] | Sequence[str] = (),
    space: str | Path | None = None,
    trials: int = 20,
    seed: int = 0,
    runs: str | Path = RUNS,
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> SearchResult:
    """Find the settings that score best on the validation split: draw, train and score ``trials`` trials in all.

    ``config``, ``settings`` and ``trust``: as for ``train``, the same for all trials. ``vary``: keys and their values,
    as texts ``"key=LOW:HIGH"``, ``"key=log:LOW:HIGH"`` or ``"key=[A, B]"``, or as a mapping of keys to ``"LOW:HIGH"``,
    ``"log:LOW:HIGH"`` or a list; ``space``: a YAML file of such keys. Trials are runs in the folder
    ``runs/<name>-search``; its best.yaml is the config of the best one. A search that was stopped continues.

    Raises InputError before anything is written where the config or a varied key is wrong, and where the first trial
    cannot be trained; a later trial that cannot be trained counts as failed.
    """
    as_progress(progress)
    if trials < 1:
        raise InputError(f"{trials} trials, expected 1 or more")
    texts = as_texts(settings)
    varied = read_space(as_path(space, "space", optional=True), vary)
    open_config(config, texts, trust=trust)  # loads the plug-ins
    file, checked = read_config(config, texts), _checked(config, texts)
    _check_space(file, config, texts, varied)
    folder = as_path(runs, "runs") / f"{checked.name}-search"
    about = {"config": checked.model_dump(mode="json"), "space": [repr(each) for each in varied], "seed": seed}
    with open_study(folder, about, seed) as study:
        while (trial := _next(study, varied, trials)) is not None:
            LOG.info("trial %d (%d in all): %s", trial.number, trials, trial.drawn)
            _run(study, trial, config, settings_of(file, texts, trial.drawn), folder, progress)
        done = study.trials()
        words = {
            each.number: words_of_run(Run(folder / f"trial-{each.number}").document())
            for each in done
            if each.score is not None
        }
        found = SearchResult(done, tuple(each.key for each in varied), folder / "best.yaml", words)
    _write_best(found, checked, folder)
    return found


def settings_of(file: "ConfigFile", settings: list[str], drawn: dict[str, Any]) -> list[str]:
    """``settings`` with the values drawn applied over them.

    A model other than the file's keeps those of the file's model settings that it has as well.
    """
    changed = []
    model = dict(file.values.get("model") or {})
    if drawn.get("model.name", model.get("name")) != model.get("name"):
        kept = {key: value for key, value in model.items() if key in model_settings(drawn["model.name"], model)}
        changed.append(as_setting("model", kept))
        if file.values.get("losses"):  # they belong to the file's model
            changed.append("losses={}")
    return [*settings, *changed, *(as_setting(key, value) for key, value in drawn.items())]


def _has_meaning(key: str, drawn: dict[str, Any]) -> bool:
    """Whether a key has an effect beside the values drawn before it: a model's setting, if that model has it."""
    group, _, setting = key.partition(".")
    if group != "model" or setting in ("", "name") or not drawn.keys() & {"model", "model.name"}:
        return True
    given = {name.removeprefix("model."): value for name, value in drawn.items() if name.startswith("model.")}
    given = {**drawn.get("model", {}), **given}
    return setting in model_settings(given["name"], given)


def _check_space(file: "ConfigFile", path: str | Path, settings: list[str], space: Sequence[Vary]) -> None:
    """Raise InputError where a value of a key is wrong, or none of the models that may be drawn has such a setting."""
    models = [vary for vary in space if vary.key in ("model", "model.name")]
    starts: list[dict[str, Any]] = []
    for vary in models:
        with _at(vary):
            for value in vary.samples():
                starts.append({vary.key: value})
                _checked(path, settings_of(file, settings, starts[-1]))
    if not models:
        starts = [{}]
        _checked(path, settings)
    for vary in (vary for vary in space if vary not in models):
        with _at(vary):
            meant = [start for start in starts if _has_meaning(vary.key, start)]
            if not meant:
                raise InputError(f"none of the models that are varied has the setting {vary.key}: see abaw list models")
            for value in vary.samples():
                _checked(path, settings_of(file, settings, {**meant[0], vary.key: value}))


@contextmanager
def _at(vary: Vary) -> Iterator[None]:
    """Add the place where a key is varied to the message of an error that is raised inside."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{vary.place}: {error}") from error


def _checked(path: str | Path, settings: list[str]) -> "Config":
    """The config of a trial. Raises InputError, with file and line, where a search cannot train it."""
    file, config = open_config(path, settings)
    if config.trainer.get("devices", 1) not in (1, "1"):
        raise file.error(("trainer", "devices"), "a search trains one run after the other in one process: set it to 1")
    if config.folds.refit:
        message = "a refit holds nothing out, so there is no score to choose by: set folds.refit to false"
        raise file.error(("folds", "refit"), message)
    return config


def _next(study: Study, space: Sequence[Vary], num_trials: int) -> Trial | None:
    """The trial that a stopped search left unfinished, else a new one; None where all trials are finished."""
    trials = study.trials()
    left = next((trial for trial in trials if not trial.is_finished), None)
    if left is not None or len(trials) >= num_trials:
        return left
    return study.draw(space, _has_meaning)


def _run(
    study: Study, trial: Trial, path: str | Path, settings: list[str], folder: Path, progress: ProgressCallback
) -> None:
    """Train one trial, or continue it, and record its score."""
    name = f"trial-{trial.number}"
    try:
        run = train(path, [*settings, f"name={name}"], runs=folder, progress=progress)
    except (ValueError, OSError) as error:
        is_first = all(each.score is None for each in study.trials())
        if is_first and not (folder / name / RESUME).exists():  # an error of the input, which all trials would meet
            forget(folder)
            raise
        if isinstance(error, OSError):  # not caused by the values drawn: the same command continues with this trial
            raise
        study.record(trial.number, None)
        LOG.warning("trial %d failed: %s", trial.number, error)
        return
    ranks = [next(iter(scores.values())) for scores in run.finished()["scores"].values()]
    study.record(trial.number, sum(ranks) / len(ranks))


def _write_best(found: SearchResult, config: "Config", folder: Path) -> None:
    """Write the complete config of the best trial, under the name ``<name>-best``."""
    best = found.ranked()[0]
    if best.score is None:
        raise InputError(f"all {len(found.trials)} trials of {folder} failed: vary other settings")
    values = Run(folder / f"trial-{best.number}").config().model_dump(mode="json") | {"name": f"{config.name}-best"}
    chosen = f"{best.score:.4f}, too high a score because that split chose the trial"
    head = f"# Trial {best.number} of {len(found.trials)}, the best on the validation split: {chosen}\n"
    with atomic_write(found.best_config) as temporary:
        temporary.write_text(head + dump_yaml(values), encoding="utf-8")
