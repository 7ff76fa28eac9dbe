"""A folder for the files of each browser tab, removed when the tab is closed.

ROOT/uploads/<hash>/<name>          what Gradio has received
ROOT/sessions/<token>/<number>/     the file that was analysed last, and results/
"""

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from abaw.errors import InputError, NotFoundError

RESULTS = "results"
MAX_IDLE_S = 12 * 3600.0
MAX_UNUSED_S = 3600.0  # of an upload that no tab has taken


class Session:
    """The files of one browser tab. ``token``: names its folder in addresses; nobody can guess it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = folder.name
        self.used_s = time.monotonic()
        self.uploads: set[Path] = set()
        self.is_closed = False
        self._number = 0
        self._stop: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def begin(self, stop: Callable[[], None]) -> Path:
        """A new folder for an analysis, in place of the earlier one.

        ``stop`` is called when the user stops it or closes the tab. Raises InputError where another one is running, or
        the tab was closed.
        """
        with self._lock:
            if self.is_closed:
                raise InputError("this page was closed: load it again")
            if self._stop is not None:
                raise InputError("an analysis is running in this tab: wait for it, or stop it")
            self._stop = stop
            self.used_s = time.monotonic()
            self._number += 1
            shutil.rmtree(self.folder, ignore_errors=True)
            folder = self.folder / str(self._number)
            folder.mkdir(parents=True)
            return folder

    def end(self) -> None:
        """The analysis has ended."""
        with self._lock:
            self._stop = None
            self.used_s = time.monotonic()
            if self.is_closed:
                shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        """Stop the analysis that runs, if there is one."""
        with self._lock:
            if self._stop is not None:
                self._stop()

    def close(self) -> None:
        """Stop the analysis and remove the files."""
        with self._lock:
            self.is_closed = True
            if self._stop is not None:
                self._stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def is_idle(self) -> bool:
        """Whether nothing has been asked for ``MAX_IDLE_S``."""
        return self._stop is None and time.monotonic() - self.used_s > MAX_IDLE_S

    def hide(self, text: str) -> str:
        """A text without the paths of this machine."""
        for folder in (*sorted(self.folder.glob("*"), reverse=True), self.folder):
            text = text.replace(f"{folder}{os.sep}", "").replace(str(folder), "this analysis")
        return text


class Sessions:
    """All tabs. Tabs that were not used for ``MAX_IDLE_S`` are closed."""

    def __init__(self, root: Path) -> None:
        self.uploads, self._root = root / "uploads", root / "sessions"
        self.uploads.mkdir()
        self._root.mkdir()
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def of(self, tab: str | None) -> Session:
        """The session of a tab, by the name that Gradio gives it."""
        with self._lock:
            self._sweep()
            if not tab:
                raise InputError("this request comes from no page: load the page in a browser")
            if tab not in self._open:
                self._open[tab] = Session(self._root / secrets.token_urlsafe(24))
            return self._open[tab]

    def file(self, token: str, name: str) -> Path:
        """A file of a session. Raises NotFoundError for any other."""
        with self._lock:
            folder = next((each.folder for each in self._open.values() if each.token == token), None)
        if folder is not None and "\0" not in name:
            path = (folder / name).resolve()
            if path.is_relative_to(folder.resolve()) and path.is_file() and not path.name.startswith("."):
                return path
        raise NotFoundError("there is no such file: results are removed when their page is closed")

    def take(self, session: Session, path: str) -> Path:
        """An upload, which from now on belongs to the session. Raises NotFoundError for what is no upload."""
        upload = Path(path).resolve()
        if not upload.is_relative_to(self.uploads.resolve()) or not upload.is_file():
            raise NotFoundError("the upload is not there: upload the file again")
        with self._lock:
            session.uploads.add(upload)
        return upload

    def close(self, tab: str | None) -> None:
        """Remove the files of a tab, and its uploads that no other tab uses."""
        with self._lock:
            session = self._open.pop(tab or "", None)
            if session is not None:
                self._close(session)

    def close_all(self) -> None:
        with self._lock:
            while self._open:
                self._close(self._open.popitem()[1])

    def _close(self, session: Session) -> None:
        session.close()
        for upload in session.uploads - self._used():
            _remove_upload(upload, self.uploads)

    def _used(self) -> set[Path]:
        return {upload for each in self._open.values() for upload in each.uploads}

    def _sweep(self) -> None:
        """Close tabs that nobody uses, and remove uploads that were cut off or not taken."""
        for tab in [tab for tab, each in self._open.items() if each.is_idle()]:
            self._close(self._open.pop(tab))
        used = self._used()
        for path in (*self.uploads.glob("*"), *self.uploads.glob("*/*")):
            with suppress(OSError):
                if path.is_file() and path not in used and time.time() - path.stat().st_mtime > MAX_UNUSED_S:
                    _remove_upload(path, self.uploads)


def link_or_copy(source: Path, folder: Path) -> Path:
    """A file under its name in another folder, without a second copy of its bytes where the file system can."""
    target = folder / source.name
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _remove_upload(path: Path, root: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent != root:
        with suppress(OSError):  # another file of the same content
            path.parent.rmdir()
