"""Post-processing fitted on held-out predictions to maximise the official score, and scored by cross-fitting.

Cross-fitting: each group of clips is post-processed with what was fitted on the other groups.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from abaw.calibration.biases import TINY, class_biases, match_variance, unit_bias
from abaw.calibration.choosing_maps import MapChoice, with_maps
from abaw.calibration.gains import MIN_GROUPS, Choice, Group, left_out, nest
from abaw.configs.sections import PostProcessingConfig
from abaw.dataset.annotations import Labels, group_of
from abaw.dataset.seen import Seen, groups_in
from abaw.errors import InputError
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.folds import check_apart
from abaw.postprocessing import PostProcessing
from abaw.progress import ProgressCallback, silent, with_progress
from abaw.tasks.base import Block, PredictionPair, Task

NUM_GROUPS = 5  # of cross-fitting
MANY_GROUPS, FEW_VIDEOS = 10, 50  # of few videos, what is fitted on a fifth less is clearly worse
MIN_RUNS = 4  # of fewer, each would be a large part of what is fitted on

Clips = Mapping[str, LabelledTable]


def fit_post_processing(task: Task, clips: Clips, options: PostProcessingConfig) -> PostProcessing:
    """The post-processing within ``options`` that has the highest official score over all these clips.

    First gap filling, smoother, width and space are searched jointly; then, if ``bias``, scale and bias are fitted
    block by block (``Task.blocks``), each kept only where the score rises. Of equally good settings the mildest is
    taken. Raises InputError where nothing is scored.
    """
    return _fit_each(task, clips, options, [list(clips)])[0]


def cross_fit(
    task: Task, clips: Clips, options: PostProcessingConfig, groups: Mapping[str, Group]
) -> dict[str, PredictionPair]:
    """Every clip, post-processed with what was fitted on the other groups' clips, beside its labels.

    Raises InputError for fewer than two groups, or where a video is in two of them.
    """
    names = group_names(clips, groups)
    others = [[clip_id for clip_id in clips if groups[clip_id] != name] for name in names]
    found: dict[str, PredictionPair] = {}
    for name, post_processing in zip(names, _fit_each(task, clips, options, others), strict=True):
        found |= _held_out(task, clips, groups, name, post_processing)
    return {clip_id: found[clip_id] for clip_id in clips}


def choose(
    task: Task,
    clips: Clips,
    options: PostProcessingConfig,
    groups: Mapping[str, Group],
    maps: MapChoice | None = None,
    progress: ProgressCallback = silent,
) -> tuple[PostProcessing, Choice]:
    """The post-processing fitted on all clips with the stages that clearly gain by cross-fitting, and the choice.

    The stages are "raw" (nothing is done), "smoothed" (``options`` without the bias) and "biased" (all of ``options``,
    with scale and bias shrunk by as much as their gain may be chance). Where ``maps`` of probabilities are kept, they
    are fitted again in every stage and for every group that is held out, after smoothing and before scale and bias.
    Post-processing that does nothing also names the videos it was fitted on, because their labels chose it. With fewer
    than ``MIN_GROUPS`` groups nothing is fitted.
    """
    everything, names = list(clips), sorted(set(groups.values()), key=str)
    none = PostProcessingConfig(fill_gaps=False, widths=[1], bias=False)

    def mapped(several: list[PostProcessing], subsets: list[list[str]]) -> list[PostProcessing]:
        pairs = zip(several, subsets, strict=True)
        return several if maps is None else [with_maps(task, clips, *pair, maps) for pair in pairs]

    raw = mapped(_fit_each(task, clips, none, [everything]), [everything])[0]
    if len(names) < MIN_GROUPS:
        return raw, Choice("raw", 1.0, {"raw": post_processed(task, clips, raw)}, {}, None)
    ways = ["raw", "smoothed", *(["biased"] if options.bias else [])]

    @cache
    def fits(num_left: int) -> dict[str, dict[frozenset[Group], PostProcessing]]:
        without = left_out(names, num_left)
        subsets = [[clip_id for clip_id in clips if groups[clip_id] not in each] for each in without]
        smoothed = mapped(
            _fit_each(task, clips, options.model_copy(update={"bias": False}), subsets, progress), subsets
        )
        found = {"smoothed": smoothed}
        if raw.calibration:
            found["raw"] = mapped(_fit_each(task, clips, none, subsets), subsets)
        if options.bias:
            found["biased"] = _with_affine_each(task, clips, smoothed, subsets)
        return {way: dict(zip(without, each, strict=True)) for way, each in found.items()}

    def fitted(way: str, left: frozenset[Group]) -> PostProcessing:
        is_unfitted = way == "raw" and raw.calibration is None
        return raw if is_unfitted else fits(max(len(left), 1))[way][left]

    @cache
    def predict(way: str, strength: float, left: frozenset[Group], name: Group) -> dict[str, PredictionPair]:
        if way == "raw" and raw.calibration is None:  # nothing was fitted
            return post_processed(task, _of_group(clips, groups, name), raw)
        return _held_out(task, clips, groups, name, fitted(way, left).shrunk(strength))

    found = nest(task, ways, names, predict)
    return fitted(found.kept, frozenset()).shrunk(found.strength), found


def post_processed(task: Task, clips: Clips, post_processing: PostProcessing) -> dict[str, PredictionPair]:
    """The clips' post-processed predictions beside their labels, without frames beyond the last label."""
    return {
        clip_id: PredictionPair(
            task.to_labels(post_processing.apply(task, *clip.to_process))[: len(clip.labels)], clip.labels
        )
        for clip_id, clip in clips.items()
    }


