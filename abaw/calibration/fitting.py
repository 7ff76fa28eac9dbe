"""Post-processing fitted on held-out predictions to maximise the official score, and scored by cross-fitting.

Cross-fitting: each group of clips is post-processed with what was fitted on the other groups.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from abaw.calibration.biases import TINY, class_biases, match_variance, unit_bias
from abaw.configs.sections import PostProcessingConfig
from abaw.dataset.annotations import group_of
from abaw.dataset.layout import open_once
from abaw.dataset.seen import Seen, groups_in, unit_of
from abaw.errors import InputError
from abaw.evaluation.labelled_tables import (
    LabelledTable,
    dataset_of,
    labels_to_fit_on,
    read_held_out,
    run_of,
    task_of,
)
from abaw.evaluation.leaks import fitted_on_of
from abaw.evaluation.wording import summary
from abaw.files import as_path, write_json
from abaw.folds import check_apart
from abaw.postprocessing import PostProcessing, fitted_document
from abaw.results import predictions
from abaw.results.runs import Run
from abaw.tasks.base import Block, PredictionPair, Task

NUM_GROUPS = 5
STAGES = {"raw": "raw", "smoothed": "smoothed", "biased": "smoothed, with scale and bias"}  # as reported


Clips = Mapping[str, LabelledTable]


def fit_post_processing(task: Task, clips: Clips, options: PostProcessingConfig) -> PostProcessing:
    """The post-processing within ``options`` that has the highest official score over all these clips.

    First gap filling, smoother, width and space are searched jointly; then, if ``bias``, scale and bias are fitted
    block by block (``Task.blocks``), each kept only where the score rises. Of equally good settings the mildest is
    taken. Raises InputError where nothing is scored.
    """
    return _fit_each(task, clips, options, [list(clips)])[0]


def cross_fit(
    task: Task, clips: Clips, options: PostProcessingConfig, groups: Mapping[str, int | str]
) -> dict[str, PredictionPair]:
    """Every clip, post-processed with what was fitted on the other groups' clips, beside its labels.

    Raises InputError for fewer than two groups, or where a video is in two of them.
    """
    names = group_names(clips, groups)
    others = [[clip_id for clip_id in clips if groups[clip_id] != name] for name in names]
    found: dict[str, PredictionPair] = {}
    for name, post_processing in zip(names, _fit_each(task, clips, options, others), strict=True):
        held = {clip_id: clip for clip_id, clip in clips.items() if groups[clip_id] == name}
        scored = groups_in({clip_id: clip.labels for clip_id, clip in held.items()})
        check_apart(post_processing.seen, scored, "the post-processing fitted on the other groups")
        found |= post_processed(task, held, post_processing)
    return {clip_id: found[clip_id] for clip_id in clips}


def choose(
    task: Task, clips: Clips, options: PostProcessingConfig, groups: Mapping[str, int | str]
) -> tuple[PostProcessing, dict[str, dict[str, PredictionPair]]]:
    """The post-processing fitted on all clips with the stages that gain by cross-fitting, and each stage's predictions.

    The stages are "raw" (nothing is done), "smoothed" (``options`` without the bias) and "biased" (all of ``options``);
    of equally good ones the first is taken. The predictions of a stage are cross-fitted. Post-processing that does
    nothing also names the videos it was fitted on, because their labels chose it. With fewer than two groups nothing
    can be cross-fitted: all of ``options`` is fitted.
    """
    if len(set(groups.values())) < 2:
        return fit_post_processing(task, clips, options), {}
    nothing = PostProcessingConfig(fill_gaps=False, widths=[1], bias=False)
    ways = {"raw": nothing, "smoothed": options.model_copy(update={"bias": False}), "biased": options}
    if not options.bias:
        del ways["biased"]
    tried = {name: cross_fit(task, clips, each, groups) for name, each in ways.items()}
    best = "raw"
    for name, pairs in tried.items():
        if rank(task, pairs) > rank(task, tried[best]) + TINY:
            best = name
    return fit_post_processing(task, clips, ways[best]), tried


def post_processed(task: Task, clips: Clips, post_processing: PostProcessing) -> dict[str, PredictionPair]:
    """The clips' post-processed predictions beside their labels, without frames beyond the last label."""
    return {
        clip_id: PredictionPair(
            task.to_labels(post_processing.apply(task, clip.values, clip.observed))[: len(clip.labels)], clip.labels
        )
        for clip_id, clip in clips.items()
    }


