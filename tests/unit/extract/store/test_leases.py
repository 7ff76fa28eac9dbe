"""Leases on clips: one holder at a time, none after its process is gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from extract.store.leases import EXPIRY_S, Leases, locked

HOLD = """
import sys, time
from pathlib import Path
from extract.store.leases import Leases
with Leases(Path(sys.argv[1])) as leases:
    print(leases.acquire("a"), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lease on clip a."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "leases")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_clip_that_another_process_holds_is_not_taken_until_it_is_gone_however_it_went(holder, tmp_path):
    with Leases(tmp_path / "leases") as leases:
        assert not leases.acquire("a")
        assert leases.acquire("b")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (tmp_path / "leases/a").exists()
        assert leases.acquire("a")


def test_a_lease_is_given_back_and_the_folder_goes_with_the_last(tmp_path):
    with Leases(tmp_path / "leases") as leases, Leases(tmp_path / "leases") as others:
        assert leases.acquire("a")
        assert not leases.acquire("a")
        assert not others.acquire("a")
        leases.release("a")
        assert others.acquire("a")
    assert not (tmp_path / "leases").exists()


def test_a_lease_of_another_host_counts_until_it_was_not_touched_for_long(tmp_path):
    path = tmp_path / "leases" / "a"
    with Leases(tmp_path / "leases") as leases:
        path.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
        assert not leases.acquire("a")
        then = time.time() - EXPIRY_S - 1
        os.utime(path, (then, then))
        assert leases.acquire("a")
        assert json.loads(path.read_text()) == {"host": socket.gethostname(), "pid": os.getpid()}


def test_a_sweep_removes_what_the_dead_left_and_nothing_else(holder, tmp_path):
    (tmp_path / "leases/b").write_text(json.dumps({"host": socket.gethostname(), "pid": 1}))
    (tmp_path / "leases/c").write_text("")
    with Leases(tmp_path / "leases") as leases:
        leases.remove_stale()
        assert [path.name for path in (tmp_path / "leases").iterdir()] == ["a"]


def test_a_sweep_of_a_folder_that_another_process_has_just_removed_finds_nothing(tmp_path):
    with Leases(tmp_path / "leases") as leases:
        (tmp_path / "leases").rmdir()
        leases.remove_stale()
        assert not (tmp_path / "leases").exists()


def test_a_lease_held_is_touched_so_that_it_does_not_expire(tmp_path, monkeypatch):
    monkeypatch.setattr("extract.store.leases.RENEWAL_S", 0.01)
    with Leases(tmp_path / "leases") as leases:
        leases.acquire("a")
        path = tmp_path / "leases" / "a"
        os.utime(path, (0, 0))
        for _ in range(1000):
            if path.stat().st_mtime > 0:
                break
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_a_lock_is_of_one_process_at_a_time(tmp_path):
    code = f"""
import sys
from pathlib import Path
from extract.store.leases import locked
path = Path({str(tmp_path)!r}) / "count"
for _ in range(200):
    with locked(path.with_name("lock")):
        path.write_text(str(int(path.read_text()) + 1))
"""
    (tmp_path / "count").write_text("0")
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [each.wait() for each in both] == [0, 0]
    assert (tmp_path / "count").read_text() == "400"
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()
    assert not (tmp_path / "lock").exists()


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    import errno

    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    with Leases(tmp_path / "leases") as leases, monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", unknown)
        with pytest.raises(OSError, match="on a file system without locks: use --shard I/N"):
            leases.acquire("a")
