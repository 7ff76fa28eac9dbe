"""An image is read whole or not at all; what is wrong with it is seen at its ends."""

import cv2
import numpy as np
import pytest

from extract.media.stills.image_files import check_image, read_image

SUFFIXES = (".jpg", ".JPG", ".jpeg", ".png", ".bmp", ".webp")


def content(suffix, size=40):
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    return cv2.imencode(suffix.lower(), picture)[1].tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [2, 40, 200])  # files below and above the bytes that are looked at
def test_an_image_is_whole_in_every_format_and_cut_off_wherever_it_ends(tmp_path, suffix, size):
    path, whole = tmp_path / f"00001{suffix}", content(suffix, size)
    path.write_bytes(whole)
    assert check_image(path) is None
    assert read_image(path).shape == (size, size, 3)
    for num in (len(whole) - 2, len(whole) // 2, 4):
        path.write_bytes(whole[:num])
        assert (read_image(path), check_image(path)) == ("damaged", "damaged")


@pytest.mark.parametrize(("found", "damage"), [(b"", "empty"), (b"no image", "damaged"), (bytes(9000), "damaged")])
def test_what_is_no_image_is_reported(tmp_path, found, damage):
    (tmp_path / "00001.jpg").write_bytes(found)
    assert read_image(tmp_path / "00001.jpg") == check_image(tmp_path / "00001.jpg") == damage


def test_an_image_is_read_as_rgb_whatever_its_suffix_and_what_follows_it(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((8, 8, 3), (0, 0, 250), np.uint8))
    (tmp_path / "red.png").rename(tmp_path / "red.jpg")
    with (tmp_path / "red.jpg").open("ab") as file:
        file.write(b"\0" * 100)
    assert read_image(tmp_path / "red.jpg")[4, 4].tolist() == [250, 0, 0]
