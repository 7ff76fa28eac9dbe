"""The score after each stage of a folder's post-processing: where a gain comes from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from abaw.evaluation.intervals import check_draws
from abaw.evaluation.labelled_tables import LabelledPredictions
from abaw.evaluation.report import Difference, Measurement, difference, measured
from abaw.postprocessing import UNIT_WORDS, PostProcessing

RAW = "raw"


@dataclass(frozen=True)
class Stage:
    """The scores after a stage and all before it; ``gain``: over the stage before. None for the raw tables."""

    name: str
    measured: Measurement
    gain: Difference | None


def stages_of(kept: PostProcessing) -> Iterator[tuple[str, PostProcessing]]:
    """The stages that a post-processing has, in the order in which they are applied: each in words, with all before it.

    >>> [name for name, _ in stages_of(PostProcessing(fill_gaps=True, smoother="box", width=5, bias=(0.1, 0.0)))]
    ['gaps filled', 'smoothed (box over 5 frames)', 'scale and bias']
    """
    if kept.fill_gaps:
        yield "gaps filled", PostProcessing(fill_gaps=True)
    if kept.smoother != "none":
        smoothed = replace(kept, scale=(), bias=(), match_scale=(), match_bias=(), calibration=None)
        where = " of logits" if kept.space == "logits" else ""
        yield f"smoothed ({kept.smoother} over {kept.width:g} {UNIT_WORDS[kept.unit]}{where})", smoothed
    if kept.calibration is not None:
        yield "calibrated", kept.without_shift()
    if kept.scale or kept.bias:
        yield "scale and bias", kept


def measure_stages(labelled: LabelledPredictions, draws: int, seed: int) -> tuple[Stage, ...]:
    """The scores of the raw tables and after each stage; () for a folder without post-processing.

    ``draws`` and ``seed``: as for ``score``, of which the last stage has the scores.
    """
    check_draws(draws, seed)
    if labelled.post_processing is None:
        return ()
    before = labelled.pairs(post_processed=False)
    found = [Stage(RAW, measured(labelled, before), None)]
    for name, kept in stages_of(labelled.post_processing):
        after = replace(labelled, post_processing=kept).pairs(post_processed=True)
        found.append(Stage(name, measured(labelled, after), difference(labelled.task, before, after, draws, seed)))
        before = after
    return tuple(found)
