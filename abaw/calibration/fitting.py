"""A post-processing chosen by the official score of held-out predictions, and what it is worth on clips it was not fitted on.

Cross-fitting is the honest "with": each group of clips is post-processed by what was fitted on the others.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from abaw.calibration.biases import TINY, class_biases, matched, unit_shift
from abaw.config import PostProcessingConfig
from abaw.dataset.layout import video_of
from abaw.errors import InputError
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.folds import check_apart
from abaw.postprocessing import PostProcessing
from abaw.tasks.base import Block, PredictionPair, Task

NUM_GROUPS = 5


Clips = Mapping[str, LabelledTable]


def fit(task: Task, clips: Clips, options: PostProcessingConfig) -> PostProcessing:
    """The post-processing of ``options`` with the highest official score over all these clips; of equal ones the gentlest.

    First gaps, smoother, width and space, tried together; then, if ``bias``, the shifts (see ``Task.blocks``), each
    kept only where the score rises. Raises ValueError where nothing is scored.
    """
    return _fit_each(task, clips, options, [list(clips)])[0]


def cross_fit(
    task: Task, clips: Clips, options: PostProcessingConfig, groups: Mapping[str, int | str]
) -> dict[str, PredictionPair]:
    """Every clip post-processed by what was fitted on the other groups' clips: to be scored as one.

    ValueError for fewer than two groups, or where one video is in two of them.
    """
    names = group_names(clips, groups)
    others = [[clip_id for clip_id in clips if groups[clip_id] != name] for name in names]
    found: dict[str, PredictionPair] = {}
    for name, post_processing in zip(names, _fit_each(task, clips, options, others), strict=True):
        held = {clip_id: clip for clip_id, clip in clips.items() if groups[clip_id] == name}
        check_apart(post_processing.fitted_on, held, "the post-processing fitted on the other groups")
        found |= post_processed(task, held, post_processing)
    return {clip_id: found[clip_id] for clip_id in clips}


def choose(
    task: Task, clips: Clips, options: PostProcessingConfig, groups: Mapping[str, int | str]
) -> tuple[PostProcessing, dict[str, dict[str, PredictionPair]]]:
    """The post-processing fitted on all clips with as much of ``options`` as gains by cross-fitting; and what each gave.

    In turn: nothing, ``options`` without its bias, all of it; of equal ones the gentlest. What was tried is by its
    name, every clip post-processed by what was fitted on other groups. A post-processing that does nothing is fitted too: these
    labels chose it. With fewer than two groups nothing can be judged, and all of ``options`` is fitted.
    """
    if len(set(groups.values())) < 2:
        return fit(task, clips, options), {}
    nothing = PostProcessingConfig(fills=False, widths=[1], bias=False)
    ways = {"nothing": nothing, "no bias": options.model_copy(update={"bias": False}), "all": options}
    if not options.bias:
        del ways["all"]
    tried = {name: cross_fit(task, clips, each, groups) for name, each in ways.items()}
    best = "nothing"
    for name, judged in tried.items():
        if rank(task, judged) > rank(task, tried[best]) + TINY:
            best = name
    return fit(task, clips, ways[best]), tried


def post_processed(task: Task, clips: Clips, post_processing: PostProcessing) -> dict[str, PredictionPair]:
    """The clips' final predictions beside their labels; frames of a table beyond the last label are left out."""
    return {
        clip_id: PredictionPair(
            task.to_labels(post_processing.apply(task, clip.values, clip.observed))[: len(clip.labels)], clip.labels
        )
        for clip_id, clip in clips.items()
    }


def groups_of(clips: Clips, made_by: Mapping[str, str]) -> dict[str, int | str]:
    """The group of each clip: the run that held it out where all are told, else one of five groups of whole videos.

    The videos with the most scored frames come first, each goes to the group with the fewest so far.
    """
    if all(clip_id in made_by for clip_id in clips) and len({made_by[clip_id] for clip_id in clips}) > 1:
        return {clip_id: made_by[clip_id] for clip_id in clips}
    num_scored: dict[str, int] = {}
    for clip_id, clip in clips.items():
        num_scored[video_of(clip_id)] = num_scored.get(video_of(clip_id), 0) + int(clip.labels.scored.sum())
    sizes = [0] * min(NUM_GROUPS, len(num_scored))
    group_of = {}
    for video, num in sorted(num_scored.items(), key=lambda each: (-each[1], each[0])):
        group_of[video] = int(np.argmin(sizes))
        sizes[group_of[video]] += num
    return {clip_id: group_of[video_of(clip_id)] for clip_id in clips}


