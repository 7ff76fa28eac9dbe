"""Several folders side by side: scores, paired differences, spread, and the settings in which runs differ."""

from collections.abc import Mapping
from typing import Any

from abaw.evaluation.report import Comparison, Spread
from abaw.evaluation.wording import as_words
from abaw.numbers import format_count
from abaw.views.plots.scores import MAX_DIFFERENCES, PairedDifference, SystemScore, draw_comparison
from abaw.views.report.content import Figure, Group, Part, Rows, Section, Text, doubts, number, with_bounds
from abaw.views.report.facts import ReportFacts
from abaw.views.report.sections.summary import headline_names

NOT_SETTINGS = ("name",)  # keys of configs that differ between any two runs


def build(facts: ReportFacts) -> Section | None:
    """None for a single folder."""
    if len(facts.folders) < 2:
        return None
    groups: list[Part] = [Group(task, tuple(_of_task(facts, task))) for task in facts.task_names]
    return Section("comparison", "Side by side", (*groups, *_settings(facts)))


def _of_task(facts: ReportFacts, task: str) -> list[Part]:
    of_task = facts.of_task(task)
    names = headline_names(of_task[0][1])
    rows = [
        (
            folder.folder,
            *(
                with_bounds(each.result.scores[name], (each.result.intervals or {}).get(name))
                if name in each.result.scores
                else number(None)
                for name in names
            ),
        )
        for folder, each in of_task
    ]
    parts: list[Part] = [Rows(f"Scores of {task} with 95 % intervals", ("folder", *names), tuple(rows))]
    parts.append(_figure(facts, task))
    spread = next((each for each in facts.scores.spreads if each.task == task), None)
    pairs = [each for each in facts.scores.comparisons if each.task == task]
    if pairs:
        parts += _differences(pairs, facts.scores.draws, facts.scores.seed)
    elif spread is not None and not spread.same_clips:
        parts.append(Text("The folders have different clips, so no two of them are compared.", is_doubt=True))
    if spread is not None:
        parts.append(_spread(spread))
    return parts


def _figure(facts: ReportFacts, task: str) -> Part:
    """The ranking scores with their intervals, and the differences of pairs."""
    results = [each.result for _, each in facts.of_task(task)]
    name = next(iter(results[0].scores))
    systems = [SystemScore(each.folder, each.scores[name], (each.intervals or {}).get(name)) for each in results]
    pairs = [each for each in facts.scores.comparisons if each.task == task]
    differences = [
        PairedDifference(each.first, each.second, each.difference, each.interval, each.corrected_p) for each in pairs
    ]
    plot = draw_comparison(systems, differences, score=name, title=f"{task}: {name} of all folders")
    where = ", and differences of every two folders" if len(pairs) <= MAX_DIFFERENCES else "; the table has differences"
    return Figure(f"{name} with 95 % intervals{where if pairs else ''}", plot)


def _differences(pairs: list[Comparison], draws: int, seed: int) -> list[Part]:
    first, rows = pairs[0], []
    for each in pairs:
        better = {"better": each.second, "worse": each.first, "neither": "neither beyond chance"}[each.verdict]
        low, high = each.interval or (None, None)
        cells = (_signed(each.difference), _signed(low), _signed(high), _chance(each.p), _chance(each.corrected_p))
        rows.append((each.first, each.second, *cells, better))
    num = format_count(first.num_videos, first.unit)
    corrected = f"; p is corrected for {len(pairs)} pairs (Holm 1979)" if len(pairs) > 1 else ""
    caption = f"Paired differences of {first.score}: the second minus the first"
    head = ("first", "second", "difference", "low", "high", "p", "corrected p", "better")
    how = (
        f"Both predict the same clips. For p, the predictions of each {first.unit} are exchanged between the two at "
        f"random, {draws} times (seed {seed}): p is how often the difference is then as large; {num}{corrected}."
    )
    return [Rows(caption, head, tuple(rows)), Text(how), *doubts(each.selection for each in pairs if each.selection)]


def _spread(spread: Spread) -> Part:
    rows = [
        (name, number(each["mean"]), number(each["lowest"]), number(each["highest"]))
        for name, each in spread.scores.items()
    ]
    seeds = ", ".join(as_words(each) if each else "unknown" for each in spread.seeds)
    caption = f"Spread of {spread.task} over {len(spread.folders)} folders (seeds {seeds})"
    return Rows(caption, ("score", "mean", "lowest", "highest"), tuple(rows))


def _settings(facts: ReportFacts) -> list[Part]:
    """The settings of configs in which the runs differ, one a row."""
    runs = [(folder.folder, flat(folder.training.config)) for folder in facts.folders if folder.training is not None]
    if len(runs) < 2:
        return []
    keys = dict.fromkeys(key for _, config in runs for key in config if key not in NOT_SETTINGS)
    differing = [key for key in keys if len({config.get(key) for _, config in runs}) > 1]
    if not differing:
        return [Text("The runs have the same settings.")]
    rows = [(key, *(config.get(key, "–") for _, config in runs)) for key in differing]
    return [Rows("Settings in which the runs differ", ("setting", *(name for name, _ in runs)), tuple(rows))]


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """A config as text by key, with dots between the keys of sections.

    >>> flat({"model": {"name": "bigru", "sizes": [1, 2]}})
    {'model.name': 'bigru', 'model.sizes': '1, 2'}
    """
    found = dict[str, str]()
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = "none" if value is None else as_words(value)
    return found


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"


def _chance(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
