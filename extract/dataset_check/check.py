"""What a data set holds, and what in it would lose rows or shift them, before hours are spent on it: ``abaw check``."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from abaw.challenge.template import find_templates, read_template
from abaw.dataset.annotations import Labels
from abaw.dataset.clip import Clip
from abaw.dataset.face_images import EXPECTED, is_image
from abaw.dataset.layout import SPLITS, Dataset
from abaw.dataset.media_files import Streams, printable, stem_of
from abaw.dataset.names import SIDES, video_of
from abaw.numbers import format_count
from abaw.progress import ProgressCallback, silent
from abaw.tasks import tasks_for
from abaw.tasks.base import Task
from extract.dataset_check import loss_rules, rules  # noqa: F401  they register their rules
from extract.dataset_check.facts import ClipFacts, Finding
from extract.dataset_check.losses import clip_losses
from extract.dataset_check.manifest_labels import check_manifest, find_outside, find_rates
from extract.dataset_check.rule import RULES, apply_rules
from extract.dataset_check.splits import SplitFacts, split_facts
from extract.losses import summarize
from extract.media import MediaInfo, look_for_sound, probe
from extract.media.stills.image_files import check_image

Probe = Callable[[Path, Streams], tuple[MediaInfo, bool, str] | str]
NUM_SHOWN = 4  # findings of one kind in the text of a report


@dataclass(frozen=True)
class CheckReport:
    """Facts of every split and clip, and findings; ``dataclasses.asdict`` of it is JSON, ``str`` text for a terminal.

    ``num_media``: media files that belong to a clip; ``num_ignored``: files that are neither media nor read otherwise.
    As text, the losses of the clips are summarised as ``abaw extract`` does.
    """

    root: str
    num_media: int
    num_ignored: int
    image_roots: tuple[str, ...]
    splits: list[SplitFacts]
    clips: list[ClipFacts]
    findings: list[Finding]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The report line by line: a summary, then the first findings of each kind with advice."""
        roots = ", ".join(Path(root).name for root in self.image_roots)
        counts = f"{format_count(len(self.clips), 'clip')}, {self.num_media} media"
        yield f"{self.root}: {counts}" + f", image roots: {roots}" * bool(roots)
        if self.num_ignored:
            yield f"{self.num_ignored} other files ignored"
        for split in self.splits:
            yield from split.lines()
        by_code: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.findings:
            by_code[finding.code].append(finding)
        yield from summarize({facts.clip: facts.losses for facts in self.clips}, len(self.clips), "--json")
        yield format_count(len(self.findings), "finding") + ":" * bool(by_code)
        for code, same in by_code.items():
            yield f"  {code} ({len(same)}): {same[0].advice}"
            for each in same[:NUM_SHOWN]:
                yield f"    {each.clip + ': ' if each.clip else ''}{each.message}"
            if len(same) > NUM_SHOWN:
                yield f"    and {len(same) - NUM_SHOWN} more"


@dataclass
class _Collected:
    """What reading the labels of all tasks gave: labels by task and clip, and more."""

    labels: dict[str, dict[str, Labels]] = field(default_factory=lambda: defaultdict(dict))
    splits: list[SplitFacts] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    videos: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))  # split -> video -> task


def check(dataset: Dataset, *, images_listed: bool = True, progress: ProgressCallback = silent) -> CheckReport:
    """Look at every clip and every label file; files that cannot be read are findings, not errors.

    The packets of every video are read, but only its first frame and seconds of sound are decoded; of images only the
    ends are read. Without ``images_listed`` the folders of images are not opened (slow on a network drive), and the
    findings about them are missing. ``progress`` is called before each clip.
    """
    collected = _Collected()
    of_manifest: dict[str, list[Labels]] = {}
    if dataset.manifest is not None:
        collected.splits, collected.findings, of_manifest = check_manifest(dataset.manifest)
    tasks = tasks_for(dataset) if dataset.manifest is None else {}
    for task in tasks.values():
        _read_task(dataset, task, collected)
    probed = cache(_probe)  # two subjects share a video
    clips_of: dict[Path | None, list[str]] = defaultdict(list)
    for clip in dataset.clips.values():
        clips_of[clip.media].append(clip.clip_id)
    clips = []
    for done, clip in enumerate(dataset.clips.values()):
        progress(clip.clip_id, done, len(dataset.clips))
        others = tuple(other for other in clips_of[clip.media] if clip.media and other != clip.clip_id)
        is_own = dataset.manifest is not None
        facts = _media_facts(ClipFacts(clip.clip_id, others_in_video=others, is_own=is_own), clip, probed)
        if dataset.manifest is not None:
            collected.findings += find_outside(dataset, facts, of_manifest.get(clip.clip_id, []))
        labels = {task: of_clip[clip.clip_id] for task, of_clip in collected.labels.items() if clip.clip_id in of_clip}
        facts = _image_facts(facts, clip, tasks, labels, images_listed)
        clips.append(replace(facts, losses=clip_losses(facts)))
    if dataset.manifest is not None:
        collected.findings += find_rates(clips, dataset)
    findings = collected.findings + _clip_findings(clips)
    findings += [*_unread_findings(dataset), *_repeat_findings(dataset), *_leak_findings(collected.videos)]
    findings += _template_findings(dataset, {facts.clip: facts for facts in clips})
    return CheckReport(
        str(dataset.root),
        len(clips_of.keys() - {None}),
        dataset.num_ignored,
        tuple(map(str, dataset.image_roots)),
        collected.splits,
        clips,
        list(dict.fromkeys(findings)),  # two tasks may read the same broken file
    )