def group_names(clips: Clips, groups: Mapping[str, int | str]) -> list[int | str]:
    """The groups that these clips are in. ValueError where they are fewer than two."""
    names = sorted({groups[clip_id] for clip_id in clips}, key=str)
    if len(names) < 2:
        raise InputError("cross-fitting needs two groups of clips: one to fit on, one to judge")
    return names


def rank(task: Task, by_clip: Mapping[str, PredictionPair]) -> float:
    """The score that ranks."""
    return next(iter(task.score(by_clip).values()))


def _fit_each(
    task: Task, clips: Clips, options: PostProcessingConfig, subsets: Sequence[Collection[str]]
) -> list[PostProcessing]:
    """``fit`` on each subset of the clips; what they share, every candidate's tables, is made once."""
    found = _choose(task, clips, options, subsets)
    if options.bias:
        found = [
            _with_affine(task, {clip_id: clips[clip_id] for clip_id in subset}, post_processing)
            for subset, post_processing in zip(subsets, found, strict=True)
        ]
    return [
        replace(post_processing, fitted_on=tuple(sorted({video_of(clip_id) for clip_id in subset})))
        for subset, post_processing in zip(subsets, found, strict=True)
    ]


def _choose(
    task: Task, clips: Clips, options: PostProcessingConfig, subsets: Sequence[Collection[str]]
) -> list[PostProcessing]:
    best: list[tuple[float, PostProcessing]] = [(-np.inf, PostProcessing())] * len(subsets)
    has_gaps = any(not clip.observed.all() for clip in clips.values())
    for candidate in _candidates(options, has_gaps):
        judged = post_processed(task, clips, candidate)
        for i, subset in enumerate(subsets):
            score = rank(task, {clip_id: judged[clip_id] for clip_id in subset})
            if score > best[i][0] + TINY:
                best[i] = score, candidate
    return [post_processing for _, post_processing in best]


def _candidates(options: PostProcessingConfig, has_gaps: bool) -> Iterator[PostProcessing]:
    """The gentlest first: narrow before wide, gaps left before filled."""
    for width in sorted({1, *options.widths}):
        for fills in (False, True) if options.fills and has_gaps else (False,):
            if width == 1:
                yield PostProcessing(fills=fills)
                continue
            for smoother in options.smoothers:
                for space in options.spaces:
                    yield PostProcessing(fills, smoother, width, space)


def _with_affine(task: Task, clips: Clips, post_processing: PostProcessing) -> PostProcessing:
    """The post-processing with a scale and a shift, block by block, where the score rises by them."""
    smoothed = {
        clip_id: LabelledTable(post_processing.smoothed(task, clip.values, clip.observed), clip.observed, clip.labels)
        for clip_id, clip in clips.items()
    }
    scale, shift = np.ones(task.out_dim), np.zeros(task.out_dim)
    best = rank(task, post_processed(task, smoothed, PostProcessing()))
    for block, block_scale, block_shift in _affine_maps(task, smoothed):
        now_scale, now_shift = scale.copy(), shift.copy()
        now_scale[block], now_shift[block] = block_scale, block_shift
        tried = PostProcessing(scale=tuple(now_scale.tolist()), shift=tuple(now_shift.tolist()))
        score = rank(task, post_processed(task, smoothed, tried))
        if score > best + TINY:
            best, scale, shift = score, now_scale, now_shift
    if (scale == 1).all() and (shift == 0).all():
        return post_processing
    if (scale == 1).all():
        return replace(post_processing, shift=tuple(shift.tolist()))
    return replace(post_processing, scale=tuple(scale.tolist()), shift=tuple(shift.tolist()))


