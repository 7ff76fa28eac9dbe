"""The drawn faces of the synthetic data set."""

import cv2
import numpy as np
import pytest

from extract import media
from extract.synthetic.face import FaceState, Head, Pose, cut_crop, draw_background, draw_person, paste_head
from tests.support.synthetic import truth_of, video_of


@pytest.mark.parametrize("cascade", ["alt2", "default"])
def test_haar_detects_the_faces_of_video_only_clips_and_none_in_a_turned_head(data, contains, cascade):
    classifier = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_{cascade}.xml")
    found, false = [], []
    for case in ("video_only", "video_only_test", "turned_away"):
        clip = contains[case]
        visible = truth_of(data, clip)["face_visible"]
        for picture, is_visible in zip(media.pictures(video_of(data, clip)), visible, strict=True):
            grey = cv2.cvtColor(picture.rgb(), cv2.COLOR_RGB2GRAY)
            num = len(classifier.detectMultiScale(grey, 1.1, 4, minSize=(40, 40)))
            (found if is_visible else false).append(num > 0)
    assert np.mean(found) >= 0.95
    assert np.mean(false) <= 0.05


def test_persons_differ_and_the_crop_does_not_depend_on_the_pose():
    persons = [draw_person(np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(persons)) == 20
    head, crops = Head(persons[0]), []
    for pose in (Pose(128, 84, 0.88, 0.0), Pose(118, 90, 0.85, 0.08)):
        picture = draw_background(persons[0], (256, 192), [(persons[0], 128)])
        paste_head(picture, head.draw(FaceState(0.5, 0.5, 0.5, 1.0, 0.0)), head.alpha, pose)
        crops.append(cut_crop(picture, pose)[30:95, 25:87].astype(float))
    assert np.abs(crops[0] - crops[1]).mean() < 4


def test_a_head_outside_the_picture_leaves_it_as_it_was():
    person = draw_person(np.random.default_rng(0))
    picture = draw_background(person, (256, 192), [])
    before = picture.copy()
    paste_head(picture, Head(person).back, Head(person).alpha, Pose(900, 84, 0.9, 0.0))
    np.testing.assert_array_equal(picture, before)
