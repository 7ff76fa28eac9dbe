"""A real browser for the tests of pages: Debian's chromium, driven by Playwright."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.browser.tab import Tab


def find_browser() -> str | None:
    """The path of a browser that starts: Ubuntu's chromium-browser may be a script that asks for a snap."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        program = shutil.which(name)
        if program and subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=False).returncode == 0:
            return program
    return None


@pytest.fixture(scope="module")  # not the session: while it is open, an event loop runs, and no other test may have one
def chromium() -> Iterator[object]:
    program = find_browser()
    if program is None:
        pytest.skip("no chromium is installed: apt-get install chromium, or ./run.sh test-browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # no sandbox: the tests may run as root, and the pages are our own
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium) -> Iterator[Tab]:
    """A new tab that records its requests and errors."""
    page = chromium.new_page()
    yield Tab(page)
    page.close()
