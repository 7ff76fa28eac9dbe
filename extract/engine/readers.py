"""Threads that read clips and send the encoders' inputs to the main thread through a bounded queue.

Decoders, OpenCV and torch release Python's global lock, so that reading continues while the main thread encodes.
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

from abaw.errors import InputError
from extract.engine.batching import OpenClip
from extract.engine.plan import ExtractionPlan
from extract.engine.reading import read_clip
from extract.engine.requests import ClipError, ReadRequest, ReadResult
from extract.media import Sound
from extract.store.leases import Leases

MAX_MESSAGES = 8  # in the queue: a few batches, 80 MB of prepared pictures of 224 px
POLL_S = 0.2

CHANGED = "its files changed twice while they were read: wait until they are complete, then run the same command again"

LOG = logging.getLogger("abaw")


class ReadOnlyStore(OSError):
    """A store that can only be read lacks tracks."""


class _Stopped(BaseException):
    """The main thread has ended, so the reader stops."""


@dataclass(frozen=True)
class Message:
    """A reader's message about a clip: a load to encode, its end (``ReadResult``), or an error.

    Without ``clip`` and ``error``: all its tracks were in the store already. ``is_repeated``: after this error the same
    reader reads the clip again.
    """

    clip_id: str
    clip: OpenClip | None = None
    name: str = ""
    load: np.ndarray | Sound | ReadResult | None = None
    error: ClipError | None = None
    is_repeated: bool = False


class Readers:
    """A pool of ``num_threads`` threads, each of which reads one clip at a time. Use it in a ``with`` statement."""

    def __init__(self, plan: ExtractionPlan, leases: Leases, clip_ids: Iterable[str], num_threads: int) -> None:
        self._plan, self._leases = plan, leases
        self._remaining = deque(clip_ids)
        self._leased_elsewhere: deque[str] = deque()  # clips of another process: try again later
        self._lock = threading.Lock()
        self._messages: queue.Queue[Message] = queue.Queue(MAX_MESSAGES)
        self._stop = threading.Event()
        self._crash: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, daemon=True, name=f"reader {i}") for i in range(num_threads)
        ]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        while not self._messages.empty():  # clips that the main thread never got: close their temporary files
            clip = self._messages.get().clip
            if clip is not None:
                clip.close()

    def are_done(self) -> bool:
        """Whether no further message will come. Raises the error of a thread that crashed."""
        if self._crash is not None:
            raise self._crash
        # check the threads first: once they have ended, their last messages are in the queue
        return not any(thread.is_alive() for thread in self._threads) and self._messages.empty()

    def next(self) -> Message | None:
        """The next message, None where none came within ``POLL_S``."""
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
        """A clip that this process has leased; None when no clip is left."""
        while not self._stop.is_set():
            with self._lock:
                clips = self._remaining or self._leased_elsewhere
                if not clips:
                    return None
                is_retry, clip_id = clips is self._leased_elsewhere, clips.popleft()
            if self._leases.acquire(clip_id):
                return clip_id
            with self._lock:
                self._leased_elsewhere.append(clip_id)
            if is_retry:
                self._stop.wait(POLL_S)
            else:
                LOG.info(
                    "%s: leased by another process, or until lately by one on another host: retried later", clip_id
                )
        return None

    def _read(self, clip_id: str) -> None:
        if not self._read_once(clip_id, is_last=False):
            LOG.info("%s: its files changed while they were read: they are read again", clip_id)
            self._read_once(clip_id, is_last=True)

    def _read_once(self, clip_id: str, *, is_last: bool) -> bool:
        """Read a clip; False where its files changed meanwhile and it is to be read again."""
        clip: OpenClip | None = None
        request: ReadRequest | None = None
        try:
            needed = self._plan.make_request(self._plan.dataset.clips[clip_id], remember=True)
            if needed is None:
                self._send(Message(clip_id))
                return True
            if self._leases.is_read_only:
                raise ReadOnlyStore(
                    f"{self._plan.store.root} can only be read, and it lacks tracks of clip {clip_id!r}"
                )
            request, source = needed
            clip = self._plan.open_clip(request, source)
            send, check = partial(self._send_load, clip), partial(self._check, clip)
            result = read_clip(request, send, self._plan.store.root, check)
            has_changed = _has_changed(request)
            error = ClipError("read", InputError(CHANGED)) if has_changed else None
        except ReadOnlyStore as reason:
            raise InputError(f"{reason}: give another --store, or the right to write to it") from reason
        except (ClipError, ValueError, OSError) as reason:
            error = reason if isinstance(reason, ClipError) else ClipError("read", reason)
            has_changed = clip is not None and _has_changed(request)
        except BaseException:  # the run ends, and the main thread may not have this clip yet
            if clip is not None:
                clip.close()
            raise
        if error is None:
            self._send(Message(clip_id, clip, load=result))
            return True
        is_repeated = has_changed and not is_last
        self._send(Message(clip_id, clip, error=error, is_repeated=is_repeated))
        return not is_repeated

    def _check(self, clip: OpenClip) -> None:
        if clip.error is not None:  # an encoder failed on it: the rest need not be read
            raise clip.error
        if self._stop.is_set():
            raise _Stopped

    def _send_load(self, clip: OpenClip, name: str, load: np.ndarray | Sound) -> None:
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


def _has_changed(request: ReadRequest | None) -> bool:
    """Whether the media or images of a clip are not those that were there before they were read."""
    try:
        return request is not None and request.source is not None and request.source.has_changed()
    except (ValueError, OSError):  # they are gone
        return True
