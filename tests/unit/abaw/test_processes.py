"""A process that was started to train ends with the one that has started it."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from abaw import processes

PARENT = """
import os, subprocess, sys
from abaw.processes import parent_of_trainings
with parent_of_trainings():
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print("started", flush=True)
sys.stdin.read()
"""
CHILD = """
import sys, time
from abaw import processes
processes.INTERVAL_S = 0.02
{}
processes.end_with_parent_if_any()
print("waits", flush=True)
time.sleep(600)
"""
LATE = "import os\nwhile str(os.getppid()) == os.environ[processes.PARENT]: time.sleep(0.02)"


@pytest.mark.parametrize(
    ("stop", "before"),
    [(signal.SIGKILL, ""), (signal.SIGTERM, ""), (signal.SIGKILL, "sys.platform = 'darwin'"), (signal.SIGKILL, LATE)],
)
def test_a_child_ends_with_its_parent_however_that_ends_and_by_whichever_means(stop, before):
    words = [sys.executable, "-c", PARENT, CHILD.format(before)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        for _ in range(1 if before == LATE else 2):
            assert parent.stdout.readline()
        os.kill(parent.pid, stop)
        assert parent.stdout.read() == ""  # the output ends when the child has ended: it holds its other end


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a program of others with its parent")
def test_a_program_that_is_tied_ends_with_its_parent():
    code = "import subprocess, sys; from abaw.processes import tied; subprocess.run(tied(['sh', '-c', sys.argv[1]]))"
    words = [sys.executable, "-c", code, "echo waits; exec sleep 600"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "waits\n"
        os.kill(parent.pid, signal.SIGKILL)
        assert parent.stdout.read() == ""  # the program, which holds the other end, has ended


def test_a_process_that_nobody_of_this_project_has_started_goes_on(monkeypatch):
    monkeypatch.setattr(processes, "end_with_parent", lambda _: pytest.fail("it would end"))
    for value in (None, "", "x", str(os.getpid())):
        monkeypatch.delenv(processes.PARENT, raising=False)
        if value is not None:
            monkeypatch.setenv(processes.PARENT, value)
        processes.end_with_parent_if_any()


def test_the_name_of_the_parent_is_given_to_children_only_while_they_are_started(monkeypatch):
    monkeypatch.setenv(processes.PARENT, "7")
    with processes.parent_of_trainings():
        assert os.environ[processes.PARENT] == str(os.getpid())
    assert os.environ[processes.PARENT] == "7"
    monkeypatch.delenv(processes.PARENT)
    with processes.parent_of_trainings():
        pass
    assert processes.PARENT not in os.environ
    assert not [each for each in threading.enumerate() if each.name == "parent"]
