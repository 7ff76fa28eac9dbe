"""Scores as lines of text, from the documents ``abaw score`` makes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError
from abaw.evaluation.bootstrap import FEW, is_count

if TYPE_CHECKING:
    from abaw.evaluation.labelled_tables import LabelledPredictions
    from abaw.tasks.base import PredictionPair, Task


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
    """Where the tables come from, then each clip, fold and part of the score; raw beside post-processed."""
    raw = result["raw"] or {}
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
            before = raw.get(kind, {}).get(name)
            yield f"  {name:<28} {summary(scores)}" + (f" (raw {summary(before)})" if before else "")
    for name in result["scores"]:
        if not is_count(name):
            before = f", raw {_with_interval(name, raw)}" if raw else ""
            yield f"  {name:<28} {_with_interval(name, result)}{before}"
    if gain := result["gain"]:
        yield f"  post-processing changes {_difference(gain)}"
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


def report(opened: "Sequence[LabelledPredictions]", draws: int, seed: int) -> dict[str, Any]:
    """All there is to say, as JSON has it: a result each, of two of a task a comparison, of more their spread."""
    results = [result(each, draws, seed) for each in opened]
    comparisons, spreads = [], []
    for name in dict.fromkeys(each.task.name for each in opened):
        of_task = [each for each in opened if each.task.name == name]
        if len(of_task) == 2:
            comparisons.append(comparison(of_task[0], of_task[1], draws, seed))
        elif len(of_task) > 2:
            spreads.append(spread([each for each in results if each["task"] == name]))
    facts = {"draws": draws, "seed": seed, "level": 0.95}
    return {**facts, "results": results, "comparisons": comparisons, "spreads": spreads}


def open_all(
    folder: Path, split: str, task: str | None, data: Path | None, *, raw: bool = False
) -> "list[LabelledPredictions]":
    """What judges each task with tables."""
    from abaw.evaluation.labelled_tables import open_labelled_predictions, tasks_in

    names = [task] if task else tasks_in(folder, split)
    return [open_labelled_predictions(folder, split, name, data, raw=raw) for name in names]


def result(judged: "LabelledPredictions", draws: int, seed: int) -> dict[str, Any]:
    """As JSON has it: the scores of the tables as a submission would have them, and ``raw`` beside them.

    ``raw`` and ``gain`` (what post-processing adds) are None where the folder has no post-processing.
    """
    from abaw.evaluation.bootstrap import by_video
    from abaw.evaluation.leaks import TOLD

    post_processed = judged.scored(post_processed=True)
    found = {
        "folder": str(judged.folder),
        "task": judged.task.name,
        "split": judged.split,
        "videos": len(by_video(post_processed)),
        "unobserved": judged.num_unobserved(),
        **_measured(judged, post_processed, draws, seed),
        "post_processing": None,
        "raw": None,
        "gain": None,
        "provenance": {key: judged.about[key] for key in TOLD if judged.about.get(key) is not None},
        "remarks": list(judged.remarks),
    }
    if judged.post_processing is not None:
        raw = judged.scored(post_processed=False)
        found["post_processing"] = judged.post_processing.document()
        found["raw"] = _measured(judged, raw, draws, seed)
        found["gain"] = _compared(judged.task, raw, post_processed, draws, seed)
    return found


def comparison(first: "LabelledPredictions", second: "LabelledPredictions", draws: int, seed: int) -> dict[str, Any]:
    """Whether the second is better than the first. ValueError names the first clip in which they differ."""
    before, after = first.scored(post_processed=True), second.scored(post_processed=True)
    about = {"task": first.task.name, "first": str(first.folder), "second": str(second.folder)}
    try:
        return {**about, **_compared(first.task, before, after, draws, seed)}
    except ValueError as error:
        raise InputError(f"{first.folder} and {second.folder}, {first.task.name}: {error}") from None


def spread(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, least and greatest of each score over several folders, with the seeds that their metadata tell."""
    from abaw.evaluation.bootstrap import is_count

    names = [name for name in results[0]["scores"] if not is_count(name)]
    values = {name: [each["scores"][name] for each in results] for name in names}
    return {
        "task": results[0]["task"],
        "folders": [each["folder"] for each in results],
        "seeds": [each["provenance"].get("seeds") for each in results],
        "same_clips": all(each["clips"].keys() == results[0]["clips"].keys() for each in results),
        "scores": {
            name: {"mean": sum(each) / len(each), "least": min(each), "greatest": max(each)}
            for name, each in values.items()
        },
    }


def _measured(
    judged: "LabelledPredictions", scored: "Mapping[str, PredictionPair]", draws: int, seed: int
) -> dict[str, Any]:
    """The scores over all, their intervals (None: one video), and the scores of each clip and of each run's clips."""
    from abaw.evaluation.bootstrap import intervals

    task = judged.task
    runs = {run: {clip_id: scored[clip_id] for clip_id in clips} for run, clips in judged.runs.items()}
    return {
        "scores": task.score(scored),
        "intervals": intervals(task, scored, draws, seed),
        "clips": {clip: task.score({clip: each}) for clip, each in scored.items() if each.labels.scored.any()},
        "folds": {run: task.score(each) for run, each in runs.items() if _any_scored(each)},
    }


def _compared(
    task: "Task", first: "Mapping[str, PredictionPair]", second: "Mapping[str, PredictionPair]", draws: int, seed: int
) -> dict[str, Any]:
    from dataclasses import asdict

    from abaw.evaluation.bootstrap import compare

    found = compare(task, first, second, draws, seed)
    return {"score": next(iter(task.score(second))), **asdict(found), "verdict": found.verdict}


def _any_scored(by_clip: "Mapping[str, PredictionPair]") -> bool:
    return any(each.labels.scored.any() for each in by_clip.values())


def _check_tasks(folders: Sequence[Path], opened: "Sequence[LabelledPredictions]") -> None:
    """ValueError where one of several folders has another task: only the same are set side by side."""
    of_folder = [[each.task.name for each in opened if each.folder == folder] for folder in folders]
    for folder, names in zip(folders, of_folder, strict=True):
        if set(names) != set(of_folder[0]):
            raise InputError(
                f"{folders[0]} has tables of {', '.join(of_folder[0])}, {folder} of {', '.join(names)}: name a task "
                "that all have (--task), or score them one by one"
            )
