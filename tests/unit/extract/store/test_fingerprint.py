"""The fingerprint changes with the media and the images of a clip."""

import pytest

from abaw.dataset.layout import Clip
from extract.store import fingerprint as module
from extract.store.fingerprint import fingerprint


@pytest.fixture
def clip(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EDGE_BYTES", 10)
    (tmp_path / "a.mp4").write_bytes(b"x" * 100)
    (tmp_path / "a").mkdir()
    for number in (1, 2, 3, 4, 5):
        (tmp_path / "a" / f"{number:05d}.jpg").write_bytes(b"image")
    return Clip("a", tmp_path / "a.mp4", tmp_path / "a")


NUMBERS = [1, 2, 3, 4, 5]


@pytest.mark.parametrize("content", [b"y" + b"x" * 99, b"x" * 99 + b"y", b"x" * 101, b""])
def test_size_beginning_and_end_of_the_media_count(clip, content):
    before = fingerprint(clip, NUMBERS)
    assert before == fingerprint(clip, NUMBERS)
    clip.media.write_bytes(content)
    assert fingerprint(clip, NUMBERS) != before


@pytest.mark.parametrize(("number", "counts"), [(1, True), (2, False), (3, True), (4, False), (5, True)])
def test_the_first_the_middle_and_the_last_image_count(clip, number, counts):
    before = fingerprint(clip, NUMBERS)
    clip.image(number).write_bytes(b"other")
    assert (fingerprint(clip, NUMBERS) != before) is counts


def test_the_numbers_of_the_images_count(clip):
    assert fingerprint(clip, NUMBERS) != fingerprint(clip, [1, 3, 5])
    assert len(fingerprint(Clip("a"), [])) == 32
