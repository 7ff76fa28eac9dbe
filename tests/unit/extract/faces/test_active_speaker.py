"""Active speaker detection: the target is who speaks."""

import numpy as np
import pytest

from extract import DETECTORS
from extract.faces.active_speaker import (
    MOTION_WEIGHT,
    RATE_HZ,
    _compute_evidence,
    compute_spectral_flux,
    detect_speakers,
)
from extract.faces.detector import FaceDetector
from extract.faces.geometry import Box, Face
from extract.media import Sound, sound
from extract.synthetic.face import EYES, FaceState, Head, Pose, draw_background, draw_person, paste_head
from extract.synthetic.write_clip import write_clip
from tests.support.drawn_faces import FPS, RED, Colours, picture, select_from

# who speaks


def voice(parts_s, seed=0):
    """Syllables of noise, one every 0.2 s or so, in the parts (start, stop); silence elsewhere."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(max(stop for _, stop in parts_s) * 16000)) / 16000
    loud = np.zeros(len(t))
    for start, stop in parts_s:
        at = start
        while at < stop:
            loud += rng.uniform(0.3, 1) * np.exp(-(((t - at) / 0.045) ** 2))
            at += rng.uniform(0.15, 0.35)
    return Sound((0.3 * np.clip(loud, 0, 1) * rng.uniform(-1, 1, len(t))).astype(np.float32), 16000, 0.0)


class Seats(FaceDetector):
    """A test detector for two who sit still."""

    boxes = (Box(50, 60, 110, 120), Box(240, 60, 110, 120))

    def detect(self, picture):
        return [Face(box) for box in self.boxes]

    def recipe(self):
        return {"finder": "seats", "settings": {}, "version": 1}


def talk(times_s, jaws):
    """Two drawn faces side by side whose jaws move."""
    rng = np.random.default_rng(3)
    people = [draw_person(rng) for _ in jaws]
    wall = draw_background(people[0], (400, 240), [(person, x) for person, x in zip(people, (105, 295), strict=True)])
    heads = [Head(person) for person in people]
    for i, time_s in enumerate(times_s):
        image = wall.copy()
        for head, x, jaw in zip(heads, (105, 295), jaws, strict=True):
            pose = Pose(x + np.sin(time_s + x), 100 + EYES[1] * 0, 1.0, 0.02 * np.sin(2 * time_s + x))
            paste_head(image, head.draw(FaceState(0, 0, 0, 1, float(jaw[i]))), head.alpha, pose)
        yield image


def loudness(recording, times_s):
    """About 0 .. 1, in the 80 ms around each time."""
    samples = np.pad(np.abs(recording.samples), (640, 80000))
    return np.array([samples[round(time_s * 16000) :][:1280].mean() for time_s in times_s]) * 10


@pytest.fixture(scope="module")
def turns(tmp_path_factory):
    """The left one speaks for 2.5 s, then the right one; and the same mirrored."""
    times_s = np.arange(125) / FPS
    first, second = voice([(0.1, 2.4)]), voice([(2.6, 4.9)], 1)
    recording = Sound(second.samples + np.pad(first.samples, (0, len(second.samples) - len(first.samples))), 16000, 0.0)
    shown = list(talk(times_s, (loudness(first, times_s), loudness(second, times_s))))
    folder = tmp_path_factory.mktemp("turns")
    write_clip(folder / "plain.mp4", shown, times_s, recording)
    write_clip(folder / "mirrored.mp4", [np.ascontiguousarray(image[:, ::-1]) for image in shown], times_s, recording)
    write_clip(folder / "silent.mp4", shown, times_s, Sound(np.zeros(80000, np.float32), 16000, 0.0))
    write_clip(folder / "mute.mp4", shown, times_s)
    return folder


def is_left(faces):
    return np.array([face.box.centre_x < 200 for face in faces])


def test_the_target_changes_with_the_speaker(turns):
    _, seen = select_from(turns / "plain.mp4", "speaking", Seats())
    left = is_left(seen)
    assert left[:50].all()
    assert not left[75:].any()
    assert {face.person for face in seen} == {0, 1}
    _, seen = select_from(turns / "mirrored.mp4", "speaking", Seats())
    assert not is_left(seen)[:50].any()
    assert is_left(seen)[75:].all()


@pytest.mark.parametrize("name", ["silent.mp4", "mute.mp4"])
def test_in_a_silent_clip_the_largest_is_the_target(turns, name, monkeypatch):
    for larger, expected in ((0, True), (1, False)):
        boxes = [
            Box(box.x - 9 * (i == larger), box.y, 110 + 18 * (i == larger), 120) for i, box in enumerate(Seats.boxes)
        ]
        monkeypatch.setattr(Seats, "boxes", tuple(boxes))
        assert (is_left(select_from(turns / name, "speaking", Seats())[1]) == expected).all()
        monkeypatch.undo()


def test_a_single_person_is_the_target_whoever_speaks(film):
    path = film([picture((RED, 100, 40))] * 20, voice([(0.1, 0.7)]))
    assert all(select_from(path, "speaking", Colours())[1])


def test_a_steady_tone_has_no_spectral_flux_and_an_onset_has():
    t = np.arange(RATE_HZ * 2) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 440 * t) * (t > 1)
    change = compute_spectral_flux(Sound(tone.astype(np.float32), RATE_HZ, 5.0), 5.0 + np.array([0.5, 1.0, 1.5, 9.0]))
    assert change[1] > 0.5
    assert change[[0, 2, 3]] == pytest.approx(0, abs=0.05)
    assert compute_spectral_flux(Sound(np.zeros(99, np.float32), RATE_HZ, 0.0), np.array([0.0, 1.0])) is None


def test_a_speaker_who_is_hidden_for_a_moment_remains_the_speaker():
    times_s = np.arange(100) / FPS
    recording = voice([(0.0, 4.0)])
    moved = loudness(recording, times_s)
    frames = np.concatenate([np.stack([np.arange(100)] * 2, 1).ravel()])
    persons, motions = np.tile([0, 1], 100), np.stack([moved, np.full(100, 0.1)], 1).ravel()
    keep = ~((persons == 0) & (frames > 40) & (frames < 60))
    eight = Sound(recording.samples[::2], RATE_HZ, 0.0)
    assert (detect_speakers(times_s, frames[keep], persons[keep], motions[keep], eight) == 0).all()
    assert (detect_speakers(times_s, frames, 1 - persons, motions, eight) == 1).all()
    assert (detect_speakers(times_s, frames[:0], persons[:0], motions[:0], eight) == -1).all()


def test_motion_is_compared_with_the_sound_a_few_frames_later():
    """A mouth that moves in frame 10, and sound that changes in frame 12."""
    motion, flux = np.zeros(20), np.zeros(30)
    motion[5], flux[12] = 2.0, 3.0
    evidence = {lag: _compute_evidence(5, motion, flux, lag) for lag in (-2, 0, 2)}
    assert evidence[2][5] == pytest.approx(2 * (3 + MOTION_WEIGHT))
    assert evidence[0][5] == evidence[-2][5] == pytest.approx(2 * MOTION_WEIGHT)
    assert not np.delete(evidence[2], 5).any()


# real clips


@pytest.mark.parametrize("name", ["haar", "yunet"])
def test_the_person_whose_voice_it_is_is_the_speaker_also_in_the_mirrored_clip(media, clip, tmp_path, yunet, name):
    detector, path = DETECTORS.build("haar") if name == "haar" else yunet, media / "nasty/two_faces_audio_of_left.mp4"
    shown, seen = select_from(path, "speaking", detector)
    middle = shown[0].shape[1] / 2
    assert np.mean([face is not None and face.box.centre_x < middle for face in seen]) > 0.9
    times_s = [time_s for time_s, _ in clip("nasty/two_faces_audio_of_left.mp4")]
    mirrored = [np.ascontiguousarray(rgb[:, ::-1]) for rgb in shown]
    write_clip(tmp_path / "m.mp4", mirrored, times_s, sound(path))
    _, seen = select_from(tmp_path / "m.mp4", "speaking", detector)
    assert np.mean([face is not None and face.box.centre_x > middle for face in seen]) > 0.9