def _affine_maps(task: Task, clips: Clips) -> Iterator[tuple[slice, Any, Any]]:
    """Columns of logits with the scale and the shift that their scored frames ask for, block by block."""
    logits, truths = [], []
    for clip in clips.values():
        rows = np.flatnonzero(clip.labels.scored)
        logits.append(task.logits(clip.values[rows]))
        truths.append(clip.labels.values[rows])
    logit, truth = np.concatenate(logits), np.concatenate(truths)
    column = goal = 0
    for kind, width in task.blocks:
        num_goals = 1 if kind == "classes" else width
        known = ~np.isnan(truth[:, goal])  # a part of a multi-task without a label here
        own = slice(column, column + width)
        yield from _block_maps(kind, own, logit[known, own], truth[known, goal : goal + num_goals])
        column, goal = column + width, goal + num_goals


def _block_maps(kind: Block, own: slice, logit: np.ndarray, truth: np.ndarray) -> Iterator[tuple[slice, Any, Any]]:
    """Classes get their biases together, units their thresholds together, values each its own scale and shift."""
    if not len(truth):
        return
    if kind == "classes":
        yield own, 1.0, class_biases(logit, truth[:, 0].astype(int))
    elif kind == "units":
        yield own, 1.0, [unit_shift(logit[:, i], truth[:, i] > 0.5) for i in range(logit.shape[1])]
    else:
        for i in range(logit.shape[1]):
            yield slice(own.start + i, own.start + i + 1), *matched(logit[:, i], truth[:, i])


def fit_task(
    folder: Path, name: str, data: Path | None, config: Path | None, exclude_split: str | None, *, trust: bool = False
) -> "PostProcessing":
    """The post-processing fitted on one task's tables; prints the score without it and, cross-fitted, with. What does not gain
    so is left out."""
    from abaw import predictions
    from abaw.calibration import fitting
    from abaw.evaluation import labelled_tables

    where = predictions.resolve(folder, name)
    task = labelled_tables.task_of(where, name)
    labels = labelled_tables.read_labels(labelled_tables.data_of(where, data), task, exclude_split)
    clips = labelled_tables.read_clips(where, task, labels, trust=trust)
    groups = fitting.groups_of(clips, predictions.read_metadata(where).get("made_by") or {})
    post_processing, tried = fitting.choose(task, clips, _options(where, config), groups)
    _tell(task, clips, post_processing, tried, len(set(groups.values())))
    weighted_on = (predictions.read_metadata(where).get("ensemble") or {}).get("fitted_on", ())
    if set(weighted_on) & set(post_processing.fitted_on):
        print(f"{name} the ensemble's weights were fitted on these videos too: both scores are the better for it")
    return post_processing


def _tell(
    task: "Task",
    clips: "Mapping[str, LabelledTable]",
    post_processing: "PostProcessing",
    tried: "Mapping[str, Tried]",
    num_groups: int,
) -> None:
    from abaw.evaluation.report import summary

    print(
        f"{task.name} fitted on {len(clips)} clips of {len(post_processing.fitted_on)} videos: {_words(post_processing)}"
    )
    if not tried:
        print(f"{task.name} with: not judged, one video cannot be fitted on and judged")
        return
    print(f"{task.name} without {summary(task.score(tried['nothing']))}")
    for name, words in (("no bias", "filled and smoothed"), ("all", "and shifted")):
        if name in tried:
            print(
                f"{task.name} {words} {summary(task.score(tried[name]))} "
                f"(cross-fitted: {num_groups} groups, each post-processed by what was fitted on the others)"
            )
    print(f"{task.name} what gained on clips that it was not fitted on is kept")


def _words(post_processing: "PostProcessing") -> str:
    """Its settings for a reader."""
    smoothed = f"{post_processing.smoother} over {post_processing.width} frames of {post_processing.space}"
    parts = [
        "gaps filled" if post_processing.fills else "",
        smoothed if post_processing.smoother != "none" else "not smoothed",
    ]
    for name, numbers in (("scale", post_processing.scale), ("shift", post_processing.shift)):
        parts.append(f"{name} {' '.join(f'{number:.3g}' for number in numbers)}" if numbers else "")
    return ", ".join(part for part in parts if part)


def _options(where: Path, config: Path | None) -> "PostProcessingConfig":
    """The section of the config given, else of the run that made the tables, else the defaults."""
    from abaw.config import PostProcessingConfig
    from abaw.evaluation import labelled_tables
    from abaw.pipelines.training import open_config

    if config is not None:
        return open_config(config, [])[1].post_processing
    run = labelled_tables.run_of(where)
    return run.config().post_processing if run else PostProcessingConfig()
