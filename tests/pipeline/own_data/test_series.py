"""A folder of consecutive pictures is one clip in time: whole pictures or crops of faces, with or without numbers."""

import cv2
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from abaw.dataset.manifests.labels import read_manifest_labels
from extract.dataset_check.check import check
from extract.engine.estimate import estimate
from extract.engine.plan import ExtractionPlan
from extract.store.store import FeatureStore
from tests.support.abaw.manifests import write_manifest
from tests.support.extract.drawn_clips import bright, get, picture, run, specs, write_video

NAMES = [f"shot {i}.png" for i in range(8, 14)]  # 8, 9, 10: not the order of the alphabet
MOVES = [picture((40 + 2 * i, 30, 40)) for i in range(6)]
VALUES = "values: {columns: [pain], range: [0, 10]}\n"


def write_series(folder, shown=MOVES, names=NAMES, table="path,fps\na,10\n", keys=""):
    (folder / "a").mkdir(parents=True)
    for name, each in zip(names, shown, strict=True):
        cv2.imwrite(str(folder / "a" / name), each)
    return write_manifest(folder, table, keys)


def test_faces_are_detected_in_whole_pictures_in_natural_order(tmp_path):
    report = run(write_series(tmp_path / "data"), tmp_path / "store")
    assert (report.made, report.failed) == (["a"], [])
    found = get(tmp_path / "store", "face_hog", "a")
    assert found.times_s == pytest.approx(np.arange(6) / 10)
    assert found.observed.all()
    (tmp_path / "video").mkdir()
    for name, each in zip(("a", "b"), (MOVES, MOVES[::-1]), strict=True):
        write_video(tmp_path / f"video/{name}.mp4", each)
    run(tmp_path / "video", tmp_path / "other")
    same, reversed_ = (get(tmp_path / "other", "face_hog", name).values for name in ("a", "b"))
    assert np.abs(found.values - same).mean() < np.abs(found.values - reversed_).mean()  # the video is compressed
    assert len(run(tmp_path / "data/set.yaml", tmp_path / "store").present) == 1


@pytest.mark.parametrize("target", ["longest", "speaking"])
def test_a_target_of_the_whole_clip_is_chosen_in_a_series(tmp_path, target):
    report = run(write_series(tmp_path / "data"), tmp_path / "store", bright(target=target))
    assert report.made == ["a"]
    assert get(tmp_path / "store", "face_hog", "a").observed.all()


def test_crops_of_faces_are_taken_as_they_are(tmp_path):
    path = write_series(tmp_path / "data", [each[:112, :112] for each in MOVES])
    report = run(path, tmp_path / "store")
    assert report.made == ["a"]
    (recipe,) = (each for each in FeatureStore(tmp_path / "store").recipes().values() if each["name"] == "face_hog")
    assert FeatureStore(tmp_path / "store").open(recipe, "a").metadata["crops"] == "organisers"


def test_a_missing_or_damaged_picture_is_a_frame_without_one(tmp_path):
    path = write_series(tmp_path / "data", names=[f"{i:05d}.png" for i in (0, 1, 2, 4, 5, 6)])
    (tmp_path / "data/a/00005.png").write_bytes(b"")
    report = run(path, tmp_path / "store")
    assert get(tmp_path / "store", "face_hog", "a").observed.tolist() == [True] * 3 + [False, True, False, True]
    assert "2 of 7 pictures cannot be decoded" in str(report.losses["a"])


def test_numbers_that_leave_most_frames_out_are_an_order_only(tmp_path):
    clip = open_dataset(write_series(tmp_path, names=[f"{i:05d}.png" for i in range(137, 143)])).clips["a"]
    assert clip.image_numbers() == [1, 2, 3, 4, 5, 6]
    assert clip.image(1).name == "00137.png"


def test_pictures_without_a_rate_fail_with_what_to_add_and_check_says_so(tmp_path):
    path = write_series(tmp_path / "data", table="path\na\n")
    (failure,) = run(path, tmp_path / "store").failed
    assert "have no times: add a column fps (frames per second) to the manifest" in failure.reason
    assert run(path, tmp_path / "store", assume_fps=10.0).made == ["a"]
    codes = {finding.code for finding in check(open_dataset(path)).findings}
    assert {"no_rate_of_pictures", "counted_images"} <= codes
    plan = ExtractionPlan(open_dataset(path), FeatureStore(tmp_path / "new"), bright())
    plan.add_encoders(specs()[:1])
    assert "have no times" in estimate(plan, ["a"], 1).failing["a"]


def test_a_dry_run_counts_the_frames_of_a_series(tmp_path):
    plan = ExtractionPlan(open_dataset(write_series(tmp_path / "data")), FeatureStore(tmp_path / "store"), bright())
    plan.add_encoders(specs()[:1])
    found = estimate(plan, ["a"], 1)
    assert (found.num_frames, found.failing) == (6, {})
    assert found.read_s > 0


def test_labels_are_of_frames(tmp_path):
    table = "path,fps,labels\na,10,a.csv\n"
    path = write_series(tmp_path / "data", table=table, keys=VALUES)
    (tmp_path / "data/a.csv").write_text("frame,pain\n1,0\n3,5\n6,10\n")
    labels = read_manifest_labels(open_dataset(path).manifest, "values", "train")["a"]
    assert labels.scored.tolist() == [True, False, True, False, False, True]
    assert not {"label_outside", "unreadable_labels"} & {finding.code for finding in check(open_dataset(path)).findings}
    (tmp_path / "data/a.csv").write_text("time_s,pain\n0,0\n0.5,10\n")
    assert not {"label_outside", "unreadable_labels"} & {finding.code for finding in check(open_dataset(path)).findings}


def test_pictures_of_two_sizes_and_a_folder_without_any_are_refused(tmp_path):
    shown = [picture((40, 30, 40))] * 6
    path = write_series(tmp_path / "data", [*shown[:5], shown[5]])
    cv2.imwrite(str(tmp_path / "data/a/shot 9.png"), shown[0][:100])
    (failure,) = run(path, tmp_path / "store").failed
    assert "shot 9.png is 160 x 100 pixels" in failure.reason
    assert "pictures of one clip must have one size" in failure.reason
    (tmp_path / "empty/a").mkdir(parents=True)
    (failure,) = run(write_manifest(tmp_path / "empty", "path,fps\na,10\n", ""), tmp_path / "store_2").failed
    assert "no picture in" in failure.reason
