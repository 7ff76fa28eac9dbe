"""Tables of the benchmark of fusion models: results/fusion.md, and the same tables for docs/models.md."""

import math
import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.fusion import EXPONENT, GROWTH, ORDERS, PEERS, SEED, THREADS, Row


def exponent(lengths: Mapping[str, Row], figure: str) -> float | None:
    """The exponent with which a figure grows between the two lengths of EXPONENT: 1 is linear, 2 is quadratic."""
    low, high = (lengths.get(str(num), {}).get(figure) for num in EXPONENT)
    return math.log(high / low) / math.log(EXPONENT[1] / EXPONENT[0]) if low and high else None


def ratio(row: Row, what: str) -> tuple[float, float, float]:
    """How many times slower than our model: ratio of medians, and smallest and largest ratio of single turns."""
    others, ours = row["seconds"][what], row["seconds"]["ours"]
    turns = [other / own for other, own in zip(others, ours, strict=True)]
    return statistics.median(others) / statistics.median(ours), min(turns), max(turns)


def peers_table(rows: Mapping[str, Row]) -> str:
    """Our models compared with the public ones."""
    from benchmarks.peers import COMPARISONS

    lines = [
        "| model | ours (s) | peer (s) | times slower: the peer (least to greatest turn) | floor (s) | ours over floor "
        "| what is compared |",
        "|---" * 7 + "|",
    ]
    for name, row in sorted(rows.items()):
        if "skipped" in row:
            lines.append(f"| {name} | | | | | | {row['skipped']} |")
            continue
        medians = {what: statistics.median(each) for what, each in row["seconds"].items()}
        times, least, most = ratio(row, "peer")
        floor = (f"{medians['floor']:.3f}", f"{1 / ratio(row, 'floor')[0]:.2f}") if "floor" in medians else ("", "")
        lines.append(
            f"| {name} | {medians['ours']:.3f} | {medians['peer']:.3f} | {times:.2f} ({least:.2f} to {most:.2f}) "
            f"| {floor[0]} | {floor[1]} | {COMPARISONS[name].words} |"
        )
    return "\n".join(lines)


def growth_table(rows: Mapping[str, Row]) -> str:
    """Time and memory of a training step by length, and their growth."""
    heads = [f"{num} steps (s; MB)" for num in GROWTH["steps"]]
    low, high = EXPONENT
    lines = [
        f"| model | parameters | {' | '.join(heads)} | exponent {low} to {high}: time (order) | memory (order) |",
        "|---" * (len(heads) + 4) + "|",
    ]
    notes = []
    for name, row in sorted(rows.items()):
        orders = ORDERS.get(name, (1, 1))
        cells = [growth_cell(row["lengths"].get(str(num), {})) for num in GROWTH["steps"]]
        grown = [exponent(row["lengths"], figure) for figure in ("step_s", "peak_mb")]
        exponents = [
            f"{'–' if value is None else f'{value:.2f}'} ({order})" for value, order in zip(grown, orders, strict=True)
        ]
        parameters = "–" if row["parameters"] is None else f"{row['parameters']:,}"
        lines.append(f"| {name} | {parameters} | {' | '.join([*cells, *exponents])} |")
        notes += [
            f"- {name}, {num} steps: {each['skipped']}" for num, each in row["lengths"].items() if "skipped" in each
        ]
    return "\n".join([*lines, "", *notes]).rstrip()


def growth_cell(found: Row) -> str:
    if "step_s" not in found:
        return "not run" if found else "not measured"
    return f"{found['step_s']:.3f}; {found['peak_mb']:.0f}"


def sizes_in_words(setup: Mapping[str, Any]) -> str:
    dims = " + ".join(str(dim) for dim in setup["dims"].values())
    return f"batch {setup['batch']}, modalities of {dims} features, all observed, models at their default settings"


def tables(record: Mapping[str, Any], device: str = "cpu") -> list[str]:
    """Paragraphs and tables of both parts on one kind of device; missing results are "not measured"."""
    paragraphs = []
    for part, title in (("peers", "Beside the public models"), ("growth", "Longer windows")):
        rows = record.get("rows", {}).get(f"{part} {device}", {})
        paragraphs.append(f"### {title}{'' if device == 'cpu' else ' (CUDA)'}")
        if not rows:
            paragraphs.append("Not measured.")
            continue
        paragraphs += [about(part, rows), peers_table(rows) if part == "peers" else growth_table(rows)]
    return paragraphs


def about(part: str, rows: Mapping[str, Row]) -> str:
    """What was measured, on which machine and for which commits."""
    made_by = sorted({str(row["commit"]) for row in rows.values()})
    machines = sorted({str(row["machine"]) for row in rows.values()})
    busy = [name for name, row in rows.items() if row.get("load", {}).get("is_busy")]
    where = f"Commits {', '.join(made_by)}; {'; '.join(machines)}; {THREADS} threads, float32, seed {SEED}."
    where += f" **On a busy machine**: {', '.join(busy)}." if busy else ""
    if part == "peers":
        return (
            f"One training step at {sizes_in_words(PEERS)}, {PEERS['steps']} steps, against MMSA 2.2.1 with the same "
            "hidden sizes, alternating in one process; medians. The floor is the time of the operations that need no "
            f"loop over time: fused LSTMs, and linear layers over all steps at once. {where}"
        )
    return (
        f"One training step at {sizes_in_words(GROWTH)}; every length in a new process. Memory is the increase of the "
        "peak during the step, without parameters and their gradients. In brackets is the expected order of growth; "
        f"because of linear layers the exponent of attention stays below 2. {where}"
    )


def page(record: Mapping[str, Any]) -> str:
    """The text of results/fusion.md."""
    devices = ["cpu", *(["cuda"] if any(key.endswith("cuda") for key in record.get("rows", {})) else [])]
    return (
        "\n\n".join(["# Fusion models: time and memory", *(each for d in devices for each in tables(record, d))]) + "\n"
    )
