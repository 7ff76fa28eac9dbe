"""Provenance of prediction tables: which runs made them, and what those runs were trained on."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from abaw.dataset.seen import Seen
from abaw.numbers import format_count
from abaw.results.runs import Run, commit
from abaw.results.selection import chosen_on

KEYS = ("run", "commit", "seeds", "label_tasks_seen", "videos_seen", "subject_adapted", "held_out")
TAUGHT_KEYS = {"run", "kind", "teachers", "tasks", "num_test_clips"}  # of each entry of "taught_by"
# beside scores; the list of videos is long
REPORTED = (*(key for key in KEYS if key != "videos_seen"), "recognisers", "probes", "taught_by", "continued_from")


def of_run(run: Run, clips: Mapping[str, str]) -> dict[str, Any]:
    """The provenance of tables that a run makes of these clips (clip -> group, "" for none), from its run.json.

    ``videos_seen`` and ``held_out`` are None for a run that does not record its training videos. ``groups_seen`` is
    there only where the run's data set named groups.
    """
    document = run.document()
    seen, is_known = Seen.of_side(document, "train"), "train" in document.get("videos", {})
    ancestors = document.get("continued_from", ())
    chain = [{**document, "run": str(run.folder)}, *ancestors]
    taught = [entry for each in chain for entry in _taught(each)]
    lacks = {key for each in chain for key in each.get("teachers", {}).get("incomplete", ())}  # of what teachers record
    held_out = not seen.find(clips) if is_known else None
    return {
        "run": [str(run.folder)],
        "commit": commit(),
        "seeds": [document["seed"]],
        "label_tasks_seen": document["label_tasks_seen"],
        "videos_seen": list(seen.videos) if is_known else None,
        **({"groups_seen": list(seen.groups)} if seen.groups else {}),
        "subject_adapted": "group_normalisation" in document,  # by unlabelled material of the persons predicted
        "held_out": None if held_out and "videos_seen" in lacks else held_out,
        "epoch_chosen_on": sorted(chosen_on(document).find(clips)),
        "made_by": {},
        **({"taught_by": taught} if taught else {}),
        **({"continued_from": [each["run"] for each in ancestors]} if ancestors else {}),
        **({"incomplete": sorted(lacks)} if lacks else {}),
    }


def _taught(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How teachers took part in the training of ``run``; [] where none did."""
    teachers = document.get("teachers", {})
    found = []
    for kind in ("pseudo_labels", "distillation"):
        if kind in teachers:
            tables = teachers[kind]["tables"]
            names = [name for each in tables for name in (*each.get("run", ()), *describe_recognisers(each))]
            tasks = teachers[kind]["tasks"]
            found.append(
                {
                    "run": document["run"],
                    "kind": kind,
                    "teachers": list(dict.fromkeys(names or [each["folder"] for each in tables])),
                    "tasks": tasks,
                    "num_test_clips": len(teachers[kind]["test_clips"]),
                }
            )
    return found


def describe_teachers(about: Mapping[str, Any]) -> list[str]:
    """The training on predictions of other networks, a line for each run and kind, from predictions.json."""
    lines = []
    for each in about.get("taught_by") or ():
        kind = "pseudo-labels" if each["kind"] == "pseudo_labels" else "distillation"
        frames = ", ".join(f"{name} {counts['frames']} frames" for name, counts in each["tasks"].items())
        lines.append(f"{each['run']} was trained with {kind} ({frames}) by {', '.join(each['teachers'])}")
        if each["num_test_clips"]:
            clips = format_count(each["num_test_clips"], "clip")
            lines.append(
                f"warning: {each['run']} was trained on predictions of {clips} of the test list or of no split: submit "
                "only where the rules of the challenge allow it"
            )
    return lines


def describe_ancestors(about: Mapping[str, Any]) -> list[str]:
    """The runs whose training was continued, in one line, from predictions.json."""
    names = about.get("continued_from") or ()
    return [", ".join(names)] if names else []


