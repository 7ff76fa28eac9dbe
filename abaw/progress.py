"""Progress of long work: a bar with the time left on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError

if TYPE_CHECKING:
    from tqdm import tqdm

LOG = logging.getLogger("abaw")

ProgressCallback = Callable[[str, int, int], None]  # called with the item's name, how many are done, and of how many


def silent(item: str, done: int, total: int) -> None:
    """The progress callback that reports nothing: the default of every function that takes one."""


def as_progress(given: Any) -> ProgressCallback:
    """A progress callback given by a caller. Raises InputError where it cannot be called."""
    if not callable(given):
        raise InputError(f"progress is {given!r}, expected a function of a name, the number done and the total")
    return given  # type: ignore[no-any-return]


class Progress:
    """``progress(item, done, total)`` before each item; used in a ``with``. Silent under -q.

    Where ``done`` is less than before or ``total`` another one, a new piece of work has begun.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: tqdm | None = None
        self._count = (0, 0)
        self._start_s = self._shown_s = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.total - self._bar.n)
            self._bar.close()
            self._bar = None

    def __call__(self, item: str, done: int, total: int) -> None:
        if not LOG.isEnabledFor(logging.INFO):
            return
        if done < self._count[0] or total != self._count[1]:
            self._close()
            self._start_s = self._shown_s = time.monotonic()
        self._count = (done, total)
        if sys.stderr.isatty():
            from tqdm import tqdm  # here, so that help does not pay for it

            self._bar = self._bar or tqdm(total=total, desc=self._what, unit="clip")
            self._bar.update(done - self._bar.n)
            self._bar.set_postfix_str(item)
            return
        now_s = time.monotonic()
        if done and now_s - self._shown_s >= 10:
            left_s = (now_s - self._start_s) / done * (total - done)
            LOG.info("%s: %d of %d, about %.0f s left", self._what, done, total, left_s)
            self._shown_s = now_s
