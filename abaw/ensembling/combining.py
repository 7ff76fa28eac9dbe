"""Prediction folders of an ensemble's members: whether they agree, and the folder made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from abaw import predictions, provenance
from abaw.ensembling import weights
from abaw.ensembling.weights import EnsembleWeights
from abaw.errors import InputError
from abaw.postprocessing import PostProcessing
from abaw.tasks.base import Task


def check_members(wheres: Sequence[Path], out: Path, task: Task, like: Path | None = None) -> None:
    """ValueError names the first difference between members in clips, frames or times, or what is read and ``out``."""
    names = [str(where) for where in wheres]
    if len({where.resolve() for where in wheres}) < len(wheres):
        raise InputError(f"a folder is given twice: {', '.join(names)}; give each member once")
    if out.resolve() in {where.resolve() for where in wheres}:
        raise InputError(f"{out} is a member itself: give another --out")
    if like is not None and out.resolve() == like.resolve():
        raise InputError(f"{out} is the ensemble whose weights are taken: give another --out")
    first = predictions.clip_ids(wheres[0])
    if not first:
        raise InputError(f"{names[0]} holds no table at all: run abaw predict again")
    for where, name in zip(wheres[1:], names[1:], strict=True):
        lone = sorted(set(first) ^ set(predictions.clip_ids(where)))
        if lone:
            here, there = (names[0], name) if lone[0] in first else (name, names[0])
            raise InputError(f"{here} has clip {lone[0]!r}, {there} has not: predict the same clips with all members")
    for clip_id in first:
        try:
            weights.check_agreement([predictions.read_table(where, clip_id, task) for where in wheres], names)
        except ValueError as error:
            raise InputError(f"clip {clip_id!r}: {error}") from error


def write(
    wheres: Sequence[Path], out: Path, task: Task, mixture: EnsembleWeights, post_processing: PostProcessing | None
) -> int:
    """The ensemble's tables and predictions.json; how many tables.

    The videos that its weights, or those of a member that is an ensemble itself, were fitted on stay named.
    """
    abouts = [predictions.read_metadata(where) for where in wheres]
    clip_ids = predictions.clip_ids(wheres[0])
    predictions.begin(out)
    for clip_id in clip_ids:
        tables = [predictions.read_table(where, clip_id, task) for where in wheres]
        predictions.write_table(out, clip_id, mixture.table(tables), task)
    fitted_on = {
        *mixture.fitted_on,
        *(video for about in abouts for video in (about.get("ensemble") or {}).get("fitted_on", ())),
    }
    splits = {about.get("split") for about in abouts}
    about = {
        "task": task.name,
        "split": splits.pop() if len(splits) == 1 else None,
        **provenance.merged(abouts),
        "post_processing": post_processing.document() if post_processing else {},
        "ensemble": replace(mixture, fitted_on=tuple(sorted(fitted_on))).document([str(where) for where in wheres]),
    }
    predictions.write_metadata(out, about)
    return len(clip_ids)


HOWS = ("mean", "weighted", "centred")


@dataclass(frozen=True)
class CombineOptions:
    """How the members of an ensemble are weighed: see the options of ``combine``."""

    how: str | None
    like: Path | None
    fits: bool
    data: Path | None
    exclude_split: str | None
    trust: bool

    def check(self) -> None:
        """ValueError for options that contradict each other."""
        if self.how is not None and self.how not in HOWS:
            raise InputError(f"no ensemble {self.how!r}: --how is one of {', '.join(HOWS)}")
        if self.like is not None and (self.how or self.fits):
            raise InputError("--like takes everything from the other ensemble: leave out --how and --fit")
        if self.fits and self.how not in (None, "weighted"):
            raise InputError(f"--fit is for --how weighted: a {self.how} asks for no labels")
        if self.how == "weighted" and not self.fits:
            raise InputError("--how weighted needs --fit (on held-out tables), or --like another ensemble")
        if (self.data or self.exclude_split or self.trust) and not self.fits:
            raise InputError("--data, --exclude-split and --trust say what weights are fitted on: give --fit with them")


def weights_of(wheres: Sequence[Path], task: "Task", asked: CombineOptions) -> "EnsembleWeights":
    """The members' weights, fitted, taken from elsewhere or made of the tables."""
    from abaw import predictions
    from abaw.ensembling import weights

    if asked.like is not None:
        return _like(asked.like, task, len(wheres))
    if asked.fits:
        return _fitted(wheres, task, asked)
    if asked.how != "centred":
        return weights.mean(len(wheres))
    if {kind for kind, _ in task.blocks} != {"values"}:
        raise InputError(f"{task.name}: centred is for values, as of va: take mean or weighted for {task.name}")
    import numpy as np

    clip_ids = predictions.clip_ids(wheres[0])
    return weights.centre(
        [np.concatenate([predictions.read_table(where, c, task).values for c in clip_ids]) for where in wheres]
    )


def _like(folder: Path, task: "Task", num: int) -> "EnsembleWeights":
    from abaw import predictions
    from abaw.ensembling import weights

    where = predictions.resolve(folder, task.name)
    document = predictions.read_metadata(where).get("ensemble")
    if not document:
        raise InputError(f"{where} is no ensemble: --like takes a folder that abaw combine made")
    mixture = weights.read_weights(document, f"{where / predictions.METADATA}, ensemble")
    if len(mixture.weights) != num:
        raise InputError(f"{where} has {len(mixture.weights)} members, {num} folders are given: give them in its order")
    return mixture


def _fitted(wheres: Sequence[Path], task: "Task", asked: CombineOptions) -> "EnsembleWeights":
    """Fitted weights; prints what they are worth on clips they were not fitted on, beside the mean and each member."""
    from abaw import predictions, provenance
    from abaw.calibration import fitting
    from abaw.dataset.layout import video_of
    from abaw.ensembling import selection, weights
    from abaw.evaluation import labelled_tables

    labels = labelled_tables.read_labels(labelled_tables.data_of(wheres[0], asked.data), task, asked.exclude_split)
    members = [labelled_tables.read_clips(where, task, labels, trust=asked.trust) for where in wheres]
    for i, where in enumerate(wheres):
        alone = [members[i]]
        print(f"{task.name} {where} {fitting.rank(task, selection.mixed(task, alone, weights.mean(1))):.4f}")
    plain = fitting.rank(task, selection.mixed(task, members, weights.mean(len(members))))
    print(f"{task.name} mean {plain:.4f}")
    made_by = provenance.merged([predictions.read_metadata(where) for where in wheres])["made_by"]
    groups = fitting.groups_of(members[0], made_by)
    if len(set(groups.values())) > 1:
        judged = fitting.rank(task, selection.cross_fit_weights(task, members, groups))
        print(f"{task.name} weighted {judged:.4f} (cross-fitted: each group of clips by weights fitted on the others)")
        if judged <= plain:
            print(f"{task.name} does not gain by weights on clips that they were not fitted on: the mean is kept")
            return weights.weighted([1 / len(members)] * len(members), {video_of(clip_id) for clip_id in members[0]})
    return selection.fit_weights(task, members)
