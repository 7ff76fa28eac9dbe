"""Names that become names of files: of clips, features, tasks, runs."""

from typing import Any

from abaw.errors import InputError

MAX_BYTES = 200  # temporary files add the host, the process and a suffix; file systems allow 255


def checked_name(name: Any, what: str) -> str:
    """A name that can be the name of a file or folder. ``what`` says in the message what it is the name of.

    Raises InputError where it is no text, is empty, begins with a dot, has a slash or a NUL byte, is not valid Unicode,
    or has more than ``MAX_BYTES`` bytes: such a name, read from a file, could lead out of a folder.

    >>> checked_name("../../victim", "the features")
    Traceback (most recent call last):
    abaw.errors.InputError: the features: the name '../../victim' has a slash, expected the name of a file, not a path
    """
    fault = _fault(name)
    if fault:
        raise InputError(f"{what}: the name {str(name)[:80]!r} {fault}, expected the name of a file, not a path")
    return str(name)


def _fault(name: Any) -> str:
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
        return "is not valid Unicode"
    return f"has {num_bytes} bytes, more than {MAX_BYTES}" if num_bytes > MAX_BYTES else ""
