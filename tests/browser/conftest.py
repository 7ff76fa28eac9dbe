"""A real browser for the tests of pages: Debian's chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator

import pytest

from tests.browser.tab import Tab


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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
