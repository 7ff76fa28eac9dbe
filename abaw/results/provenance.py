"""Where tables come from: what a run says of them, what is pooled of the runs that held clips out."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from abaw.dataset.layout import video_of
from abaw.results.runs import Run, commit

TOLD = ("run", "commit", "seeds", "label_tasks_seen", "videos_seen", "subject_adapted", "held_out")


def of_run(run: Run, clip_ids: Collection[str]) -> dict[str, Any]:
    """What a run's run.json says of tables that it makes of these clips.

    A run from before videos were recorded does not say which it has seen: ``videos_seen`` and ``held_out`` are None.
    """
    document = run.document()
    seen = document.get("videos", {}).get("train")
    return {
        "run": [str(run.folder)],
        "commit": commit(),
        "seeds": [document["seed"]],
        "label_tasks_seen": document["label_tasks_seen"],
        "videos_seen": seen,
        "subject_adapted": False,
        "held_out": None if seen is None else {video_of(clip_id) for clip_id in clip_ids}.isdisjoint(seen),
        "made_by": {},
    }


def merged(abouts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What predictions.json says of all members together.

    Lists hold what any member tells; None where none does. ``incomplete`` names the keys that some member does not
    progress: what is known of the others still counts. ``made_by`` tells a clip's runs where it is told of every member.
    """
    made_by = [about.get("made_by") or {} for about in abouts]
    commits = _union([{"commit": [about["commit"]] if about.get("commit") else None} for about in abouts], "commit")
    untold = {key for about in abouts for key in TOLD if about.get(key) is None}
    return {
        "run": _union(abouts, "run"),
        "commit": ", ".join(commits) if commits else None,
        "seeds": _union(abouts, "seeds"),
        "label_tasks_seen": _sorted(_union(abouts, "label_tasks_seen")),
        "videos_seen": _sorted(_union(abouts, "videos_seen")),
        "subject_adapted": _any([about.get("subject_adapted") for about in abouts]),
        "held_out": _all([about.get("held_out") for about in abouts]),
        "made_by": {
            clip_id: " + ".join(dict.fromkeys(each[clip_id] for each in made_by))
            for clip_id in made_by[0]
            if all(clip_id in each for each in made_by)
        },
        "incomplete": sorted(untold.union(*(about.get("incomplete") or () for about in abouts))),
    }


def _union(abouts: Sequence[Mapping[str, Any]], key: str) -> list[Any] | None:
    """Every entry of every member's list, once, in their order; None where no member has one."""
    lists = [about[key] for about in abouts if about.get(key) is not None]
    return list(dict.fromkeys(entry for each in lists for entry in each)) if lists else None


def _sorted(names: list[Any] | None) -> list[Any] | None:
    return None if names is None else sorted(names)


def _any(flags: Sequence[bool | None]) -> bool | None:
    return True if True in flags else None if None in flags else False


def _all(flags: Sequence[bool | None]) -> bool | None:
    return False if False in flags else None if None in flags else True
