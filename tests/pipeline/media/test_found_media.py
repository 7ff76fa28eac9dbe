"""Folders as users have them: what can be read is extracted under its own name, and each other clip fails alone."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest

import abaw
from abaw.dataset.layout import open_dataset
from abaw.dataset.media_files import Streams
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.store.store import FeatureStore
from extract.store.verify import verify
from tests.support.extract.many_clips import Brightness, store_of, target, write

ODD_NAMES = {  # what the clip is called -> words of its failure
    "caf\\xe9": "not UTF-8",
    "n" * 170: "has 170 bytes, more than 160",
    "pipe": "pipe.mp4 is a named pipe, expected a file",
    "device": "device.mp4 is a device, expected a file",
    "folder": "folder.mp4 is a folder, expected a file",
    "link": "link.mp4 is a link to a file that is not there",
    "text": "text.mp4: it is not a media file",
    "image_is_folder": "00002.jpg is a folder, expected a file",
    "image_is_pipe": "00002.jpg is a named pipe, expected a file",
    "image_99999999": "99999999.jpg is numbered 99999999",
    "image_500000": "500000.jpg is numbered far beyond the last of 10 frames",
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Clips that cannot be read, and between them three that can."""
    folder = tmp_path_factory.mktemp("odd")
    write(folder / "good.mp4", [80] * 10, 0.4)
    whole = (folder / "good.mp4").read_bytes()
    for place in ("angry/001.mp4", "happy/001.mp4"):
        (folder / place).parent.mkdir()
        (folder / place).write_bytes(whole)
    (folder / os.fsdecode(b"caf\xe9.mp4")).write_bytes(whole)
    (folder / f"{'n' * 170}.mp4").write_bytes(whole)
    os.mkfifo(folder / "pipe.mp4")
    (folder / "device.mp4").symlink_to("/dev/zero")
    (folder / "folder.mp4").mkdir()
    (folder / "link.mp4").symlink_to("nowhere.mp4")
    (folder / "text.mp4").write_text("no film")
    for name in ("image_is_folder", "image_is_pipe", "image_99999999", "image_500000"):
        (folder / f"{name}.mp4").write_bytes(whole)
        (folder / "crops" / name).mkdir(parents=True)
        (folder / "crops" / name / "00001.jpg").touch()
    (folder / "crops/image_is_folder/00002.jpg").mkdir()
    os.mkfifo(folder / "crops/image_is_pipe/00002.jpg")
    (folder / "crops/image_99999999/99999999.jpg").touch()
    (folder / "crops/image_500000/500000.jpg").touch()
    return folder


def test_each_clip_that_cannot_be_read_fails_alone_with_a_sentence(odd, tmp_path):
    store, report = store_of(Brightness(), odd, tmp_path / "store")
    assert sorted(report.made) == ["angry_001", "good", "happy_001"]
    assert {failure.clip for failure in report.failed} == ODD_NAMES.keys()
    for failure in report.failed:
        assert ODD_NAMES[failure.clip] in failure.reason
    str(report).encode()
    assert not verify(store).faults
    assert not store_of(Brightness(), odd, tmp_path / "store")[1].made


def test_a_check_finds_each_of_them_and_goes_on(odd):
    report = abaw.check(odd)
    findings = {finding.clip: finding for finding in report.findings if finding.code.startswith("un")}
    assert set(findings) == ODD_NAMES.keys() - {"image_500000"}
    assert {finding.clip for finding in report.findings if finding.code == "same_name"} == {"angry_001", "happy_001"}
    assert "image_500000" in {finding.clip for finding in report.findings if finding.code == "images_after_end"}
    str(report).encode()


def write_gif(path, delays_s):
    """An animation whose pictures get brighter; each is shown for its own time."""
    with av.open(str(path), "w", format="gif") as out:
        stream = out.add_stream("gif", rate=100, width=64, height=48, pix_fmt="gray")
        stream.codec_context.time_base = Fraction(1, 100)
        for number, start_s in enumerate(np.cumsum([0, *delays_s])):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), 30 * number + 30, np.uint8), format="gray")
            frame.pts, frame.time_base = round(start_s * 100), Fraction(1, 100)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def test_an_animated_gif_has_a_row_for_each_picture_at_its_time(tmp_path):
    delays_s = [0.1, 0.5, 0.04, 0.2]
    write_gif(tmp_path / "data.gif", delays_s)
    store, report = store_of(Brightness(), tmp_path / "data.gif", tmp_path / "store")
    assert report.made == ["data"]
    track = store.get(store.find("light"), "data")
    assert track.times_s == pytest.approx(np.cumsum([0, *delays_s]))
    assert (np.diff(track.values[:, 0]) > 10).all()


