"""Tracking: faces followed between detections, and who is who."""

import cv2
import numpy as np
import pytest

from extract import DETECTORS
from extract.faces.geometry import Box
from extract.faces.tracking import FaceTracker
from tests.support.drawn_faces import (
    FPS,
    GREEN,
    HEIGHT,
    RED,
    WIDTH,
    Colours,
    Listed,
    persons_of,
    picture,
    select,
    select_in,
    texture,
    track,
)

# following


def test_the_detector_runs_on_every_fifth_picture_and_the_face_is_tracked_between():
    detector, shown = Colours(), [picture((RED, 20 + 3 * i, 30 + i)) for i in range(21)]
    seen = track(shown, 5, detector)
    assert detector.num_detections == 5
    assert [faces[0].detected for faces in seen] == [i % 5 == 0 for i in range(21)]
    for i, (face,) in enumerate(seen):
        box = face.box
        assert np.abs(np.array([box.x - 20 - 3 * i, box.y - 30 - i, box.width - 40, box.height - 40])).max() < 1.5
        assert face.points[0] == pytest.approx([20 + 3 * i + 12, 30 + i + 16], abs=1.5)
    assert {face.person for (face,) in seen} == {0}


def test_the_detector_can_run_on_every_picture():
    detector = Colours()
    assert all(face.detected for (face,) in track([picture((RED, 20, 30))] * 7, 1, detector))
    assert detector.num_detections == 7


def test_a_face_that_turns_and_grows_is_tracked_with_its_points():
    base = picture((RED, 100, 40))
    moves = [cv2.getRotationMatrix2D((120, 60), 2.0 * i, 1 + 0.02 * i) for i in range(5)]
    seen = track([cv2.warpAffine(base, move, (WIDTH, HEIGHT)) for move in moves], 5)
    start = seen[0][0]
    for move, (face,) in zip(moves, seen, strict=True):
        assert np.abs(face.points - (start.points @ move[:, :2].T + move[:, 2])).max() < 1
        assert face.box.width == pytest.approx(start.box.width * np.hypot(*move[0, :2]), rel=0.02)


def test_boxes_of_a_large_picture_are_in_its_own_pixels():
    shown = [picture((RED, 300 + 12 * i, 200 + 4 * i, 200), size=(720, 1280)) for i in range(5)]
    for i, (face,) in enumerate(track(shown)):
        assert face.box.overlap(Box(300 + 12 * i, 200 + 4 * i, 200, 200)) > 0.95


def test_a_hidden_face_is_lost_at_once_and_is_the_same_person_when_it_returns():
    shown = [picture((RED, 100, 40))] * 12
    hidden = picture((RED, 100, 40))
    hidden[35:85, 95:145] = 0
    seen = select(shown + [hidden] * 25 + shown)
    assert all(seen[:12])
    assert seen[12:37] == [None] * 25
    assert all(seen[41:])  # the next search is at most four pictures later
    assert {face.person for face in seen if face} == {0}


def test_a_face_that_jumps_is_detected_again_at_once():
    seen = track([picture((RED, 60, 40))] * 8 + [picture((RED, 92, 40))] * 3)
    assert [face.detected for (face,) in seen[7:10]] == [False, True, False]
    assert [face.person for (face,) in seen] == [0] * 11


def test_a_face_that_slowly_turns_into_something_else_is_lost():
    """Each step is small enough to be followed, all of them are not."""
    face, other, shown = picture((RED, 100, 40)), picture((RED, 100, 40)), []
    other[40:80, 100:140] = 255 - texture(RED)[..., :1]
    for share in np.linspace(0, 1, 30):
        shown.append(((1 - share) * face + share * other).astype(np.uint8))
    seen = track(shown, 60, Listed([Box(100, 40, 40, 40)], []))
    assert len(seen[5]) == 1
    assert seen[20:] == [[]] * 10


def test_one_missed_detection_is_bridged_and_a_second_one_is_not():
    box = Box(100, 40, 40, 40)
    seen = track([picture((RED, 100, 40))] * 25, 5, Listed([box], [box], [], [box], []))
    assert [len(faces) for faces in seen] == [1] * 25
    assert not seen[10][0].detected
    assert seen[15][0].detected
    seen = track([picture((RED, 100, 40))] * 20, 5, Listed([box], [box], [], []))
    assert [len(faces) for faces in seen] == [1] * 15 + [0] * 5


def test_a_face_detected_once_and_not_confirmed_is_dropped():
    tracker = FaceTracker(Listed([Box(100, 40, 40, 40)], []), 5)
    seen = [tracker.track(i / FPS, picture((RED, 100, 40))) for i in range(8)]
    assert [len(faces) for faces in seen] == [1] * 5 + [0] * 3
    assert tracker.known_persons() == {}


def test_two_boxes_on_one_face_are_one_person():
    twice = [Box(100, 40, 40, 40), Box(104, 44, 40, 40)]
    seen = track([picture((RED, 100, 40))] * 6, 5, Listed(twice[:1], twice))
    assert [len(faces) for faces in seen] == [1] * 6


