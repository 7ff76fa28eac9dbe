"""Leases on clips: one holder at a time, none after its process is gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from abaw.errors import InputError
from extract.store.leases import EXPIRY_S, Leases

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


def write_lease(path, boot="elsewhe", **more):
    path.write_text(json.dumps({"host": "elsewhere", "boot": boot, "pid": 1, "renewed": "0"} | more))


@pytest.fixture
def clock(monkeypatch):
    """The waiting process's own clock, which a test advances."""
    now = [1000.0]
    monkeypatch.setattr("extract.store.leases.time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("stamp_s", [0.0, 4e9], ids=["long ago", "in the future"])
def test_a_lease_of_another_machine_is_taken_when_it_was_not_renewed_for_long_whatever_its_time_says(
    tmp_path, clock, stamp_s
):
    path = tmp_path / "leases" / "a"
    with Leases(tmp_path / "leases") as leases:
        write_lease(path)
        os.utime(path, (stamp_s, stamp_s))
        assert not leases.acquire("a")
        clock[0] += EXPIRY_S - 1
        assert not leases.acquire("a")
        clock[0] += 2
        assert leases.acquire("a")
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert EXPIRY_S < 120


@pytest.mark.parametrize("renew", [lambda path: write_lease(path, renewed="1"), lambda path: os.utime(path, (1, 1))])
def test_a_lease_of_another_machine_that_is_renewed_counts(tmp_path, clock, renew):
    path = tmp_path / "leases" / "a"
    with Leases(tmp_path / "leases") as leases:
        write_lease(path)
        assert not leases.acquire("a")
        clock[0] += EXPIRY_S - 1
        renew(path)
        assert not leases.acquire("a")
        clock[0] += EXPIRY_S - 1
        assert not leases.acquire("a")
        clock[0] += 2
        assert leases.acquire("a")


def test_a_process_that_lost_a_lease_while_it_was_suspended_leaves_that_of_the_new_holder(tmp_path):
    with Leases(tmp_path / "leases") as leases:
        leases.acquire("a")
        (tmp_path / "leases/a").unlink()
        write_lease(tmp_path / "leases/a")
        leases.release("a")
        assert json.loads((tmp_path / "leases/a").read_text())["host"] == "elsewhere"


def test_a_link_in_the_place_of_a_lease_is_removed_and_what_it_leads_to_stays(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with Leases(tmp_path / "leases") as leases:
        (tmp_path / "leases/a").symlink_to(victim)
        (tmp_path / "leases/b").hardlink_to(victim)
        os.mkfifo(tmp_path / "leases/c")
        for clip_id in "abc":
            assert not leases.acquire(clip_id)
            assert leases.acquire(clip_id)
        assert victim.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


def test_a_folder_of_leases_that_is_a_link_is_refused_and_what_it_leads_to_stays(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "a").write_text("mine")
    (tmp_path / "leases").symlink_to(victim)
    with pytest.raises(InputError, match=r"leases is a link, expected a folder of this store: remove it"):
        Leases(tmp_path / "leases").__enter__()
    assert (victim / "a").read_text() == "mine"


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


def test_a_lease_held_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr("extract.store.leases.RENEWAL_S", 0.01)
    with Leases(tmp_path / "leases") as leases:
        leases.acquire("a")
        path = tmp_path / "leases" / "a"
        before = path.read_text()
        for _ in range(1000):
            if path.read_text() != before:
                break
            time.sleep(0.01)
        assert path.read_text() != before


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    import errno

    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    with Leases(tmp_path / "leases") as leases, monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", unknown)
        with pytest.raises(OSError, match="on a file system without locks: use --shard I/N"):
            leases.acquire("a")
