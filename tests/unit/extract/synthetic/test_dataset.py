"""The synthetic data set has every planted case, and the same seed gives the same bytes."""

import json

import cv2
import numpy as np
import pytest

from abaw.errors import InputError
from extract import media
from extract.synthetic import dataset
from extract.synthetic.scenes import MIN_CLIPS, make_scenes
from tests.support.synthetic import SECONDS, crops_of, hash_tree, labels_of, times_of, truth_of, video_of


def write_scene(root, seed, video="28-30-1280x720-1"):
    (scene,) = (scene for scene in make_scenes(MIN_CLIPS) if scene.video == video)
    dataset._write_scene(root, scene, 2.0, seed)
    return hash_tree(root)


@pytest.mark.parametrize("video", ["28-30-1280x720-1", "130-25-1280x720", "107"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(tmp_path, video):
    first, again, other = (
        write_scene(tmp_path / "a", 0, video),
        write_scene(tmp_path / "b", 0, video),
        write_scene(tmp_path / "c", 1, video),
    )
    assert first == again
    assert {name for name in first if first[name] == other.get(name)} == set()


def test_a_second_call_does_nothing(data):
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    summary = dataset.make_dataset(data, num_clips=MIN_CLIPS, seconds=SECONDS)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    assert summary == json.loads((data / "synth.json").read_text())


def test_other_arguments_on_a_finished_folder_are_refused(data):
    with pytest.raises(
        ValueError, match=r"was made with .*'seed': 0.* not with .*'seed': 1.*: remove it or give another"
    ):
        dataset.make_dataset(data, num_clips=MIN_CLIPS, seconds=SECONDS, seed=1)


def test_a_folder_or_file_of_other_origin_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(ValueError, match="not a synthetic data set: give a folder that is empty or does not exist"):
            dataset.make_dataset(out)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_clips": 13}, "number of clips is 13, expected 14 or more"),
        ({"seconds": 1.0}, "length is 1.0 s, expected 2.0 to"),
        ({"seconds": float("nan")}, "length is nan s, expected"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_arguments_that_cannot_hold_every_case_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        dataset.make_dataset(tmp_path / "data", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(dataset, "_write_scene", fail)
    with pytest.raises(OSError, match="the disk is full"):
        dataset.make_dataset(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_every_video_decodes_to_the_times_of_the_truth(data):
    for split in json.loads((data / "synth.json").read_text())["splits"].values():
        for clip in split:
            video = clip.removesuffix("_left").removesuffix("_right")
            np.testing.assert_allclose(times_of(data, video), truth_of(data, clip)["time_s"], atol=1e-4)


def test_frame_rates_are_as_planted_and_not_as_in_the_names(data, contains):
    for case, fps in (
        ("fps_7_5", 7.5),
        ("fps_25", 25),
        ("fps_29_97", 30000 / 1001),
        ("misleading_fps_in_name", 30000 / 1001),
    ):
        steps = np.diff(times_of(data, contains[case]))
        np.testing.assert_allclose(steps, 1 / fps, atol=1e-4, err_msg=case)
    steps = np.diff(times_of(data, contains["variable_fps"]))
    assert np.median(steps) == pytest.approx(0.04, abs=1e-3)
    assert steps.max() > 0.1


def test_sound_is_late_missing_or_complete_as_planted(data, contains):
    late = media.sound(video_of(data, contains["late_sound"]))
    # AAC rings a little before the onset
    onset = late.start_s + np.flatnonzero(np.abs(late.samples) > 0.01)[0] / late.rate_hz
    assert onset == pytest.approx(0.8, abs=0.03)
    assert late.stop_s == pytest.approx(SECONDS, abs=0.1)
    assert not media.probe(video_of(data, contains["no_sound"])).has_sound
    plain = media.sound(video_of(data, contains["two_subjects_left"].removesuffix("_left")))
    assert plain.start_s == pytest.approx(0, abs=0.03)


def test_two_subjects_share_video_and_arousal_but_not_faces_and_valence(data, contains):
    left, right = contains["two_subjects_left"], contains["two_subjects_right"]
    assert left.removesuffix("_left") == right.removesuffix("_right") == video_of(data, left.removesuffix("_left")).stem
    one, other = truth_of(data, left), truth_of(data, right)
    np.testing.assert_array_equal(one["arousal"], other["arousal"])
    assert np.abs(one["valence"] - other["valence"]).max() > 0.3
    assert crops_of(data, left)
    assert crops_of(data, right)
    assert labels_of(data, left) != labels_of(data, right)


def test_the_test_set_has_a_clip_without_side_beside_one_with_right(data, contains):
    base, right = contains["base_of_right_only"], contains["right_only"]
    assert right == base + "_right"
    listed = (data / "test_set/Valence_Arousal_Estimation_Challenge_test_set_release.txt").read_text().splitlines()
    assert {base, right} <= set(listed)
    assert base + "_left" not in listed
    assert crops_of(data, base)
    assert crops_of(data, right)


def test_crops_are_missing_where_planted_but_labels_are_there(data, contains):
    clip = contains["turned_away"]
    hidden = np.flatnonzero(truth_of(data, clip)["face_visible"] == 0) + 1
    assert len(hidden) > 10
    assert not set(hidden) & set(crops_of(data, clip))
    assert len(labels_of(data, clip)) == len(times_of(data, clip))
    clip = contains["labelled_frames_without_jpg"]
    missing = set(range(1, len(labels_of(data, clip)) + 1)) - set(crops_of(data, clip))
    assert missing
    assert truth_of(data, clip)["face_visible"].all()
    for case in ("video_only", "video_only_test"):
        assert crops_of(data, contains[case]) == []
    assert labels_of(data, contains["video_only"])


def test_crops_are_112_pixels_wide_and_high(data):
    assert {path.name for path in data.glob("cropped*")} == {"cropped_aligned", "cropped_aligned_new_50_vids"}
    for path in data.glob("cropped*/*/00010.jpg"):
        assert cv2.imread(str(path)).shape == (112, 112, 3)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"arguments": 1}', b"\xff"])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "synth.json").write_bytes(content)
    with pytest.raises(InputError, match=r"synth\.json(: not readable as JSON|.* is damaged: remove)"):
        dataset.make_dataset(tmp_path)
    assert (tmp_path / "synth.json").read_bytes() == content
