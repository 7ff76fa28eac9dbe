"""The stages of a recipe: what each is for, what it reads and what it makes.

Runs are folders of RUNS. Everything else is in one folder, WORK/<name>: held-out predictions and the post-processing
that was fitted on them, predictions for the official validation split and for the test clips, the challenge files, and
recipe.json, which records what each stage was made from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abaw.challenge.own_files import is_data_set_file
from abaw.configs.file import ConfigFile, as_setting
from abaw.configs.sections import UNTRAINED, Config
from abaw.errors import InputError
from abaw.numbers import format_count

OF_RECIPE = {"name", "data", "store", "folds", *UNTRAINED}  # keys that no member may set


@dataclass(frozen=True)
class Stage:
    """One step of a recipe. Its outputs depend on ``settings`` and ``inputs`` only.

    ``member`` and ``fold``: those that the stage works for, where it works for one; for "submit" the name of the file.
    """

    kind: str
    why: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    member: str = ""
    fold: int = 0

    @property
    def name(self) -> str:
        """The stage's name, which no other stage of the recipe has."""
        fold = f" fold {self.fold}" if self.kind == "train" else ""
        return f"{self.kind} {self.member}".rstrip() + fold


@dataclass(frozen=True)
class Places:
    """The folders of a recipe: ``work`` for its results, ``runs`` for its runs, and the feature ``store``."""

    work: Path
    runs: Path
    store: Path

    def run(self, member: str, fold: int) -> Path:
        """The folder of a run."""
        return self.runs / f"{member}-fold{fold}"

    def weights(self, member: str, fold: int) -> Path:
        """The folder of a run's weights."""
        return self.run(member, fold) / "weights"

    def held_out(self, member: str, fold: int) -> Path:
        """The folder of a run's tables of the clips that it held out."""
        return self.run(member, fold) / "predictions" / "validation"

    def check(self) -> None:
        """Raise InputError where one of the folders cannot be created because it, or a parent of it, is a file."""
        for option, folder in (("--work", self.work), ("--runs", self.runs), ("store", self.store)):
            existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
            if not existing.is_dir():
                raise InputError(f"{option} is {folder}, but {existing} is a file, not a folder: name another folder")

    @property
    def post_processing(self) -> Path:
        """The file of the post-processing that was fitted."""
        return self.work / "post_processing.json"


def members_of(file: ConfigFile, config: Config) -> dict[str, list[str]]:
    """The settings of each member, as ``abaw train`` takes them, by the name that its runs begin with.

    A config without members is the only member. Raises InputError where a member sets a key that is the same for all.
    """
    if not config.members:
        return {config.name: []}
    for member, overrides in config.members.items():
        for key in overrides:
            if key.partition(".")[0] in OF_RECIPE:
                message = f"{key} must be the same for all members: set it at the top of the config"
                raise file.error(("members", member, key), message)
    return {
        f"{config.name}-{member}": [as_setting(key, value) for key, value in overrides.items()]
        for member, overrides in config.members.items()
    }


def stages_of(
    config: Config,
    members: Sequence[str],
    places: Places,
    about: Mapping[str, Any],
    templates: Sequence[Path],
    extraction: Mapping[str, Any],
) -> list[Stage]:
    """The stages from the videos to the challenge files, in their order.

    ``about``: what stages depend on in the data set (``facts``); ``extraction``: options that change features. Without
    ``templates`` nothing is predicted for the test clips. Raises InputError where no fold is held out to fit on.
    """
    num = config.folds.number
    if config.folds.refit:
        raise InputError(
            "a recipe fits on what its runs hold out, but a refit holds nothing out: set folds.refit to false"
        )
    if num < 2:
        raise InputError(
            f"folds.num is {num}, a recipe needs 2 or more (papers have 5 or 6): post-processing and weights are "
            "fitted on what other folds hold out, and scored on the official validation split, which fold 0 holds out"
        )
    work = places.work
    found = [Stage("check", "what the data set holds, and what is wrong in it", (), (work / "check.txt",), about)]
    if config.encoders:
        why = "frame timestamps and features by " + ", ".join(config.encoders)
        settings = {**about, **extraction, "encoders": config.encoders}
        found.append(Stage("extract", why, (), (places.store / "clock",), settings))
    found += [_train(places, member, fold, num) for fold in range(num) for member in members]
    found += [_pool(places, member, num) for member in members]
    found += _fitted(config, members, places, about)
    if templates:
        found += _of_test(config, members, places, about, templates)
    return found


