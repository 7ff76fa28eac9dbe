"""How members are weighted, which of them are dropped, and how strong they are, as the options of ``combine`` say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from abaw.calibration import fitting
from abaw.calibration.gains import MIN_GROUPS, Group
from abaw.configs.sections import EnsembleMethod
from abaw.dataset.layout import Dataset
from abaw.dataset.seen import Seen, groups_in, unit_of
from abaw.ensembling import selection, weights
from abaw.ensembling.dropping import Dropped, drop_useless
from abaw.ensembling.result import CombineResult
from abaw.ensembling.selection import Members
from abaw.ensembling.strength import Comoments, Strength, measure
from abaw.ensembling.weights import EnsembleWeights
from abaw.errors import AbawError, InputError
from abaw.evaluation import labelled_tables
from abaw.evaluation.labels import labels_of, labels_to_fit_on
from abaw.evaluation.leaks import fitted_on_of, selection_words
from abaw.results import predictions, provenance
from abaw.tasks.base import Task


@dataclass(frozen=True)
class Method:
    """How members are weighted: the options of ``combine``."""

    how: str | None
    like: Path | None
    fit: bool
    drop_useless: bool
    data: Path | None
    exclude_split: str | None
    trust: bool

    def check(self) -> None:
        """Raises InputError for options that contradict each other."""
        if self.how is not None and self.how not in get_args(EnsembleMethod):
            raise InputError(f"no ensemble {self.how!r}: --how is one of {', '.join(get_args(EnsembleMethod))}")
        if self.like is not None and (self.how or self.fit or self.drop_useless):
            raise InputError(
                "--like takes everything from the other ensemble: leave out --how, --fit and --drop-useless"
            )
        if self.fit and self.how not in (None, "weighted"):
            raise InputError(f"--fit is for --how weighted: {self.how} needs no labels")
        if self.how == "weighted" and not self.fit:
            raise InputError("--how weighted needs --fit (on held-out tables), or --like another ensemble")
        if (self.exclude_split or self.trust) and not self.uses_labels:
            raise InputError(
                "--exclude-split and --trust say what weights are fitted on and members are dropped by: give --fit or "
                "--drop-useless with them"
            )

    @property
    def uses_labels(self) -> bool:
        """Whether labels decide something, so that they must be there."""
        return self.fit or self.drop_useless


class _Labelled(NamedTuple):
    """The members' clips with labels; which clips are cross-fitted together; for each member and for the ensemble
    where an epoch was chosen on these clips; and what makes their scores doubtful."""

    members: Members
    groups: dict[str, Group]
    words: list[str]
    ensemble_words: str
    remarks: list[str]

    @property
    def scored(self) -> dict[str, str]:
        """Clip -> group, "" for none."""
        return groups_in({clip_id: clip.labels for clip_id, clip in self.members[0].items()})


def weigh(wheres: Sequence[Path], task: Task, asked: Method, outputs: Comoments) -> CombineResult:
    """The members' weights and strength. ``outputs``: how their outputs vary together.

    Raises InputError where labels are to decide something and there are none, or a member was trained on their videos.
    """
    if asked.how == "centred" and {block for block, _ in task.blocks} != {"values"}:
        raise InputError(f"{task.name}: centred is for values, as of va: take mean or weighted for {task.name}")
    labelled = _labelled_if_any(wheres, task, asked)
    if isinstance(labelled, str):
        strength = measure(task, wheres, outputs, None, remarks=[f"note: members are not scored: {labelled}"])
        names = tuple(map(str, wheres))
        return CombineResult(task.name, _weights_without_labels(wheres, task, asked), names, strength)
    strength = measure(task, wheres, outputs, labelled.members, labelled.words, labelled.remarks)
    dropped, remarks = None, list[str]()
    if asked.drop_useless:
        how = "weighted" if asked.fit else asked.how or "mean"
        dropped = drop_useless(task, labelled.members, labelled.groups, how)
        strength = _with_gains(strength, dropped)
        remarks += _drop_remarks(strength, dropped, labelled.groups)
    kept = dropped.kept if dropped else tuple(range(len(wheres)))
    left = labelled._replace(members=[labelled.members[i] for i in kept])
    names = tuple(str(wheres[i]) for i in kept)
    scores = {each.member: each.score for each in strength.members if each.member in names and each.score is not None}
    if asked.fit:
        found, more, said = _fitted(task, left)
    else:
        found, more, said = _scored(task, left, _weights_without_labels([wheres[i] for i in kept], task, asked), asked)
    if asked.drop_useless:
        found = found.with_seen(Seen.in_clips(labelled.scored))  # these labels chose the members
    return CombineResult(
        task.name,
        found,
        names,
        strength,
        tuple(each.member for each in strength.members if each.is_dropped),
        scores=scores | more,
        selection=labelled.ensemble_words,
        remarks=(*remarks, *said),
    )


def _labelled_if_any(wheres: Sequence[Path], task: Task, asked: Method) -> _Labelled | str:
    """The members' clips with labels; where none are asked for and there are none, the reason."""
    if asked.uses_labels:
        dataset = labelled_tables.dataset_of(wheres[0], asked.data)
        return _read_labelled(wheres, task, dataset, asked)
    try:
        dataset = labelled_tables.dataset_of(wheres[0], asked.data)
    except (AbawError, OSError) as error:
        if asked.data is not None:  # named by the user
            raise
        return str(error)
    try:
        return _read_labelled(wheres, task, dataset, asked)
    except (AbawError, OSError) as error:  # scores are no condition of an ensemble
        return str(error)


