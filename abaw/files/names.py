"""Names that become names of files, of clips, features, tasks, runs; and lists of names in messages."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from abaw.errors import InputError

MAX_BYTES = 200  # temporary files add 32 and a suffix; file systems allow 255
NUM_SHOWN = 5  # names in one line of a report
CONTROLS = ("Cc", "Zl", "Zp")  # Unicode's categories of characters that end a line or steer a terminal


def checked_name(name: Any, what: str) -> str:
    """A name that can be the name of a file or folder. ``what`` says in the message what it is the name of.

    Raises InputError where it is no text, is empty, begins with a dot, has a slash or a NUL byte, is not UTF-8,
    or has more than ``MAX_BYTES`` bytes: such a name, read from a file, could lead out of a folder.

    >>> checked_name("../../victim", "the features")
    Traceback (most recent call last):
    abaw.errors.InputError: the features: the name '../../victim' has a slash, expected the name of a file, not a path
    """
    if fault := find_name_fault(name):
        raise InputError(f"{what}: the name {str(name)[:80]!r} {fault}, expected the name of a file, not a path")
    return str(name)


def find_name_fault(name: Any, max_bytes: int = MAX_BYTES) -> str:
    """Why a name cannot be that of a file, as "has a slash"; empty where it can."""
    if not isinstance(name, str):
        return "is no text"
    if not name:
        return "is empty"
    if "/" in name:
        return "has a slash"
    if name.startswith("."):
        return "begins with a dot"
    if "\0" in name:
        return "has a NUL byte"
    try:
        num_bytes = len(name.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    return f"has {num_bytes} bytes, more than {max_bytes}" if num_bytes > max_bytes else ""


def one_line(text: str) -> str:
    """A text in which each character that ends a line or steers a terminal is written out.

    >>> one_line("a\\nb")
    'a\\\\nb'
    """
    return "".join(_escaped(each) if unicodedata.category(each) in CONTROLS else each for each in text)


def without_controls(text: str) -> str:
    """Lines of text in which each character that steers a terminal is written out.

    >>> without_controls("a\\nb\\x1b[2J")
    'a\\nb\\\\x1b[2J'
    """
    return "".join(each if each in "\n\t" else one_line(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def first_few(names: Sequence[str], num_shown: int = NUM_SHOWN) -> str:
    """The first names in a list and the number of the others, for one line of a message.

    >>> first_few(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    more = f" and {len(names) - num_shown} more" if len(names) > num_shown else ""
    return ", ".join(names[:num_shown]) + more
