"""The exceptions this project raises on purpose.

``except AbawError`` catches all of them; each is also the built-in exception that Python code expects, so that
``except ValueError`` and ``except OSError`` keep working. The command line turns them into one message and exit code 2;
``explain`` makes the sentence, of them and of errors of the system.
"""

import errno

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


class AbawError(Exception):
    """Base class of every error that is about what the caller gave, not about a fault in this project."""


class InputError(AbawError, ValueError):
    """A value, a setting or a file's content cannot be used. The message says what was given and what was expected."""


class NotFoundError(AbawError, FileNotFoundError):
    """A file, folder, run or clip that was named is not there. The message says how to make or find it."""


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


def shorten(text: str, length: int = 200) -> str:
    """A text of at most ``length`` characters, with dots where it goes on.

    >>> shorten("a" * 300, 5)
    'aaaaa...'
    """
    return text if len(text) <= length else f"{text[:length]}..."


def _explain_os_error(error: OSError) -> str:
    if error.errno is None:  # raised by a library with a text of its own
        return " ".join(str(error).split())
    places = [shorten(str(place)) for place in (error.filename, error.filename2) if place is not None]
    problem = (error.strerror or type(error).__name__).lower()
    hint = f": {HINTS[error.errno]}" if error.errno in HINTS else ""
    return f"{' -> '.join(places)}: {problem}{hint}" if places else f"{problem}{hint}"
