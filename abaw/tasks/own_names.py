"""What the tasks of any data set share: checks of the names and the level that it gives them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from abaw.errors import InputError

Level = Literal["clip", "frame"]
TAKEN = ("frame", "time_s", "observed", "clip", "clip_id", "video", "video_id", "class")  # columns of tables


def check_names(what: str, names: Sequence[str]) -> None:
    """Raises InputError where a name is empty, is there twice, or cannot name a column of a table."""
    for i, name in enumerate(names):
        if name != name.strip() or not name.isprintable() or not name:
            raise InputError(f"{what}: {name!r} is empty, or has spaces around it or characters that cannot be printed")
        if name in names[:i]:
            raise InputError(f"{what}: {name!r} is there twice: remove one")


def check_level(what: str, given: Level | None, found: Level, file: Path) -> None:
    """Raises InputError where the data set has labels of another level than the task was made for."""
    if given not in (None, found):
        raise InputError(
            f"{file} has labels for every {found}, but {what} has level {given}: leave level out of a config, and "
            "score a run on a data set with labels of its level"
        )
