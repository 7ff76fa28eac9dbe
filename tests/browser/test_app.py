"""`abaw app` in a browser: upload, refusal, several users, downloads, and what is left afterwards."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import abaw
from extract.encoders import fer_mini_xception
from tests.browser.tab import Tab
from tests.support.house import ROOT

CLIP = "clips/bbaf2n.mpg"
ANSWER_MS = 120_000
RESULT, REFUSAL = "#abaw-result section.abaw-panel", "#abaw-result .abaw-refusal"
LISTENING = "0A"


@pytest.fixture(scope="module")
def app(media, chromium, tmp_path_factory):
    """A server with the address, the process and its temporary folder."""
    if not fer_mini_xception.examples():
        pytest.skip("the weights of fer_mini_xception are not here: abaw weights fetch fer_mini_xception")
    folder = tmp_path_factory.mktemp("app")
    words = [
        "app",
        "--recogniser",
        "fer_mini_xception",
        "--at-once",
        "2",
        "--max-upload-mb",
        "1",
        "--max-length-s",
        "9",
    ]
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "abaw", *words], env=environment, stderr=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        line = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line + process.stderr.read()
        yield SimpleNamespace(address=found[0], port=int(found[1]), folder=folder, process=process)
        process.kill()


@pytest.fixture(scope="module")
def expected(media, tmp_path_factory):
    """The CSV of `abaw analyze`."""
    out = tmp_path_factory.mktemp("expected") / "out"
    abaw.analyze(media / CLIP, out=out, recognisers="fer_mini_xception")
    return (out / "bbaf2n.csv").read_bytes()


def upload(page, address, file):
    page.goto(address)
    page.set_input_files("#abaw-upload input[type=file]", file)
    page.wait_for_selector(f"#abaw-upload >> text={Path(file).suffix}")
    page.click("text=Analyse the upload")


def read_csv(page, address):
    link = page.wait_for_selector(f"{RESULT} a:text('Table (CSV)')", timeout=ANSWER_MS).get_attribute("href")
    return page.request.get(address + link).body()


def left_files(folder):
    """Files below a folder, in which others may remove some meanwhile."""
    return sorted(os.path.join(each, name) for each, _, names in os.walk(folder) for name in names if name != "lock")


def wait_until(is_so):
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to be in a minute")


def test_two_uploads_at_once_have_the_numbers_of_the_command_line(app, expected, media, chromium):
    tabs = [Tab(chromium.new_page()) for _ in range(2)]
    for tab in tabs:
        upload(tab.page, app.address, media / CLIP)
    for tab in tabs:
        assert read_csv(tab.page, app.address) == expected
        tab.page.frame_locator(f"{RESULT} iframe").locator("text=Strongest moments").wait_for()
        assert tab.foreign_requests() == []
        assert tab.errors == []
    tokens = {tab.page.get_attribute(f"{RESULT} a", "href").split("/")[1] for tab in tabs}
    assert len(tokens) == 2
    address = app.address + tabs[0].page.get_attribute(f"{RESULT} a", "href")
    for tab in tabs:
        tab.page.close()
    wait_until(lambda: left_files(app.folder) == [])
    check = chromium.new_page()
    assert check.request.get(address).status == 404
    check.close()


def test_a_text_file_is_refused_in_a_sentence(app, media, tab):
    upload(tab.page, app.address, media / "nasty/text_named.mp4")
    shown = tab.page.wait_for_selector(REFUSAL, timeout=ANSWER_MS).inner_text()
    assert "cannot read text_named.mp4: it is not a media file" in shown
    assert "Traceback" not in shown
    assert str(app.folder) not in shown
    assert tab.errors == []


def test_many_clicks_leave_a_page_that_takes_the_next_one(app, media, tab):
    page = tab.page
    page.goto(app.address)
    button = page.locator("button:has-text('Analyse the upload')")
    button.evaluate("button => { for (let i = 0; i < 200; i++) setTimeout(() => button.click(), 5 * i) }")
    page.wait_for_selector("text=there is no file yet", timeout=ANSWER_MS)
    page.wait_for_timeout(1200)
    page.set_input_files("#abaw-upload input[type=file]", media / "nasty/text_named.mp4")
    page.wait_for_selector("#abaw-upload >> text=.mp4")
    button.click()
    page.wait_for_selector("text=it is not a media file", timeout=ANSWER_MS)
    assert tab.errors == []


def test_a_file_that_is_too_large_is_refused_in_a_sentence(app, tab, tmp_path):
    (tmp_path / "large.mp4").write_bytes(bytes(1_200_000))
    tab.page.goto(app.address)
    tab.page.set_input_files("#abaw-upload input[type=file]", tmp_path / "large.mp4")
    tab.page.wait_for_selector("text=/at most 1 MB|maximum allowed size/i")
    assert left_files(app.folder) == []


def test_only_this_machine_can_connect(app):
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    local = [line[1] for line in lines if line[3] == LISTENING and int(line[1].split(":")[1], 16) == app.port]
    assert local == [f"0100007F:{app.port:04X}"]


def test_nothing_is_left_after_sigterm(app, media, tab):
    upload(tab.page, app.address, media / CLIP)
    wait_until(lambda: any("sessions" in name for name in left_files(app.folder)))
    app.process.send_signal(signal.SIGTERM)
    assert app.process.wait(60) == 128 + signal.SIGTERM
    assert list(app.folder.iterdir()) == []
    assert "Traceback" not in app.process.stderr.read()
