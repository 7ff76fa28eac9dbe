"""Faces detected in a later picture while those before it are tracked: the same faces, and no waiting."""

import threading

import numpy as np
import pytest

from extract.faces.target import TargetConfig
from extract.faces.tracking import MAX_AHEAD, FaceTracker, with_later
from extract.media import Picture
from extract.media.video import StillPicture
from tests.support.drawn_faces import FPS, GREEN, RED, Colours, picture, texture, track


def pictures(shown):
    return [StillPicture(i / FPS, rgb) for i, rgb in enumerate(shown)]


def track_ahead(shown, every=5, detector=None):
    tracker = FaceTracker(detector or Colours(), every)
    return [tracker.track(each.time_s, each.rgb(), later) for each, later in with_later(pictures(shown), every)]


def described(seen):
    return [[(face.box, face.points.tobytes(), face.person, face.detected) for face in faces] for faces in seen]


def scene(seed, num=60):
    """Two faces that wander, jump, hide and come back, before walls that change."""
    rng = np.random.default_rng(seed)
    places, wall, shown = np.array([[30.0, 40.0], [150.0, 40.0]]), 0, []
    for _ in range(num):
        places += rng.uniform(-2, 2, places.shape)
        places[rng.integers(2)] += rng.choice([0, 30], p=[0.9, 0.1]) * rng.choice([-1, 1])
        wall += rng.random() < 0.05
        faces = [(colour, *place.round().astype(int)) for colour, place in zip((RED, GREEN), places, strict=True)]
        rgb = picture(*(face for face in faces if rng.random() > 0.05), wall=int(wall))
        shown.append(255 - rgb if wall % 2 and rng.random() < 0.1 else rgb)
    return shown


@pytest.mark.parametrize("every", [1, 2, 5, MAX_AHEAD, MAX_AHEAD + 1])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_does_not_depend_on_looking_ahead(seed, every):
    shown = scene(seed)
    one_by_one = track(shown, every)
    assert len({face.person for faces in one_by_one for face in faces}) > 2
    assert described(track_ahead(shown, every)) == described(one_by_one)


@pytest.mark.parametrize("name", ["identity_cut_at_3s.mp4", "face_hidden_1s_to_2s.mp4", "noface_face.mov"])
def test_the_same_faces_are_found_in_real_clips(clip, yunet, name):
    shown = clip(f"nasty/{name}")
    stills = [StillPicture(*each) for each in shown]
    selectors = [TargetConfig(yunet).make_selector(None, None) for _ in range(2)]
    alone = [selectors[0].select(*each) for each in shown]
    ahead = [selectors[1].select(each.time_s, each.rgb(), later) for each, later in with_later(stills, 5)]
    assert any(alone)
    assert [(face.box, face.person) if face else None for face in ahead] == [
        (face.box, face.person) if face else None for face in alone
    ]


def test_the_detector_works_while_the_pictures_before_are_tracked():
    class Waiting(Colours):
        """Detects in the second picture once those before it were tracked."""

        tracked = threading.Event()

        def detect(self, shown):
            faces = super().detect(shown)
            if self.num_detections == 2:
                assert self.tracked.wait(30)
            return faces

    detector = Waiting()
    tracker, steps = FaceTracker(detector, 5), with_later(pictures([picture((RED, 20, 30))] * 7), 5)
    seen = []
    for i, (each, later) in enumerate(steps):
        if i == 5:
            detector.tracked.set()
        seen.append(tracker.track(each.time_s, each.rgb(), later))
    assert [len(faces) for faces in seen] == [1] * 7
    assert detector.num_detections == 2


def test_an_error_of_the_detector_is_raised_at_its_picture():
    class Broken(Colours):
        def detect(self, shown):
            if self.num_detections == 1:
                raise RuntimeError("no memory")
            return super().detect(shown)

    tracker = FaceTracker(Broken(), 5)
    steps = list(with_later(pictures([picture((RED, 20, 30))] * 12), 5))
    for each, later in steps[:5]:
        assert len(tracker.track(each.time_s, each.rgb(), later)) == 1
    with pytest.raises(RuntimeError, match="no memory"):
        tracker.track(steps[5][0].time_s, steps[5][0].rgb(), steps[5][1])


def decodable(*flags):
    return [StillPicture(i / FPS, texture(RED)) if flag else Picture(i / FPS, None) for i, flag in enumerate(flags)]


@pytest.mark.parametrize(
    ("flags", "num", "wanted"),
    [
        ((), 2, []),
        ((1, 1), 2, [None, None]),
        ((1, 1, 1, 1), 2, [2, 3, None, None]),
        ((1, 0, 1, 1), 2, [3, None, None, None]),
        ((0, 0, 1, 0, 1, 0, 0, 1), 1, [None, None, 4, None, 7, None, None, None]),
        ((0, 0), 1, [None, None]),
        ((1,) * 12, MAX_AHEAD, [10, 11, *[None] * 10]),
        ((1,) * 13, MAX_AHEAD + 1, [None] * 13),
    ],
)
def test_the_later_picture_is_the_one_so_many_decoded_pictures_after(flags, num, wanted):
    shown = decodable(*flags)
    found = list(with_later(iter(shown), num))
    assert [each for each, _ in found] == shown
    assert [None if later is None else shown.index(later) for _, later in found] == wanted


def test_no_more_pictures_wait_than_are_looked_ahead():
    read = []
    steps = with_later((read.append(each) or each for each in decodable(*[1] * 20)), 5)
    next(steps)
    assert len(read) == 6
