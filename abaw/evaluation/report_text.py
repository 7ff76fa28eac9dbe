"""A score report as the command line prints it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from abaw.evaluation import reliability
from abaw.evaluation.coverage import videos_words
from abaw.evaluation.intervals import SIGNIFICANCE
from abaw.evaluation.wording import (
    as_words,
    confusion_lines,
    pairs_table,
    provenance_words,
    summary,
    with_interval,
    worst_clips,
)
from abaw.numbers import format_count
from abaw.results.selection import to_ending
from abaw.tasks.base import is_count

if TYPE_CHECKING:
    from abaw.evaluation.report import Comparison, ScoreReport, ScoreResult, Spread


def lines(found: "ScoreReport") -> Iterator[str]:
    """A table for each result, then one line for each, then what several folders say together."""
    chance = f"{found.draws} exchanges, seed {found.seed}"
    for each in found.results:
        yield from _table(each)
    for each in found.results:
        yield _last_line(each)
    for task in dict.fromkeys(pair.task for pair in found.comparisons):
        yield from _comparisons([pair for pair in found.comparisons if pair.task == task], chance)
    yield from map(_spread_line, found.spreads)


def reliability_lines(found: "ScoreReport") -> Iterator[str]:
    """The calibration errors and reliability diagrams of every result, as ``abaw score --reliability`` prints them."""
    for each in found.results:
        if each.calibration is None:
            yield f"{each.folder} {each.task}: values are no probabilities, so they have no calibration"
            continue
        yield f"{each.folder} {each.task} {each.split}:"
        yield from reliability.tables(each.calibration)


def _table(found: "ScoreResult") -> Iterator[str]:
    """Where the tables come from, then each clip, fold and part of the score, with the raw score beside it."""
    raw, of = found.raw, format_count(found.videos, found.unit)
    yield (
        f"{found.folder} {found.task} {found.split}: {format_count(len(found.clips), 'clip')} of "
        f"{of}, "
        f"{found.scores['n']} scored, {found.unobserved} of them with nothing observed"
    )
    if found.provenance:
        yield f"  {provenance_words(found.provenance, found.selection)}"
    clips, which = worst_clips(found.clips)
    yield from which
    for by_name, before in ((clips, raw and raw.clips), (found.folds, raw and raw.folds)):
        for name, scores in by_name.items():
            yield f"  {name:<28} {summary(scores)}" + (f" (raw {summary(before[name])})" if before else "")
    for name in found.scores:
        if not is_count(name):
            yield f"  {name:<28} {with_interval(name, found.scores, found.intervals, of)}" + (
                f", raw {with_interval(name, raw.scores, raw.intervals, of)}" if raw else ""
            )
    if found.confusion:
        yield from confusion_lines(found.confusion.classes, found.confusion.counts)
    if found.calibration:
        is_shifted = bool((found.post_processing or {}).get("scale") or (found.post_processing or {}).get("bias"))
        yield f"  {reliability.line(found.calibration, found.raw_calibration, is_shifted=is_shifted)}"
    if found.gain:
        yield f"  post-processing changes {found.gain.words} ({of})"
    for remark in found.remarks:
        yield f"  note: {remark}"


def _last_line(found: "ScoreResult") -> str:
    """``FOLDER TASK SPLIT SCORE ...``, the ranking score's interval, and of how many videos it is."""
    name = next(iter(found.scores))
    head = f"{found.folder} {found.task} {found.split} {summary(found.scores)}"
    head += "; subject-adapted by labels" * found.subject_labels + to_ending(found.selection)
    if found.intervals is None:
        return f"{head}; one {found.unit}: no interval"
    of = videos_words(found.videos, found.unit, found.coverage)
    if name not in found.intervals:
        return f"{head}; no interval of {name}, which is at a limit of its range ({of})"
    low, high = found.intervals[name]
    return f"{head}; 95 % of {name} {low:.4f} to {high:.4f} ({of})"


def _comparisons(pairs: "list[Comparison]", chance: str) -> Iterator[str]:
    """Of two folders a line, of more a table of all pairs."""
    if len(pairs) == 1:
        yield _verdict(pairs[0], chance)
        return
    first = pairs[0]
    yield (
        f"{first.task}, differences of {first.score} of every two folders ({format_count(first.num_videos, first.unit)}"
        f", {chance}; p corrected for {len(pairs)} pairs, Holm):"
    )
    # in every row, because a row is what is quoted
    yield from pairs_table(pairs)


def _verdict(found: "Comparison", chance: str) -> str:
    words = {
        "better": f"{found.second} is better than {found.first}",
        "worse": f"{found.second} is worse than {found.first}",
        "neither": f"{found.second} is neither better nor worse than {found.first} beyond chance",
    }[found.verdict]
    num = found.num_videos
    smallest = f"; with {num} {found.unit}s p cannot be below {2 / 2**num:.3g}" if 2 / 2**num > SIGNIFICANCE else ""
    of = f"{format_count(num, found.unit)}, {chance}{smallest}"
    return f"{words}: {found.task} {found.words} ({of}){to_ending(found.selection)}"


def _spread_line(found: "Spread") -> str:
    name, scores = next(iter(found.scores.items()))
    seeds = ", ".join(as_words(each) if each else "unknown" for each in found.seeds)
    clips = "" if found.same_clips else "; not on the same clips, so no two are compared"
    return (
        f"{found.task} of {len(found.folders)} folders: {name} mean {scores['mean']:.4f}, "
        f"{scores['lowest']:.4f} to {scores['highest']:.4f} (seeds {seeds}{clips}){to_ending(found.selection)}"
    )
