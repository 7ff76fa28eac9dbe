"""Scores, intervals and differences as the reports print them."""

from collections.abc import Mapping
from typing import Any

from abaw.evaluation.intervals import Interval
from abaw.tasks.base import is_count

MAX_LISTED, NUM_WORST = 50, 10  # clips: of more, only the worst are printed


def summary(scores: Mapping[str, float]) -> str:
    """The ranking score and its main parts in one line."""
    return ", ".join(
        f"{key} {value}" if is_count(key) else f"{key} {value:.4f}"
        for key, value in scores.items()
        if "_" not in key or key.startswith("CCC")
    )


def with_interval(name: str, scores: Mapping[str, float], intervals: Mapping[str, Interval] | None, of: str) -> str:
    """A score with its interval where there is one, and of how many videos that is."""
    found = (intervals or {}).get(name)
    between = f" (95 % {found[0]:.4f} to {found[1]:.4f}; {of})" if found else ""
    return f"{scores[name]:.4f}{between}"


def difference_words(score: str, difference: float, interval: Interval | None, p: float) -> str:
    """A difference of a score with its interval and p."""
    between = f" (95 % {interval[0]:+.4f} to {interval[1]:+.4f})" if interval else ""
    chance = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return f"{score} {difference:+.4f}{between}, {chance}"


def as_words(value: Any) -> str:
    """A value of a JSON document: yes and no for flags, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def worst_clips(clips: Mapping[str, Mapping[str, float]]) -> tuple[Mapping[str, Mapping[str, float]], list[str]]:
    """The clips to print, and a line that says which they are: of more than ``MAX_LISTED`` only the worst.

    Of clips with a single label, a correlation says nothing: there the error (RMSE) decides, where there is one.
    """
    if len(clips) <= MAX_LISTED:
        return clips, []
    first = next(iter(clips.values()))
    by_error = "RMSE" in first and all(scores["n"] == 1 for scores in clips.values())
    name, extreme, sign = ("RMSE", "highest", -1) if by_error else (next(iter(first)), "lowest", 1)
    worst = dict(sorted(clips.items(), key=lambda each: sign * each[1][name])[:NUM_WORST])
    return worst, [f"  {NUM_WORST} of {len(clips)} clips, those with the {extreme} {name} (--json prints all):"]


def provenance_words(provenance: Mapping[str, Any], selection: str) -> str:
    """Where tables come from, in one line; beside "held out" stands whether the epoch was chosen on these clips.

    >>> provenance_words({"run": ["runs/va"], "held_out": True, "seeds": []}, "epoch chosen on these clips")
    'run runs/va; held out yes, epoch chosen on these clips'
    """
    words = {key: as_words(value) for key, value in provenance.items() if value != []}  # a recogniser has no run
    if selection and "held_out" in words:
        words["held_out"] += f", {selection}"
    return "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in words.items())
