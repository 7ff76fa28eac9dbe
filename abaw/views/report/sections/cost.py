"""What a run costs: seconds, memory, parameters."""

from datetime import datetime

from abaw.evaluation.robustness import Cost
from abaw.views.report.content import Part, Rows, Section, Text
from abaw.views.report.facts import ReportFacts, TrainingFacts

UNKNOWN = "not recorded"


def build(facts: ReportFacts) -> Section | None:
    """None where no folder is a run."""
    runs = [(folder, folder.training) for folder in facts.folders if folder.training is not None]
    if not runs:
        return None
    found = {
        folder.folder: {
            **_training(training),
            **(_prediction(folder.robustness.cost) if folder.robustness is not None else {}),
        }
        for folder, training in runs
    }
    names = dict.fromkeys(name for each in found.values() for name in each)
    rows = tuple((name, *(each.get(name, UNKNOWN) for each in found.values())) for name in names)
    parts: list[Part] = [Rows("What training and prediction take", ("what", *found), rows)]
    if any(folder.robustness is None for folder, _ in runs):
        parts.append(
            Text("abaw robustness RUN also measures how long an hour of clips takes to predict, and counts parameters.")
        )
    return Section("cost", "Cost", tuple(parts))


def _training(training: TrainingFacts) -> dict[str, str]:
    document = training.document
    cost = document.get("cost", {})
    found = {"training, from start to end, pauses included": _elapsed(document)}
    if cost.get("training_s") is not None:
        found["training, without pauses"] = f"{cost['training_s']:,.0f} s"
    for key, name in (
        ("peak_memory_bytes", "peak memory of the training"),
        ("peak_gpu_bytes", "peak memory of its GPU"),
    ):
        if cost.get(key) is not None:
            found[name] = _megabytes(cost[key])
    found["numbers in the stored weights"] = (
        "weights are missing" if training.num_stored is None else f"{training.num_stored:,}"
    )
    if training.weights_bytes is not None:
        found["size of the stored weights"] = _megabytes(training.weights_bytes)
    return found


def _prediction(cost: Cost) -> dict[str, str]:
    found = {"parameters of the fusion model and its heads, without encoders": f"{cost.num_parameters:,}"}
    if cost.predicting_s_per_hour is not None:
        where = f"on {cost.device} with {cost.num_cores} cores, from stored features"
        found["prediction of an hour of clips"] = f"{cost.predicting_s_per_hour:.2f} s {where}"
    for name, num_bytes in cost.feature_bytes.items():
        found[f"features {name}, of {cost.num_clips} clips ({cost.clip_hours:.3g} h)"] = _megabytes(num_bytes)
    return found


def _elapsed(document: object) -> str:
    try:
        began, ended = (datetime.fromisoformat(document[key]) for key in ("began_at", "ended_at"))  # type: ignore[index]
    except (KeyError, TypeError, ValueError):  # runs of older versions
        return UNKNOWN
    return f"{(ended - began).total_seconds():,.0f} s"


def _megabytes(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"
