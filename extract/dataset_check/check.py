"""What a data set holds and what will hurt, before hours are spent on it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from abaw.challenge.submission import read_template
from abaw.dataset.annotations import Labels
from abaw.dataset.layout import SPLITS, Clip, Dataset, video_of
from abaw.files import visible
from abaw.tasks import TASKS
from abaw.tasks.base import Task
from extract.dataset_check.rules import RULES, ClipFacts, Finding, findings
from extract.dataset_check.splits import SplitFacts, split_facts, split_line
from extract.media import MediaInfo, probe

NUM_SHOWN = 4
SAMPLE_NAMES = ("*sample*.txt", "*example*.txt")


@dataclass(frozen=True)
class CheckReport:
    """Everything found; ``dataclasses.asdict`` of it is JSON."""

    root: str
    num_media: int
    num_ignored: int
    image_roots: tuple[str, ...]
    splits: list[SplitFacts]
    clips: list[ClipFacts]
    findings: list[Finding]

    def __str__(self) -> str:
        return _text(self)


@dataclass
class _Found:
    """Labels that can be read, by task and clip, with what else the walk over them told."""

    labels: dict[str, dict[str, Labels]] = field(default_factory=lambda: defaultdict(dict))
    splits: list[SplitFacts] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    videos: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))  # split -> video -> task


def check(
    dataset: Dataset,
    *,
    images_listed: bool = True,
    progress: Callable[[str, int, int], None] = lambda clip_id, done, total: None,
) -> CheckReport:
    """Look at every clip and every label file; nothing in the data set stops it.

    Every video's packets are read, none of its pictures but the first. Without ``images_listed`` the folders of images
    are not opened (slow on a network drive) and their findings are missing. ``progress(clip_id, done, total)`` is called
    before each clip.
    """
    found = _Found()
    for name in TASKS.names():
        _read_task(dataset, TASKS.build(name), found)
    look = cache(_probe)  # two subjects share a video
    mates: dict[Path | None, list[str]] = defaultdict(list)
    for clip in dataset.clips.values():
        mates[clip.media].append(clip.clip_id)
    clips = []
    for done, clip in enumerate(dataset.clips.values()):
        progress(clip.clip_id, done, len(dataset.clips))
        others = tuple(other for other in mates[clip.media] if clip.media and other != clip.clip_id)
        facts = _media_facts(ClipFacts(clip.clip_id, mates=others), clip, look)
        labels = {task: of_clip[clip.clip_id] for task, of_clip in found.labels.items() if clip.clip_id in of_clip}
        clips.append(_image_facts(facts, clip, labels, images_listed))
    of_clips = [finding for facts in clips for finding in findings(facts)]
    found.findings += sorted(of_clips, key=lambda finding: list(RULES).index(finding.code))
    found.findings += [*_repeat_findings(dataset), *_side_findings(found.videos)]
    found.findings += _sample_findings(dataset, {facts.clip: facts for facts in clips})
    return CheckReport(
        str(dataset.root),
        len(mates.keys() - {None}),
        dataset.num_ignored,
        tuple(map(str, dataset.image_roots)),
        found.splits,
        clips,
        found.findings,
    )


def _text(report: CheckReport) -> str:
    """The report for a terminal: a summary, then the findings by kind with the first few clips of each."""
    roots = ", ".join(Path(root).name for root in report.image_roots) or "none"
    text = [f"{report.root}: {len(report.clips)} clips, {report.num_media} media, image roots: {roots}"]
    if report.num_ignored:
        text.append(f"{report.num_ignored} other files ignored")
    text += [split_line(split) for split in report.splits]
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        by_code[finding.code].append(finding)
    text.append(f"{len(report.findings)} findings" + ":" * bool(by_code))
    for code, same in by_code.items():
        text.append(f"  {code} ({len(same)}): {same[0].advice}")
        text += [f"    {each.clip + ': ' if each.clip else ''}{each.words}" for each in same[:NUM_SHOWN]]
        if len(same) > NUM_SHOWN:
            text.append(f"    and {len(same) - NUM_SHOWN} more")
    return "\n".join(text)


def _read_task(dataset: Dataset, task: Task, found: _Found) -> None:
    for split in SPLITS:
        try:
            clips = task.clips(dataset, split)
        except ValueError as error:
            advice = "name the one to use in a data set file (README, 'Your data')"
            found.findings.append(Finding("ambiguous", None, str(error), advice))
            return
        found.videos[split].update(dict.fromkeys(map(video_of, clips), task.name))
        if clips and split == "test":
            found.splits.append(SplitFacts(task.name, split, len(clips)))
        elif clips:
            labels = _read_labels(dataset, task, split, found)
            found.labels[task.name] |= labels
            found.splits.append(split_facts(task, split, len(clips), list(labels.values())))


def _read_labels(dataset: Dataset, task: Task, split: str, found: _Found) -> dict[str, Labels]:
    """What can be read of a split: where each clip has a file, a broken one does not hide the others."""
    if not task.folders:
        return _read(dataset, task, split, None, found)
    labels: dict[str, Labels] = {}
    for clip_id, path in dataset.annotation_files(task.folders, split).items():
        alone = replace(dataset, challenges={path.parent.parent.name: {split: {clip_id: path}}})
        labels |= _read(alone, task, split, clip_id, found)
    return labels


def _read(dataset: Dataset, task: Task, split: str, clip_id: str | None, found: _Found) -> dict[str, Labels]:
    try:
        return task.read_labels(dataset, split)
    except (ValueError, OSError) as error:
        advice = "training and scoring stop at it: mend the file or take it out"
        found.findings.append(Finding("unreadable_labels", clip_id, str(error), advice))
        return {}


def _probe(path: Path) -> MediaInfo | str:
    """What the file announces, or why it cannot be read."""
    try:
        return probe(path)
    except (ValueError, OSError) as error:
        return str(error)


def _media_facts(facts: ClipFacts, clip: Clip, look: Callable[[Path], MediaInfo | str]) -> ClipFacts:
    if clip.media is None:
        return facts
    facts = replace(facts, media=str(clip.media), is_base=clip.media.stem == clip.clip_id)
    info = look(clip.media)
    if isinstance(info, str):
        return replace(facts, media_error=info)
    both = info.has_video and info.has_sound
    return replace(
        facts,
        has_video=info.has_video,
        has_sound=info.has_sound,
        fps=info.fps if np.isfinite(info.fps) else None,  # JSON knows no nan
        is_variable=info.is_variable if info.has_video else None,
        num_frames=info.num_packets if info.has_video else None,
        width=info.width,
        height=info.height,
        rotation_deg=info.rotation_deg,
        sound_late_s=info.sound_start_s - info.first_picture_s if both else None,
        sound_short_s=info.last_picture_s - info.sound_stop_s if both else None,
    )


def _image_facts(facts: ClipFacts, clip: Clip, labels: dict[str, Labels], images_listed: bool) -> ClipFacts:
    lined = {task: len(each) for task, each in labels.items() if TASKS.build(task).folders}  # a line a frame
    facts = replace(facts, label_rows=lined)
    labels = {task: each for task, each in labels.items() if TASKS.build(task).resolution == "frame"}
    if clip.images is None:
        return facts
    facts = replace(facts, images=str(clip.images))
    if not images_listed:
        return facts
    numbers = np.array(clip.image_numbers(), int)
    steps = np.diff(numbers, prepend=0)
    without = {task: int((~np.isin(np.flatnonzero(each.scored) + 1, numbers)).sum()) for task, each in labels.items()}
    return replace(
        facts,
        num_images=len(numbers),
        last_image=int(numbers[-1]) if len(numbers) else 0,
        num_gaps=int((steps > 1).sum()),
        num_missing=int((steps - 1).clip(0).sum()),
        scored_without_image=without,
    )


def _repeat_findings(dataset: Dataset) -> Iterator[Finding]:
    for splits in dataset.listings.values():
        for split, found in splits.items():
            for each in found:
                if each.num_repeats and split != "test":
                    words = f"{each.path}: {each.num_repeats} rows name what an earlier row names"
                    yield Finding("repeated_rows", None, words, "they count once; to contradict each other is an error")


def _side_findings(videos: dict[str, dict[str, str]]) -> Iterator[Finding]:
    """Videos that one task trains on and another judges by: MTL's lists part them otherwise than the single tasks'."""
    for video in sorted(videos["train"].keys() & {**videos["validation"], **videos["test"]}.keys()):
        split = "validation" if video in videos["validation"] else "test"
        words = f"{videos['train'][video]} trains on it, it is in the {split} split of {videos[split][video]}"
        yield Finding("two_sides", video, words, "a run of both tasks leaks: see folds.drop_leaks")


def _sample_findings(dataset: Dataset, clips: dict[str, ClipFacts]) -> Iterator[Finding]:
    lists = [*dataset.test_lists.values()]
    lists += [each.path for splits in dataset.listings.values() for each in splits.get("test", ())]
    for path in _sample_files(lists):
        try:
            template = read_template(path)
        except ValueError as error:
            advice = "submit cannot use it as a template; fine where it is of a task not built in"
            yield Finding("unreadable_sample", None, str(error), advice)
            continue
        counts = Counter(template.clip_of.tolist())
        for i, clip in enumerate(template.clips):
            last = int(template.frames[template.clip_of == i].max())
            if clip not in clips:
                advice = "submit needs predictions for every clip of the sample: add its video or images"
                yield Finding("unknown_in_sample", clip, f"{path} asks for {counts[i]} rows of it", advice)
            elif template.task.resolution == "frame" and _differs(clips[clip].frames_seen, counts[i], last):
                words = f"{path.name} asks for {counts[i]} rows, there are {clips[clip].frames_seen} frames"
                advice = (
                    "rows follow the sample: past the last frame its value is held, frames not asked for are left out"
                )
                yield Finding("sample_rows", clip, words, advice)


def _differs(num_frames: int, num_rows: int, last: int) -> bool:
    """A sample of single images, as MTL's, leaves frames out on purpose: then only those beyond the end matter."""
    return num_frames > 0 and (last > num_frames if last > num_rows else num_rows != num_frames)


def _sample_files(test_lists: Iterable[Path]) -> list[Path]:
    """Sample prediction files beside the test lists, or one folder further down."""
    patterns = [below + name for name in SAMPLE_NAMES for below in ("", "*/")]
    folders = {path.parent for path in test_lists}
    found = {path for folder in folders for pattern in patterns for path in visible(folder, pattern)}
    return sorted(path for path in found if path.is_file())