def groups_of(clips: Clips, made_by: Mapping[str, str]) -> dict[str, int | str]:
    """The part that each clip is cross-fitted in: the run that held it out where ``made_by`` has all, else one of five.

    Those are balanced in scored frames: the data set's groups or, without them, videos, in descending order, each go to
    the part with the fewest so far.
    """
    if all(clip_id in made_by for clip_id in clips) and len({made_by[clip_id] for clip_id in clips}) > 1:
        return {clip_id: made_by[clip_id] for clip_id in clips}
    num_scored: dict[str, int] = {}
    for clip_id, clip in clips.items():
        group = group_of(clip_id, clip.labels)
        num_scored[group] = num_scored.get(group, 0) + int(clip.labels.scored.sum())
    sizes = [0] * min(NUM_GROUPS, len(num_scored))
    part_of = {}
    for group, num in sorted(num_scored.items(), key=lambda each: (-each[1], each[0])):
        part_of[group] = int(np.argmin(sizes))
        sizes[part_of[group]] += num
    return {clip_id: part_of[group_of(clip_id, clip.labels)] for clip_id, clip in clips.items()}


def group_names(clips: Clips, groups: Mapping[str, int | str]) -> list[int | str]:
    """The groups that these clips are in. Raises InputError where there are fewer than two."""
    names = sorted({groups[clip_id] for clip_id in clips}, key=str)
    if len(names) < 2:
        raise InputError("cross-fitting needs two groups of clips: one to fit on, one to score")
    return names


def rank(task: Task, by_clip: Mapping[str, PredictionPair]) -> float:
    """The ranking score."""
    return next(iter(task.score(by_clip).values()))


def _fit_each(
    task: Task, clips: Clips, options: PostProcessingConfig, subsets: Sequence[Collection[str]]
) -> list[PostProcessing]:
    """``fit_post_processing`` on each subset of the clips; every candidate is applied only once."""
    found = _choose(task, clips, options, subsets)
    if options.bias:
        found = [
            _with_affine(task, {clip_id: clips[clip_id] for clip_id in subset}, post_processing)
            for subset, post_processing in zip(subsets, found, strict=True)
        ]
    seen = [Seen.in_labels({clip_id: clips[clip_id].labels for clip_id in subset}) for subset in subsets]
    return [
        replace(post_processing, fitted_on=each.videos, fitted_on_groups=each.groups)
        for each, post_processing in zip(seen, found, strict=True)
    ]


def _choose(
    task: Task, clips: Clips, options: PostProcessingConfig, subsets: Sequence[Collection[str]]
) -> list[PostProcessing]:
    best: list[tuple[float, PostProcessing]] = [(-np.inf, PostProcessing())] * len(subsets)
    has_gaps = any(not clip.observed.all() for clip in clips.values())
    for candidate in _candidates(options, has_gaps):
        pairs = post_processed(task, clips, candidate)
        for i, subset in enumerate(subsets):
            score = rank(task, {clip_id: pairs[clip_id] for clip_id in subset})
            if score > best[i][0] + TINY:
                best[i] = score, candidate
    return [post_processing for _, post_processing in best]


def _candidates(options: PostProcessingConfig, has_gaps: bool) -> Iterator[PostProcessing]:
    """The mildest first: narrow before wide, without gap filling before with it."""
    for width in sorted({1, *options.widths}):
        for fill_gaps in (False, True) if options.fill_gaps and has_gaps else (False,):
            if width == 1:
                yield PostProcessing(fill_gaps=fill_gaps)
                continue
            for smoother in options.smoothers:
                for space in options.spaces:
                    yield PostProcessing(fill_gaps, smoother, width, space)


def _with_affine(task: Task, clips: Clips, post_processing: PostProcessing) -> PostProcessing:
    """The post-processing with scale and bias for those blocks in which they raise the score."""
    smoothed = {
        clip_id: LabelledTable(post_processing.smoothed(task, clip.values, clip.observed), clip.observed, clip.labels)
        for clip_id, clip in clips.items()
    }
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


