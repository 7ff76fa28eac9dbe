"""How often 95 % intervals hold the true score, and how often p calls systems different that are not.

Sets of 8, 30 and 76 simulated videos of log-normal length (populations.py), intervals by several methods (methods.py),
and the true score, that of 200,000 videos. Then, for the method that is used, every size from 2 on, and comparisons of
two systems with the same true score: of one kind, and of different kinds. Writes intervals.json and intervals.md in
results/simulations; ``MEASURED`` in abaw/evaluation/coverage.py has the ``lowest`` of them. Ten minutes on a CPU core.

    OMP_NUM_THREADS=1 python -m benchmarks.intervals.coverage [--sets 1000]
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abaw.evaluation.jackknife import effective_number, t_interval
from abaw.files import write_json
from abaw.results.runs import commit, versions
from benchmarks.intervals.methods import (
    DRAWS,
    INNER,
    METHODS,
    OURS,
    Ends,
    difference_ends,
    ends_of,
    exchange_p,
    leave_out,
    percentile_difference_ends,
)
from benchmarks.intervals.populations import POPULATIONS, RARE, Population

SIZES = (8, 30, 76)
EVERY_SIZE = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 30, 40, 50, 76)
SEED, MAX_DOUBLE = 1, 400  # sets of the double bootstrap, which is slow
Row = dict[str, Any]


def row(ends: Ends, truth: float) -> Row:
    """Share of intervals that hold the truth, its standard error, and their mean width; one without ends holds all."""
    low, high = ends
    holds = ~((truth < low) | (truth > high))
    share = float(holds.mean())
    width = float(np.nanmean(high - low))
    return {"coverage": share, "error": (share * (1 - share) / len(holds)) ** 0.5, "width": width, "sets": len(holds)}


def by_method(population: Population, sets: int) -> list[Row]:
    """Every method at every size."""
    truth, found = population.truths([population.system])[0], []
    for num in SIZES:
        (sums,) = population.sets(sets, num, [population.system], SEED)
        ends = ends_of(population, sums, double=False)
        ends |= {"double bootstrap": ends_of(population, sums[:MAX_DOUBLE], double=True)["double bootstrap"]}
        of_score = {"population": population.name, "videos": num, "truth": truth}
        found += [{**of_score, "method": name, **row(ends[name], truth)} for name in METHODS]
    return found


def by_size(population: Population, sets: int) -> list[Row]:
    """Our method from two videos on."""
    truth, found = population.truths([population.system])[0], []
    for num in EVERY_SIZE:
        (sums,) = population.sets(sets, num, [population.system], SEED)
        weights, score = effective_number(population.num_rows(sums)), population.score(sums.sum(axis=1))
        ends = t_interval(score, leave_out(population, sums), weights, population.limits)
        about = {"population": population.name, "kind": population.kind, "videos": num}
        found.append({**about, **row(ends, truth), "mean_score": float(score.mean()), "truth": truth})
    return found


def by_comparison(population: Population, sets: int) -> list[Row]:
    """Two systems with one true score: how often p is at most 0.05, and intervals of the difference hold 0."""
    found = []
    for what, other in (("alike", population.system), ("unlike", population.equal())):
        for num in SIZES:
            first, second = population.sets(sets, num, [population.system, other], SEED)
            share = float((exchange_p(population, first, second) <= 0.05).mean())
            error = (share * (1 - share) / sets) ** 0.5
            about = {"population": population.name, "systems": what, "videos": num}
            ours = row(difference_ends(population, first, second), 0.0)
            before = row(percentile_difference_ends(population, first, second), 0.0)
            found.append({**about, "rejected": share, "rejected_error": error, "ours": ours, "percentile": before})
    return found


def lowest(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """By kind of score and number of videos: the lowest coverage of its populations, to a whole percent."""
    found: dict[str, dict[str, float]] = {}
    for each in rows:
        if each["kind"]:
            of_kind = found.setdefault(each["kind"], {})
            num = str(each["videos"])
            of_kind[num] = min(of_kind.get(num, 1.0), round(each["coverage"], 2))
    return found


def _find(rows: Sequence[Row], **about: Any) -> Row:
    return next(each for each in rows if all(each[key] == value for key, value in about.items()))


def _cell(found: Row) -> str:
    return f"{100 * found['coverage']:.1f} ({found['width']:.3f})"


def method_table(rows: Sequence[Row], population: str) -> str:
    """Coverage in percent, and mean width, of every method."""
    lines = [f"| {population} | {' | '.join(f'{num} videos' for num in SIZES)} |", "|---" * (len(SIZES) + 1) + "|"]
    for name in METHODS:
        cells = [_cell(_find(rows, population=population, videos=num, method=name)) for num in SIZES]
        line = f"{name} | {' | '.join(cells)}"
        lines.append(f"| **{line.replace(' | ', '** | ', 1)} |" if name == OURS else f"| {line} |")
    return "\n".join(lines)


def size_table(rows: Sequence[Row]) -> str:
    """Coverage of our method in percent, at every size."""
    names = list(dict.fromkeys(each["population"] for each in rows))
    lines = [f"| videos | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for num in EVERY_SIZE:
        cells = [_cell(_find(rows, population=name, videos=num)) for name in names]
        lines.append(f"| {num} | {' | '.join(cells)} |")
    return "\n".join(lines)


def comparison_table(rows: Sequence[Row]) -> str:
    """How often a comparison is wrong."""
    head = "| score | systems | videos | p at most 0.05 | interval of the difference | percentile (before) |"
    lines = [head, "|---" * 6 + "|"]
    for each in rows:
        cells = (
            each["population"], each["systems"], each["videos"], f"{100 * each['rejected']:.1f} %", _cell(each["ours"]),
            _cell(each["percentile"]),
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def page(found: Mapping[str, Any]) -> str:
    """The results as a page."""
    sets = found["sets"]
    tables = [method_table(found["by_method"], each.name) for each in (*POPULATIONS, RARE)]
    return (
        f"Simulated videos of log-normal length, commit {found['commit']}, seed {SEED}. Coverage in percent of nominal "
        f"95 % intervals, and their mean width. {sets} sets (standard error {100 * (0.05 * 0.95 / sets) ** 0.5:.1f} at "
        f"95 %, {100 * (0.2 * 0.8 / sets) ** 0.5:.1f} at 80 %), {min(sets, MAX_DOUBLE)} of the double bootstrap; "
        f"{DRAWS} draws, {INNER} of the second bootstrap.\n\n"
        + "\n\n".join(tables)
        + f"\n\nThe method that is used, {4 * sets} sets of each size (standard error "
        f"{100 * (0.05 * 0.95 / sets / 4) ** 0.5:.1f} at 95 %):\n\n"
        + size_table(found["by_size"])
        + "\n\nTwo systems with the same true score on the same videos: alike (one system trained twice, say), or "
        f"unlike (another spread over persons, other confusions, other thresholds). {sets} sets.\n\n"
        + comparison_table(found["by_comparison"])
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "results/simulations")
    arguments = parser.parse_args()
    sets, made_by = arguments.sets, commit()  # before the results are written, which change the tree
    sizes = [each for population in (*POPULATIONS, RARE) for each in by_size(population, 4 * sets)]
    found = {
        "commit": made_by,
        "versions": versions(),
        "seed": SEED,
        "sets": sets,
        "lowest": lowest(sizes),
        "by_size": sizes,
        "by_method": [each for population in (*POPULATIONS, RARE) for each in by_method(population, sets)],
        "by_comparison": [each for population in POPULATIONS for each in by_comparison(population, sets)],
    }
    write_json(arguments.out / "intervals.json", found)
    text = page(found)
    (arguments.out / "intervals.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
