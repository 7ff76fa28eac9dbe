from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from abaw.fitted.ensembles import Mixture
    from abaw.tasks.base import Task

HOWS = ("mean", "weighted", "centred")


@dataclass(frozen=True)
class Asked:
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
            raise ValueError(f"no ensemble {self.how!r}: --how is one of {', '.join(HOWS)}")
        if self.like is not None and (self.how or self.fits):
            raise ValueError("--like takes everything from the other ensemble: leave out --how and --fit")
        if self.fits and self.how not in (None, "weighted"):
            raise ValueError(f"--fit is for --how weighted: a {self.how} asks for no labels")
        if self.how == "weighted" and not self.fits:
            raise ValueError("--how weighted needs --fit (on held-out tables), or --like another ensemble")
        if (self.data or self.exclude_split or self.trust) and not self.fits:
            raise ValueError("--data, --exclude-split and --trust say what weights are fitted on: give --fit with them")


def combine(
    folders: Annotated[list[Path], typer.Argument(help="folders of prediction tables, made here or elsewhere")],
    out: Annotated[Path, typer.Option(help="the folder of tables; a folder for each task is made in it")],
    how: Annotated[
        str | None, typer.Option(help="mean (default), weighted (needs --fit), or centred (for va, without labels)")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="the weights of this ensemble, first for first: as for held-out, so for test")
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="fit weights on the labels of these held-out tables")] = False,
    data: Annotated[Path | None, typer.Option(help="the data set to fit on; default: the first run's")] = None,
    exclude_split: Annotated[
        str | None, typer.Option(help="validation: leave it out of the fit, so that it may be judged")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="tables that do not say so are held out all the same")] = False,
    decoding: Annotated[Path | None, typer.Option(help="what abaw fit wrote, kept with the tables")] = None,
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folders have tables of")] = None,
) -> None:
    """An ensemble of prediction folders, of the undecoded tables; members' own decodings are left out."""
    from abaw import predictions
    from abaw.decoding import read_decodings
    from abaw.fitted import combining, heldout

    asked = Asked(how, like, fit, data, exclude_split, trust)
    asked.check()
    names = [task] if task else list(dict.fromkeys(name for each in folders for name in predictions.tasks_in(each)))
    wheres = {name: [predictions.resolve(folder, name) for folder in folders] for name in names}
    tasks = {name: heldout.task_of(wheres[name][0], name) for name in names}
    decodings = read_decodings(decoding, tasks) if decoding else {}
    for name in names:
        weighed = predictions.resolve(like, name) if like else None
        combining.check_members(wheres[name], out / name, tasks[name], weighed)
    mixtures = {name: mixture_of(wheres[name], tasks[name], asked) for name in names}
    count = 0
    for name, mixture in mixtures.items():
        _tell(name, mixture, wheres[name])
        count += combining.write(wheres[name], out / name, tasks[name], mixture, decodings.get(name))
    print(f"{out}: {count} tables")


def mixture_of(wheres: Sequence[Path], task: "Task", asked: Asked) -> "Mixture":
    """The members' weights, fitted, taken from elsewhere or made of the tables."""
    from abaw import predictions
    from abaw.fitted import ensembles

    if asked.like is not None:
        return _like(asked.like, task, len(wheres))
    if asked.fits:
        return _fitted(wheres, task, asked)
    if asked.how != "centred":
        return ensembles.mean(len(wheres))
    if {kind for kind, _ in task.blocks} != {"values"}:
        raise ValueError(f"{task.name}: centred is for values, as of va: take mean or weighted for {task.name}")
    import numpy as np

    clip_ids = predictions.clip_ids(wheres[0])
    return ensembles.centre(
        [np.concatenate([predictions.read_table(where, c, task).values for c in clip_ids]) for where in wheres]
    )


def _like(folder: Path, task: "Task", num: int) -> "Mixture":
    from abaw import predictions
    from abaw.fitted import ensembles

    where = predictions.resolve(folder, task.name)
    document = predictions.read_metadata(where).get("ensemble")
    if not document:
        raise ValueError(f"{where} is no ensemble: --like takes a folder that abaw combine made")
    mixture = ensembles.read_mixture(document, f"{where / predictions.METADATA}, ensemble")
    if len(mixture.weights) != num:
        raise ValueError(f"{where} has {len(mixture.weights)} members, {num} folders are given: give them in its order")
    return mixture


def _fitted(wheres: Sequence[Path], task: "Task", asked: Asked) -> "Mixture":
    """Fitted weights; prints what they are worth on clips they were not fitted on, beside the mean and each member."""
    from abaw import predictions, provenance
    from abaw.clips import video_of
    from abaw.fitted import ensembles, fitting, heldout, selection

    labels = heldout.read_labels(heldout.data_of(wheres[0], asked.data), task, asked.exclude_split)
    members = [heldout.read_clips(where, task, labels, trust=asked.trust) for where in wheres]
    for i, where in enumerate(wheres):
        alone = [members[i]]
        print(f"{task.name} {where} {fitting.rank(task, selection.mixed(task, alone, ensembles.mean(1))):.4f}")
    plain = fitting.rank(task, selection.mixed(task, members, ensembles.mean(len(members))))
    print(f"{task.name} mean {plain:.4f}")
    made_by = provenance.merged([predictions.read_metadata(where) for where in wheres])["made_by"]
    groups = fitting.groups_of(members[0], made_by)
    if len(set(groups.values())) > 1:
        judged = fitting.rank(task, selection.cross_fit_weights(task, members, groups))
        print(f"{task.name} weighted {judged:.4f} (cross-fitted: each group of clips by weights fitted on the others)")
        if judged <= plain:
            print(f"{task.name} does not gain by weights on clips that they were not fitted on: the mean is kept")
            return ensembles.weighted([1 / len(members)] * len(members), {video_of(clip_id) for clip_id in members[0]})
    return selection.fit_weights(task, members)


def _tell(name: str, mixture: "Mixture", wheres: Sequence[Path]) -> None:
    for where, weights in zip(wheres, mixture.weights, strict=True):
        print(f"{name} {mixture.how} {', '.join(f'{weight:.3f}' for weight in weights)} {where}")