def groups_of(clips: Clips, made_by: Mapping[str, str]) -> dict[str, Group]:
    """The part that each clip is cross-fitted in: the run that held it out where ``made_by`` has 4 or 5.

    Else it is one of five, or of ten where there are at most 50 videos (or groups) in all.

    Those are balanced in scored frames: the clips of each run where there are more than five, else the data set's
    groups or, without them, videos, in descending order, each go to the part with the fewest so far.
    """
    runs = {clip_id: made_by[clip_id] for clip_id in clips if clip_id in made_by}
    num_runs = len(set(runs.values())) if len(runs) == len(clips) else 0
    if MIN_RUNS <= num_runs <= NUM_GROUPS:
        return dict(runs)
    whole = (
        runs if num_runs > NUM_GROUPS else {clip_id: group_of(clip_id, clip.labels) for clip_id, clip in clips.items()}
    )
    num_scored: dict[str, int] = {}
    for clip_id, clip in clips.items():
        num_scored[whole[clip_id]] = num_scored.get(whole[clip_id], 0) + int(clip.labels.scored.sum())
    sizes = [0] * min(MANY_GROUPS if len(num_scored) <= FEW_VIDEOS else NUM_GROUPS, len(num_scored))
    part_of = {}
    for group, num in sorted(num_scored.items(), key=lambda each: (-each[1], each[0])):
        part_of[group] = int(np.argmin(sizes))
        sizes[part_of[group]] += num
    return {clip_id: part_of[whole[clip_id]] for clip_id in clips}


def group_names(clips: Clips, groups: Mapping[str, Group]) -> list[Group]:
    """The groups that these clips are in. Raises InputError where there are fewer than two."""
    names = sorted({groups[clip_id] for clip_id in clips}, key=str)
    if len(names) < 2:
        raise InputError("cross-fitting needs two groups of clips: one to fit on, one to score")
    return names


def rank(task: Task, by_clip: Mapping[str, PredictionPair]) -> float:
    """The ranking score."""
    return next(iter(task.score(by_clip).values()))


