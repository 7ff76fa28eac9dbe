"""Which requests the server answers: those that the page needs, from the page itself.

Gradio has many more addresses, such as one that fetches any address of the internet for whoever asks.
"""

import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from abaw.app.running import check_disk
from abaw.app.settings import AppSettings, is_loopback
from abaw.errors import InputError

LOG = logging.getLogger("abaw")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FORM_BYTES = 65_536  # of an upload besides its file
MAX_BODY_BYTES = 1_000_000  # of any other request
UPLOAD = "/gradio_api/upload"
ANSWERED = re.compile(
    r"/|/(?:login|logout|config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?"
    r"|/(?:static|assets|svelte|results)/.+"
    r"|/gradio_api/(?:upload|upload_progress|run/predict|reset|info|startup-events|app_id|user)/?"
    r"|/gradio_api/(?:login_check|token|theme\.css)/?"
    r"|/gradio_api/heartbeat/[0-9a-z]+"
    r"|/gradio_api/file=(?!https?:).+"
)
# the page and everything that it loads come from this server; Gradio builds functions from texts
PAGE_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'self'; frame-ancestors 'self'; object-src 'none'"
)
# a timeline shows names of uploaded files: it can reach neither the page around it nor any address
RESULT_POLICY = (
    "sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; font-src data:; "
    "worker-src blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)


class Gate:
    """An ASGI application around another one."""

    def __init__(self, app: Any, settings: AppSettings, uploads: Path) -> None:
        self._app, self._settings, self._uploads = app, settings, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refused = self.find_refusal(scope)
        if refused is not None:
            from starlette.responses import PlainTextResponse

            code, sentence = refused
            await PlainTextResponse(sentence, status_code=code)(scope, receive, send)
            return
        policy = RESULT_POLICY if scope["path"].startswith("/results/") else PAGE_POLICY

        async def send_with_policy(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"content-security-policy", policy.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        from starlette.requests import ClientDisconnect

        try:
            await self._app(scope, receive, send_with_policy)
        except ClientDisconnect:  # the rest of the file is removed with the uploads that no page has taken
            LOG.info("an upload was cut off")

    def find_refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence where a request is not answered; None where it is."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        # a page of another site whose name was made to lead to this machine
        if is_loopback(self._settings.host) and not is_loopback(_name_of(host)):
            return 403, "Open this page by its address 127.0.0.1."
        origin = headers.get("origin")
        is_own = scope["path"].startswith("/results/") and scope["method"] in ("GET", "HEAD")  # of the sandbox: "null"
        if origin is not None and not is_own and origin.partition("://")[2] != host:
            return 403, "This request comes from another page."
        if scope["method"] not in ("GET", "HEAD", "POST") or not ANSWERED.fullmatch(scope["path"]):
            return 404, "There is nothing at this address."
        return self._find_too_large(scope, headers) if scope["method"] == "POST" else None

    def _find_too_large(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        text = headers.get("content-length", "")
        if not text.isdecimal():
            return 411, "The length of the file is not said: load the page again."
        if not scope["path"].startswith(UPLOAD):
            return None if int(text) <= MAX_BODY_BYTES else (413, "This request is too large.")
        most = self._settings.limits.max_bytes
        if int(text) > most + FORM_BYTES:
            return 413, f"The file has {int(text) / 1e6:.0f} MB, expected at most {most / 1e6:g} MB."
        try:
            check_disk(self._uploads, int(text))
        except InputError as error:
            return 507, f"{str(error)[:1].upper()}{str(error)[1:]}."
        return None


def _name_of(host: str) -> str:
    """The name in a Host header, without its port.

    >>> _name_of("127.0.0.1:7860"), _name_of("[::1]:7860"), _name_of("localhost")
    ('127.0.0.1', '[::1]', 'localhost')
    """
    return re.sub(r":\d+$", "", host)