def test_a_shot_change_ends_all_persons_and_runs_the_detector_at_once():
    detector = Colours()
    before, after = picture((RED, 100, 40)), 255 - picture(wall=1)
    after[40:80, 100:140] = texture(RED)
    seen = track([before] * 8 + [after] * 5, 5, detector)
    assert [face.person for (face,) in seen] == [0] * 8 + [1] * 5
    assert seen[8][0].detected
    assert detector.num_detections == 3


def test_a_flash_of_light_is_not_a_shot_change():
    calm = picture((RED, 100, 40))
    flash = np.clip(calm.astype(int) + 45, 0, 255).astype(np.uint8)
    seen = track([calm] * 8 + [flash] + [calm] * 4, 5)
    assert {face.person for faces in seen for face in faces} == {0}


def test_a_change_of_picture_size_is_a_shot_change():
    shown = [picture((RED, 100, 40))] * 3 + [picture((RED, 100, 40), size=(HEIGHT + 30, WIDTH + 10))] * 3
    assert [face.person for (face,) in track(shown)] == [0] * 3 + [1] * 3


# who is who


def test_two_persons_who_do_not_cross_keep_their_numbers():
    shown = [picture((RED, 20 + 2 * i, 10), (GREEN, 150 - 2 * i, 70)) for i in range(50)]
    seen = track(shown)
    assert [len(faces) for faces in seen] == [2] * 50
    assert persons_of(RED, shown, seen) == {0}
    assert persons_of(GREEN, shown, seen) == {1}


def test_two_persons_who_cross_keep_their_numbers():
    shown = [picture((RED, 10 + 4 * i, 40), (GREEN, 190 - 4 * i, 45)) for i in range(46)]
    seen = track(shown)
    assert persons_of(GREEN, shown, seen) == {1}
    assert persons_of(RED, shown[:15] + shown[32:], seen[:15] + seen[32:]) == {0}
    assert len(seen[-1]) == 2


def test_a_person_who_returns_within_two_seconds_keeps_the_number():
    at = [*range(150, 250, 5), *[250] * 25, *range(245, 150, -5)]
    shown = [picture((GREEN, 10, 40), (RED, x, 30)) for x in at]
    assert persons_of(RED, shown, track(shown)) == {1}


def test_a_person_who_returns_later_gets_a_new_number():
    shown = [picture((RED, 100, 40))] * 10 + [picture()] * 60 + [picture((RED, 100, 40))] * 10
    assert persons_of(RED, shown, track(shown)) == {0, 1}


def test_another_person_at_the_place_of_a_lost_one_gets_a_new_number():
    shown = [picture((RED, 100, 40))] * 10 + [picture()] * 10 + [picture((GREEN, 100, 40))] * 10
    seen = track(shown)
    assert persons_of(RED, shown, seen) == {0}
    assert persons_of(GREEN, shown, seen) == {1}


# real clips


@pytest.mark.parametrize("name", ["single_face.mp4", "1001_DFA_HAP_XX.flv", "WolfgangLanger_Pexels.mp4"])
def test_tracking_stays_close_to_detection_in_every_picture(clip, yunet, name):
    shown = clip(f"clips/{name}")[:90]
    searched, followed = select_in(shown, yunet, 1), select_in(shown, yunet, 5)
    near = [one.box.overlap(other.box) for one, other in zip(searched, followed, strict=True)]
    assert min(near) > 0.7
    assert np.mean(near) > 0.9
    away = [
        np.abs(one.points - other.points).max() / one.box.width for one, other in zip(searched, followed, strict=True)
    ]
    assert np.mean(away) < 0.03
    assert {face.person for face in followed} == {0}
    assert sum(face.detected for face in followed) < len(shown) / 3


def test_a_face_hidden_from_1_to_2_s_is_missing_there_and_the_same_person_afterwards(clip, yunet):
    shown = clip("nasty/face_hidden_1s_to_2s.mp4")
    for detector in (yunet, DETECTORS.build("haar")):
        seen = select_in(shown, detector)
        hidden = np.array([1.0 <= time_s <= 2.0 for time_s, _ in shown])
        is_missing = np.array([face is None for face in seen])
        assert is_missing[hidden].all()
        assert is_missing[~hidden].sum() <= 5
        assert {face.person for face in seen if face} == {0}


def test_another_person_from_3_s_on_gets_a_new_number(clip, yunet):
    shown = clip("nasty/identity_cut_at_3s.mp4")
    for detector in (yunet, DETECTORS.build("haar")):
        seen = select_in(shown, detector)
        assert [face.person for face in seen] == [int(time_s > 2.99) for time_s, _ in shown]


def test_a_clip_that_begins_without_a_face_has_one_once_it_appears(clip, yunet):
    shown = clip("nasty/noface_face.mov")
    seen = select_in(shown, yunet)
    first = next(i for i, face in enumerate(seen) if face)
    assert seen[:first] == [None] * first
    assert len(yunet.detect(shown[first - 1][1])) == 0
    assert sum(face is not None for face in seen) > 60


def test_a_clip_without_faces_has_no_person(clip, yunet):
    assert set(select_in(clip("nasty/no_face.mp4"), yunet)) == {None}