def merged(abouts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The provenance of an ensemble, from that of its members.

    Lists hold the entries of every member; None where no member has any. ``incomplete`` names the keys that some member
    does not record. ``made_by`` has the clips for which every member records its run.
    """
    made_by = [about.get("made_by") or {} for about in abouts]
    data = {about["data"] for about in abouts if about.get("data")}
    recognisers = {
        json.dumps(each, sort_keys=True): each for about in abouts for each in about.get("recognisers") or ()
    }
    commits = _union([{"commit": [about["commit"]] if about.get("commit") else None} for about in abouts], "commit")
    unknown = {key for about in abouts for key in KEYS if about.get(key) is None}
    groups_seen = _sorted(_union(abouts, "groups_seen"))
    chosen = _sorted(_union(abouts, "epoch_chosen_on"))
    taught = {json.dumps(each, sort_keys=True): each for about in abouts for each in about.get("taught_by") or ()}
    probes = {json.dumps(each, sort_keys=True): each for about in abouts for each in about.get("probes") or ()}
    return {
        "run": _union(abouts, "run"),
        "commit": ", ".join(commits) if commits else None,
        "seeds": _union(abouts, "seeds"),
        "label_tasks_seen": _sorted(_union(abouts, "label_tasks_seen")),
        "videos_seen": _sorted(_union(abouts, "videos_seen")),
        **({"groups_seen": groups_seen} if groups_seen else {}),
        "subject_adapted": _any([about.get("subject_adapted") for about in abouts]),
        "held_out": _all([about.get("held_out") for about in abouts]),
        **({} if chosen is None else {"epoch_chosen_on": chosen}),
        "made_by": {
            clip_id: " + ".join(dict.fromkeys(each[clip_id] for each in made_by))
            for clip_id in made_by[0]
            if all(clip_id in each for each in made_by)
        },
        "incomplete": sorted(unknown.union(*(about.get("incomplete") or () for about in abouts))),
        **({"recognisers": list(recognisers.values())} if recognisers else {}),
        **({"probes": list(probes.values())} if probes else {}),
        **({"taught_by": list(taught.values())} if taught else {}),
        **({"continued_from": ancestors} if (ancestors := _union(abouts, "continued_from")) else {}),
        **({"data": data.pop()} if len(data) == 1 else {}),
    }


def describe_recognisers(about: Mapping[str, Any]) -> list[str]:
    """The recognisers that made tables, each with what it was trained on and its licence, from predictions.json."""
    found = []
    for each in about.get("recognisers") or ():
        trained_on = each.get("trained_on")
        named = "data that are not named" if trained_on is None else ", ".join(trained_on)
        found.append(f"{each.get('name')} (trained on {named}; licence: {each.get('licence')})")
    return found


def describe_probes(about: Mapping[str, Any]) -> list[str]:
    """The probes that made tables, each with its encoder and classifier, from predictions.json."""
    return [
        f"{each.get('classifier')} on {each.get('encoder')} (normalise: {each.get('normalise')}, {each.get('parts')} "
        "parts held out)"
        for each in about.get("probes") or ()
    ]


def reported(about: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside a score about the origin of tables, from predictions.json; what made them in words."""
    words = {
        "recognisers": describe_recognisers,
        "probes": describe_probes,
        "taught_by": describe_teachers,
        "continued_from": describe_ancestors,
    }
    return {key: words[key](about) if key in words else about[key] for key in REPORTED if about.get(key) is not None}


def _union(abouts: Sequence[Mapping[str, Any]], key: str) -> list[Any] | None:
    """The entries of all members' lists, each once, in order; None where no member has a list."""
    lists = [about[key] for about in abouts if about.get(key) is not None]
    return list(dict.fromkeys(entry for each in lists for entry in each)) if lists else None


def _sorted(names: list[Any] | None) -> list[Any] | None:
    return None if names is None else sorted(names)


def _any(flags: Sequence[bool | None]) -> bool | None:
    return True if True in flags else None if None in flags else False


def _all(flags: Sequence[bool | None]) -> bool | None:
    return False if False in flags else None if None in flags else True
