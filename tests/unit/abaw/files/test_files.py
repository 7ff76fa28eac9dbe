"""Files are complete or absent, stale temporary files are removed, and one process holds a folder."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from abaw.errors import InputError
from abaw.files import (
    atomic_write,
    check_once,
    read_json,
    remove_stale_files,
    sha256,
    visible,
    write_json,
)


def test_a_file_appears_when_it_is_complete_and_no_temporary_file_stays(tmp_path):
    path = tmp_path / "new" / "a.json"
    with atomic_write(path) as temporary:
        temporary.write_text("content")
        assert temporary.suffix == ".json"
        assert not path.exists()
    assert path.read_text() == "content"
    assert [each.name for each in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_no_temporary_file(tmp_path, error):
    def write_half():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise error("stopped")

    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(error, match="stopped"):
        write_half()
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_an_error_before_anything_was_written_is_the_one_that_is_raised(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "a"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_of_a_killed_process_is_removed_later(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from abaw.files import atomic_write
with atomic_write(Path({str(tmp_path)!r}) / "a") as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.endswith("-a")
    remove_stale_files(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_cannot_be_written_as_a_file(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder: give the name of a file"), atomic_write(tmp_path):
        pass


def test_the_content_is_on_the_disk_before_the_file_gets_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("fsync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    write_json(tmp_path / "a.json", {})
    assert calls == ["fsync", "replace"]


def test_json_is_read_as_it_was_written(tmp_path):
    write_json(tmp_path / "a.json", {"clip": "é", "rows": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"clip": "é", "rows": [1, 2.5, None]}
    assert "é" in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_the_error_of_a_file_that_is_not_json_names_it(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json: not readable as JSON"):
        read_json(tmp_path / "a.json")


def test_hidden_files_are_not_visible(tmp_path):
    for name in ("b.npy", "a.npy", ".c.npy", "d.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in visible(tmp_path, "*.npy")] == ["a.npy", "b.npy"]


def test_sha256_is_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()


def test_a_value_that_is_given_twice_is_refused_also_by_another_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_once(["a", "b"], "recogniser")
    with pytest.raises(InputError, match="the recogniser b is given twice: remove one"):
        check_once(["b", "a", "b"], "recogniser")
    with pytest.raises(InputError, match=f"the run {tmp_path}/a is given twice"):
        check_once([Path("a"), tmp_path / "a"], "run")