def rank_subsets(task: Task, pairs: Mapping[str, PredictionPair], subsets: Sequence[Collection[str]]) -> np.ndarray:
    """``rank`` of each subset of the clips, from statistics of each clip that are computed once.

    Raises InputError where nothing in a subset is scored.
    """
    scored = [clip_id for clip_id, pair in pairs.items() if pair.labels.scored.any()]
    counts = np.array([[clip_id in subset for clip_id in scored] for subset in map(frozenset, subsets)], int)
    if not counts.any(axis=1).all():
        rank(task, {})  # raises: nothing to score
    return next(iter(task.resampled_scores([{clip_id: pairs[clip_id]} for clip_id in scored])(counts).values()))


def _of_group(clips: Clips, groups: Mapping[str, Group], name: Group) -> dict[str, LabelledTable]:
    return {clip_id: clip for clip_id, clip in clips.items() if groups[clip_id] == name}


def _held_out(
    task: Task, clips: Clips, groups: Mapping[str, Group], name: Group, post_processing: PostProcessing
) -> dict[str, PredictionPair]:
    """The clips of a group, which must not have been fitted on, post-processed."""
    held = _of_group(clips, groups, name)
    scored = groups_in({clip_id: clip.labels for clip_id, clip in held.items()})
    check_apart(post_processing.seen, scored, "the post-processing fitted on the other groups")
    return post_processed(task, held, post_processing)


def _fit_each(
    task: Task,
    clips: Clips,
    options: PostProcessingConfig,
    subsets: Sequence[Collection[str]],
    progress: ProgressCallback = silent,
) -> list[PostProcessing]:
    """``fit_post_processing`` on each subset of the clips; every candidate is applied only once."""
    seen = [Seen.in_labels({clip_id: clips[clip_id].labels for clip_id in subset}) for subset in subsets]
    found = [
        replace(post_processing, fitted_on=each.videos, fitted_on_groups=each.groups)
        for each, post_processing in zip(seen, _choose(task, clips, options, subsets, progress), strict=True)
    ]
    return _with_affine_each(task, clips, found, subsets) if options.bias else found


def _choose(
    task: Task,
    clips: Clips,
    options: PostProcessingConfig,
    subsets: Sequence[Collection[str]],
    progress: ProgressCallback,
) -> list[PostProcessing]:
    best: list[tuple[float, PostProcessing]] = [(-np.inf, PostProcessing())] * len(subsets)
    has_gaps = any(not clip.observed.all() for clip in clips.values())
    words = f"{task.name}, {{0.smoother}} {{0.width:g}}".format
    for candidate in with_progress(list(_candidates(options, has_gaps)), progress, words):
        scores = rank_subsets(task, post_processed(task, clips, candidate), subsets)
        for i, score in enumerate(scores.tolist()):
            if score > best[i][0] + TINY:
                best[i] = score, candidate
    return [post_processing for _, post_processing in best]


def _candidates(options: PostProcessingConfig, has_gaps: bool) -> Iterator[PostProcessing]:
    """The mildest first: narrow before wide, without gap filling before with it."""
    unsmoothed = 0 if options.unit == "seconds" else 1
    for width in sorted({unsmoothed, *options.widths}):
        for fill_gaps in (False, True) if options.fill_gaps and has_gaps else (False,):
            if width == unsmoothed:
                yield PostProcessing(fill_gaps=fill_gaps)
                continue
            for smoother in options.smoothers:
                for space in options.spaces:
                    yield PostProcessing(fill_gaps, smoother, width, space, unit=options.unit)


def _with_affine_each(
    task: Task, clips: Clips, post_processings: Sequence[PostProcessing], subsets: Sequence[Collection[str]]
) -> list[PostProcessing]:
    """``_with_affine`` on each subset; clips are smoothed once for all subsets that are smoothed alike."""
    found = list(post_processings)
    alike: dict[PostProcessing, list[int]] = {}
    for i, each in enumerate(post_processings):
        alike.setdefault(replace(each, fitted_on=(), fitted_on_groups=()), []).append(i)
    for smoothing, which in alike.items():
        needed = {clip_id for i in which for clip_id in subsets[i]}
        smoothed = {
            clip_id: clip._replace(values=smoothing.apply(task, *clip.to_process))
            for clip_id, clip in clips.items()
            if clip_id in needed
        }
        for i in which:
            of_subset = [smoothed[clip_id] for clip_id in subsets[i]]
            found[i] = _with_affine(task, _joined(task, of_subset), post_processings[i])
    return found


