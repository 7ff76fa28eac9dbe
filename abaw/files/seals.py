"""JSON documents that hold their own SHA-256, so that a change after they were written is noticed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "sha256"


def seal(document: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    """The document with its SHA-256, whatever the order of its keys. ``context``: what must not change with it.

    >>> is_sealed(seal({"width": 5})), is_sealed({**seal({"width": 5}), "width": 7})
    (True, False)
    """
    return {**document, SEAL: digest(document, **context)}


def is_sealed(document: Mapping[str, Any], **context: Any) -> bool:
    """Whether a document is as ``seal`` returned it, for the same context."""
    return document.get(SEAL) == digest(without_seal(document), **context)


def without_seal(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document that was given to ``seal``."""
    return {key: value for key, value in document.items() if key != SEAL}


def digest(document: Mapping[str, Any], **context: Any) -> str:
    """The SHA-256 of a JSON document."""
    return hashlib.sha256(json.dumps({**context, **document}, sort_keys=True).encode()).hexdigest()
