"""Scores, intervals and differences as the reports print them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from abaw.evaluation.intervals import Interval
from abaw.results.selection import to_ending
from abaw.tasks.base import is_count

MAX_LISTED, NUM_WORST = 50, 10  # clips: of more, only the worst are printed
LINE_WIDTH = 80  # characters of a confusion matrix
MIN_CLASS, MAX_CLASS = 3, 24  # characters of the name of a class in it


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
    """The clips to print, worst first, and a line that says which they are: of more than ``MAX_LISTED`` the worst only.

    Of clips with a single label, a correlation says nothing: there the error (RMSE) decides, where there is one.
    """
    if not clips:
        return clips, []
    first = next(iter(clips.values()))
    by_error = "RMSE" in first and all(scores["n"] == 1 for scores in clips.values())
    name, extreme, sign = ("RMSE", "highest", -1) if by_error else (next(iter(first)), "lowest", 1)
    ranked = dict(sorted(clips.items(), key=lambda each: sign * each[1][name]))
    if len(clips) <= MAX_LISTED:
        return ranked, []
    worst = dict(list(ranked.items())[:NUM_WORST])
    return worst, [f"  {NUM_WORST} of {len(clips)} clips, those with the {extreme} {name} (--json prints all):"]


def confusion_lines(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Iterator[str]:
    """A confusion matrix as text, a row for each label and a column for each prediction.

    Classes that never occur are left out. Names of columns are cut so that a line has at most ``LINE_WIDTH``
    characters, as far as the numbers allow.
    """
    kept = [i for i in range(len(classes)) if any(counts[i]) or any(row[i] for row in counts)]
    names = [classes[i][:MAX_CLASS] for i in kept]
    rows = [[str(counts[i][j]) for j in kept] for i in kept]
    columns, label = list(zip(*rows, strict=True)), max(map(len, names))
    for cut in range(max(label, MIN_CLASS), MIN_CLASS - 1, -1):
        widths = [max(len(name[:cut]), *map(len, column)) for name, column in zip(names, columns, strict=True)]
        if 2 + label + sum(width + 1 for width in widths) <= LINE_WIDTH:
            break
    yield "  confusion: a row for each label, a column for each prediction"
    for name, cells in zip(("", *names), ([name[:cut] for name in names], *rows), strict=True):
        yield f"  {name:<{label}} " + " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def pairs_table(pairs: Sequence[Any]) -> Iterator[str]:
    """Comparisons of one task as a table: difference with its interval, p, corrected p, and the better folder."""
    widths = [max(len(getattr(each, side)) for each in (*pairs, _Heads)) for side in ("first", "second")]
    head = f"  {'first':<{widths[0]}}  {'second':<{widths[1]}}  second - first (95 %)"
    yield f"{head:<{sum(widths) + 34}}  {'p':>6}  corrected  better"
    for each in pairs:
        between = f" ({each.interval[0]:+.4f} to {each.interval[1]:+.4f})" if each.interval else ""
        better = {"better": each.second, "worse": each.first, "neither": "neither beyond chance"}[each.verdict]
        yield (
            f"  {each.first:<{widths[0]}}  {each.second:<{widths[1]}}  {each.difference:+.4f}{between:<21}  "
            f"{_p(each.p):>6}  {_p(each.corrected_p):>9}  {better}{to_ending(each.selection)}"
        )


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


class _Heads:
    first, second = "first", "second"


def provenance_words(provenance: Mapping[str, Any], selection: str) -> str:
    """Where tables come from, in one line; beside "held out" stands whether the epoch was chosen on these clips.

    >>> provenance_words({"run": ["runs/va"], "held_out": True, "seeds": []}, "epoch chosen on these clips")
    'run runs/va; held out yes, epoch chosen on these clips'
    """
    words = {key: as_words(value) for key, value in provenance.items() if value != []}  # a recogniser has no run
    if selection and "held_out" in words:
        words["held_out"] += f", {selection}"
    return "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in words.items())
