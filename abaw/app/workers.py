"""Processes that analyse, one file each: a damaged upload cannot end the server, and a stopped one ends at once.

A process that has imported everything waits for the next analysis.
"""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from abaw.errors import InputError, explain
from abaw.files import visible
from abaw.pipelines.analysis.limits import MediaLimits, check_limits


@dataclass(frozen=True)
class Job:
    """What to analyse, within which limits, and the further arguments of ``analyze``."""

    media: Path
    out: Path
    limits: MediaLimits
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """How an analysis ended.

    ``lines``: the summary; ``sources``: what predicted; ``files``: names of those in the folder of results. Where there
    is no result, ``refusal`` says why, or ``fault`` is the traceback of an error of this program.
    """

    clip_id: str = ""
    lines: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    refusal: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Step:
    """How far an analysis is: ``done`` of ``total`` of a piece of work; ``length_s`` of the media, 0 while unknown."""

    length_s: float = 0.0
    done: int = 0
    total: int = 0


class Worker:
    """A process for one analysis."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), name="abaw app worker")
        self._process.start()
        theirs.close()

    def run(self, job: Job, report: Callable[[Step | None], None]) -> Answer:
        """Analyse; ``report`` gets each new step, and None every half second without one."""
        try:
            self._connection.send(job)
            while True:
                if not self._connection.poll(0.5):
                    report(None)
                    continue
                message = self._connection.recv()
                if isinstance(message, Answer):
                    return message
                report(message)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            return Answer(fault=f"the process ended with exit code {self._process.exitcode}")
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()

    def join(self) -> None:
        self._process.join()


class Workers:
    """The processes of a server."""

    def __init__(self) -> None:
        self._idle: Worker | None = None
        self._all: set[Worker] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def take(self) -> Worker:
        """A process for one analysis; the one that waits, where there is one."""
        with self._lock:
            worker, self._idle = self._idle, None
            return worker or self._new()

    def prepare(self) -> None:
        """Start a process that waits, where there is none."""
        with self._lock:
            if self._idle is None and not self._is_closed:
                self._idle = self._new()

    def give_back(self, worker: Worker) -> None:
        """The worker's analysis has ended; another one is started for the next."""
        worker.kill()
        worker.join()
        with self._lock:
            self._all.discard(worker)
        self.prepare()

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._is_closed = True
            for worker in self._all:
                worker.kill()
            for worker in self._all:
                worker.join()

    def _new(self) -> Worker:
        if self._is_closed:
            raise InputError("the server is being stopped")
        worker = Worker()
        self._all.add(worker)
        return worker


def _work(connection: Connection) -> None:
    """In the new process: get ready, wait for a job, answer it, end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    threading.Thread(target=_end_with_server, daemon=True, name="server").start()
    import torch  # noqa: F401  # slow, so before the job

    from abaw.pipelines.analysis import analyzing  # noqa: F401

    try:
        job = connection.recv()
    except EOFError:
        return
    connection.send(_answer(job, connection.send))


def _end_with_server() -> None:
    server = multiprocessing.parent_process()
    if server is not None:
        server.join()
        os._exit(1)


def _answer(job: Job, send: Callable[[Step], None]) -> Answer:
    from abaw.pipelines.analysis.analyzing import analyze

    try:
        length_s = check_limits(job.media, job.limits)
        send(Step(length_s))

        def progress(_: str, done: int, total: int) -> None:
            send(Step(length_s, done, total))

        found = analyze(job.media, out=job.out, progress=progress, **job.arguments)
        if not found.clips:
            return Answer(refusal="; ".join(each.reason for each in found.extraction.failed))
        names = sorted(path.name for path in visible(job.out, "*") if path.is_file())
        lines = str(found).split("\n")[len(found.sources) : -1]  # the last one names the folder
        # how whoever runs the program can get better recognisers, in lines that are indented, is not for its users
        sources = [line for line in found.sources if not line.startswith(" ") and not line.endswith(":")]
        return Answer(found.clips[0], tuple(lines), tuple(sources), tuple(names))
    except Exception as error:
        sentence = explain(error)
        return Answer(refusal=sentence or "", fault="" if sentence else traceback.format_exc())
