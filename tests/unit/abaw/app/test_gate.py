"""Which requests the server of the page answers."""

import asyncio
import collections

import pytest

from abaw.app import running
from abaw.app.gate import Gate
from abaw.app.settings import AppSettings, Offer
from abaw.pipelines.analysis.limits import MediaLimits

HOST = "127.0.0.1:7860"


@pytest.fixture
def ask(tmp_path):
    """Status and sentence where a request is refused, else None."""

    def refusal(path, method="GET", host="127.0.0.1", **headers):
        settings = AppSettings((Offer("x"),), MediaLimits(10_000_000, 10.0), host=host, password="a long password")
        given = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        pairs = [(name.encode(), value.encode()) for name, value in given.items()]
        scope = {"type": "http", "path": path, "method": method, "headers": pairs}
        return Gate(None, settings, tmp_path).find_refusal(scope)

    return refusal


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/config",
        "/assets/index.js",
        "/results/token/1/results/clip.csv",
        "/gradio_api/heartbeat/abc123",
        "/gradio_api/run/predict",
        "/gradio_api/file=/tmp/x/clip.mp4",
    ],
)
def test_what_the_page_needs_is_answered(ask, path):
    assert ask(path) is None
    assert ask(path, origin=f"http://{HOST}") is None


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://example.org/a.mp4",
        "/gradio_api/file=https://example.org/a.mp4",
        "/gradio_api/proxy=http://example.org/",
        "/gradio_api/call/analyse",
        "/gradio_api/run/analyse",
        "/gradio_api/queue/join",
        "/monitoring",
        "/gradio_api/vibe-edit",
        "/docs",
    ],
)
def test_other_addresses_of_gradio_are_not_answered(ask, path):
    assert ask(path)[0] == 404
    assert ask(path, "POST", content_length="2")[0] == 404


def test_a_page_of_another_site_is_refused(ask):
    assert ask("/", host="127.0.0.1") is None
    assert ask("/", origin="http://example.org")[0] == 403
    assert ask("/gradio_api/run/predict", "POST", content_length="2", origin="null")[0] == 403


def test_a_name_that_was_made_to_lead_to_this_machine_is_refused(tmp_path):
    settings = AppSettings((Offer("x"),), MediaLimits(1, 1.0))
    scope = {"type": "http", "path": "/", "method": "GET", "headers": [(b"host", b"example.org:7860")]}
    assert Gate(None, settings, tmp_path).find_refusal(scope)[0] == 403


def test_an_upload_is_refused_before_it_is_read(ask, monkeypatch):
    upload = "/gradio_api/upload"
    assert ask(upload, "POST", content_length="10000000") is None
    assert ask(upload, "POST", content_length="11000000") == (413, "The file has 11 MB, expected at most 10 MB.")
    assert ask(upload, "POST")[0] == 411
    assert ask("/gradio_api/run/predict", "POST", content_length="11000000")[0] == 413
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(running.shutil, "disk_usage", lambda _: usage(1, 1, 50_000_000))
    status, sentence = ask(upload, "POST", content_length="10000000")
    assert status == 507
    assert sentence.startswith("The disk of the machine that runs this page is full (50 MB free)")


def test_an_upload_that_is_cut_off_is_a_line_in_the_log(tmp_path, caplog):
    from starlette.requests import ClientDisconnect

    async def cut_off(*_):
        raise ClientDisconnect

    settings = AppSettings((Offer("x"),), MediaLimits(1, 1.0))
    scope = {"type": "http", "path": "/", "method": "GET", "headers": [(b"host", b"127.0.0.1:7860")]}
    caplog.set_level("INFO", "abaw")
    asyncio.run(Gate(cut_off, settings, tmp_path)(scope, None, None))
    assert caplog.messages == ["an upload was cut off"]
