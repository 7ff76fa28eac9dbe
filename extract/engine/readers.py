"""Threads that read clips and send what is to be encoded through a bounded queue.

Decoders, OpenCV and torch let go of Python's lock, so that reading goes on while the main thread encodes.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from extract import media
from extract.engine.batching import OpenClip
from extract.engine.plan import ExtractionPlan
from extract.engine.streams import ClipError, ReadResult, read_clip
from extract.store.leases import Leases

NUM_WAITING = 8  # messages that may wait for the encoders: a few batches, 80 MB of prepared pictures of 224 px
POLL_S = 0.2

LOG = logging.getLogger("abaw")


class _Stopped(BaseException):
    """The main thread has ended: there is nobody to read for."""


@dataclass(frozen=True)
class Message:
    """From a reader about a clip: a load to encode, the end of it (``ReadResult``), or why it failed.

    Without ``clip`` and ``error``: all of it was in the store.
    """

    clip_id: str
    clip: OpenClip | None = None
    name: str = ""
    load: np.ndarray | media.Sound | ReadResult | None = None
    error: ClipError | None = None


class Readers:
    """``num`` threads over some clips, each at its own clip. Used in a ``with``."""

    def __init__(self, work: ExtractionPlan, leases: Leases, clip_ids: Iterable[str], num: int) -> None:
        self._work, self._leases = work, leases
        self._left = deque(clip_ids)
        self._held: deque[str] = deque()  # another process works on them: look again later
        self._lock = threading.Lock()
        self._messages: queue.Queue[Message] = queue.Queue(NUM_WAITING)
        self._stop = threading.Event()
        self._crash: BaseException | None = None
        self._threads = [threading.Thread(target=self._run, daemon=True, name=f"reader {i}") for i in range(num)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def are_done(self) -> bool:
        """Whether nothing more will come. Raises what a thread ended with where that was no fault of a clip."""
        if self._crash is not None:
            raise self._crash
        # the threads first: what they sent last is in the queue by then
        return not any(thread.is_alive() for thread in self._threads) and self._messages.empty()

    def next(self) -> Message | None:
        """The next message, or None where none came for a moment."""
        try:
            return self._messages.get(timeout=POLL_S)
        except queue.Empty:
            return None

    def _run(self) -> None:
        try:
            while (clip_id := self._next_clip()) is not None:
                self._read(clip_id)
        except _Stopped:
            return
        except BaseException as error:
            self._crash = error

    def _next_clip(self) -> str | None:
        """A clip that is this process's now; None where there is none left."""
        while not self._stop.is_set():
            with self._lock:
                clips = self._left or self._held
                if not clips:
                    return None
                is_again, clip_id = clips is self._held, clips.popleft()
            if self._leases.acquire(clip_id):
                return clip_id
            with self._lock:
                self._held.append(clip_id)
            if is_again:
                self._stop.wait(POLL_S)
            else:
                LOG.info("%s: another process is at it, or was on another host of late: looking again later", clip_id)
        return None

    def _read(self, clip_id: str) -> None:
        clip: OpenClip | None = None
        try:
            found = self._work.order(self._work.dataset.clips[clip_id])
            if found is None:
                self._send(Message(clip_id))
                return
            order, source = found
            clip = self._work.open(order, source)
            read = read_clip(order, partial(self._send_load, clip), self._work.store.root, partial(self._check, clip))
        except (ClipError, ValueError, OSError) as error:
            why = error if isinstance(error, ClipError) else ClipError("read", error)
            self._send(Message(clip_id, clip, error=why))
        except BaseException:  # the run ends, and the main thread may not know of this clip
            if clip is not None:
                clip.close()
            raise
        else:
            self._send(Message(clip_id, clip, load=read))

    def _check(self, clip: OpenClip) -> None:
        if clip.error is not None:  # an encoder refused it: the rest need not be read
            raise clip.error
        if self._stop.is_set():
            raise _Stopped

    def _send_load(self, clip: OpenClip, name: str, load: np.ndarray | media.Sound) -> None:
        self._check(clip)
        self._send(Message(clip.clip_id, clip, name, load))

    def _send(self, message: Message) -> None:
        while not self._stop.is_set():
            try:
                self._messages.put(message, timeout=POLL_S)
            except queue.Full:
                continue
            return
        raise _Stopped
