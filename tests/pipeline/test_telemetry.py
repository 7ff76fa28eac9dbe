"""No command reports about its user: nothing is written below the home folder, and nothing is connected to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import abaw
from tests.fuzz.no_network import is_supported

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not is_supported(), reason="connections are forbidden by a filter of Linux")


def run(home, *words, **variables):
    """A process with an empty home folder and without the variables that this one has inherited.

    onnxruntime writes nothing where CI is set: a test must not pass for that reason.
    """
    inherited = {*abaw.TELEMETRY, "CI", "MPLCONFIGDIR"}
    kept = {name: value for name, value in os.environ.items() if name not in inherited and "XDG" not in name}
    home.mkdir()
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**kept, "HOME": str(home), "USER": "user", "HF_HUB_OFFLINE": "0", **variables},
        capture_output=True,
        text=True,
    )


def test_no_command_connects_or_writes_below_the_home_folder(tmp_path):
    done = run(tmp_path / "home", "-m", "tests.fuzz.no_network", str(tmp_path / "world"))
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert list((tmp_path / "home").rglob("*")) == []


@pytest.mark.parametrize("call", ["create_connection(('192.0.2.1', 9), 1)", "getaddrinfo('abaw.invalid', 9)"])
def test_a_planted_connection_ends_the_process(tmp_path, call):
    code = f"from tests.fuzz.no_network import *; forbid_connections(); import socket; socket.{call}"
    assert run(tmp_path / "home", "-c", code).returncode == -signal.SIGSYS


def test_what_the_user_has_set_stays(tmp_path):
    code = "import abaw, os; print(*(os.environ[name] for name in abaw.TELEMETRY))"
    assert run(tmp_path / "home", "-c", code, ORT_DISABLE_TELEMETRY="0").stdout.split()[0] == "0"


def test_onnxruntime_writes_below_the_home_folder_where_it_may(tmp_path):
    """The reason for the switch: this fails when the test above no longer tests anything."""
    pytest.importorskip("onnxruntime", minversion="1.30", reason="older versions write no device id")
    run(tmp_path / "home", "-c", "import onnxruntime")
    assert list((tmp_path / "home").rglob("deviceid*"))
