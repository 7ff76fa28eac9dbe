"""The server of ``abaw app``: binds a port, serves the page, removes what it stored."""

import errno
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from abaw.app.gate import Gate
from abaw.app.layout import STYLE, build_page, theme
from abaw.app.running import Analyses
from abaw.app.sessions import Sessions
from abaw.app.settings import AppSettings
from abaw.app.workers import Workers
from abaw.errors import InputError, NotFoundError
from abaw.files.locks import create_locked
from abaw.files.temporary import is_locked
from abaw.optional import import_optional

FIRST_PORT, NUM_PORTS = 7860, 100
PREFIX, LOCK = "abaw-app-", "lock"
STOP_S = 2  # for open connections to end


def serve(settings: AppSettings, announce: Callable[[str], None]) -> None:
    """Serve the page until SIGINT or SIGTERM; ``announce`` gets its address once requests are answered.

    What users send and what is made of it lies in one temporary folder, which is removed at the end. Raises InputError
    where the port is in use or the host is not of this machine, or Gradio is not installed.
    """
    with bind(settings) as bound, _temporary_folder() as root:
        import_optional("gradio", needed_by="abaw app", extra="app")
        import uvicorn

        sessions, workers = Sessions(root), Workers()
        analyses = Analyses(settings, sessions, workers)
        try:
            address = _address(*bound.getsockname()[:2])
            app = build_app(settings, sessions, analyses, partial(announce, address))
            config = uvicorn.Config(
                Gate(app, settings, sessions.uploads),
                log_config=None,
                access_log=False,
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=STOP_S,
            )
            workers.prepare()
            server = uvicorn.Server(config)
            with _quiet_end(server):
                server.run(sockets=[bound])
        finally:
            analyses.close()
            sessions.close_all()  # each stops its analysis
            workers.close()


def build_app(settings: AppSettings, sessions: Sessions, analyses: Analyses, is_up: Callable[[], None]) -> Any:
    """The application: Gradio's page, and the files of results. ``is_up`` is called when it has started."""
    import gradio as gr
    import matplotlib
    from fastapi import FastAPI
    from gradio import processing_utils
    from starlette.responses import FileResponse, PlainTextResponse, Response

    matplotlib.use("agg")  # Gradio asks for it at the first event, which would wait until it is imported
    processing_utils.async_ssrf_protected_download = _refuse_download

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        is_up()
        yield

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    def result(token: str, name: str) -> Response:
        try:
            return FileResponse(sessions.file(token, name), headers={"Cache-Control": "no-store"})
        except NotFoundError as error:
            return PlainTextResponse(str(error), status_code=404)

    app.add_api_route("/results/{token}/{name:path}", result, methods=["GET", "HEAD"], response_class=Response)
    page = build_page(settings, sessions, analyses)
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        auth=_auth(settings.password) if settings.password else None,
        auth_message="Type any user name, but not none, and the password of this page.",
        max_file_size=settings.limits.max_bytes,
        show_error=False,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css=STYLE,
    )


def bind(settings: AppSettings) -> socket.socket:
    """A socket that listens on the host and port of the settings, by default the first free port from 7860 on.

    Raises InputError where the port is in use, and for a host that is not an address of this machine.
    """
    host = settings.host.strip("[]")
    ports = range(FIRST_PORT, FIRST_PORT + NUM_PORTS) if settings.port is None else [settings.port]
    for port in ports:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            bound = socket.socket(family, kind)
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind(address)
                bound.listen(128)
            except BaseException:
                bound.close()
                raise
            return bound
        except socket.gaierror as error:
            raise InputError(f"--host {settings.host} is not an address: give one of this machine's") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise InputError(
                    f"cannot listen on --host {settings.host}, port {port} ({error.strerror}): give an address of this "
                    "machine and a port above 1023"
                ) from error
    if settings.port is None:
        raise InputError(f"ports {FIRST_PORT} to {FIRST_PORT + NUM_PORTS - 1} are all in use: give --port NUMBER")
    raise InputError(f"port {settings.port} is in use: give another --port, or leave it out to take a free one")


def _address(host: str, port: int) -> str:
    """What to open in a browser; the name of this machine where the server listens on all its addresses.

    >>> _address("127.0.0.1", 7860), _address("::1", 7860)
    ('http://127.0.0.1:7860/', 'http://[::1]:7860/')
    """
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/"


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A new temporary folder, which is also that of Gradio, of libraries and of the processes that analyse.

    Those that servers left which were killed are removed.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if (left / LOCK).is_file() and not is_locked(left / LOCK):
            shutil.rmtree(left, ignore_errors=True)
    root = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = create_locked(root / LOCK, must_lock=False)
    before = {name: os.environ.get(name) for name in ("TMPDIR", "GRADIO_TEMP_DIR")}
    default = tempfile.tempdir
    tempfile.tempdir = str(root)
    os.environ.update(TMPDIR=str(root), GRADIO_TEMP_DIR=str(root / "uploads"))
    try:
        yield root
    finally:
        tempfile.tempdir = default
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(root, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def _quiet_end(server: Any) -> Iterator[None]:
    """Once the server stops, open pages lose their connections: the server would log that as errors."""
    logger = logging.getLogger("uvicorn.error")

    def is_shown(_: logging.LogRecord) -> bool:
        return not server.should_exit

    logger.addFilter(is_shown)
    try:
        yield
    finally:
        logger.removeFilter(is_shown)


def _auth(password: str) -> Callable[[str, str], bool]:
    import hmac

    return lambda _, given: hmac.compare_digest(given.encode(), password.encode())


async def _refuse_download(url: str, cache_dir: str) -> str:
    """In place of Gradio's: a request can name an address instead of an upload, and the server would fetch it."""
    raise InputError(f"{url} is an address: upload the file itself")
