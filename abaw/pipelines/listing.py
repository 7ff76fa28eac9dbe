"""What parts exist."""

from typing import Any


def parts() -> dict[str, list[dict[str, Any]]]:
    """Kind -> its parts as JSON objects; presets are encoders with a ``preset_of``. Imports no part. Editions of the
    challenge, which nobody builds, are listed beside them.

    The alignment that is learned is no part of ``extract``: the front of a network does it.
    """
    from abaw.challenge import editions
    from abaw.config import OWN_RATE, FeatureConfig
    from abaw.tasks import TASKS
    from extract import ALIGNERS, DETECTORS, presets
    from extract.encoders import ENCODERS
    from fusion.models import FUSION_MODELS

    registries = {
        "encoders": ENCODERS,
        "finders": DETECTORS,
        "aligners": ALIGNERS,
        "models": FUSION_MODELS,
        "tasks": TASKS,
    }
    kinds = {
        kind: [
            {"name": part.name, **part.facts, "settings": part.settings, "summary": part.summary}
            for part in registry.parts()
        ]
        for kind, registry in registries.items()
    }
    kinds["encoders"] += presets.rows()
    settings = {key: repr(FeatureConfig.model_fields[key].default) for key in ("max_gap_s", "kernel")}
    summary = "A learned convolution at the track's own rate, then the straight line between its rows."
    kinds["aligners"].append({"name": OWN_RATE, "settings": settings, "summary": summary})
    kinds["editions"] = editions.rows()
    return kinds
