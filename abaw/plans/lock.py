"""One at a time in a folder."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from abaw.errors import InputError

LOG = logging.getLogger("abaw")


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Nobody else works in ``folder`` meanwhile. ValueError where somebody does: ``what`` says in words who that is.

    Where the file system knows no locks it goes on, with a warning.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:  # the system lets go of it when the process ends, however it ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{what} goes on in {folder}: wait for its end, or give another name=...") from error
        except OSError as error:
            LOG.warning("%s is on a file system without locks (%s): see that nobody else works there", folder, error)
        yield
