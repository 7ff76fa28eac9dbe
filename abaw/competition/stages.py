"""A recipe as stages: what each is for, what it reads, what it makes, and whether that is done already.

Everything lies in one folder, WORK, but the runs: held-out predictions and the post-processing fitted on them, the official
validation's, the test clips', the challenge files, and recipe.json, which says what each stage was made from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abaw.configs.file import ConfigFile, as_setting
from abaw.configs.sections import UNTRAINED, Config
from abaw.errors import InputError

OF_RECIPE = {"name", "data", "store", "folds", *UNTRAINED}  # no member's: what they are combined and judged by


@dataclass(frozen=True)
class Stage:
    """``settings`` and ``inputs`` are all that the outputs depend on; ``member`` and ``fold`` say whose they are."""

    kind: str
    why: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    member: str = ""
    fold: int = 0

    @property
    def name(self) -> str:
        fold = f" fold {self.fold}" if self.kind == "train" else ""
        return f"{self.kind} {self.member}".rstrip() + fold


@dataclass(frozen=True)
class Places:
    """Where a recipe's work lies."""

    work: Path
    runs: Path
    store: Path

    def run(self, member: str, fold: int) -> Path:
        return self.runs / f"{member}-fold{fold}"

    def weights(self, member: str, fold: int) -> Path:
        return self.run(member, fold) / "weights"

    def held_out(self, member: str, fold: int) -> Path:
        """The tables of the clips that one run did not train on."""
        return self.run(member, fold) / "predictions" / "validation"

    def check(self) -> None:
        """ValueError where one of the folders cannot be: it, or one that it lies in, is a file."""
        for option, folder in (("--work", self.work), ("--runs", self.runs), ("store", self.store)):
            there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
            if not there.is_dir():
                raise InputError(f"{option} is to be the folder {folder}, but {there} is a file: name another folder")

    @property
    def post_processing(self) -> Path:
        return self.work / "post_processing.json"


def members_of(file: ConfigFile, config: Config) -> dict[str, list[str]]:
    """Each member's name, which its runs begin with, and its settings as ``abaw train`` takes them.

    Without members there is one, the config itself. ValueError where a member sets what is the recipe's to set.
    """
    if not config.members:
        return {config.name: []}
    for member, overrides in config.members.items():
        for key in overrides:
            if key.partition(".")[0] in OF_RECIPE:
                message = f"{key} is the same for all members: set it for all of them, not in one"
                raise file.error(("members", member, key), message)
    return {
        f"{config.name}-{member}": [as_setting(key, value) for key, value in overrides.items()]
        for member, overrides in config.members.items()
    }


def stages(
    config: Config,
    members: Sequence[str],
    places: Places,
    about: Mapping[str, Any],
    templates: Sequence[Path],
    extraction: Mapping[str, Any],
) -> list[Stage]:
    """Everything from the videos to the challenge files, in order.

    ``about``: what the data set holds (``facts``); ``extraction``: options that change features. Without ``templates``
    nothing is predicted for the test clips. ValueError where there is no fold to fit post-processing on.
    """
    num = config.folds.num
    if config.folds.refit:
        raise InputError("a recipe fits on what its runs hold out, a refit holds nothing out: set folds.refit to false")
    if num < 2:
        raise InputError(
            "a recipe needs folds.num of 2 or more (papers have 5 or 6): post-processing and weights are fitted on what folds "
            "1 .. hold out, so that the official validation split, fold 0's, can judge them"
        )
    work = places.work
    found = [Stage("check", "what the data set holds and what will hurt", (), (work / "check.txt",), about)]
    if config.encoders:
        why = "clocks and features by " + ", ".join(config.encoders)
        settings = {**about, **extraction, "encoders": config.encoders}
        found.append(Stage("extract", why, (), (places.store / "clock",), settings))
    found += [_train(places, member, fold, num) for fold in range(num) for member in members]
    found += [_pool(places, member, num) for member in members]
    found += _fitted(config, members, places, about)
    if templates:
        found += _of_test(config, members, places, about, templates)
    return found


def _train(places: Places, member: str, fold: int, num: int) -> Stage:
    held_out = "the official validation split" if fold == 0 else f"part {fold} of {num - 1} of the training videos"
    outputs = (places.weights(member, fold), places.held_out(member, fold))
    return Stage("train", f"{held_out} is held out", (), outputs, {}, member, fold)


def _pool(places: Places, member: str, num: int) -> Stage:
    """Fold 0 stays out: nothing may be fitted on what the official validation split has."""
    inputs = tuple(places.held_out(member, fold) for fold in range(1, num))
    outputs = (places.work / "held-out" / member,)
    return Stage("pool", "every training video, predicted by a run that has not seen it", inputs, outputs, {}, member)


def _fitted(config: Config, members: Sequence[str], places: Places, about: Mapping[str, Any]) -> Iterator[Stage]:
    """Weights, post-processing, and what they are worth on the official validation split."""
    work, ensemble = places.work, {**about, "ensemble": config.ensemble}
    pools = tuple(work / "held-out" / member for member in members)
    both = work / "held-out" / "ensemble"
    how = {"mean": "alike", "weighted": "by weights fitted on these", "centred": "by how they agree"}[config.ensemble]
    yield Stage("combine", f"{len(members)} members on the training videos, weighed {how}", pools, (both,), ensemble)
    post_processing = {**about, "post_processing": config.post_processing.model_dump(mode="json")}
    yield Stage(
        "fit",
        "the post-processing, on the held-out training videos",
        (both,),
        (places.post_processing,),
        post_processing,
    )
    official = tuple(places.held_out(member, 0) for member in members)
    out, scores = work / "validation", work / "scores.txt"
    why = "the members of fold 0 on the official validation split, on which nothing was fitted"
    yield Stage("validate", why, (*official, both, places.post_processing), (out,), ensemble)
    yield Stage("score", "every stage without and with it", (*official, out), (scores, work / "steps.json"), about)


def _of_test(
    config: Config,
    members: Sequence[str],
    places: Places,
    about: Mapping[str, Any],
    templates: Sequence[Path],
) -> Iterator[Stage]:
    """Predictions for the test clips and the challenge files."""
    work, num = places.work, config.folds.num
    each = tuple(work / "test" / member for member in members)
    for member, out in zip(members, each, strict=True):
        weights = tuple(places.weights(member, fold) for fold in range(num))
        yield Stage("predict", f"the test clips, the mean of {num} folds", weights, (out,), about, member)
    both, like = work / "test" / "ensemble", work / "held-out" / "ensemble"
    why = f"{len(members)} members on the test clips, with the same weights and post-processing"
    yield Stage("combine test", why, (*each, like, places.post_processing), (both,), {"ensemble": config.ensemble})
    stems = [template.stem for template in templates]
    for template, stem in zip(templates, stems, strict=True):
        name = stem if stems.count(stem) == 1 else f"{template.parent.name}-{stem}"
        out = work / "submission" / f"{name}.txt"
        yield Stage("submit", f"row for row {template.name}, verified", (both, template), (out,), {}, name)
