"""One analysis, from what the browser sent to what the page shows."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from abaw.app.panels import show_progress, show_refusal, show_result, show_stopped
from abaw.app.sessions import RESULTS, Session, Sessions, link_or_copy
from abaw.app.settings import AppSettings, offered_views
from abaw.app.workers import Answer, Job, Step, Workers
from abaw.errors import InputError, explain
from abaw.pipelines.analysis.persons import check_persons
from abaw.pipelines.viewing.writing import VIEWS
from abaw.progress import format_seconds

LOG = logging.getLogger("abaw")
MAX_UNFINISHED = 32  # analyses that run or wait
MIN_FREE_BYTES = 200_000_000
MAX_EMBEDDED_BYTES = 100_000_000  # of a video that becomes part of the page

Report = Callable[[float | None, str], None]  # the part that is done, None while unknown, and a sentence


@dataclass(frozen=True)
class Wish:
    """What the browser sent: nothing of it is trusted.

    ``source``: the file as Gradio describes an upload, or the number of an example. ``offer``: a number.
    """

    source: Any
    offer: Any
    persons: Any
    views: Any = ()


class Analyses:
    """Runs analyses for all tabs, and knows how fast they were."""

    def __init__(self, settings: AppSettings, sessions: Sessions, workers: Workers) -> None:
        self._settings, self._sessions, self._workers = settings, sessions, workers
        self._pace: dict[tuple[Any, ...], float] = {}  # seconds of work for a second of media
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(settings.max_at_once, "analysis")
        self._tasks: WeakKeyDictionary[Session, _Task] = WeakKeyDictionary()
        self._unfinished: list[_Task] = []  # in the order in which they were asked for

    def start(self, tab: str | None, wish: Wish) -> None:
        """Analyse what a tab asks for, when it is its turn; ``look`` says how far it is.

        Nothing is started where the tab has an analysis that runs or waits, and ``look`` says so. Raises InputError
        where too many others wait.
        """
        session, task = self._sessions.of(tab), _Task()
        with self._lock:
            earlier = self._tasks.get(session)
            if earlier is not None and not earlier.future.done():
                earlier.note = show_progress(None, "an analysis is running in this tab: wait for it, or stop it")
                return
            if len(self._unfinished) >= MAX_UNFINISHED:
                raise InputError("too many analyses are waiting: try again in a few minutes")
            self._tasks[session] = task
            self._unfinished.append(task)
            task.future = self._pool.submit(self._follow, session, wish, task)
        task.future.add_done_callback(lambda _: self._unfinished.remove(task))

    def look(self, tab: str | None) -> tuple[str, bool]:
        """HTML of what a tab asked for last, its progress or its result, and whether it goes on."""
        task = self._tasks.get(self._sessions.of(tab))
        if task is None:
            return "", False
        if task.future.cancelled():
            return show_stopped(), False
        if task.future.done():
            return task.shown, False
        if not task.shown:
            before = [*self._unfinished, task].index(task)
            is_next = before < self._settings.max_at_once
            said = "starting" if is_next else f"waiting for its turn: {before} before it in the queue"
            return show_progress(None, said) + task.note, True
        return task.shown + task.note, True

    def stop(self, tab: str | None) -> None:
        """Stop the analysis of a tab, also one that waits for its turn."""
        session = self._sessions.of(tab)
        task = self._tasks.get(session)
        if task is not None:
            task.run.stop()
            task.future.cancel()
        session.stop()

    def close(self) -> None:
        """Start none of those that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _follow(self, session: Session, wish: Wish, task: "_Task") -> None:
        def report(part: float | None, text: str) -> None:
            task.shown = show_progress(part, text)

        try:
            task.shown = self._run(session, wish, task.run, report)
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                LOG.exception("an error of this program in an analysis of the page")
            task.shown = show_refusal(sentence)

    def _run(self, session: Session, wish: Wish, run: "_Run", report: Report) -> str:
        """HTML with the result of an analysis, or with a sentence that says why there is none."""
        report(None, "starting")
        if session.is_closed or run.is_stopped():
            return show_stopped()
        arguments = self._arguments(wish)
        source = self._source(session, wish.source)
        check_disk(session.folder.parent)
        folder = session.begin(run.stop)
        try:
            media = link_or_copy(source, folder)
            arguments["embed"] = media.stat().st_size <= MAX_EMBEDDED_BYTES
            job = Job(media, folder / RESULTS, self._settings.limits, arguments)
            worker = self._workers.take()
            try:
                answer = run.follow(worker, job, self._estimate(wish, report))
            finally:
                self._workers.give_back(worker)
            return self._show(session, folder, media, answer, run)
        finally:
            session.end()

    def _arguments(self, wish: Wish) -> dict[str, Any]:
        """Arguments of ``analyze``. Raises InputError for what is not offered."""
        offers = self._settings.offers
        if not isinstance(wish.offer, int) or isinstance(wish.offer, bool) or not 0 <= wish.offer < len(offers):
            raise InputError("choose what to predict with from the list")
        check_persons(wish.persons)
        views = list(wish.views) if isinstance(wish.views, list | tuple) else [wish.views]
        if any(view not in offered_views() for view in views):
            raise InputError("choose from the files that are offered")
        offer = offers[wish.offer]
        given = dict(self._settings.analysis)
        if not offer.runs:  # OLD=NEW is for the encoders of runs
            given["weights"] = [text for text in given.get("weights", ()) if "=" not in text]
        shown = [name for name in VIEWS if name == "page" or name in views]
        return {
            **given,
            "runs": offer.runs,
            "recognisers": offer.recognisers,
            "persons": wish.persons,
            "views": shown,
        }

    def _source(self, session: Session, source: Any) -> Path:
        """The file to analyse. Raises InputError and NotFoundError where there is none."""
        if source is None or source == []:
            raise InputError("there is no file yet: upload one, record one or choose an example")
        if isinstance(source, int) and not isinstance(source, bool) and 0 <= source < len(self._settings.examples):
            return self._settings.examples[source]
        described = source[0] if isinstance(source, list) else source
        path = described.get("path") if isinstance(described, dict) else None
        if not isinstance(path, str) or "\0" in path:
            raise InputError("this is no upload: upload the file again")
        return self._sessions.take(session, path)

    def _show(self, session: Session, folder: Path, media: Path, answer: Answer, run: "_Run") -> str:
        if run.is_stopped():
            return show_stopped()
        if answer.fault:
            LOG.error("an error of this program in an analysis of the page: %s", answer.fault)
            return show_refusal(None)
        if answer.refusal:
            return show_refusal(session.hide(answer.refusal))
        answer = replace(answer, lines=tuple(map(session.hide, answer.lines)))
        shutil.rmtree(folder / RESULTS / "store", ignore_errors=True)  # features are not offered, and large
        return show_result(media.name, f"results/{session.token}/{folder.name}/{RESULTS}", answer)

    def _estimate(self, wish: Wish, report: Report) -> Callable[[Step | None], None]:
        """Turns steps into a part that is done and the time left, by the pace of earlier analyses of the same kind."""
        start_s = time.monotonic()
        views = tuple(wish.views) if isinstance(wish.views, Sequence) else ()
        kind = (wish.offer, wish.persons, views)
        last = Step()

        def follow(step: Step | None) -> None:
            nonlocal last
            passed_s = time.monotonic() - start_s
            last = step or last
            pace = self._pace.get(kind)
            if last.total and last.done == last.total:  # all is read and encoded
                with self._lock:
                    self._pace[kind] = passed_s / max(last.length_s, 1.0)
                report(0.95, "writing the results")
            elif pace and last.length_s:
                total_s = pace * max(last.length_s, 1.0)
                left_s = max(1.0, total_s - passed_s)
                report(min(0.95, passed_s / total_s), f"analysing: about {left_s:.0f} s left")
            else:
                report(
                    None, f"analysing {last.length_s:.1f} s: {passed_s:.0f} s so far" if last.length_s else "starting"
                )

        return follow