@dataclass(frozen=True)
class FitResult:
    """What was fitted for one task, and its scores on clips that it was not fitted on.

    ``scores`` are the official scores by stage: "raw" tables, "smoothed" (gaps filled and smoothed) and "biased" (bias
    or scale added); the last two are cross-fitted over ``num_groups`` groups of clips. Empty for a single video, which
    cannot be both fitted on and scored.
    """

    task: str
    post_processing: PostProcessing
    scores: dict[str, dict[str, float]]
    num_clips: int
    num_groups: int
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"fitted on {self.num_clips} clips of {self._units()}: {self.post_processing}"]
        if not self.scores:
            unit = "group" if self.post_processing.fitted_on_groups else "video"
            lines.append(f"not scored: a single {unit} cannot be fitted on and scored")
        for stage, scores in self.scores.items():
            how = f" (cross-fitted: {self.num_groups} groups, each with what was fitted on the others)"
            lines.append(f"{STAGES[stage]} {summary(scores)}{how if stage != 'raw' else ''}")
        if self.scores:
            lines.append(f"the best of these is kept: {STAGES[self._kept()]}")
        return "\n".join(f"{self.task} {line}" for line in (*lines, *self.remarks))

    def _units(self) -> str:
        groups = self.post_processing.fitted_on_groups
        return f"{len(groups)} groups" if groups else f"{len(self.post_processing.fitted_on)} videos"

    def _kept(self) -> str:
        found = self.post_processing
        if found.scale or found.bias:
            return "biased"
        return "smoothed" if found.fill_gaps or found.smoother != "none" else "raw"


@dataclass(frozen=True)
class FitReport:
    """What ``fit`` found for each task, and the file it wrote (None: none was asked for)."""

    results: dict[str, FitResult]
    out: Path | None = None

    def __str__(self) -> str:
        lines = [str(each) for each in self.results.values()]
        return "\n".join([*lines, str(self.out)] if self.out else lines)


@open_once()
def fit(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    task: str | None = None,
    data: str | Path | None = None,
    options: PostProcessingConfig | None = None,
    exclude_split: str | None = None,
    trust: bool = False,
) -> FitReport:
    """Fit post-processing on held-out predictions: gap filling, smoothing, class biases, thresholds, scale and bias.

    ``folder``: a run, or a folder of held-out prediction tables. ``out``: the JSON file to write, which ``predict`` and
    ``combine`` take. ``task``: one task; by default every task the folder has tables of. ``data``: the data set with
    the labels; by default the run's. ``options``: what is tried; by default as the run's config says.
    ``exclude_split``: a split to leave out, so that it may be scored with what was fitted. ``trust``: take tables that
    do not say whether they are held out.

    Only what gains on clips it was not fitted on is kept. Raises InputError for tables by runs that were trained on
    these videos, and for a data set without labels; NotFoundError where there are no tables.
    """
    folder, out = as_path(folder, "folder"), as_path(out, "out", optional=True)
    if out is not None and out.is_dir():
        raise InputError(f"{out} is a folder, expected the path of a JSON file (--out)")
    tables = Run(folder).predictions("validation") if (folder / "run.json").is_file() else folder
    names = [task] if task else predictions.tasks_in(tables)
    dataset = as_path(data, "data", optional=True)
    results = {name: fit_task(tables, name, dataset, options, exclude_split, trust=trust) for name in names}
    if out is not None:
        write_json(out, fitted_document({name: each.post_processing for name, each in results.items()}))
    return FitReport(results, out)


def fit_task(
    folder: Path,
    name: str,
    data: Path | None,
    options: PostProcessingConfig | None,
    exclude_split: str | None,
    *,
    trust: bool = False,
) -> FitResult:
    """Fit one task's post-processing and score it by cross-fitting; see ``fit``."""
    where = predictions.resolve(folder, name)
    run, dataset = run_of(where), dataset_of(where, data)
    task = task_of(where, name, dataset=dataset)
    labels = labels_to_fit_on(dataset, task, exclude_split)
    clips = read_held_out(where, task, labels, trust=trust)
    about = predictions.read_metadata(where)
    groups = groups_of(clips, about.get("made_by") or {})
    options = options or (run.config().post_processing if run else PostProcessingConfig())
    found, tried = choose(task, clips, options, groups)
    remarks = []
    scored = groups_in({clip_id: clip.labels for clip_id, clip in clips.items()})
    if fitted_on_of(about.get("ensemble") or {}).find(scored):
        unit = unit_of(scored.values())
        remarks.append(f"note: the ensemble's weights were fitted on these {unit}s too, so these scores are too high")
    scores = {stage: task.score(pairs) for stage, pairs in tried.items()}
    return FitResult(name, found, scores, len(clips), len(set(groups.values())), tuple(remarks))