def write_two(path):
    """A screen of 128x96, flagged default, with a webcam of 64x48 that is brighter and has twice as many pictures."""
    with av.open(str(path), "w") as out:
        streams = [
            out.add_stream("mpeg4", rate=rate, width=width, height=height, pix_fmt="yuv420p")
            for width, height, rate in ((128, 96, 10), (64, 48, 20))
        ]
        streams[1].disposition = av.stream.Disposition(0)
        for stream, grey, num in zip(streams, (60, 200), (10, 20), strict=True):
            for number in range(num):
                picture = np.full((stream.height, stream.width, 3), grey, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))


def test_the_chosen_stream_is_read_and_another_choice_is_not_taken_for_done(tmp_path):
    write_two(tmp_path / "two.mkv")
    dataset, store = open_dataset(tmp_path / "two.mkv"), FeatureStore(tmp_path / "store")
    light = [EncoderSpec("light", Brightness(), "float32")]
    folders = set()
    for index, num, grey in ((None, 10, 60), (1, 20, 200), (0, 10, 60), (None, 10, 60)):
        chosen = dataset.with_streams(Streams(video=index))
        assert extract(chosen, store, light, target()).made == ["two"]
        assert extract(chosen, store, light, target()).present == ["two"]
        track = store.get(store.find("light"), "two")
        assert len(track) == len(store.clock("two")) == num
        assert track.values[:, 0] == pytest.approx(grey, abs=6)
        assert store.clock_metadata("two")["source"].endswith(" v:1") == (index == 1)
        assert not verify(store, dataset).faults
        folders |= set(store.recipes())
    assert len([folder for folder in folders if folder.startswith("light")]) == 1


def test_a_check_says_which_of_several_streams_is_read(tmp_path):
    write_two(tmp_path / "two.mkv")
    (finding,) = [each for each in abaw.check(tmp_path / "two.mkv").findings if each.code == "several_streams"]
    assert finding.message == "2 video streams: stream 0 is read, 128x96"
    (finding,) = [
        each for each in abaw.check(tmp_path / "two.mkv", video_stream=1).findings if each.code == "several_streams"
    ]
    assert finding.message == "2 video streams: stream 1 is read, 64x48"


def test_a_stream_that_a_clip_does_not_have_fails_that_clip_alone(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_two(data / "two.mkv")
    write(data / "one.mp4", [80] * 5)
    dataset = open_dataset(data).with_streams(Streams(video=1))
    light = [EncoderSpec("light", Brightness(), "float32")]
    report = extract(dataset, FeatureStore(tmp_path / "store"), light, target())
    assert (report.made, [failure.clip for failure in report.failed]) == (["two"], ["one"])
    assert "has 1 video stream" in report.failed[0].reason


def test_a_raw_stream_without_a_rate_takes_the_one_that_is_given(tmp_path):
    with av.open(str(tmp_path / "raw.mjpeg"), "w", format="mjpeg") as out:
        stream = out.add_stream("mjpeg", rate=10, width=64, height=48, pix_fmt="yuvj420p")
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    store, report = store_of(Brightness(), tmp_path / "raw.mjpeg", tmp_path / "store")
    assert "give --assume-fps" in report.failed[0].reason
    for fps in (10, 20, None):  # None: the rate that is stored stays
        report = store_of(Brightness(), tmp_path / "raw.mjpeg", tmp_path / "store", assume_fps=fps)[1]
        assert (report.made, report.present) == ((["raw"], []) if fps else ([], ["raw"]))
        assert store.clock("raw").times_s == pytest.approx(np.arange(5) / (fps or 20))
        assert store.get(store.find("light"), "raw").times_s == pytest.approx(np.arange(5) / (fps or 20))
    assert "estimated times" in str(report.losses["raw"])