def _clip_findings(clips: list[ClipFacts]) -> list[Finding]:
    """What the rules find, rule by rule."""
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for facts in clips:
        for finding in apply_rules(facts):
            by_code[finding.code].append(finding)
    return [finding for code in RULES for finding in by_code[code]]


def _read_task(dataset: Dataset, task: Task, collected: _Collected) -> None:
    for split in SPLITS:
        try:
            clips = task.clips(dataset, split)
        except ValueError as error:
            advice = "name the one to use in a data set file (README, 'Your data')"
            collected.findings.append(Finding("ambiguous", None, str(error), advice))
            return
        collected.videos[split].update(dict.fromkeys(map(video_of, clips), task.name))
        if clips and split == "test":
            collected.splits.append(SplitFacts(task.name, split, len(clips)))
        elif clips:
            labels = _read_labels(dataset, task, split, collected)
            collected.labels[task.name] |= labels
            collected.splits.append(split_facts(task, split, len(clips), list(labels.values())))


def _read_labels(dataset: Dataset, task: Task, split: str, collected: _Collected) -> dict[str, Labels]:
    """The labels of a split that can be read. Files of single clips are read one by one: one may be broken."""
    if not task.folders:
        return _read(dataset, task, split, None, collected)
    labels: dict[str, Labels] = {}
    for clip_id, path in dataset.annotation_files(task.folders, split).items():
        alone = replace(dataset, challenges={path.parent.parent.name: {split: {clip_id: path}}})
        labels |= _read(alone, task, split, clip_id, collected)
    return labels


def _read(dataset: Dataset, task: Task, split: str, clip_id: str | None, collected: _Collected) -> dict[str, Labels]:
    try:
        return task.read_labels(dataset, split)
    except (ValueError, OSError) as error:
        advice = "training and scoring stop at this error: correct the file or remove it"
        collected.findings.append(Finding("unreadable_labels", clip_id, str(error), advice))
        return {}


def _probe(path: Path, streams: Streams) -> tuple[MediaInfo, bool, str] | str:
    """What a media file contains and whether its sound is audible, in which channel, or why it cannot be read."""
    try:
        info = probe(path, video_stream=streams.video, audio_stream=streams.audio)
        return info, *(look_for_sound(path, streams.audio) if info.has_sound else (False, ""))
    except (ValueError, OSError) as error:
        return str(error)


def _media_facts(facts: ClipFacts, clip: Clip, probed: Probe) -> ClipFacts:
    if clip.problem:
        return replace(facts, clip=printable(clip.clip_id), problem=clip.problem)
    if clip.media is None:
        return facts
    facts = replace(
        facts,
        media=printable(str(clip.media)),
        has_video_name=stem_of(clip.media) == clip.clip_id,
        is_renamed=not facts.is_own
        and clip.clip_id not in (stem_of(clip.media), *(f"{stem_of(clip.media)}_{side}" for side in SIDES)),
        unused=tuple(printable(path.name) for path in clip.unused),
    )
    found = probed(clip.media, clip.streams)
    if isinstance(found, str):
        return replace(facts, media_error=found)
    info, is_audible, channel = found
    has_both = info.has_video and info.has_sound and clip.part.is_whole
    end_s = float(np.nanmax([info.last_picture_s, info.sound_stop_s])) if not facts.is_still else None
    return replace(
        facts,
        has_video=info.has_video,
        has_sound=info.has_sound,
        is_silent=info.has_sound and not is_audible,
        channel=channel,
        fps=info.fps if np.isfinite(info.fps) else None,  # JSON has no nan
        is_variable=info.is_variable if info.has_video else None,
        num_frames=_num_frames(info, clip) if info.has_video else None,
        end_s=end_s,
        width=info.width,
        height=info.height,
        rotation_deg=info.rotation_deg,
        num_video_streams=info.num_video_streams,
        num_audio_streams=info.num_audio_streams,
        video_stream=info.video_stream,
        audio_stream=info.audio_stream,
        pixel_aspect=info.pixel_aspect,
        hdr=info.hdr,
        num_mended=info.num_mended,
        num_joins=info.num_joins,
        announced_s=info.announced_s,
        readable_s=info.readable_s,
        num_announced=info.num_announced,
        num_missing_bytes=info.num_missing_bytes,
        counted_fps=info.counted_fps if np.isfinite(info.counted_fps) else None,
        sound_late_s=info.sound_start_s - info.first_picture_s if has_both else None,
        sound_short_s=info.last_picture_s - info.sound_stop_s if has_both else None,
    )


