"""Tables of the benchmark of two modalities: results/useful.md, and the same tables for docs/models.md."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.useful import (
    CLIPS,
    EPOCHS,
    FEATURES,
    FILL_GAP_S,
    HIDDEN,
    LIMIT_S,
    MAX_LOSS,
    MEASURES,
    MODALITIES,
    SECONDS,
    SETTINGS,
    SPAN_S,
    Row,
)


def pairs(rows: Sequence[Row], model: str, given: str) -> list[Row]:
    """The rows of one model with the given modalities, by seed."""
    return sorted((row for row in rows if (row["model"], row["given"]) == (model, given)), key=lambda row: row["seed"])


def mean_and_spread(values: Sequence[float]) -> str:
    """The mean, and the smallest and largest value."""
    if not values:
        return "not measured"
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def gain(rows: Sequence[Row], model: str, measure: str) -> dict[str, Any] | None:
    """Both modalities compared with the better single one, by the mean over seeds; None where results are missing."""
    by_given = {given: [row["scores"][measure] for row in pairs(rows, model, given)] for given in FEATURES}
    if not all(by_given.values()):
        return None
    both = by_given.pop("face and voice")
    best = max(by_given, key=lambda given: statistics.mean(by_given[given]))
    return {
        "both": both,
        "best": best,
        "alone": by_given[best],
        "gain": statistics.mean(both) - statistics.mean(by_given[best]),
    }


def lost(rows: Sequence[Row], model: str, modality: str, kind: str, suffix: str = "") -> list[float]:
    """The decrease of the CCC, for each seed, where a fifth of the modality is missing."""
    both = pairs(rows, model, "face and voice")
    return [row["scores"]["CCC"] - row["missing"][modality][kind][f"CCC{suffix}"] for row in both]


def gain_table(rows: Sequence[Row], models: Sequence[str]) -> str:
    """Both modalities compared with the best single one, for both tasks."""
    lines = [
        "| model | CCC, face and voice | best alone | gain | F1, face and voice | best alone | gain | s a training |",
        "|---" * 8 + "|",
    ]
    for model in models:
        cells = []
        for measure in MEASURES:
            found = gain(rows, model, measure)
            if found is None:
                cells += ["not measured", "", ""]
                continue
            text = f"{found['gain']:+.3f}" + ("" if found["gain"] > 0 else " (no gain)")
            cells += [mean_and_spread(found["both"]), f"{found['best']}: {mean_and_spread(found['alone'])}", text]
        seconds = [row["seconds"] for row in rows if row["model"] == model]
        stopped = [row for row in rows if row["model"] == model and row["epochs"] < EPOCHS]
        time = f"{max(seconds):.0f}" if seconds else ""
        if stopped:
            time += f" (stopped after {min(row['epochs'] for row in stopped)} epochs at the earliest)"
        lines.append(f"| {model} | {' | '.join(cells)} | {time} |")
    return "\n".join(lines)


# what is done about gaps -> suffix of the score, kinds of gap for which it is shown
REMEDIES = {"": ("", ("steps", "spans")), ", predictions filled": (" filled", ("steps", "spans"))}
REMEDIES |= {", features filled": (" features filled", ("steps",))}  # a span is longer than what is filled


def gap_table(rows: Sequence[Row], contexts: Mapping[str, str]) -> str:
    """The decrease of the CCC where a fifth of one modality is missing, by model; also after filling."""
    columns = [
        (f"{modality}, {kind}{remedy}", modality, kind, suffix)
        for remedy, (suffix, kinds) in REMEDIES.items()
        for modality in MODALITIES
        for kind in kinds
    ]
    heads = " | ".join(head for head, *_ in columns)
    lines = [f"| model | context | {heads} |", "|---" * (2 + len(columns)) + "|"]
    for model, context in contexts.items():
        if not pairs(rows, model, "face and voice"):
            lines.append(f"| {model} | {context} | {' | '.join(['not measured', *[''] * (len(columns) - 1)])} |")
            continue
        cells = []
        for _, modality, kind, suffix in columns:
            value = statistics.mean(lost(rows, model, modality, kind, suffix))
            too_much = context != "step" and kind == "steps" and suffix != " filled" and value > MAX_LOSS
            cells.append(f"{value:.3f}{' (!)' if too_much else ''}")
        lines.append(f"| {model} | {context} | {' | '.join(cells)} |")
    return "\n".join(lines)


def about(rows: Sequence[Row]) -> str:
    """What was trained on which data."""
    seeds = sorted({row["seed"] for row in rows})
    made_by = sorted({str(row["commit"]) for row in rows})
    return (
        f"Validation split of the synthetic data set ({CLIPS} clips of {SECONDS:g} s), data and training seeds "
        f"{', '.join(map(str, seeds))}: mean (smallest to largest). Every model at its default settings, "
        f"{EPOCHS} epochs with {' and '.join(SETTINGS[:2])}, otherwise as in the config synthetic, at most {LIMIT_S} s "
        f"per training on one core. The training with both modalities uses {HIDDEN}. Commits {', '.join(made_by)}."
    )


def tables(rows: Sequence[Row], contexts: Mapping[str, str]) -> list[str]:
    """Paragraphs and tables; ``contexts`` maps a model to its context. Missing results are "not measured"."""
    if not rows:
        return ["Not measured."]
    gaps = (
        f"Decrease of the CCC where a fifth of one modality is missing in testing, at random steps and in spans of "
        f"{SPAN_S:g} s. Filled: predictions, or features (fill_gap_s: {FILL_GAP_S}, in testing only), are interpolated "
        f"at these steps. A model with temporal context should lose at most {MAX_LOSS} to single steps; (!) marks "
        "models that lose more."
    )
    return [about(rows), gain_table(rows, list(contexts)), gaps, gap_table(rows, contexts)]


def page(rows: Sequence[Row], contexts: Mapping[str, str]) -> str:
    """The text of results/useful.md."""
    return "\n\n".join(["# Fusion models: two modalities compared with one", *tables(rows, contexts)]) + "\n"