def _train(places: Places, member: str, fold: int, num: int) -> Stage:
    held_out = "the validation split" if fold == 0 else f"part {fold} of {num - 1} of the training clips"
    outputs = (places.weights(member, fold), places.held_out(member, fold))
    return Stage("train", f"{held_out} is held out", (), outputs, {}, member, fold)


def _pool(places: Places, member: str, num: int) -> Stage:
    """Fold 0 is left out: nothing may be fitted on the official validation split."""
    inputs = tuple(places.held_out(member, fold) for fold in range(1, num))
    outputs = (places.work / "held-out" / member,)
    return Stage(
        "pool", "every training clip, predicted by a run that was not trained on it", inputs, outputs, {}, member
    )


def _fitted(config: Config, members: Sequence[str], places: Places, about: Mapping[str, Any]) -> Iterator[Stage]:
    """Weights and post-processing, and their scores on the official validation split."""
    work, ensemble = places.work, {**about, "ensemble": config.ensemble}
    pools = tuple(work / "held-out" / member for member in members)
    both = work / "held-out" / "ensemble"
    hows = {"mean": "equally", "weighted": "by weights fitted on these", "centred": "by their agreement"}
    why = f"{format_count(len(members), 'member')} on the training clips, weighted {hows[config.ensemble]}"
    yield Stage("combine", why, pools, (both,), ensemble)
    tried = config.post_processing
    widths = f"{', '.join(tried.smoothers)}; widths {', '.join(map(str, tried.widths))} {tried.unit}"
    post_processing = {**about, "post_processing": config.post_processing.model_dump(mode="json")}
    yield Stage(
        "fit",
        f"the post-processing, on the held-out training clips (smoothers tried: {widths})",
        (both,),
        (places.post_processing,),
        post_processing,
    )
    official = tuple(places.held_out(member, 0) for member in members)
    out, scores = work / "validation", work / "scores.txt"
    why = "the members of fold 0 on the validation split, on which nothing was fitted"
    yield Stage("validate", why, (*official, both, places.post_processing), (out,), ensemble)
    yield Stage("score", "the score after every step", (*official, out), (scores, work / "steps.json"), about)


def _of_test(
    config: Config,
    members: Sequence[str],
    places: Places,
    about: Mapping[str, Any],
    templates: Sequence[Path],
) -> Iterator[Stage]:
    """Predictions for the test clips and the challenge files."""
    work, num = places.work, config.folds.number
    each = tuple(work / "test" / member for member in members)
    for member, out in zip(members, each, strict=True):
        weights = tuple(places.weights(member, fold) for fold in range(num))
        yield Stage("predict", f"the test clips, the mean of {num} folds", weights, (out,), about, member)
    both, like = work / "test" / "ensemble", work / "held-out" / "ensemble"
    why = f"{format_count(len(members), 'member')} on the test clips, with the same weights and post-processing"
    yield Stage("combine test", why, (*each, like, places.post_processing), (both,), {"ensemble": config.ensemble})
    stems, limits = [template.stem for template in templates], {"submission": config.submission.model_dump()}
    for template, stem in zip(templates, stems, strict=True):
        name = stem if stems.count(stem) == 1 else f"{template.parent.name}-{stem}"
        out = work / "submission" / f"{name}{'.csv' if is_data_set_file(template) else '.txt'}"
        rows = "the test clips" if is_data_set_file(template) else "the rows"
        yield Stage("submit", f"{rows} of {template.name}, verified", (both, template), (out,), limits, name)
