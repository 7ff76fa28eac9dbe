"""What a file of somebody else may not ask for unless the user trusts it: running code, and files anywhere.

A run, its recipes and a recipe of a whole competition are passed on from one person to another. What they name is used
only where it cannot do harm. The user allows the rest with ``--trust`` (``trust=True`` in Python), or a single plug-in
with ``--plugin FILE``.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from abaw.errors import InputError

RUNS_CODE = "trust_remote_code"
SWITCHES = (RUNS_CODE, "download")  # the second: fetches a model of another's choice
# settings that are paths or names at hubs
LOCATIONS = frozenset({"file", "weights", "model", "text", "folder", "path"})
OUTSIDE = re.compile(r"([\w+-]+:)?([/\\~]|(.*[/\\])?\.\.([/\\]|$))")  # absolute, or out of the current folder


def find_untrusted(settings: Mapping[str, Any], found_at: Iterable[str] = ()) -> list[str]:
    """The settings, as ``key=value``, that would run a model's own code, fetch one, or lead out of the current folder.

    ``found_at``: keys that hold paths, beside those that always do.

    >>> find_untrusted({"model": "/srv/net", "trust_remote_code": True, "layer": -1})
    ['model=/srv/net', 'trust_remote_code=True']
    """
    paths = LOCATIONS | set(found_at)
    return [
        f"{key}={value}"
        for key, value in settings.items()
        if (key in SWITCHES and value) or (key in paths and isinstance(value, str) and OUTSIDE.match(value))
    ]


def check_trusted(asked: list[str], made: str) -> None:
    """Raises InputError where something is asked for. ``made`` is the file or folder that asks, for the message."""
    if asked:
        raise InputError(
            f"{made} asks for {', '.join(asked)}: this can run its author's code, or read any file of this machine; if "
            "you trust where it comes from, give --trust"
        )
