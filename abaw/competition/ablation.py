"""The score on the official validation split after each step: members, their mean, ensemble, post-processing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from abaw.ensembling import selection, weights
from abaw.evaluation.labelled_tables import LabelledPredictions, LabelledTable, open_labelled_predictions
from abaw.files import read_json, write_json
from abaw.postprocessing import UNIT_WORDS, PostProcessing
from abaw.results.selection import to_ending
from abaw.tasks.base import PredictionPair, Task

AFFINE = {"values": "scale and bias", "classes": "biases of classes", "units": "thresholds of units"}


@dataclass(frozen=True)
class Step:
    """The scores after one step. The first of ``scores`` ranks; ``after`` names the step that it is compared with.

    ``selection`` says where the epoch of a run was chosen on the clips that are scored; else it is empty.
    """

    name: str
    scores: dict[str, float]
    after: str | None = None
    selection: str = ""

    @property
    def rank(self) -> float:
        """The score that ranks."""
        return next(iter(self.scores.values()))


def steps(task: Task, members: Mapping[str, Path], ensemble: Path, data: Path) -> list[Step]:
    """Score each member without post-processing, their mean, the ensemble, and the ensemble with its post-processing.

    ``members``: the folder of each member's tables by name; ``ensemble``: the folder that was combined from them, in
    the same order. Raises InputError where something was fitted on the videos that are scored.
    """
    judge = partial(open_labelled_predictions, split="validation", task_name=task.name, data=data)
    opened = {name: judge(where, raw=True) for name, where in members.items()}
    both = judge(ensemble)
    found = [Step(name, task.score(each.pairs(post_processed=False))) for name, each in opened.items()]
    best = max(found, key=lambda step: step.rank).name
    if len(members) > 1:
        found.append(Step(f"mean of {len(members)}", task.score(mean(task, list(opened.values()))), best))
        how = both.about["ensemble"]["how"]
        if how != "mean":
            found.append(Step(f"{how} ensemble", task.score(both.pairs(post_processed=False)), found[-1].name))
    post_processing = both.post_processing or PostProcessing()
    smoothed = replace(both, post_processing=replace(post_processing, scale=(), bias=()))
    found.append(Step(_smoothing(post_processing), task.score(smoothed.pairs(post_processed=True)), found[-1].name))
    found.append(Step(_affine(post_processing, task), task.score(both.pairs(post_processed=True)), found[-1].name))
    words = {name: each.selection() for name, each in opened.items()}
    return [replace(step, selection=words.get(step.name, both.selection())) for step in found]


def mean(task: Task, members: Sequence[LabelledPredictions]) -> dict[str, PredictionPair]:
    """The mean of several folders' tables with equal weights, without post-processing."""
    clips = [
        {
            clip_id: LabelledTable(table.values, table.observed, each.labels[clip_id])
            for clip_id, table in each.tables.items()
        }
        for each in members
    ]
    return selection.combined(task, clips, weights.mean(len(clips)))


def lines(task_name: str, found: Sequence[Step]) -> Iterator[str]:
    """One line for each step: its name, the score that ranks, and the difference to the step it is compared with."""
    rank, width = next(iter(found[0].scores)), max(len(step.name) for step in found)
    of = {step.name: step.rank for step in found}
    yield f"{task_name}, {rank} on the official validation split"
    for step in found:
        gain = "" if step.after is None else f"  {step.rank - of[step.after]:+.4f} over {step.after}"
        yield f"  {step.name:<{width}}  {step.rank:.4f}{gain}{to_ending(step.selection)}"


def write(path: Path, found: Mapping[str, Sequence[Step]]) -> None:
    """Write the steps of every task as JSON."""
    write_json(path, {name: [asdict(step) for step in steps] for name, steps in found.items()})


def read(path: Path) -> dict[str, list[Step]]:
    """Read what ``write`` wrote."""
    return {name: [Step(**each) for each in steps] for name, steps in read_json(path).items()}


def _smoothing(post_processing: PostProcessing) -> str:
    """What is done before scale and bias, in words."""
    parts = ["gaps filled"] if post_processing.fill_gaps else []
    if post_processing.smoother != "none":
        parts.append(
            f"{post_processing.smoother} over {post_processing.width:g} {UNIT_WORDS[post_processing.unit]} of "
            f"{post_processing.space}"
        )
    parts += [str(post_processing.calibration)] if post_processing.calibration else []
    return ", ".join(parts) or "no smoothing (none helped)"


def _affine(post_processing: PostProcessing, task: Task) -> str:
    kinds = dict.fromkeys(kind for kind, _ in task.blocks)
    words = ", ".join(AFFINE[kind] for kind in kinds) or "scale and bias"
    return words if post_processing.scale or post_processing.bias else f"no {words} (none helped)"
