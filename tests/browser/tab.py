"""A tab of a browser that records what a page asks for and what goes wrong in it."""

from pathlib import Path
from typing import Any


class Tab:
    """``page``: Playwright's. ``requests``: addresses of all requests; ``errors``: console errors and exceptions."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path: Path) -> Any:
        """Open a local file and return Playwright's page."""
        self.page.goto(path.absolute().as_uri())
        return self.page

    def foreign_requests(self) -> list[str]:
        """The requests that leave the machine."""
        local = ("file:", "data:", "blob:", "http://127.0.0.1", "http://localhost")
        return [address for address in self.requests if not address.startswith(local)]
