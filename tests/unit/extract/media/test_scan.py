"""The packets of a file are read once for its pictures and its sound, and again when it has changed."""

import os

import pytest

from extract.media import pictures, scan, sound
from tests.support.extract.damage import NUM_PICTURES, write_small_clip


@pytest.fixture
def read(monkeypatch):
    """The paths of which all packets were read."""
    paths, read = [], scan._scan
    monkeypatch.setattr(scan, "_scan", lambda path, *streams: paths.append(path) or read(path, *streams))
    scan._scan_once.cache_clear()
    return paths


def test_pictures_and_sound_share_a_scan_until_the_file_changes(tmp_path, read):
    path = tmp_path / "clip.mp4"
    write_small_clip(path)
    os.utime(path, (1e9, 1e9))
    assert len(list(pictures(path))) == NUM_PICTURES
    sound(path)
    assert len(read) == 1
    os.utime(path, (1e9 + 1, 1e9 + 1))
    sound(path)
    assert len(read) == 2


def test_the_scan_of_a_file_just_written_is_not_kept(tmp_path, read):
    write_small_clip(tmp_path / "clip.mp4")
    sound(tmp_path / "clip.mp4")
    sound(tmp_path / "clip.mp4")
    assert len(read) == 2
