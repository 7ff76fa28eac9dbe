"""Prediction folders of an ensemble's members: whether they agree, and the folder made of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from abaw import predictions, provenance
from abaw.decoding import Decoding
from abaw.fitted import ensembles
from abaw.fitted.ensembles import Mixture
from abaw.tasks.base import Task


def check_members(wheres: Sequence[Path], out: Path, task: Task, like: Path | None = None) -> None:
    """ValueError names the first difference between members in clips, frames or times, or what is read and ``out``."""
    names = [str(where) for where in wheres]
    if len({where.resolve() for where in wheres}) < len(wheres):
        raise ValueError(f"a folder is given twice: {', '.join(names)}; give each member once")
    if out.resolve() in {where.resolve() for where in wheres}:
        raise ValueError(f"{out} is a member itself: give another --out")
    if like is not None and out.resolve() == like.resolve():
        raise ValueError(f"{out} is the ensemble whose weights are taken: give another --out")
    first = predictions.clip_ids(wheres[0])
    if not first:
        raise ValueError(f"{names[0]} holds no table at all: run abaw predict again")
    for where, name in zip(wheres[1:], names[1:], strict=True):
        lone = sorted(set(first) ^ set(predictions.clip_ids(where)))
        if lone:
            here, there = (names[0], name) if lone[0] in first else (name, names[0])
            raise ValueError(f"{here} has clip {lone[0]!r}, {there} has not: predict the same clips with all members")
    for clip_id in first:
        try:
            ensembles.check_agreement([predictions.read_table(where, clip_id, task) for where in wheres], names)
        except ValueError as error:
            raise ValueError(f"clip {clip_id!r}: {error}") from error


def write(wheres: Sequence[Path], out: Path, task: Task, mixture: Mixture, decoding: Decoding | None) -> int:
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
        "decoding": decoding.document() if decoding else {},
        "ensemble": replace(mixture, fitted_on=tuple(sorted(fitted_on))).document([str(where) for where in wheres]),
    }
    predictions.write_metadata(out, about)
    return len(clip_ids)