def _num_frames(info: MediaInfo, clip: Clip) -> int:
    """The pictures of a file, or about as many of them as are in the part that is the clip."""
    part, whole_s = clip.part, info.last_picture_s - info.first_picture_s
    if part.is_whole or not whole_s > 0:
        return info.num_packets
    part_s = min(part.stop_s, info.last_picture_s) - max(part.start_s, info.first_picture_s)
    return round(info.num_packets * max(0.0, part_s) / whole_s)


def _image_facts(
    facts: ClipFacts, clip: Clip, tasks: dict[str, Task], labels: dict[str, Labels], images_listed: bool
) -> ClipFacts:
    rows = {name: len(each) for name, each in labels.items() if tasks[name].folders}  # one row per frame
    facts = replace(facts, label_rows=rows)
    if clip.images is None:
        return facts
    facts = replace(facts, images=str(clip.images))
    if not images_listed:
        return facts
    try:
        images = clip.face_images()
        damages = Counter(check_image(images.path(number)) for number in images.numbers)
    except (ValueError, OSError) as error:
        return replace(facts, image_error=str(error))
    numbers = np.array(images.numbers, int)
    steps, last = np.diff(numbers, prepend=0), int(numbers[-1]) if len(numbers) else 0
    frames = {
        name: np.flatnonzero(each.scored) + 1 for name, each in labels.items() if tasks[name].resolution == "frame"
    }
    return replace(
        facts,
        num_images=len(numbers),
        num_empty=damages["empty"],
        num_damaged=damages["damaged"],
        unread=tuple(map(printable, images.unread)),
        first_image=images.first,
        is_counted=images.is_counted,
        last_image=last,
        end_s=(last - 1) / clip.fps if clip.is_series and clip.fps and last else facts.end_s,
        num_gaps=int((steps > 1).sum()),
        num_missing=int((steps - 1).clip(0).sum()),
        scored_without_image={name: int((~np.isin(scored, numbers)).sum()) for name, scored in frames.items()},
    )


def _unread_findings(dataset: Dataset) -> Iterator[Finding]:
    for folder in dataset.unread_images:
        num = sum(map(is_image, os.listdir(folder)))
        message = f"{printable(str(folder))} holds {num} images whose names give no frame, and is named as no clip"
        yield Finding("unread_images", None, message, f"no problem if they are no faces; else expected {EXPECTED}")


def _repeat_findings(dataset: Dataset) -> Iterator[Finding]:
    for splits in dataset.listings.values():
        for split, listings in splits.items():
            for each in listings:
                if each.num_repeats and split != "test":
                    advice = "no problem where they agree; rows of one frame with different labels are an error"
                    yield Finding("repeated_rows", None, each.repeats, advice)


def _leak_findings(videos: dict[str, dict[str, str]]) -> Iterator[Finding]:
    """Videos in the training split of one task and a held-out split of another: MTL has splits of its own."""
    for video in sorted(videos["train"].keys() & {**videos["validation"], **videos["test"]}.keys()):
        split = "validation" if video in videos["validation"] else "test"
        message = (
            f"in the training split of {videos['train'][video]} and in the {split} split of {videos[split][video]}"
        )
        yield Finding("leak", video, message, "a run with both tasks trains on it: set folds.drop_leaks")


def _template_findings(dataset: Dataset, clips: dict[str, ClipFacts]) -> Iterator[Finding]:
    lists = {*dataset.test_lists.values()}
    lists |= {each.path for splits in dataset.listings.values() for each in splits.get("test", ())}
    for path in find_templates(dataset):
        if path in lists:
            continue
        try:
            template = read_template(path)
        except ValueError as error:
            advice = "abaw submit cannot use it as a template; no problem if it is for a task that is not built in"
            yield Finding("unreadable_template", None, str(error), advice)
            continue
        counts = Counter(template.clip_of.tolist())
        for i, clip in enumerate(template.clips):
            last = int(template.frames[template.clip_of == i].max())
            if clip not in clips:
                advice = "abaw submit needs predictions for every clip of the template: add its video or images"
                yield Finding("unknown_clip_in_template", clip, f"{path} asks for {counts[i]} rows of it", advice)
            elif template.task.resolution == "frame" and _differs(clips[clip].last_frame, counts[i], last):
                message = f"{path.name} asks for {counts[i]} rows, but there are {clips[clip].last_frame} frames"
                advice = (
                    "abaw submit writes the template's rows: after the last frame it repeats the last value, and it "
                    "leaves out frames that the template does not list"
                )
                yield Finding("template_rows", clip, message, advice)


def _differs(num_frames: int, num_rows: int, last: int) -> bool:
    """A template of single images, such as MTL's, leaves out frames on purpose: only those after the end matter."""
    return num_frames > 0 and (last > num_frames if last > num_rows else num_rows != num_frames)
