"""Writes docs/models.md: every fusion model, what it is, how we depart from its paper, what it costs and what it gives.

From the registry and from benchmarks/fusion.json and benchmarks/useful.json alone: what they do not have is "not
measured". A test holds that the page is what this writes.

    python -m benchmarks.models_page
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from abaw.registry import Part
from benchmarks import fusion, useful
from fusion.models import FUSION_MODELS

PAGE = fusion.HERE.parents[1] / "docs" / "models.md"
CONTEXTS = {
    "step": "a step's answer depends on that step alone",
    "past": "a step's answer depends on the window up to it",
    "window": "a step's answer depends on the whole window",
}
MISSING = "not measured"
STEPS = 300  # the length whose time and memory stand in a model's own paragraph


def page(parts: Sequence[Part], record: Mapping[str, Any], rows: Sequence[useful.Row]) -> str:
    """The whole page. ``record`` is fusion.json, ``rows`` are those of useful.json."""
    grown = record.get("rows", {}).get("growth cpu", {})
    models = [model(part, grown.get(part.name, {}), rows) for part in parts]
    contexts = {part.name: part.facts["context"] for part in parts}
    devices = ["cpu", *(["cuda"] if any(key.endswith("cuda") for key in record.get("rows", {})) else [])]
    blocks = [
        "# Fusion models",
        "Made by `python -m benchmarks.models_page` from the models' own files and from what `python -m "
        "benchmarks.fusion` and `python -m benchmarks.useful` measured: change those, not this page.",
        overview(parts),
        *models,
        "## Time and memory",
        *[each for device in devices for each in fusion.tables(record, device)],
        "## What two modalities give",
        *useful.tables(rows, contexts),
    ]
    return "\n\n".join(blocks).replace("``", "`") + "\n"


def overview(parts: Sequence[Part]) -> str:
    """A line for each model."""
    lines = [f"- [{part.name}](#{part.name}) ({part.facts['context']}): {part.summary}" for part in parts]
    return "\n".join(
        ["In brackets what a step's answer may depend on: the step alone, the past, the window.", "", *lines]
    )


def model(part: Part, grown: Mapping[str, Any], rows: Sequence[useful.Row]) -> str:
    """A model's own paragraphs."""
    settings = ", ".join(f"`{name}` {default}" for name, default in part.settings.items()) or "none"
    lines = [
        f"## {part.name}",
        "",
        part.summary,
        "",
        f"- Paper: {part.facts['paper']}.",
        f"- Where it differs: {part.facts['differs']}",
        f"- Context: {part.facts['context']}; {CONTEXTS[part.facts['context']]}.",
        f"- Settings: {settings}.",
        f"- Cost: {cost(grown)}",
        f"- On the synthetic data set: {scores(part.name, rows)}",
    ]
    return "\n".join(lines)


def cost(grown: Mapping[str, Any]) -> str:
    """Parameters, and a training step's time and memory at the stated size."""
    found = grown.get("lengths", {}).get(str(STEPS), {})
    if "step_s" not in found:
        return f"{MISSING}."
    return (
        f"{grown['parameters']:,} parameters; a training step of {found['step_s']:.3f} s and {found['peak_mb']:.0f} MB "
        f"({fusion.sizes_in_words(fusion.GROWTH)}, {STEPS} steps, {fusion.THREADS} CPU threads)."
    )


def scores(name: str, rows: Sequence[useful.Row]) -> str:
    """With both modalities, and the better single one beside it."""
    measured = []
    for measure in useful.MEASURES:
        found = useful.gain(rows, name, measure)
        if found is None:
            return f"{MISSING}."
        measured.append(
            f"{measure} {statistics.mean(found['both']):.3f} from face and voice, "
            f"{statistics.mean(found['alone']):.3f} from the {found['best']} alone"
        )
    num = len(useful.pairs(rows, name, "face and voice"))
    return f"{'; '.join(measured)} (validation, mean of {num} seed{'s' if num > 1 else ''})."


def current() -> str:
    """The page as it should be now."""
    return page(FUSION_MODELS.parts(), fusion.read_record(fusion.OUT), useful.read_rows(useful.OUT))


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(current(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
