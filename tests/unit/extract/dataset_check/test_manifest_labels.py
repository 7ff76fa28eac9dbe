"""What `abaw check` says of a data set with a manifest."""

import wave

import cv2
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.dataset_check.check import check
from tests.support.abaw.manifests import CLASSES, VALUES, write_manifest
from tests.support.extract.many_clips import write


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A folder with a video of 0.4 s, a second of sound, and a picture."""
    folder = tmp_path_factory.mktemp("media")
    write(folder / "a.mp4", [100] * 10, 0.4)
    with wave.open(str(folder / "b.wav"), "wb") as out:
        out.setparams((1, 2, 16000, 16000, "NONE", ""))
        out.writeframes((9000 * np.sin(np.arange(16000) / 10)).astype("<i2").tobytes())
    cv2.imwrite(str(folder / "photo.jpg"), np.full((60, 80, 3), 200, np.uint8))
    return folder


def report_of(folder, media, table, keys, **files):
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return check(open_dataset(write_manifest(folder, table, f"media: {media}\n{keys}")))


def found(report, code):
    return [each.message for each in report.findings if each.code == code]


def test_splits_classes_and_groups_are_counted(tmp_path, media):
    table = "path,emotion,split,group\na.mp4,hap,train,s1\nb.wav,angry,train,s1\nphoto.jpg,,val,s2\n"
    report = report_of(tmp_path, media, table, CLASSES)
    train, validation = report.splits
    assert (train.num_clips, train.num_groups, train.statistics) == (2, 1, {"angry": 1, "happy": 1, "neutral": 0})
    assert validation.num_scored == 0
    assert "2 clips of 1 group " in str(report)
    assert found(report, "no_label") == ["1 clips of validation have no label of classes, such as 'photo'"]
    assert "the class 'neutral' occurs in 0 clips of train" in found(report, "rare_class")
    assert found(report, "no_rate") == ["1 clip of sound alone without a frame rate: 25 rows a second"]
    codes = {each.code for each in report.findings if each.clip in (None, "b", "photo")}
    assert not codes & {"no_video", "no_images", "no_sound", "no_groups", "one_split"}


def test_values_have_a_mean_and_a_range_and_doubts_are_said(tmp_path, media):
    report = report_of(tmp_path, media, "path,pain,effort\na.mp4,2,1\nphoto.jpg,4,1\n", VALUES)
    (train,) = report.splits
    assert train.statistics["pain"] == {"mean": 3.0, "sd": 1.0, "min": 2.0, "max": 4.0}
    assert train.num_groups is None
    assert "every clip is in the split train" in found(report, "one_split")[0]
    assert found(report, "no_groups")


@pytest.mark.parametrize(
    ("table", "labels", "code", "message"),
    [
        ("path,labels\na.mp4,l.csv\n", "frame,pain,effort\n40,1,1\n", "label_outside", "labels up to frame 40"),
        ("path,labels\na.mp4,l.csv\n", "start_s,stop_s,pain,effort\n3,4,1,1\n", "label_outside", "l.csv:2: the label"),
        ("path,labels\na.mp4,l.csv\n", "frame,pain,effort\n1,11,1\n", "unreadable_labels", "l.csv:2: pain is 11"),
        ("path,labels,start_s\na.mp4,l.csv,9\n", "time_s,pain,effort\n0,1,1\n1,1,1\n", "part_outside", "starts at 9 s"),
        ("path,labels\nb.wav,l.csv\n", "frame,pain,effort\n1,1,1\n", "no_rate_of_labels", "1 clip of sound alone"),
    ],
)
def test_labels_and_parts_outside_a_file_are_found(tmp_path, media, table, labels, code, message):
    report = report_of(tmp_path, media, table, VALUES, l=labels)
    assert any(message in each for each in found(report, code)), report.findings
