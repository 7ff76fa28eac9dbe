"""Names of files in messages: one line each, and nothing that steers a terminal."""

import errno
import logging
from pathlib import Path

import pytest

from abaw.cli import _Printable
from abaw.dataset.media_files import name_media, stem_of
from abaw.files import atomic_write
from abaw.files.names import one_line, without_controls
from extract.store.store import Failure


@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b", "\u2028", "\x85"])
def test_a_clip_has_a_name_of_one_line(sign):
    assert stem_of(Path(f"a{sign}b.mp4")) == one_line(f"a{sign}b") == f"a{sign.encode('unicode_escape').decode()}b"


def test_files_whose_names_differ_in_an_end_of_a_line_are_different_clips(tmp_path):
    files = [
        tmp_path / name for name in ("a\nb.mp4", "a b.wav", "x\ny/c.mp4", "x y/c.mp4", "x_y/z/d.mp4", "x/y_z/d.mp4")
    ]
    found = name_media(files, tmp_path).by_clip
    assert sorted(found.values()) == sorted(files)
    assert all("\n" not in clip_id for clip_id in found)


def test_a_failure_is_one_line():
    assert str(Failure("a", "decode", "cannot read x\ny.mp4")) == "a: decode: cannot read x\\ny.mp4"


def test_a_log_line_does_not_steer_the_terminal():
    record = logging.LogRecord("abaw", logging.INFO, "", 0, "%s\nnext", ("\x1b[2J\x07\r.mp4",), None)
    assert _Printable("%(message)s").format(record) == "\\x1b[2J\\x07\\r.mp4\nnext"
    assert without_controls("é\tb\n") == "é\tb\n"


def test_a_full_disk_names_the_file_that_was_written(tmp_path):
    with pytest.raises(OSError, match="full") as caught, atomic_write(tmp_path / "page.html"):
        raise OSError(errno.ENOSPC, "full")
    assert caught.value.filename == str(tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
