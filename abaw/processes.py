"""How many cores a process may use; and processes that end with their parent, for which a child would wait for ever."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

PARENT = "ABAW_PARENT_PID"  # by which a process names itself to its children
PR_SET_PDEATHSIG = 1
INTERVAL_S = 1.0


def count_cores() -> int:
    """The cores that this process may use: a container or a batch system may grant fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def parent_of_trainings() -> Iterator[None]:
    """Processes that are started in the block, and train too, end with this one (``end_with_parent_if_any``)."""
    before = os.environ.get(PARENT)
    os.environ[PARENT] = str(os.getpid())
    try:
        yield
    finally:
        if before is None:
            del os.environ[PARENT]
        else:
            os.environ[PARENT] = before


def end_with_parent_if_any() -> None:
    """Where a process of this project has started this one to train, end with it."""
    parent = os.environ.get(PARENT, "")
    if parent.isdecimal() and int(parent) != os.getpid():
        end_with_parent(int(parent))


def end_with_parent(parent: int) -> None:
    """End this process as soon as its parent, process ``parent``, has ended, in whatever way; at once where it has.

    By the kernel where that is Linux, else by a thread that looks every ``INTERVAL_S`` seconds. Nothing is lost: files
    are complete or absent.
    """
    is_set = sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    if not is_set:
        threading.Thread(target=_observe, args=(parent,), daemon=True, name="parent").start()


def tied(words: Sequence[str]) -> list[str]:
    """The command line of a program that, on Linux, ends with this process, in whatever way that ends."""
    return [sys.executable, "-P", __file__, str(os.getpid()), *words]


def _observe(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(INTERVAL_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":  # ``tied``: the program takes the place of this process, and ends as it would
    end_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
