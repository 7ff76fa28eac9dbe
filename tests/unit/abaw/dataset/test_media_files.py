"""Which files are media, which clip each belongs to, and names that no clip can have."""

import os
from pathlib import Path

import av
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from abaw.dataset.media_content import is_media_content
from abaw.dataset.media_files import MAX_NAME_BYTES, Streams, printable
from abaw.errors import InputError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def media_of(root):
    """The media of each clip, relative to the root."""
    return {name: clip.media and str(clip.media.relative_to(root)) for name, clip in open_dataset(root).clips.items()}


# ---- by content

FORMATS = {  # suffix -> format, codec, size and pixel format
    "mxf": ("mxf", "mpeg2video", (720, 576), "yuv422p"),
    "3g2": ("3g2", "mpeg4", (64, 48), "yuv420p"),
    "f4v": ("f4v", "libx264", (64, 48), "yuv420p"),
    "m2v": ("mpeg2video", "mpeg2video", (64, 48), "yuv420p"),
    "m1v": ("mpeg1video", "mpeg1video", (64, 48), "yuv420p"),
    "dv": ("dv", "dvvideo", (720, 576), "yuv420p"),
    "gif": ("gif", "gif", (64, 48), "rgb8"),
    "apng": ("apng", "apng", (64, 48), "rgb24"),
    "h264": ("h264", "libx264", (64, 48), "yuv420p"),
    "ivf": ("ivf", "libvpx-vp9", (64, 48), "yuv420p"),
    "rm": ("rm", "rv10", (176, 144), "yuv420p"),
    "ts": ("mpegts", "mpeg2video", (64, 48), "yuv420p"),
    "mpg": ("mpeg", "mpeg1video", (64, 48), "yuv420p"),
    "mkv": ("matroska", "mpeg4", (64, 48), "yuv420p"),
    "avi": ("avi", "mpeg4", (64, 48), "yuv420p"),
    "flv": ("flv", "flv", (64, 48), "yuv420p"),
    "mov": ("mov", "mjpeg", (64, 48), "yuvj420p"),
    "wmv": ("asf", "wmv2", (64, 48), "yuv420p"),
    "nut": ("nut", "mpeg4", (64, 48), "yuv420p"),
    "mp3": ("mp3", "libmp3lame", None, None),
    "mp2": ("mp2", "mp2", None, None),
    "aac": ("adts", "aac", None, None),
    "ac3": ("ac3", "ac3", None, None),
    "flac": ("flac", "flac", None, None),
    "wav": ("wav", "pcm_s16le", None, None),
    "aiff": ("aiff", "pcm_s16be", None, None),
    "caf": ("caf", "pcm_s16be", None, None),
}


