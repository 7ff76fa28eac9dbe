"""What of a clip is lost is counted while it is read: in the report, in the store, and in no other clip."""

import subprocess
import sys

import av
import cv2
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.dataset_check.check import check
from extract.engine.run import extract
from extract.media import Sound
from extract.store.info import info
from extract.store.store import FeatureStore
from tests.support.extract.drawn_clips import bright, picture, run, specs, tone, write_images, write_video

FACE = picture((60, 40, 30))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Clips of one second, each with one loss, and one without any; their report and the data set."""
    root = tmp_path_factory.mktemp("losses")
    silence = Sound(np.zeros(16000, np.float32), 16000, 0.0)
    write_video(root / "videos/whole.mp4", [FACE] * 25, tone(1.0))
    write_video(root / "videos/silent.mp4", [FACE] * 25, silence)
    write_video(root / "videos/no_sound.mp4", [FACE] * 25)
    write_video(root / "videos/hidden.mp4", [FACE] * 15 + [picture()] * 10, tone(1.0))
    write_video(root / "videos/nobody.mp4", [picture()] * 25, tone(1.0))
    write_video(root / "videos/short_sound.mp4", [FACE] * 50, tone(1.0))
    write_video(root / "videos/empty_crops.mp4", [FACE] * 25, tone(1.0))
    write_images(root / "crops/empty_crops", range(1, 26))
    for number in range(2, 26):
        (root / f"crops/empty_crops/{number:05d}.jpg").write_bytes(b"")
    write_video(root / "videos/from_0.mp4", [FACE] * 25, tone(1.0))
    write_images(root / "crops/from_0", range(25))
    (root / "crops/from_0/00003.png").write_bytes((root / "crops/from_0/00003.jpg").read_bytes())
    (root / "crops/from_0/00004.jpg").write_bytes((root / "crops/from_0/00004.jpg").read_bytes()[:-20])
    write_video(root / "videos/labels.mp4", [FACE] * 25, tone(1.0))
    labels = root / "annotations/VA_Estimation_Challenge/Train_Set/labels.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("valence,arousal\n" + "0.1,0.1\n" * 27)
    return root, run(root, root / "store", num_readers=1)


LINES = {
    "silent": "the sound is silent",
    "no_sound": "no sound",
    "hidden": "a face in only 15 of 25 frames (60.0 %)",
    "nobody": "no face in any of 25 frames",
    "short_sound": "0.98 of 2.00 s without sound at the beginning or end",
    "empty_crops": "a face image in only 1 of 25 frames (4.0 %); 24 face images empty (0 bytes)",
    "from_0": (
        "a face image in only 24 of 25 frames (96.0 %); 1 face image cut off or no image; 1 face image not read: its "
        "name gives no frame, or one that has another image; face images are numbered from 0: image 0 is frame 1"
    ),
    "labels": "2 frames of labels or images after the last of 25 pictures; a face in only 25 of 27 frames (92.6 %)",
}


def test_each_loss_is_in_the_line_of_its_clip_and_a_whole_clip_has_none(made):
    assert {clip: str(lost) for clip, lost in made[1].losses.items()} == LINES
    assert len(made[1].made) == 9
    assert made[1].failed == []


def test_the_store_says_the_same_line_later(made):
    root, report = made
    assert info(FeatureStore(root / "store")).losses == {
        clip: type(lost).from_json(lost.to_json()) for clip, lost in report.losses.items()
    }
    again = run(root, root / "store", num_readers=1)
    assert (len(again.present), again.losses) == (9, info(FeatureStore(root / "store")).losses)
    assert not FeatureStore(root / "store").losses_path("whole").exists()


def test_the_commands_print_the_summary_with_the_worst_clips_first(made):
    root, _ = made
    for command in (
        ["extract", root, "--store", root / "store", "--encoder", "voice_mel"],
        ["store", "info", root / "store"],
    ):
        done = subprocess.run([sys.executable, "-m", "abaw", *map(str, command)], capture_output=True, text=True)
        lines = done.stdout.splitlines()
        first = lines.index(next(line for line in lines if "clips have losses" in line))
        assert lines[first].startswith("8 of 9 clips have losses: frames without a face 4, ")
        assert lines[first + 1 : first + 5] == [
            f"  {clip}: {LINES[clip]}" for clip in ("no_sound", "nobody", "silent", "empty_crops")
        ]
        assert "whole:" not in done.stdout


def test_the_share_of_frames_is_of_all_frames_not_of_the_rows_there_are(made):
    features = {each.name: each for each in info(FeatureStore(made[0] / "store")).features}
    hog = features["face_hog"]
    # whole, silent, no_sound, hidden, nobody, short_sound, empty_crops, from_0, labels
    assert hog.num_covered == 25 + 25 + 25 + 15 + 0 + 50 + 1 + 24 + 25
    assert hog.num_frames == 8 * 25 + 25 + 27
    assert f"observed in 75.4 % of {hog.num_frames} frames" in "\n".join(hog.lines())
    # half of short_sound, nothing of no_sound; the padding of the sound covers two frames in two clips
    assert features["voice_mel"].num_covered == 8 * 25 + 4


def test_losses_of_sound_and_faces_extracted_one_after_the_other_are_both_kept(tmp_path):
    write_video(tmp_path / "videos/v.mp4", [FACE] * 15 + [picture()] * 10)
    dataset, store = open_dataset(tmp_path / "videos"), FeatureStore(tmp_path / "store")
    hog, mel = specs()
    assert str(extract(dataset, store, [mel], bright(), num_readers=1).losses["v"]) == "no sound"
    report = extract(dataset, store, [hog], bright(), num_readers=1)
    assert str(report.losses["v"]) == "no sound; a face in only 15 of 25 frames (60.0 %)"


@pytest.mark.parametrize("text", [None, "{"], ids=["deleted", "cut"])
def test_a_file_of_losses_that_was_deleted_or_cut_is_made_again(tmp_path, text):
    write_video(tmp_path / "videos/v.mp4", [FACE] * 15 + [picture()] * 10)
    line = str(run(tmp_path / "videos", tmp_path / "store", num_readers=1).losses["v"])
    path = FeatureStore(tmp_path / "store").losses_path("v")
    path.unlink()
    if text is not None:
        path.write_text(text)
    again = run(tmp_path / "videos", tmp_path / "store", num_readers=1)
    assert (again.made, again.failed, str(again.losses["v"])) == (["v"], [], line)
    assert run(tmp_path / "videos", tmp_path / "store", num_readers=1).made == []


def test_streams_that_are_not_read_and_channels_that_cancel_out_are_in_the_line(tmp_path):
    with av.open(str(tmp_path / "two.mkv"), "w") as out:
        videos = [out.add_stream("mjpeg", rate=25, width=160, height=120, pix_fmt="yuvj420p") for _ in range(2)]
        sound = out.add_stream("pcm_s16le", rate=16000, layout="stereo")
        wave = np.round(9000 * np.sin(np.arange(16000) / 5)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, -wave], 1).reshape(1, -1), "s16", "stereo")
        frame.rate, frame.pts = 16000, 0
        out.mux(sound.encode(frame))
        for stream in videos:
            for i in range(25):
                shown = av.VideoFrame.from_ndarray(FACE, "rgb24")
                shown.pts, shown.time_base = i, stream.codec_context.time_base
                out.mux(stream.encode(shown))
            out.mux(stream.encode(None))
    (lost,) = run(tmp_path, tmp_path / "store", num_readers=1).losses.values()
    channel = lost.sound.channel
    assert channel in ("FL", "FR")
    assert str(lost) == (
        f"1 other video stream not used; the channels of the sound cancel each other out: {channel} alone was taken"
    )


REAL = {
    "nasty/silent_audio_track.mp4": "the sound is silent",
    "nasty/noface_face.mov": "2.42 of 6.39 s without sound at the beginning or end",
    "nasty/audio_starts_late_0.8s.mp4": "0.78 of 3.00 s without sound at the beginning or end",
    "nasty/corrupted.mp4": "1 corrupt packet; no sound",
}


@pytest.mark.parametrize("name", REAL)
def test_losses_of_real_clips_are_known(media, tmp_path, name):
    report = extract(open_dataset(media / name), FeatureStore(tmp_path), [specs()[1]], bright(), num_readers=1)
    (lost,) = report.losses.values()
    assert REAL[name] in str(lost)


def remux(source, path, **options):
    with av.open(str(source)) as given, av.open(str(path), "w", options=options) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)


@pytest.mark.parametrize(("suffix", "options"), [(".mp4", {"movflags": "faststart"}), (".mkv", {}), (".flv", {})])
def test_a_real_file_cut_at_60_percent_says_how_much_of_it_can_be_read(media, tmp_path, suffix, options):
    path = tmp_path / f"v{suffix}"
    remux(media / "nasty/identity_cut_at_3s.mp4", path, **options)  # 6 s at 25 fps
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    store = FeatureStore(tmp_path / "store")
    report = extract(open_dataset(path), store, [specs()[1]], bright(), num_readers=1)
    assert report.failed == []
    (lost,) = report.losses.values()
    clock = store.clock("v")
    assert 5.9 < lost.pictures.announced_s < 6.2
    assert lost.pictures.readable_s == pytest.approx(clock.times_s[-1], abs=0.3)
    first = f"only {lost.pictures.readable_s:.1f} of {lost.pictures.announced_s:.1f} s announced can be read"
    assert str(lost).split("; ")[0] == first
    (facts,) = check(open_dataset(path)).clips
    assert str(facts.losses).split("; ")[0] == first
    assert lost.pictures.num_undecodable == int((~clock.decoded).sum())


def test_pictures_of_a_real_file_that_cannot_be_decoded_are_counted(media, tmp_path):
    path = tmp_path / "v.mp4"
    content = bytearray((media / "nasty/identity_cut_at_3s.mp4").read_bytes())
    first = content.index(b"mdat") + 4 + len(content) // 3
    content[first : first + len(content) // 5] = bytes(len(content) // 5)
    path.write_bytes(content)
    store = FeatureStore(tmp_path / "store")
    (lost,) = extract(open_dataset(path), store, [specs()[1]], bright(), num_readers=1).losses.values()
    num = int((~store.clock("v").decoded).sum())
    assert num > 10
    assert f"{num} of 150 pictures cannot be decoded" in str(lost)


def test_a_real_clip_without_losses_has_no_line(media, tmp_path):
    report = extract(
        open_dataset(media / "clips/bbaf2n.mpg"), FeatureStore(tmp_path), [specs()[1]], bright(), num_readers=1
    )
    assert (report.made, report.losses) == (["bbaf2n"], {})


def test_images_alone_are_counted_against_the_frames(tmp_path):
    write_images(tmp_path / "crops/v", [1, 2, 5])
    cv2.imwrite(str(tmp_path / "crops/v/00004.png"), np.zeros((112, 112, 3), np.uint8))
    report = extract(
        open_dataset(tmp_path / "crops"), FeatureStore(tmp_path / "s"), specs()[:1], bright(), assume_fps=25
    )
    assert str(report.losses["v"]) == "a face image in only 4 of 5 frames (80.0 %)"
