"""What extraction and training cost on this machine, measured for a few seconds each; nothing is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import AbawError
from abaw.pipelines.extraction import estimate_extraction, parse_part

if TYPE_CHECKING:
    from abaw.configs.sections import Config
    from abaw.dataset.annotations import Labels
    from abaw.tasks.base import Task
    from extract.engine.estimate import Estimate
    from fusion.trials.timing import TrialResult


@dataclass(frozen=True)
class ExtractionTrial:
    """The ``estimate`` of the encoders whose weights are here, by name or None, and why it is None."""

    estimate: "Estimate | None"
    why: str = ""


def try_extraction(
    data: Path, store: Path, encoders: Sequence[str], *, device: str, faces: str, assume_fps: float | None
) -> ExtractionTrial:
    """Estimate an extraction by encoders whose weights are on this machine; nothing is downloaded."""
    if not encoders:
        return ExtractionTrial(None, "no encoder's weights are on this machine")
    try:
        options: dict[str, Any] = {"device": device, "faces": faces, "assume_fps": assume_fps}
        return ExtractionTrial(estimate_extraction(data, store, encoders, **options))
    except AbawError as error:  # no media yet, or no weights of the face detector
        return ExtractionTrial(None, str(error))


def find_dims(encoders: Iterable[str], store: Path, features: Iterable[str]) -> dict[str, int]:
    """The width of each of the features that the store has, or that an encoder is known to give before it is built."""
    from extract.encoders import ENCODERS
    from extract.presets import PRESETS
    from extract.store.store import FeatureStore

    found: dict[str, int] = {}
    for text in encoders:
        name, settings = parse_part(text)
        known = PRESETS[name].dim if name in PRESETS else ENCODERS.part(name).facts.get("dim")
        if isinstance(known, int):
            found[str(settings.get("as", name))] = known
    opened = FeatureStore(store)
    for feature in features if store.is_dir() else ():
        try:
            recipe = opened.find(feature)
        except AbawError:
            continue
        if isinstance(recipe.get("dim"), int):
            found[feature] = recipe["dim"]
    return {feature: found[feature] for feature in features if feature in found}


def try_training(
    config: "Config",
    tasks: "Mapping[str, Task]",
    labels: "dict[str, dict[str, dict[str, Labels]]]",
    dims: Mapping[str, int],
    for_s: float,
) -> "TrialResult":
    """Train for about ``for_s`` seconds with random features of these widths."""
    from fusion.trials.timing import time_training

    return time_training(config, tasks, labels, dims, for_s)
