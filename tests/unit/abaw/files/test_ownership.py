"""One process holds a folder; what was there before is neither overwritten nor removed."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
from contextlib import suppress

import pytest
from filelock import FileLock

from abaw.errors import InputError
from abaw.files import ownership, write_json
from abaw.files.ownership import LOCK, OWNER, folder_lock, own_folder, read_owner
from tests.support.owners import held_elsewhere

OTHER_PIDS = ["--user", "--pid", "--fork", "--map-root-user"]


def own(folder, foreign=()):
    return own_folder(folder, "run", "a training", lambda _: foreign, "give another name=...")


def test_a_second_process_is_refused_at_once_and_sees_who_holds_the_folder(tmp_path):
    with held_elsewhere(tmp_path / "work", "run") as holder:
        said = rf"predict or combine is running in .*work \(process {holder.pid} on host .*: -c .*\): wait until it has"
        with pytest.raises(InputError, match=said), own(tmp_path / "work"):
            pass
        assert holder.poll() is None
    assert not (tmp_path / "work").exists()


def test_the_lock_ends_with_a_killed_process_and_its_folder_is_ours_still(tmp_path):
    with held_elsewhere(tmp_path / "work", "run") as holder:
        (tmp_path / "work/a.txt").touch()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with own(tmp_path / "work"):
            assert read_owner(tmp_path / "work", "run")["pid"] == os.getpid()
    assert not (tmp_path / "work" / LOCK).exists()


def test_a_folder_in_which_nothing_was_written_is_as_before(tmp_path):
    (tmp_path / "there/.git").mkdir(parents=True)
    for name in ("there", "new/deep"):
        with suppress(ZeroDivisionError), own(tmp_path / name):
            assert (tmp_path / name / OWNER).is_file()
            raise ZeroDivisionError
    assert [path.name for path in tmp_path.rglob("*")] == ["there", ".git"]


def test_a_folder_with_files_of_others_is_refused_before_anything_is_written(tmp_path):
    said = r"holds a, b, c and 1 more, not written by a training: give another name=\.\.\., or move them away"
    with pytest.raises(InputError, match=said), own(tmp_path / "new", foreign="cadb"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_owner_file_of_another_purpose_damaged_or_linked_proves_nothing(tmp_path):
    write_json(tmp_path / OWNER, {"purpose": "predictions"})
    assert read_owner(tmp_path, "predictions") == {"purpose": "predictions"}
    assert read_owner(tmp_path, "run") == {}
    (tmp_path / OWNER).rename(tmp_path / "elsewhere")
    (tmp_path / OWNER).symlink_to("elsewhere")
    assert read_owner(tmp_path, "predictions") == {}
    (tmp_path / OWNER).unlink()
    (tmp_path / OWNER).write_text("{")
    assert read_owner(tmp_path, "predictions") == {}


def test_a_folder_of_another_purpose_is_refused(tmp_path):
    write_json(tmp_path / OWNER, {"purpose": "analysis"})
    said = r"is for another purpose \(analysis, as its \.abaw\.json says\): give another name"
    with pytest.raises(InputError, match=said), own(tmp_path):
        pass


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", *OTHER_PIDS, "true"]).returncode != 0,
    reason="needs the right to make a PID namespace",
)
def test_a_process_of_another_pid_namespace_is_refused_too(tmp_path):
    with held_elsewhere(tmp_path / "work", "run", ["unshare", *OTHER_PIDS]):
        refused = pytest.raises(InputError, match=r"is running in .*work \(process 1 on host")
        with refused, own(tmp_path / "work"):
            pass


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "work").touch()
    with pytest.raises(InputError, match="work is a file, expected a folder for a training"), own(tmp_path / "work"):
        pass


def test_a_link_in_the_place_of_the_lock_is_refused(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / LOCK).symlink_to("victim")
    with pytest.raises(InputError, match=r"\.abaw\.lock is a link, expected a lock file: remove it"), own(tmp_path):
        pass
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_lock_that_another_host_has_left_is_observed_for_a_sign_of_its_process(tmp_path, monkeypatch, is_alive):
    monkeypatch.setattr(ownership, "BEAT_S", 0.02)
    monkeypatch.setattr(ownership, "OBSERVE_S", 1.0 if is_alive else 0.1)
    owner = {"purpose": "run", "work": "a training", "host": "elsewhere", "machine": "other", "pid": 7}
    (tmp_path / OWNER).write_text(json.dumps(owner))
    (tmp_path / LOCK).touch()
    with ownership._beating(tmp_path / LOCK) if is_alive else threading.Lock():
        if is_alive:
            said = r"a training is running in .* \(process 7 on host elsewhere"
            with pytest.raises(InputError, match=said), own(tmp_path):
                pass
        else:
            with own(tmp_path):
                assert read_owner(tmp_path, "run")["pid"] == os.getpid()


def test_an_error_in_the_work_ends_the_lock(tmp_path, monkeypatch):
    locks = []

    def make_lock(*arguments, **options):
        locks.append(FileLock(*arguments, **options))  # kept: a lock also ends when its object is deleted
        return locks[-1]

    monkeypatch.setattr(ownership, "FileLock", make_lock)
    with pytest.raises(ZeroDivisionError), folder_lock(tmp_path, "a search"):
        raise ZeroDivisionError
    with folder_lock(tmp_path, "a search"):
        assert [lock.is_locked for lock in locks] == [False, True]


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with folder_lock(tmp_path / "work", "a search"):
        assert "work is on a file system without locks" in caplog.text


def test_any_other_error_of_the_lock_is_raised(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="Input/output error"), folder_lock(tmp_path / "work", "a search"):
        pass
    assert not list(tmp_path.iterdir())
