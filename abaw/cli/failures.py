"""How an error that ends a command is reported: one sentence for bad input, one line and a file for a bug."""

import errno
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from abaw.errors import AbawError

BAD_INPUT, BUG = 2, 70  # exit codes
MAX_LENGTH = 2000  # characters of a message
# what can be done, where the error itself does not say so
HINTS = {
    errno.ENOSPC: "free some space, or choose a folder on another disk",
    errno.EDQUOT: "free some space, or choose a folder on another disk",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "give the name of a file",
    errno.EEXIST: "it is in the way: give another place, or remove it",
    errno.ENOTDIR: "a part of the path is a file, expected a folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs: the machine has too many open files",
    errno.ENOMEM: "free some memory",
    errno.ELOOP: "the link points to itself: remove it",
    errno.EIO: "the disk or the network failed: check it, then run the command again",
    errno.ESTALE: "the disk or the network failed: check it, then run the command again",
}


def explain(error: BaseException) -> str | None:
    """An error that is not a fault of this project as a sentence; None for any other: a bug."""
    if isinstance(error, AbawError):
        text = str(error)  # it may quote a whole file that was given as a value
        return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH // 2]} ... {text[-MAX_LENGTH // 2 :]}"
    if isinstance(error, OSError):
        return _explain_os_error(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU
        about = " ".join(str(error).split("\n")[0].split()) or "no more can be had"
        return f"out of memory ({about}): free some, or use smaller batches, shorter windows or fewer readers"
    return None


def report_bug(error: BaseException, words: Sequence[str]) -> str:
    """Write the traceback to a new temporary file; returns the one line that says so."""
    about = " ".join(f"{type(error).__name__}: {error}".split())
    text = "\n".join(
        [
            f"abaw {shlex.join(words)}",
            f"Python {platform.python_version()} on {platform.platform()}",
            "".join(traceback.format_exception(error)),
        ]
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="abaw-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return f"this is a bug in abaw ({shorten(about)}): please report it with the traceback that the option -v shows"
    return (
        f"this is a bug in abaw ({shorten(about)}): please report it with {Path(file.name)}, which holds the traceback"
    )


def shorten(text: str, length: int = 200) -> str:
    """A text of at most ``length`` characters, with dots where it goes on.

    >>> shorten("a" * 300, 5)
    'aaaaa...'
    """
    return text if len(text) <= length else f"{text[:length]}..."


def show_traceback(error: BaseException) -> None:
    """Print where an error was raised to stderr."""
    traceback.print_exception(error, file=sys.stderr)


def _explain_os_error(error: OSError) -> str:
    if error.errno is None:  # raised by a library with a text of its own
        return " ".join(str(error).split())
    places = [shorten(str(place)) for place in (error.filename, error.filename2) if place is not None]
    problem = (error.strerror or type(error).__name__).lower()
    hint = f": {HINTS[error.errno]}" if error.errno in HINTS else ""
    return f"{' -> '.join(places)}: {problem}{hint}" if places else f"{problem}{hint}"
