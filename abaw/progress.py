"""Progress of long work: a bar with the time left on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from abaw.errors import InputError

if TYPE_CHECKING:
    from tqdm import tqdm

LOG = logging.getLogger("abaw")
Item = TypeVar("Item")

ProgressCallback = Callable[[str, int, int], None]  # called with the item's name, how many are done, and of how many

LINE_S = 10.0  # between two lines where there is no terminal
WINDOW_S, MIN_ITEMS = 60.0, 3  # the time left follows from the items of the last minute, and from three at least
MARK_S = 0.1  # between two drawings of a bar, and two times that are kept
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


def silent(item: str, done: int, total: int) -> None:
    """The progress callback that reports nothing: the default of every function that takes one."""


def as_progress(given: Any) -> ProgressCallback:
    """A progress callback given by a caller. Raises InputError where it cannot be called."""
    if not callable(given):
        raise InputError(f"progress is {given!r}, expected a function of a name, the number done and the total")
    return given  # type: ignore[no-any-return]


def with_progress(
    items: Sequence[Item], progress: ProgressCallback, name: Callable[[Item], str] = str
) -> Iterator[Item]:
    """The items one after the other; before each, the callback is called with its name."""
    for done, item in enumerate(items):
        progress(name(item), done, len(items))
        yield item


class Progress:
    """``progress(item, done, total)`` before each item; used in a ``with``. Silent under -q.

    ``what``: the name of the work, a command's. ``noun``: what is counted, "clip"; "" where that changes, and the
    names of the items say it. Where ``done`` is less than before, or 0 of another ``total``, a new piece of work
    has begun; later ``total`` may change. ``now_s``: a clock in seconds.
    """

    def __init__(self, what: str, noun: str = "clip", now_s: Callable[[], float] = time.monotonic) -> None:
        self._what, self._noun, self._now_s = what, noun, now_s
        self._bar: tqdm | None = None
        self._redirected = ExitStack()
        self._shown_s = now_s()
        self._time_left = TimeLeft()
        self._counted = (0, 0)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._close(is_complete=kind is None)

    def _close(self, *, is_complete: bool = True) -> None:
        if self._bar is not None:
            if is_complete:
                self._bar.n = self._bar.total
            self._bar.close()  # draws it for the last time
            self._bar = None
            self._redirected.close()

    def __call__(self, item: str, done: int, total: int) -> None:
        if not LOG.isEnabledFor(logging.INFO):
            return
        now_s = self._now_s()
        if done < self._counted[0] or (not done and total != self._counted[1]):
            self._close()
            self._time_left, self._shown_s = TimeLeft(), now_s
        self._counted = done, total
        left_s = self._time_left.estimate_s(now_s, done, total)
        left = "" if left_s is None else f", about {format_seconds(left_s)} left"
        if sys.stderr.isatty():
            self._draw(item, done, total, left, now_s)
        elif now_s - self._shown_s >= LINE_S:
            noun = f" {self._noun}{'s' * (total != 1)}" if self._noun else ""
            LOG.info("%s: %d of %d%s (%s)%s", self._what, done, total, noun, item, left)
            self._shown_s = now_s

    def _draw(self, item: str, done: int, total: int, left: str, now_s: float) -> None:
        from tqdm import tqdm  # here, so that help does not pay for it
        from tqdm.contrib.logging import logging_redirect_tqdm

        is_new = self._bar is None
        if self._bar is None:
            self._bar = tqdm(total=total, desc=self._what, bar_format=BAR)
            self._redirected.enter_context(logging_redirect_tqdm())  # log lines appear above the bar
        self._bar.n, self._bar.total = done, total
        self._bar.set_postfix_str(f"{left.removeprefix(', ')}{', ' * bool(left)}{item}", refresh=False)
        if is_new or now_s - self._shown_s >= MARK_S:  # a training has hundreds of batches a second
            self._bar.refresh()
            self._shown_s = now_s


class TimeLeft:
    """How long a piece of work still takes, by the speed of the last items.

    The speed is that over the second half of the time so far, over a minute at most, and over three items at least:
    items that were done before and only looked at, as when an extraction goes on, and pauses count for a short while.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()
        self._start_s = 0.0

    def estimate_s(self, now_s: float, done: int, total: int) -> float | None:
        """Seconds until ``total`` items are done; None while nothing is known."""
        if not self._marks:
            self._start_s = now_s
            self._marks.append((now_s, done))
            return None
        first_s = now_s - min(WINDOW_S, (now_s - self._start_s) / 2)
        while len(self._marks) > 1 and self._marks[1][0] <= first_s and done - self._marks[1][1] >= MIN_ITEMS:
            self._marks.popleft()
        (begin_s, before), (last_s, _) = self._marks[0], self._marks[-1]
        if now_s - last_s >= MARK_S:  # a piece can have millions of items
            self._marks.append((now_s, done))
        return (now_s - begin_s) / (done - before) * max(0, total - done) if done > before else None


def format_seconds(seconds: float) -> str:
    """A duration as it is read aloud: seconds below two minutes, minutes below two hours, then hours and minutes.

    >>> format_seconds(75.2), format_seconds(150), format_seconds(8000)
    ('75 s', '2 min', '2 h 13 min')
    """
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
