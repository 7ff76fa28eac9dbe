"""Cameras by FFmpeg's test picture in place of a device, and those that are not there."""

import errno
import re
from itertools import islice, pairwise

import av
import pytest

from abaw.errors import NotFoundError
from extract.media import MediaError
from extract.media.live import cameras
from extract.media.live.cameras import CameraSource, is_camera


@pytest.fixture
def lavfi(monkeypatch):
    """FFmpeg's generators as the devices of this machine."""
    if "lavfi" not in av.formats_available:
        pytest.skip("this FFmpeg has no lavfi, which stands for a camera")
    monkeypatch.setattr(cameras, "FORMATS", {"linux": ("lavfi", ("lavfi",))})
    monkeypatch.setattr(cameras.sys, "platform", "linux")


def test_pictures_and_sound_begin_when_they_arrive_and_keep_the_intervals_of_their_devices(lavfi):
    source = CameraSource("testsrc=size=64x48:rate=10", "sine=frequency=440:sample_rate=8000")
    pictures, sound = list(islice(source.pictures(), 4)), list(islice(source.sound(), 3))
    source.close()
    assert [each.rgb().shape for each in pictures] == [(48, 64, 3)] * 4
    assert [later.time_s - each.time_s for each, later in pairwise(pictures)] == pytest.approx([0.1] * 3)
    assert 0 <= pictures[0].time_s < 60
    assert sound[0].rate_hz == 8000
    assert [b.time_s - a.time_s for a, b in pairwise(sound)] == pytest.approx([each.length_s for each in sound[:-1]])


def test_without_a_microphone_it_says_that_nothing_is_heard_unless_one_was_named(lavfi):
    source = CameraSource("testsrc=size=64x48", None)
    assert not source.has_sound
    assert "no microphone 'default' can be opened (lavfi: " in source.remarks()[0]
    with pytest.raises(NotFoundError, match="no microphone 'headset' .*: name another with --microphone, or none"):
        CameraSource("testsrc=size=64x48", "headset")
    assert CameraSource("testsrc=size=64x48", "none").remarks() == []


class Unplugged:
    """A device that gives one frame and then is gone."""

    def __init__(self, device):
        self.device, self.streams, self.close = device, device.streams, device.close

    def decode(self, stream):
        yield next(self.device.decode(stream))
        raise OSError(errno.ENODEV, "No such device")


def test_a_camera_that_is_unplugged_is_an_error_and_a_microphone_a_remark(lavfi):
    source = CameraSource("testsrc=size=64x48", "sine=frequency=440")
    source._video, source._audio = Unplugged(source._video), Unplugged(source._audio)
    assert len(list(source.sound())) == 1
    assert re.search(r"the microphone stopped after \d+ s \(no such device\): nothing is heard", source.remarks()[0])
    pictures = source.pictures()
    next(pictures)
    with pytest.raises(MediaError, match=r"camera testsrc=size=64x48 stopped \(no such device\): connect it"):
        next(pictures)
    source.close()


def test_a_camera_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(cameras.sys, "platform", "linux")
    with pytest.raises(NotFoundError, match=r"no camera /dev/video97 can be opened with v4l2: .*: connect one, name"):
        CameraSource("97")


@pytest.mark.parametrize(
    ("text", "expected"), [("0", True), ("/dev/video2", True), ("a.mp4", False), ("video=HD", True)]
)
def test_numbers_and_devices_are_cameras(text, expected):
    assert is_camera(text) == expected
