"""Temporary files: none of a running process is removed, all others are; nothing is written through a planted link."""

import os
import shutil
import subprocess
import sys

import pytest

from abaw.files import atomic_write, remove_stale_files, temporary
from abaw.files.temporary import is_stale, temporary_path

WRITE = """
import sys
from pathlib import Path
from abaw.files import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("written", flush=True)
    sys.stdin.read()
"""


def start_writer(path, *before):
    """A process that is writing ``path`` and has got halfway; ``before``: the command that starts it."""
    writer = subprocess.Popen(
        [*before, sys.executable, "-c", WRITE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "written\n"
    return writer


def end(writer):
    """Kill a writer and all that it started."""
    writer.kill()
    writer.wait()
    writer.stdin.close()
    writer.stdout.close()


def make_temporary(folder, boot=None):
    path = temporary_path(folder / "a.json")
    if boot:
        path = path.with_name(path.name.replace(temporary.boot(), boot))
    path.write_bytes(b"half")
    return path


def test_a_file_that_is_being_written_stays_and_one_whose_process_was_killed_goes_with_the_next_writing(tmp_path):
    writer = start_writer(tmp_path / "a")
    (path,) = tmp_path.iterdir()
    remove_stale_files(tmp_path)
    assert path.exists()
    end(writer)
    with atomic_write(tmp_path / "b") as other:
        other.write_text("b")
    assert [each.name for each in tmp_path.iterdir()] == ["b"]


def can_unshare():
    unshare = shutil.which("unshare")
    return unshare and subprocess.run([unshare, "--pid", "--fork", "--kill-child", "true"], check=False).returncode == 0


@pytest.mark.skipif(
    not can_unshare(), reason="a namespace of processes cannot be made here: needs unshare and its right"
)
def test_processes_in_another_namespace_keep_their_files_while_they_run(tmp_path):
    writer = start_writer(tmp_path / "a", "unshare", "--pid", "--fork", "--kill-child")
    (path,) = tmp_path.iterdir()
    remove_stale_files(tmp_path)
    assert path.exists()
    inside = ["unshare", "--pid", "--fork", sys.executable, "-c"]
    sweep = f"from pathlib import Path; from abaw.files import remove_stale_files as r; r(Path({str(tmp_path)!r}))"
    subprocess.run([*inside, sweep], check=True)
    assert path.exists()
    end(writer)
    subprocess.run([*inside, sweep], check=True)
    assert list(tmp_path.iterdir()) == []


def test_on_a_file_system_of_a_network_files_of_other_machines_stay(tmp_path, monkeypatch):
    here, elsewhere = make_temporary(tmp_path), make_temporary(tmp_path, boot="0123abcd")
    monkeypatch.setattr(temporary, "LOCAL_TYPES", frozenset())
    remove_stale_files(tmp_path)
    assert (here.exists(), elsewhere.exists()) == (False, True)
    monkeypatch.undo()
    remove_stale_files(tmp_path)
    assert not elsewhere.exists() or not temporary._is_local(tmp_path)


def test_without_locks_no_file_is_taken_for_that_of_an_ended_process(tmp_path, monkeypatch):
    import errno

    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    path = make_temporary(tmp_path)
    monkeypatch.setattr("fcntl.flock", unknown)
    with atomic_write(tmp_path / "b") as other:
        other.write_text("b")
    assert path.exists()
    assert (tmp_path / "b").read_text() == "b"


def test_files_of_other_programs_stay(tmp_path):
    for name in (".abaw-notes", ".abaw-01234567-0123456789abcdef-", "a.json", ".DS_Store"):
        (tmp_path / name).touch()
    before = set(tmp_path.iterdir())
    remove_stale_files(tmp_path)
    assert set(tmp_path.iterdir()) == before


def test_no_name_is_used_twice_and_none_can_be_guessed(tmp_path):
    names = {temporary_path(tmp_path / "12-24.npy").name for _ in range(100)}
    assert len(names) == 100
    assert all(name.endswith("-12-24.npy") and str(os.getpid()) not in name.split("-")[2] for name in names)


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "outside" / "victim"
    path.parent.mkdir()
    path.write_text("mine")
    yield path
    assert path.read_text() == "mine"
    assert [each.name for each in path.parent.iterdir()] == ["victim"]


@pytest.mark.parametrize("target", ["victim", "new"])
def test_a_link_at_the_temporary_name_is_not_written_through(tmp_path, victim, monkeypatch, target):
    tokens = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(tokens))
    folder = tmp_path / "work"
    folder.mkdir()
    planted = folder / f".abaw-{temporary.boot()}-{'0' * 16}-a"
    planted.symlink_to(victim.parent / target)
    with atomic_write(folder / "a") as path:
        path.write_text("content")
    assert (folder / "a").read_text() == "content"


@pytest.mark.parametrize("target", ["victim", "new"])
def test_a_link_at_the_final_name_is_replaced(tmp_path, victim, target):
    (tmp_path / "a").symlink_to(victim.parent / target)
    with atomic_write(tmp_path / "a") as path:
        path.write_text("content")
    assert (tmp_path / "a").read_text() == "content"
    assert not (tmp_path / "a").is_symlink()


def test_a_file_that_was_replaced_by_a_link_while_it_was_written_is_refused(tmp_path, victim):
    def write():
        with atomic_write(tmp_path / "a") as path:
            path.write_text("content")
            path.unlink()
            path.symlink_to(victim)

    with pytest.raises(OSError, match="symbolic links|replaced by another program"):
        write()
    assert not (tmp_path / "a").exists()


def test_a_writer_that_replaces_the_temporary_file_by_its_own_is_no_intruder(tmp_path):
    with atomic_write(tmp_path / "a") as path:
        (tmp_path / "b").write_text("content")
        (tmp_path / "b").replace(path)
    assert (tmp_path / "a").read_text() == "content"


def test_planted_links_and_pipes_stop_no_sweep_and_lead_nowhere(tmp_path, victim):
    names = [temporary_path(tmp_path / "a") for _ in range(3)]
    names[0].symlink_to(victim)
    names[1].hardlink_to(victim)
    os.mkfifo(names[2])
    remove_stale_files(tmp_path)
    assert not any(is_stale(name) for name in names)