@dataclass(eq=False)
class _Task:
    """What a tab asked for. ``shown``: HTML of its progress, then of its result; "" while it waits for its turn.

    ``note``: HTML that is shown below its progress.
    """

    run: "_Run" = field(default_factory=lambda: _Run())
    shown: str = ""
    note: str = ""
    future: Future[None] = field(default_factory=Future)


class _Run:
    """One run of a worker, which can be stopped at any time."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._worker: Any = None

    def stop(self) -> None:
        self._stopped.set()
        if self._worker is not None:
            self._worker.kill()

    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def follow(self, worker: Any, job: Job, report: Callable[[Step | None], None]) -> Answer:
        self._worker = worker
        if self._stopped.is_set():
            return Answer()
        answer: Answer = worker.run(job, report)
        return answer


def check_disk(folder: Path, num_bytes: int = 0) -> None:
    """Raises InputError where the disk of a folder has too little space for a file of so many bytes and its results."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes + MIN_FREE_BYTES:
        raise InputError(
            f"the disk of the machine that runs this page is full ({free / 1e6:.0f} MB free): ask who runs it to free "
            "some space"
        )


def describe(settings: AppSettings) -> Mapping[str, str]:
    """What users must know before they upload, in short texts."""
    limits = settings.limits
    return {
        "limits": f"at most {limits.max_bytes / 1e6:g} MB and {format_seconds(limits.max_length_s)}",
        "where": "Files stay on the machine that runs this page, and are removed when you close it.",
    }
