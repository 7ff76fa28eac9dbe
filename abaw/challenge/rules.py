"""The provenance of a submission's predictions, from predictions.json, and whether the challenge's rules allow it."""

from collections.abc import Mapping
from typing import Any

from abaw.results.predictions import METADATA
from abaw.results.provenance import describe_probes, describe_recognisers, describe_teachers

NEEDED = ("run", "commit", "label_tasks_seen", "subject_adapted")
OF_AFFWILD2 = ("va", "expr", "au", "mtl")  # the rule is about the labels of these; other data may be used freely
UNI_TASKS = ("va", "expr", "au")


def provenance(about: Mapping[str, Any], task_name: str) -> list[str]:
    """Lines on the provenance of predictions, and a line for each broken rule.

    "provenance unknown" where there is no predictions.json, or it lacks what the rules need.
    """
    if not about:
        return [f"provenance unknown: no {METADATA} beside the tables"]
    missing = [key for key in NEEDED if about.get(key) is None or key in (about.get("incomplete") or ())]
    lines = [f"provenance unknown: {METADATA} does not say {', '.join(missing)}"] if missing else []
    known = _known(about)
    return [
        *lines,
        *([f"made by {'; '.join(known)}"] if known else []),
        *describe_teachers(about),
        *_broken_rules(about, task_name),
    ]


def _known(about: Mapping[str, Any]) -> list[str]:
    runs, ensemble = about.get("run"), about.get("ensemble")
    runs = [runs] if isinstance(runs, str) else runs
    words = [f"{'run' if len(runs) == 1 else f'{len(runs)} runs'} {', '.join(runs)}"] if runs else []
    words += [f"recogniser {each}" for each in describe_recognisers(about)]
    words += [f"probe {each}" for each in describe_probes(about)]
    words += [f"commit {about['commit']}"] if about.get("commit") else []
    if about.get("label_tasks_seen") is not None:
        words.append(f"labels seen: {', '.join(about['label_tasks_seen']) or 'none'}")
    if ensemble:
        words.append(f"ensemble of {len(ensemble.get('members') or ())} members ({ensemble.get('how', 'unknown how')})")
    if about.get("subject_adapted") is not None:
        words.append("subject-adapted" if about["subject_adapted"] else "not subject-adapted")
    return words


def _broken_rules(about: Mapping[str, Any], task_name: str) -> list[str]:
    """The uni-task rule: of Aff-Wild2's labels, a team may use only those of its own challenge.

    A run of ``mtl`` has seen the labels of s-Aff-Wild2, one of ``va`` those of A/V Aff-Wild2, and so on.
    """
    others = sorted(set(about.get("label_tasks_seen") or ()) & set(OF_AFFWILD2) - {task_name})
    seen = f"these {task_name} predictions are by a run that was trained on {', '.join(others)} labels"
    if others and task_name in UNI_TASKS:
        return [f"warning: uni-task rule: {seen}; {task_name} challenges allow only their own labels of Aff-Wild2"]
    if others and task_name == "mtl":
        return [f"warning: {seen}; mtl challenges allow the labels of s-Aff-Wild2, not those of A/V Aff-Wild2"]
    return []
