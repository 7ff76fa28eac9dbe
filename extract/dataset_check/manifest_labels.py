"""What a manifest holds: clips, labels and groups of each split, and what is doubtful or wrong in them."""

from collections.abc import Iterator

import numpy as np

from abaw.dataset.annotations import Labels, TimedLabels
from abaw.dataset.layout import SPLITS, Dataset
from abaw.dataset.manifest import ClassColumns, Declaration, Manifest
from abaw.dataset.manifests.labels import read_clip_labels
from abaw.numbers import format_count
from extract.dataset_check.facts import ClipFacts, Finding
from extract.dataset_check.splits import NUMPY_FUNCTIONS, SplitFacts
from extract.engine.plan import DEFAULT_ROWS_HZ
from extract.engine.reading import MAX_ROWS_AFTER_END

FEW_CLIPS = 5  # of a class: too few to learn it or to score it


def check_manifest(manifest: Manifest) -> tuple[list[SplitFacts], list[Finding], dict[str, list[Labels]]]:
    """The splits and findings of a manifest, and the labels of each clip that could be read."""
    splits, findings = [], list(_find_doubts(manifest))
    labels: dict[str, list[Labels]] = {}
    declared = {"classes": manifest.classes, "values": manifest.values}
    known = {name: each for name, each in declared.items() if each is not None}
    for split in SPLITS:
        clips = manifest.clips(split)
        if clips and not known:
            splits.append(SplitFacts("", split, len(clips), num_groups=_num_groups(manifest, clips)))
        for name, each in known.items() if clips else ():
            found: list[Labels] = []
            without: list[str] = []
            for clip_id in clips:
                try:
                    of_clip = read_clip_labels(manifest, each, clip_id)
                except (ValueError, OSError) as error:
                    advice = "training and scoring stop at this error: correct the file"
                    findings.append(Finding("unreadable_labels", clip_id, str(error), advice))
                    continue
                if of_clip is None or not of_clip.scored.any():
                    without.append(clip_id)
                if of_clip is not None:
                    found.append(of_clip)
                    labels.setdefault(clip_id, []).append(of_clip)
            splits.append(_split_facts(manifest, name, each, split, found))
            findings += _find_missing(name, each, split, found, without)
    return splits, list(dict.fromkeys(findings)), labels


def find_outside(dataset: Dataset, facts: ClipFacts, labels: list[Labels]) -> Iterator[Finding]:
    """Labels of a clip that are after its end, and a part that is not in its file."""
    clip, end_s = dataset.clips[facts.clip], facts.end_s
    if end_s is not None and clip.start_s is not None and clip.start_s >= end_s:
        message = f"starts at {clip.start_s:g} s, but {facts.media} ends at {end_s:.2f} s"
        yield Finding("part_outside", facts.clip, message, "correct the times: extraction reports the clip as failed")
    elif end_s is not None and clip.stop_s is not None and clip.stop_s > end_s + 1:
        message = f"stops at {clip.stop_s:g} s, but {facts.media} ends at {end_s:.2f} s"
        yield Finding("part_outside", facts.clip, message, "correct the time: the clip ends with the file")
    for each in labels:
        try:
            if isinstance(each, TimedLabels):
                if end_s is not None or not clip.is_series:
                    each.at(np.array([] if end_s is None else [end_s]))
            elif dataset.num_label_rows(facts.clip) > (facts.last_frame or np.inf) + MAX_ROWS_AFTER_END:
                message = f"labels up to frame {len(each)}, but the clip has {facts.last_frame}"
                yield Finding("label_outside", facts.clip, message, "correct the file of labels: the clip fails")
        except ValueError as error:
            yield Finding("label_outside", facts.clip, str(error), "training and scoring stop at this error")


def find_rates(facts: list[ClipFacts], dataset: Dataset) -> Iterator[Finding]:
    """That the frames of clips of sound alone, and of folders of pictures, get a rate."""
    alone = [each for each in facts if each.has_sound and not each.has_video and dataset.clips[each.clip].fps is None]
    num = sum(not dataset.num_label_rows(each.clip) for each in alone)
    if num:
        message = f"{format_count(num, 'clip')} of sound alone without a frame rate: {DEFAULT_ROWS_HZ:g} rows a second"
        yield Finding("no_rate", None, message, "give a column fps, or --assume-fps, for another rate")
    if num < len(alone):
        message = f"{format_count(len(alone) - num, 'clip')} of sound alone with labels of frames and no frame rate"
        yield Finding("no_rate_of_labels", None, message, "give a column fps, or --assume-fps: the clips fail without")
    num = sum(each.is_series and each.fps is None for each in dataset.clips.values())
    if num:
        message = f"{format_count(num, 'folder')} of consecutive pictures without a frame rate"
        advice = "add a column fps to the manifest, or give --assume-fps: the clips fail without"
        yield Finding("no_rate_of_pictures", None, message, advice)


def _find_doubts(manifest: Manifest) -> Iterator[Finding]:
    if len(set(manifest.splits.values())) == 1:
        (split,) = set(manifest.splits.values())
        advice = "add a column split, or train on folds (folds in a config), which need none"
        yield Finding("one_split", None, f"{manifest.path}: every clip is in the split {split}", advice)
    if not manifest.has_groups:
        message = f"{manifest.path} has no column for the group (speaker, session or subject) of a clip"
        advice = "name it in the data set file: a person in training and validation makes scores too high"
        yield Finding("no_groups", None, message, advice)


def _find_missing(
    name: str, declared: Declaration, split: str, labels: list[Labels], without: list[str]
) -> Iterator[Finding]:
    if without and split != "test":
        message = f"{len(without)} clips of {split} have no label of {name}, such as {without[0]!r}"
        yield Finding("no_label", None, message, "no problem if they are only to be predicted")
    if isinstance(declared, ClassColumns) and not declared.is_soft and split != "test" and labels:
        clips = np.sum(
            [np.bincount(np.unique(_scored(each)[:, 0].astype(int)), minlength=len(declared.names)) for each in labels],
            axis=0,
        )
        for class_name, num in zip(declared.names, clips.tolist(), strict=True):
            if num < FEW_CLIPS:
                message = f"the class {class_name!r} occurs in {format_count(num, 'clip')} of {split}"
                yield Finding("rare_class", None, message, "it can hardly be learned or scored: get more, or merge it")


def _split_facts(manifest: Manifest, name: str, declared: Declaration, split: str, labels: list[Labels]) -> SplitFacts:
    values = np.concatenate([_scored(each) for each in labels]) if labels else np.zeros((0, 1))
    clips = manifest.clips(split)
    statistics: dict[str, object] = {}
    if isinstance(declared, ClassColumns) and not declared.is_soft:
        counts = np.bincount(values[:, 0].astype(int), minlength=len(declared.names))
        statistics = dict(zip(declared.names, counts.tolist(), strict=True))
    elif isinstance(declared, ClassColumns) and len(values):
        statistics = dict(zip(declared.names, values.mean(axis=0).tolist(), strict=True))
    elif len(values):
        for column, of_column in zip(declared.label_columns, values.T, strict=True):
            statistics[column] = {key: float(getattr(np, way)(of_column)) for key, way in NUMPY_FUNCTIONS.items()}
    num_groups = _num_groups(manifest, clips)
    return SplitFacts(name, split, len(clips), sum(map(len, labels)), len(values), statistics, num_groups)


def _num_groups(manifest: Manifest, clips: tuple[str, ...]) -> int | None:
    return len({manifest.groups[clip_id] for clip_id in clips}) if manifest.has_groups else None


def _scored(labels: Labels) -> np.ndarray:
    return labels.values[labels.scored]
