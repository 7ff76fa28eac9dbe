"""Scores as lines of text, from the documents ``abaw score`` makes."""

from collections.abc import Iterator, Mapping
from typing import Any

from abaw.scoring.intervals import FEW
from abaw.scoring.rescoring import is_count


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Of ``abaw score``: a table for each result, then a line for each, then what several folders say together."""
    chance = f"{report['draws']} draws, seed {report['seed']}"
    for result in report["results"]:
        yield from table(result)
    for result in report["results"]:
        yield last_line(result, chance)
    for comparison in report["comparisons"]:
        yield verdict(comparison, chance)
    yield from map(spread_line, report["spreads"])


def summary(scores: Mapping[str, float]) -> str:
    """The ranking score and what it is made of, in one line."""
    return ", ".join(
        f"{key} {value}" if is_count(key) else f"{key} {value:.4f}"
        for key, value in scores.items()
        if "_" not in key or key.startswith("CCC")
    )


def table(result: Mapping[str, Any]) -> Iterator[str]:
    """Where the tables come from, then each clip, fold and part of the score; undecoded beside decoded."""
    undecoded = result["undecoded"] or {}
    yield (
        f"{result['folder']} {result['task']} {result['split']}: {len(result['clips'])} clips of {result['videos']} "
        f"videos, {result['scores']['n']} scored, {result['unobserved']} of them with nothing to see or hear"
    )
    if result["provenance"]:
        yield "  " + "; ".join(
            f"{key.replace('_', ' ')} {_words(value)}" for key, value in result["provenance"].items()
        )
    for kind in ("clips", "folds"):
        for name, scores in result[kind].items():
            before = undecoded.get(kind, {}).get(name)
            yield f"  {name:<28} {summary(scores)}" + (f" (undecoded {summary(before)})" if before else "")
    for name in result["scores"]:
        if not is_count(name):
            before = f", undecoded {_with_interval(name, undecoded)}" if undecoded else ""
            yield f"  {name:<28} {_with_interval(name, result)}{before}"
    if gain := result["gain"]:
        yield f"  decoding changes {_difference(gain)}"
    for remark in [*result["remarks"], *_of_few(result["videos"])]:
        yield f"  note: {remark}"


def last_line(result: Mapping[str, Any], chance: str) -> str:
    """``FOLDER TASK SPLIT SCORE ...``, then the ranking score's interval and by what ``chance`` it was drawn."""
    found, name = result["intervals"], next(iter(result["scores"]))
    interval = f"; 95 % of {name} {found[name][0]:.4f} to {found[name][1]:.4f}" if found else "; one video: no interval"
    head = f"{result['folder']} {result['task']} {result['split']} {summary(result['scores'])}"
    return f"{head}{interval} ({result['videos']} videos, {chance})"


def verdict(comparison: Mapping[str, Any], chance: str) -> str:
    """Whether the second folder is better than the first."""
    first, second = comparison["first"], comparison["second"]
    told = {
        "better": f"{second} is better than {first}",
        "worse": f"{second} is worse than {first}",
        "neither": f"{second} is neither better nor worse than {first} beyond chance",
    }[comparison["verdict"]]
    num = comparison["num_videos"]
    least = f"; of {num} videos p is never below {2 / 2**num:.3g}" if num <= FEW else ""
    return f"{told}: {comparison['task']} {_difference(comparison)} ({num} videos, {chance}{least})"


def spread_line(spread: Mapping[str, Any]) -> str:
    """Mean, least and greatest of the ranking score of several folders, and their seeds."""
    name, found = next(iter(spread["scores"].items()))
    seeds = ", ".join(_words(each) if each else "unknown" for each in spread["seeds"])
    clips = "" if spread["same_clips"] else "; not on the same clips"
    return (
        f"{spread['task']} of {len(spread['folders'])} folders: {name} mean {found['mean']:.4f}, "
        f"{found['least']:.4f} to {found['greatest']:.4f} (seeds {seeds}{clips})"
    )


def _with_interval(name: str, measured: Mapping[str, Any]) -> str:
    value, found = measured["scores"][name], measured["intervals"]
    return f"{value:.4f}" + (f" (95 % {found[name][0]:.4f} to {found[name][1]:.4f})" if found else "")


def _difference(found: Mapping[str, Any]) -> str:
    between = found["interval"]
    interval = f" (95 % {between[0]:+.4f} to {between[1]:+.4f})" if between else ""
    p = "p < 0.001" if found["p"] < 0.001 else f"p = {found['p']:.3f}"
    return f"{found['score']} {found['difference']:+.4f}{interval}, {p}"


def _of_few(num_videos: int) -> Iterator[str]:
    if num_videos < FEW:
        yield f"{num_videos} video{'s' * (num_videos > 1)}: an interval of so few says little"


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
