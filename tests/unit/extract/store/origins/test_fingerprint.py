"""The fingerprint changes with every byte of a clip's media and images, the stamp with every file's size and times."""

import os

import pytest

from abaw.dataset.clip import Clip
from extract.store.origins import fingerprint as module
from extract.store.origins.fingerprint import fingerprint, old_fingerprint, stamp

SIZE = 5000


@pytest.fixture
def clip(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EDGE_BYTES", 10)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1000)
    (tmp_path / "a.mp4").write_bytes(b"x" * SIZE)
    (tmp_path / "a").mkdir()
    for number in (1, 2, 3, 4, 5):
        (tmp_path / "a" / f"{number:05d}.jpg").write_bytes(b"image")
    return Clip("a", tmp_path / "a.mp4", tmp_path / "a")


def hash_of(clip):
    return fingerprint(clip, clip.face_images())


@pytest.mark.parametrize("position", [0, 9, 10, 2500, SIZE - 11, SIZE - 1])
def test_every_byte_of_the_media_counts_although_size_and_time_of_modification_stay(clip, position):
    before, stamped, status = hash_of(clip), stamp(clip), clip.media.stat()
    with clip.media.open("r+b") as file:
        file.seek(position)
        file.write(b"\0")
    os.utime(clip.media, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hash_of(clip) != before
    assert stamp(clip) != stamped


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_every_image_counts(clip, number):
    before, stamped = hash_of(clip), stamp(clip)
    clip.image(number).write_bytes(b"other")
    assert hash_of(clip) != before
    assert stamp(clip) != stamped


def test_the_numbers_of_the_images_count(clip):
    before, stamped = hash_of(clip), stamp(clip)
    clip.image(5).rename(clip.images / "00006.jpg")
    assert hash_of(clip) != before
    assert stamp(clip) != stamped
    assert len(hash_of(Clip("a"))) == len(stamp(Clip("a"))) == 32


def test_other_times_of_the_same_content_change_the_stamp_alone(clip):
    before, stamped = hash_of(clip), stamp(clip)
    assert (hash_of(clip), stamp(clip)) == (before, stamped)
    os.utime(clip.image(3), (1, 1))
    assert hash_of(clip) == before
    assert stamp(clip) != stamped


def test_pipes_and_folders_named_like_images_are_not_waited_for(clip):
    before, images = hash_of(clip), clip.face_images()  # listed before they are replaced, or listing them fails
    clip.image(2).unlink()
    os.mkfifo(clip.images / "00002.jpg")
    (clip.images / "00003.jpg").unlink()
    (clip.images / "00003.jpg").mkdir()
    assert fingerprint(clip, images) not in (before, hash_of(Clip("a", clip.media)))


def test_the_hash_of_earlier_versions_is_known(clip):
    assert old_fingerprint(clip, clip.face_images()) == "e388e76e3f439fbdc18c01891e8cedd3"
