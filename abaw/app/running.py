"""One analysis, from what the browser sent to what the page shows."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from abaw.app.panels import show_refusal, show_result, show_stopped
from abaw.app.sessions import RESULTS, Session, Sessions, link_or_copy
from abaw.app.settings import AppSettings, offered_views
from abaw.app.workers import Answer, Job, Step, Workers
from abaw.errors import InputError, explain
from abaw.pipelines.analysis.persons import check_persons
from abaw.pipelines.viewing.writing import VIEWS

LOG = logging.getLogger("abaw")
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

    def wait(self, tab: str | None) -> None:
        """A tab asks for an analysis, which waits for its turn. Raises InputError where it has one already."""
        self._sessions.of(tab).wait()

    def run(self, tab: str | None, wish: Wish, report: Report) -> str:
        """Analyse what a tab asks for; returns HTML with the result, or with a sentence that says why there is none."""
        session = self._sessions.of(tab)
        try:
            return self._run(session, tab, wish, report)
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                LOG.exception("an error of this program in an analysis of the page")
            session.stop()  # it no longer waits
            return show_refusal(sentence)

    def stop(self, tab: str | None) -> None:
        """Stop the analysis of a tab, also one that waits for its turn."""
        self._sessions.of(tab).stop()

    def _run(self, session: Session, tab: str | None, wish: Wish, report: Report) -> str:
        arguments = self._arguments(wish)
        source = self._source(tab, wish.source)
        check_disk(session.folder.parent)
        run = _Run()
        folder = session.begin(run.stop)
        if folder is None:
            return show_stopped()
        try:
            report(None, "starting")
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

    def _source(self, tab: str | None, source: Any) -> Path:
        """The file to analyse. Raises InputError and NotFoundError where there is none."""
        if source is None or source == []:
            raise InputError("there is no file yet: upload one, record one or choose an example")
        if isinstance(source, int) and not isinstance(source, bool) and 0 <= source < len(self._settings.examples):
            return self._settings.examples[source]
        described = source[0] if isinstance(source, list) else source
        path = described.get("path") if isinstance(described, dict) else None
        if not isinstance(path, str) or "\0" in path:
            raise InputError("this is no upload: upload the file again")
        return self._sessions.take(tab, path)

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
        "limits": f"at most {limits.max_bytes / 1e6:g} MB and {limits.max_length_s / 60:g} minutes",
        "where": "Files stay on the machine that runs this page, and are removed when you close it.",
    }
