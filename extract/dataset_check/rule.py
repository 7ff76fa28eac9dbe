"""A rule of ``abaw check``: it looks at the facts of one clip and finds what would lose or shift its rows.

A rule is one decorated function. It declares, as changes of ``ORDINARY``, facts for which it finds nothing (``fine``)
and facts for which it finds something (``found``); they are its test.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from extract.dataset_check.facts import ClipFacts, Finding

Check = Callable[[ClipFacts], Iterator[str]]


@dataclass(frozen=True)
class Rule:
    """One rule: ``check`` yields a message for each finding; see the module's text for ``fine`` and ``found``."""

    check: Check
    advice: str
    fine: Mapping[str, Any]
    found: Mapping[str, Any]


ORDINARY = {
    "clip": "12-24-1920x1080",
    "media": "12-24-1920x1080.mp4",
    "images": "12-24-1920x1080",
    "has_video": True,
    "has_sound": True,
    "fps": 24.0,
    "num_frames": 100,
}
RULES: dict[str, Rule] = {}  # in the order of the report: what prevents work first, what is only good to know last


def rule(*, advice: str, fine: Mapping[str, Any], found: Mapping[str, Any]) -> Callable[[Check], Check]:
    """Register a rule under the name of its function."""

    def register(check: Check) -> Check:
        RULES[check.__name__] = Rule(check, advice, fine, found)
        return check

    return register


def apply_rules(clip: ClipFacts) -> Iterator[Finding]:
    """All findings of one clip, in the order of the rules."""
    for code, each in RULES.items():
        for message in each.check(clip):
            yield Finding(code, clip.clip, message, each.advice)
