"""Live extraction: what is done while a frame waits, and how it ends."""

import threading

import av
import numpy as np

from extract import align
from extract.encoders import ENCODERS
from extract.engine.live.extraction import AlignedTrack, LiveExtraction
from extract.engine.plan import EncoderSpec
from extract.faces.detector import FaceDetector
from extract.faces.target import TargetConfig
from extract.media import Picture
from extract.media.audio_buffer import SoundFrame
from extract.media.live.sources import LiveSource

RATE_HZ = 16000
PATIENCE_S = 20.0


class Counting(FaceDetector):
    """Finds no face; ``second`` is set once the second picture is searched."""

    def __init__(self):
        self.num, self.second = 0, threading.Event()

    def detect(self, picture):
        self.num += 1
        if self.num == 2:
            self.second.set()
        return []

    def recipe(self):
        return {"finder": "counting", "settings": {}}


class Waiting(LiveSource):
    """Two pictures, whose sound comes once ``event`` is set; ``stalls``: there is no second picture until the end."""

    name, is_recorded, has_sound = "waiting", False, True

    def __init__(self, event, *, stalls=False):
        super().__init__()
        self.event, self.stalls, self.never = event, stalls, threading.Event()

    def pictures(self):
        yield Picture(0.0, av.VideoFrame(64, 48, "rgb24"))
        if self.stalls:
            self.never.wait()
        yield Picture(0.04, av.VideoFrame(64, 48, "rgb24"))

    def sound(self):
        if not self.event.wait(PATIENCE_S):
            raise TimeoutError("no second picture was looked at")
        yield SoundFrame(np.full(RATE_HZ, 0.1, np.float32), RATE_HZ, 0.0)

    def close(self):
        self.never.set()


def extraction_of(source, detector):
    chosen = {"face_hog": {}, "voice_mel": {"means": "past"}}
    specs = [EncoderSpec(name, ENCODERS.build(name, **settings), "float32") for name, settings in chosen.items()]
    tracks = {each.name: AlignedTrack(each, align.hold_last, 0.5) for each in specs}
    return LiveExtraction(source, tracks, {}, TargetConfig(detector, detect_every=1), real_time=False)


def test_faces_of_the_next_picture_are_searched_while_a_frame_waits_for_its_sound():
    detector = Counting()
    frames = list(extraction_of(Waiting(detector.second), detector).frames())
    assert [frame.number for frame in frames] == [1, 2]
    assert [frame.rows["voice_mel"].observed.tolist() for frame in frames] == [[True], [True]]


def test_it_can_end_while_no_picture_comes():
    event = threading.Event()
    event.set()
    source = Waiting(event, stalls=True)
    frames = extraction_of(source, Counting()).frames()
    assert next(frames).number == 1
    frames.close()
    assert source.never.is_set()