def write_media(path, kind, num=3):
    """A short file of a format, whatever its name says."""
    name, codec, size, pixel_format = FORMATS[kind]
    with av.open(str(path), "w", format=name) as out:
        if size is None:
            stream = out.add_stream(codec, rate=48000, layout="stereo")
            noise = np.random.default_rng(0).normal(0, 0.1, (2, 24000)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, 0
            frames = av.AudioResampler(format=stream.format, layout="stereo", rate=48000).resample(frame)
        else:
            stream = out.add_stream(codec, rate=25, width=size[0], height=size[1], pix_fmt=pixel_format)
            frames = []
            for number in range(num):
                grey = np.full((size[1], size[0], 3), 40 * number + 20, np.uint8)
                frames.append(av.VideoFrame.from_ndarray(grey, format="rgb24"))
                frames[-1].pts = number
        for frame in [*frames, None]:
            out.mux(stream.encode(frame))
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_media_without_a_suffix_are_known_by_their_content(tmp_path, kind):
    assert is_media_content(write_media(tmp_path / "take one", kind))
    assert media_of(tmp_path) == {"take one": "take one"}
    assert list(open_dataset(tmp_path / "take one").clips) == ["take one"]


def test_of_gif_only_animations_are_media(tmp_path):
    write_media(tmp_path / "logo.gif", "gif", num=1)
    write_media(tmp_path / "smile.gif", "gif", num=2)
    (tmp_path / "cut.gif").write_bytes((tmp_path / "smile.gif").read_bytes()[:40])
    dataset = open_dataset(tmp_path)
    assert (list(dataset.clips), dataset.num_ignored) == (["smile"], 2)


OTHERS = {
    "README.txt": b"ID3 tags are not used here\n",
    "README": b"MAC addresses\nthe free software\n",
    "labels.csv": b"\x47" * 2000,
    "notes.dat": b"the free way of writing",
    "data.json": b"{}",
    "features.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'}",
    "blob": bytes(range(256)) * 40,
    "zeros.bin": bytes(5000),
    "empty": b"",
    "video.mp4.part": b"\x00\x00\x00\x18ftypisom",
    "picture": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(3000),
    "icon.heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
    "logo": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(100),
    "archive.xyz": b"PK\x03\x04" + bytes(3000),
    "page": b"<!doctype html>",
    "start.code": b"\x00\x00\x01",
}


def test_files_that_are_no_media_give_no_clips(tmp_path):
    for name, content in OTHERS.items():
        (tmp_path / name).write_bytes(content)
    write_media(tmp_path / "one.mov", "mov")
    dataset = open_dataset(tmp_path)
    assert (list(dataset.clips), dataset.num_ignored) == (["one"], len(OTHERS))


def test_random_bytes_are_no_media(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(200):
        (tmp_path / "blob").write_bytes(rng.integers(0, 256, 5000, dtype=np.uint8).tobytes())
        assert not is_media_content(tmp_path / "blob"), number


# ---- names


def test_one_name_in_two_folders_gives_two_clips_named_by_their_folders(tmp_path):
    touch(tmp_path, "angry/001.mp4", "happy/001.mp4", "happy/002.mp4")
    assert media_of(tmp_path) == {
        "angry_001": "angry/001.mp4",
        "happy_001": "happy/001.mp4",
        "002": "happy/002.mp4",
    }
    assert all(clip.side is None for clip in open_dataset(tmp_path).clips.values())


def test_as_many_folders_are_named_as_are_needed(tmp_path):
    touch(tmp_path, "1/a/x.mp4", "2/a/x.mp4", "2/b/x.mp4")
    assert media_of(tmp_path) == {"1_a_x": "1/a/x.mp4", "2_a_x": "2/a/x.mp4", "2_b_x": "2/b/x.mp4"}
    touch(tmp_path, "1_a_x.mp4", "x.mp4")
    assert len(media_of(tmp_path)) == 5


def test_two_videos_of_one_name_in_one_folder_are_named_with_their_suffixes(tmp_path):
    touch(tmp_path, "a.mp4", "a.mkv", "b.mp4")
    assert media_of(tmp_path) == {"a.mkv": "a.mkv", "a.mp4": "a.mp4", "b": "b.mp4"}


def test_a_folder_does_not_make_a_side(tmp_path):
    touch(tmp_path, "x/left.mp4", "y/left.mp4", "x/1_left.mp4", "y/1_left.mp4")
    clips = open_dataset(tmp_path).clips
    assert sorted(clips) == ["x_1_left", "x_left", "y_1_left", "y_left"]
    assert {clip.side for clip in clips.values()} == {None}


def test_labels_that_fit_two_videos_concern_their_clip_alone(tmp_path):
    touch(tmp_path, "a/1.mp4", "b/1.mp4", "a/2.mp4", "crops/1_left/00001.jpg", "crops/2/00001.jpg")
    clips = open_dataset(tmp_path).clips
    assert list(clips) == ["1_left", "2"]
    assert clips["1_left"].media is None
    assert "may be" in clips["1_left"].problem
    assert "'videos'" in clips["1_left"].problem
    assert (clips["2"].media.name, clips["2"].problem) == ("2.mp4", "")


@pytest.mark.parametrize("sound", ["a.wav", "audio/a.wav"])
def test_sound_with_the_name_of_the_video_is_the_same_recording(tmp_path, sound):
    touch(tmp_path, "a.mp4", sound, "b.wav")
    clips = open_dataset(tmp_path).clips
    assert media_of(tmp_path) == {"a": "a.mp4", "b": "b.wav"}
    assert clips["a"].unused == (tmp_path / sound,)
    assert clips["b"].unused == ()


def test_sound_beside_each_of_two_videos_belongs_to_the_one_in_its_folder(tmp_path):
    touch(tmp_path, "x/a.mp4", "x/a.wav", "y/a.mp4", "y/a.wav")
    clips = open_dataset(tmp_path).clips
    assert {name: clip.unused[0].parent.name for name, clip in clips.items()} == {"x_a": "x", "y_a": "y"}


def test_a_preview_of_unknown_suffix_beside_a_video_is_not_a_clip(tmp_path):
    write_media(tmp_path / "GX01.MP4", "mov")
    write_media(tmp_path / "GX01.LRV", "mov")
    assert media_of(tmp_path) == {"GX01": "GX01.MP4"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (os.fsdecode(b"caf\xe9"), "'caf\\xe9' is not UTF-8"),
        ("é" * 100, f"has 200 bytes, more than {MAX_NAME_BYTES}"),
    ],
)
def test_a_name_that_no_file_can_have_concerns_its_clip_alone(tmp_path, name, message):
    touch(tmp_path, f"{name}.mp4", "b.mp4")
    clips = open_dataset(tmp_path).clips
    assert {clip_id: bool(clip.problem) for clip_id, clip in clips.items()} == {name: True, "b": False}
    assert message in clips[name].problem
    assert open_dataset(tmp_path / f"{name}.mp4").clips[name].problem


@pytest.mark.parametrize("name", [".", "..", ".hidden"])
def test_a_name_in_a_list_that_no_file_can_have_concerns_its_clip_alone(tmp_path, name):
    touch(tmp_path, "b.mp4")
    (tmp_path / "VA_Challenge_test_set_release.txt").write_text(f"b\n{name}\n")
    clips = open_dataset(tmp_path).clips
    assert {clip_id: bool(clip.problem) for clip_id, clip in clips.items()} == {name: True, "b": False}


def test_bytes_that_are_not_utf_8_are_written_out():
    assert printable(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
    assert printable("café") == "café"


# ---- what is no file


def test_pipes_and_folders_with_the_names_of_media_are_clips_that_fail(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    (tmp_path / "folder.mp4").mkdir()
    touch(tmp_path, "notes.mov/README.md", "per_video.mp4/00001.jpg", "batch.avi/1.mp4")
    assert media_of(tmp_path) == {
        "pipe": "pipe.mp4",
        "device": "device.wav",
        "folder": "folder.mp4",
        "notes": "notes.mov",
        "per_video.mp4": None,
        "1": "batch.avi/1.mp4",
    }


def test_pipes_with_the_names_of_lists_and_labels_are_not_waited_for(tmp_path):
    touch(tmp_path, "a.mp4", "VA_Estimation_Challenge/Train_Set/a.txt")
    for name in ("train.txt", "VA_Estimation_Challenge_test_set_release.txt", "training_set_annotations.txt"):
        os.mkfifo(tmp_path / name)
    os.mkfifo(tmp_path / "VA_Estimation_Challenge/Train_Set/b.txt")
    dataset = open_dataset(tmp_path)
    assert (list(dataset.clips), dataset.num_ignored) == (["a", "b"], 3)
    with pytest.raises(InputError, match=r"b\.txt is a named pipe, expected a file"):
        dataset.num_label_rows("b")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_an_image_that_is_no_file_concerns_its_clip_alone(tmp_path, make):
    touch(tmp_path, "crops/a/00001.jpg", "crops/b/00001.jpg")
    make(tmp_path / "crops/a/00002.jpg")
    clips = open_dataset(tmp_path).clips
    assert clips["b"].image_numbers() == [1]
    with pytest.raises(InputError, match=r"a/00002\.jpg is a .*, expected a file"):
        clips["a"].image_numbers()


def test_an_image_of_a_frame_that_no_clip_has_concerns_its_clip_alone(tmp_path):
    touch(tmp_path, "crops/a/00001.jpg", "crops/a/99999999.jpg", "crops/b/00001.jpg")
    clips = open_dataset(tmp_path).clips
    assert clips["b"].image_numbers() == [1]
    with pytest.raises(InputError, match=r"a/99999999\.jpg is numbered 99999999, but"):
        clips["a"].image_numbers()


# ---- streams


@pytest.mark.parametrize("index", [-1, 1.0, "1", True])
def test_a_stream_is_a_number_from_0(index):
    with pytest.raises(InputError, match="--video-stream is .*, expected 0 for a file's first video stream"):
        Streams(video=index)
    with pytest.raises(InputError, match="--audio-stream is"):
        Streams(audio=index)


def test_streams_are_chosen_for_every_clip(tmp_path):
    chosen = open_dataset(touch(tmp_path, "a.mp4", "b.mp4")).with_streams(Streams(1, 0))
    assert {str(clip.streams) for clip in chosen.clips.values()} == {"v:1 a:0"}
    assert str(Streams()) == ""


def test_a_data_set_file_chooses_streams_and_an_option_goes_before_it(tmp_path):
    touch(tmp_path, "d/a.mp4")
    (tmp_path / "data.yaml").write_text("root: d\nvideo_stream: 1\naudio_stream: 2\n")
    dataset = open_dataset(tmp_path / "data.yaml")
    assert str(dataset.clips["a"].streams) == "v:1 a:2"
    assert str(dataset.with_streams(Streams(audio=0)).clips["a"].streams) == "v:1 a:0"


@pytest.mark.parametrize("index", ["-1", "one", "[0]", "true"])
def test_a_stream_in_a_data_set_file_is_a_number_from_0(tmp_path, index):
    touch(tmp_path, "d/a.mp4")
    (tmp_path / "data.yaml").write_text(f"root: d\nvideo_stream: {index}\n")
    with pytest.raises(InputError, match=r"data\.yaml:2: video_stream is .*, expected 0 for the first"):
        open_dataset(tmp_path / "data.yaml")