def _read_labelled(wheres: Sequence[Path], task: Task, dataset: Dataset, asked: Method) -> _Labelled:
    abouts, remarks = [predictions.read_metadata(where) for where in wheres], list[str]()
    if not asked.uses_labels and all(about.get("split") == "test" for about in abouts):
        labels = labels_of(dataset, task, "test")
    else:
        labels = labels_to_fit_on(dataset, task, asked.exclude_split)
    trust = asked.trust or not asked.uses_labels
    members = [labelled_tables.read_held_out(where, task, labels, trust=trust) for where in wheres]
    scored = groups_in({clip_id: clip.labels for clip_id, clip in members[0].items()})
    unit = unit_of(scored.values())
    for where, about in zip(wheres, abouts, strict=True):
        if about.get("held_out") is None:
            remarks.append(f"note: {where} does not say whether its runs were trained on these {unit}s")
        if fitted_on_of(about.get("ensemble") or {}).find(scored):
            remarks.append(f"note: the weights of {where} were fitted on these {unit}s too, so its score is too high")
    merged = provenance.merged(abouts)
    words = [selection_words(about, scored) for about in abouts]
    groups = fitting.groups_of(members[0], merged["made_by"])
    return _Labelled(members, groups, words, selection_words(merged, scored), remarks)


def _weights_without_labels(wheres: Sequence[Path], task: Task, asked: Method) -> EnsembleWeights:
    if asked.like is not None:
        return _like(asked.like, task, len(wheres))
    if asked.how != "centred":
        return weights.mean(len(wheres))
    clip_ids = predictions.clip_ids(wheres[0])
    tables = [np.concatenate([predictions.read_table(where, c, task).values for c in clip_ids]) for where in wheres]
    return weights.centre(tables)


def _like(folder: Path, task: Task, num: int) -> EnsembleWeights:
    where = predictions.resolve(folder, task.name)
    document = predictions.read_metadata(where).get("ensemble")
    if not document:
        raise InputError(f"{where} is no ensemble: --like takes a folder that abaw combine made")
    found = weights.read_weights(document, f"{where / predictions.METADATA}, ensemble")
    if len(found.weights) != num:
        members = f": {', '.join(map(str, document['members']))}" if isinstance(document.get("members"), list) else ""
        raise InputError(
            f"{where} has {len(found.weights)} members, {num} folders are given: give them in its order{members}"
        )
    return found


def _scored(
    task: Task, labelled: _Labelled, found: EnsembleWeights, asked: Method
) -> tuple[EnsembleWeights, dict[str, float], list[str]]:
    """The score of an ensemble whose weights need no labels here."""
    if found.seen.find(labelled.scored):
        unit = unit_of(labelled.scored.values())
        return found, {}, [f"note: the ensemble is not scored, because its weights were fitted on these {unit}s"]
    name = "like" if asked.like is not None else found.how
    return found, {name: fitting.rank(task, selection.combined(task, labelled.members, found))}, []


def _fitted(task: Task, labelled: _Labelled) -> tuple[EnsembleWeights, dict[str, float], list[str]]:
    """Fitted weights, kept where they clearly gain on clips they were not fitted on, else the mean."""
    members, groups = labelled.members, labelled.groups
    scores = {"mean": fitting.rank(task, selection.combined(task, members, weights.mean(len(members))))}
    found, choice = selection.choose_weights(task, members, groups)
    if choice is None:
        few = f"note: weights are not fitted on fewer than {MIN_GROUPS} videos or groups: the mean is kept"
        return found, scores, [few]
    scores["weighted"] = fitting.rank(task, choice.tried["weighted"])
    gain, remarks = choice.gains["weighted"], []
    if choice.refused is not None:
        remarks.append(
            f"note: fitted weights gain {gain} on clips that they were not fitted on, but are not expected to gain "
            f"more than the standard error on other videos: {choice.refused}: the mean is kept"
        )
    elif choice.kept == "mean":
        remarks.append(
            f"note: fitted weights gain {gain} on clips that they were not fitted on, not more than that error: the "
            "mean is kept"
        )
    else:
        remarks.append(
            f"fitted weights gain {gain} on clips that they were not fitted on; {choice.strength:.2f} of their "
            "difference to the mean is kept"
        )
    remarks.append(f"gain to expect on other videos: {choice.expected}")
    return found, scores, remarks


def _with_gains(strength: Strength, dropped: Dropped) -> Strength:
    members = tuple(
        replace(each, gain_without=dropped.gains.get(i), is_dropped=i not in dropped.kept)
        for i, each in enumerate(strength.members)
    )
    return replace(strength, members=members)


def _drop_remarks(strength: Strength, dropped: Dropped, groups: dict[str, Group]) -> list[str]:
    if dropped.expected is None:
        return [f"note: no member is dropped by the labels of fewer than {MIN_GROUPS} videos or groups: all are kept"]
    lines = [
        f"{'dropped' if each.is_dropped else 'kept'} {each.member}: leaving out this one alone changes the "
        f"score by {each.gain_without}"
        for each in strength.members
        if each.gain_without is not None
    ]
    lines += [] if len(dropped.kept) < len(strength.members) else ["no member is useless beyond chance: all are kept"]
    return [*lines, f"gain to expect on other videos from dropping: {dropped.expected}, {_how(groups)}"]


def _how(groups: dict[str, Group]) -> str:
    return f"cross-fitted over {len(set(groups.values()))} groups, with the choice made again without each"