def _joined(task: Task, clips: Sequence[LabelledTable]) -> dict[str, LabelledTable]:
    """The scored frames of all clips as those of one, which is faster; clips of a clip-level task as they are."""
    if task.resolution == "clip":
        return {str(i): clip for i, clip in enumerate(clips)}
    rows = [np.flatnonzero(clip.labels.scored) for clip in clips]
    values = np.concatenate([clip.values[of] for clip, of in zip(clips, rows, strict=True)])
    truths = np.concatenate([clip.labels.values[of] for clip, of in zip(clips, rows, strict=True)])
    everywhere = np.ones(len(values), bool)
    return {"": LabelledTable(values, everywhere, Labels(truths, everywhere))}


def _with_affine(task: Task, smoothed: Clips, post_processing: PostProcessing) -> PostProcessing:
    """The post-processing with scale and bias for those blocks in which they raise the score of smoothed clips."""
    scale, bias = np.ones(task.out_dim), np.zeros(task.out_dim)
    best = rank(task, post_processed(task, smoothed, PostProcessing()))
    for block, block_scale, block_bias in _affine_maps(task, smoothed):
        now_scale, now_bias = scale.copy(), bias.copy()
        now_scale[block], now_bias[block] = block_scale, block_bias
        tried = PostProcessing(scale=tuple(now_scale.tolist()), bias=tuple(now_bias.tolist()))
        score = rank(task, post_processed(task, smoothed, tried))
        if score > best + TINY:
            best, scale, bias = score, now_scale, now_bias
    if (scale == 1).all() and (bias == 0).all():
        return post_processing
    if (scale == 1).all():
        return replace(post_processing, bias=tuple(bias.tolist()))
    return replace(post_processing, scale=tuple(scale.tolist()), bias=tuple(bias.tolist()))


def _affine_maps(task: Task, clips: Clips) -> Iterator[tuple[slice, Any, Any]]:
    """Block by block, columns of logits with the scale and bias fitted on their scored frames (or clips)."""
    logits, truths = [], []
    for clip in clips.values():
        rows = np.flatnonzero(clip.labels.scored)
        values = clip.values if task.resolution == "frame" else task.pooled(clip.values)
        logits.append(task.logits(values[rows]))
        truths.append(clip.labels.values[rows])
    logit, truth = np.concatenate(logits), np.concatenate(truths)
    if {kind for kind, _ in task.blocks} == {"values"}:
        truth = task.logits(truth)  # as the outputs, which may be standardised
    column = goal = 0
    for kind, width in task.blocks:
        num_goals = 1 if kind == "classes" else width
        known = ~np.isnan(truth[:, goal])  # NaN: a part of a multi-task label that is missing
        own = slice(column, column + width)
        yield from _block_maps(kind, own, logit[known, own], truth[known, goal : goal + num_goals])
        column, goal = column + width, goal + num_goals


def _block_maps(kind: Block, own: slice, logit: np.ndarray, truth: np.ndarray) -> Iterator[tuple[slice, Any, Any]]:
    """Classes get their biases together, units their thresholds together, each value its own scale and bias."""
    if not len(truth):
        return
    if kind == "classes":
        yield own, 1.0, class_biases(logit, truth[:, 0].astype(int))
    elif kind == "units":
        yield own, 1.0, [unit_bias(logit[:, i], truth[:, i] > 0.5) for i in range(logit.shape[1])]
    else:
        for i in range(logit.shape[1]):
            yield slice(own.start + i, own.start + i + 1), *match_variance(logit[:, i], truth[:, i])
