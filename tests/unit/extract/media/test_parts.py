"""Parts of a file: the same pictures and sound at the same times as of the whole."""

from types import SimpleNamespace

import numpy as np
import pytest

from abaw.dataset.media_files import Part
from extract import media
from extract.media.container import _from_key_packet
from extract.synthetic.write_clip import write_clip
from tests.support.extract.clips import find_click_s, make_click, make_pictures
from tests.support.extract.real_media import real_media


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_pictures_and_sound_of_a_part_are_those_of_the_whole(tmp_path, suffix):
    shown = make_pictures(60)
    for i, picture in enumerate(shown):
        picture[:] = picture // 2 + i
    path = tmp_path / f"clip{suffix}"
    write_clip(path, shown, np.arange(60) / 25, make_click(1.5, length_s=2.4))
    part = Part(1.2, 2.0)
    whole = [each for each in media.pictures(path) if part.holds(each.time_s)]
    found = list(media.pictures(path, part=part))
    assert [each.time_s for each in found] == [each.time_s for each in whole]
    assert len(found) == 20
    assert all(np.array_equal(a.rgb(), b.rgb()) for a, b in zip(found, whole, strict=True))
    sound = media.sounds(path, [16000], part=part)[16000]
    assert sound.start_s == pytest.approx(1.2, abs=1 / 16000)
    assert sound.stop_s == pytest.approx(2.0, abs=1 / 16000)
    assert find_click_s(sound) == pytest.approx(1.5, abs=2e-4)


@pytest.mark.parametrize("name", ["WolfgangLanger_Pexels.mp4", "bbaf2n.mpg"])
def test_parts_of_real_clips_are_decoded_from_a_key_picture(name):
    path = real_media() / "clips" / name
    if not path.exists():
        pytest.skip(f"no {path}: set ABAW_MEDIA")
    last_s = media.probe(path).last_picture_s
    part = Part(last_s - 0.5, last_s - 0.1)
    whole = [each for each in media.pictures(path) if part.holds(each.time_s)]
    found = list(media.pictures(path, part=part))
    assert [each.time_s for each in found] == [each.time_s for each in whole]
    assert np.array_equal(found[0].rgb(), whole[0].rgb())


def test_decoding_starts_at_the_second_last_key_packet():
    numbered = [(i, SimpleNamespace(is_keyframe=i % 4 == 0)) for i in range(14)]
    assert [number for number, _ in _from_key_packet(iter(numbered), 10)] == list(range(4, 14))
    assert [number for number, _ in _from_key_packet(iter(numbered), 3)] == list(range(14))
    assert [number for number, _ in _from_key_packet(iter(numbered), 99)] == list(range(8, 14))


def test_a_part_that_holds_no_picture_is_an_error_with_the_last_time(tmp_path):
    write_clip(tmp_path / "a.mp4", make_pictures(10), np.arange(10) / 25)
    with pytest.raises(media.MediaError, match=r"last one is at 0.360 s.*in the part from 9.0 s: correct the times"):
        list(media.pictures(tmp_path / "a.mp4", part=Part(9.0)))


def test_the_sound_of_a_part_keeps_its_gaps():
    sound = media.Sound(np.arange(100, dtype=np.float32), 10, 1.0, ((2.0, 3.0), (8.0, 9.0)))
    cut = sound.cut(Part(2.5, 4.0))
    assert (cut.start_s, cut.stop_s, cut.gaps_s) == (2.5, 4.0, ((2.5, 3.0),))
    assert cut.samples[0] == 15
    assert not len(sound.cut(Part(50.0)).samples)
