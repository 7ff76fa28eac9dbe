"""What exists, as JSON objects: encoders, recognisers, detectors, aligners, fusion models, tasks, editions, corpora.

Nothing is imported for it but what names the parts: a listing takes a fraction of a second.
"""

from collections.abc import Callable
from typing import Any

from abaw.challenge import editions
from abaw.configs.sections import OWN_RATE, FeatureConfig
from abaw.corpora import CORPORA
from abaw.errors import InputError
from abaw.plugins import about
from abaw.registry import Registry, nearest
from abaw.tasks import TASKS

Row = dict[str, Any]


def list_encoders() -> list[Row]:
    """Encoder families and presets: name, modality, dim, whether built in, licence, size, settings, summary.

    A preset is an encoder with ``preset_of``.
    """
    from extract import presets
    from extract.encoders import ENCODERS

    return [*_rows(ENCODERS), *presets.rows()]


def list_recognisers() -> list[Row]:
    """Recognisers: name, modality, what they answer, licence, commercial use, training data, settings, summary.

    ``commercial``: whether the licence allows commercial use; None where that is not known or depends on the settings.
    """
    from extract.recognisers import RECOGNISERS

    return _rows(RECOGNISERS)


def list_detectors() -> list[Row]:
    """Face detectors: name, settings, summary."""
    from extract import DETECTORS

    return _rows(DETECTORS)


def list_aligners() -> list[Row]:
    """Ways to bring a track onto frame timestamps: name, settings, summary.

    The last one is learned: the input stage of a fusion model does it, ``align`` cannot.
    """
    from extract import ALIGNERS

    settings = {key: repr(FeatureConfig.model_fields[key].default) for key in ("max_gap_s", "kernel")}
    summary = "A learned convolution at the track's own rate, then linear interpolation between its rows."
    return [*_rows(ALIGNERS), {"name": OWN_RATE, "settings": settings, "summary": summary}]


def list_models() -> list[Row]:
    """Fusion models: name, paper, temporal context, how it differs from its paper, settings, summary."""
    from fusion.models import FUSION_MODELS

    return _rows(FUSION_MODELS)


def list_tasks() -> list[Row]:
    """Tasks: name, settings, summary."""
    return _rows(TASKS)


def list_editions() -> list[Row]:
    """The editions of the challenge, and what each asks of each task."""
    return editions.rows()


def list_corpora() -> list[Row]:
    """Corpora for ``make_manifest``: name, licence, source, on what it was verified, settings, choices, summary."""
    return _rows(CORPORA)


LISTINGS: dict[str, Callable[[], list[Row]]] = {
    "encoders": list_encoders,
    "recognisers": list_recognisers,
    "detectors": list_detectors,
    "aligners": list_aligners,
    "models": list_models,
    "tasks": list_tasks,
    "editions": list_editions,
    "corpora": list_corpora,
}


def list_parts(kind: str | None = None) -> dict[str, list[Row]]:
    """The parts of one kind, or of all, by kind. Raises InputError for an unknown kind."""
    if kind is not None and kind not in LISTINGS:
        raise InputError(f"no list of {kind!r}{nearest(kind, LISTINGS)} there are {', '.join(LISTINGS)}")
    return {name: rows() for name, rows in LISTINGS.items() if kind in (None, name)}


def _rows(registry: Registry) -> list[Row]:
    return [
        {
            "name": part.name,
            **part.facts,
            "settings": part.settings,
            "choices": {key: [*values] for key, values in part.choices.items()},
            "summary": part.summary,
            **about(part.plugin),
        }
        for part in registry.parts()
    ]
