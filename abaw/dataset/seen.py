"""Whose labels something has seen: videos and groups, for the check that nothing is scored on what it was made from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset
from abaw.dataset.names import video_of


@dataclass(frozen=True)
class Seen:
    """The videos and the groups (speakers, sessions, subjects) that something was trained or fitted on, sorted.

    A clip of a group is in ``videos`` under its own name: where a data set names groups, ``_left`` and ``_right`` at
    the end of a name say nothing about who is on which side of a split.
    """

    videos: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @classmethod
    def in_labels(cls, *labels: Mapping[str, Labels]) -> "Seen":
        """Those of all clips that have labels."""
        return cls.in_clips({clip_id: each.group for clips in labels for clip_id, each in clips.items()})

    @classmethod
    def in_clips(cls, groups: Mapping[str, str]) -> "Seen":
        """Those of clips, given with their groups, "" for none."""
        videos = {clip_id if group else video_of(clip_id) for clip_id, group in groups.items()}
        return cls(tuple(sorted(videos)), tuple(sorted({group for group in groups.values() if group})))

    @classmethod
    def of_side(cls, document: Mapping[str, Any], side: str) -> "Seen":
        """Those that a run.json records of "train" or "validation"."""
        videos, groups = (document.get(key, {}).get(side, ()) for key in ("videos", "groups"))
        return cls(tuple(videos), tuple(groups))

    def __or__(self, other: "Seen") -> "Seen":
        videos, groups = {*self.videos, *other.videos}, {*self.groups, *other.groups}
        return Seen(tuple(sorted(videos)), tuple(sorted(groups)))

    def added_to_training(self, facts: Mapping[str, Any], label_tasks: Iterable[str]) -> dict[str, Any]:
        """The entries of a run.json, whose others are ``facts``, that change where the training has seen these too.

        ``label_tasks``: the tasks whose labels of these clips were seen.
        """
        own = self | Seen.of_side(facts, "train")
        groups = {"groups": {**facts.get("groups", {}), "train": list(own.groups)}} if own.groups else {}
        return {
            "videos": {**facts["videos"], "train": list(own.videos)},
            **groups,
            "label_tasks_seen": sorted({*facts["label_tasks_seen"], *label_tasks}),
        }

    def find(self, clips: Mapping[str, str]) -> dict[str, str]:
        """Those of ``clips`` (clip -> group, "" for none) that were seen, each with the name of its group or video.

        A clip is found by its group, by its name and by its video, so that groups that only one of two data sets names
        hide nothing.
        """
        groups, videos = set(self.groups), set(self.videos)
        sides = videos | {video_of(name) for name in videos}
        found = {}
        for clip_id, group in clips.items():
            if group in groups:
                found[clip_id] = f"group {group!r}"
            elif clip_id in videos or video_of(clip_id) in (videos if group else sides):
                found[clip_id] = f"video {(clip_id if group else video_of(clip_id))!r}"
        return found


def groups_in(labels: Mapping[str, Labels]) -> dict[str, str]:
    """Clip -> group, "" for none."""
    return {clip_id: each.group for clip_id, each in labels.items()}


def groups_of(dataset: Dataset, clip_ids: Iterable[str]) -> dict[str, str]:
    """Clip -> group, "" for none, as the data set says."""
    return {clip_id: dataset.groups.get(clip_id, "") for clip_id in clip_ids}


def unit_of(groups: Iterable[str]) -> str:
    """What is kept together and drawn: "group" where any clip has one, else "video".

    >>> unit_of(["", "speaker 3"]), unit_of([""])
    ('group', 'video')
    """
    return "group" if any(groups) else "video"
