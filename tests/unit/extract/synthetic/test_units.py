"""Action units of the drawn faces."""

from abaw.dataset.names import ACTION_UNITS
from extract.synthetic import units
from extract.synthetic.face import FaceState


def test_every_unit_is_active_where_the_face_shows_it():
    rest = FaceState(0.2, 0.0, 0.0, 1.0, 0.05)
    shown = {
        "AU1": FaceState(0.2, 0.9, 0.0, 1.0, 0.05),
        "AU2": FaceState(0.2, -0.9, 0.0, 1.0, 0.05),
        "AU4": FaceState(0.2, -0.6, 0.0, 1.0, 0.05),
        "AU6": FaceState(0.2, 0.0, 0.7, 1.0, 0.05),
        "AU7": FaceState(0.2, 0.0, 0.0, 0.7, 0.05),
        "AU10": FaceState(0.6, 0.0, 0.0, 1.0, 0.3),
        "AU12": FaceState(0.6, 0.0, 0.0, 1.0, 0.05),
        "AU15": FaceState(-0.97, 0.0, 0.0, 1.0, 0.05),
        "AU23": FaceState(-0.8, 0.0, 0.0, 1.0, 0.0),
        "AU24": FaceState(0.0, 0.0, 0.0, 1.0, 0.0),
        "AU25": FaceState(0.2, 0.0, 0.0, 1.0, 0.2),
        "AU26": FaceState(0.2, 0.0, 0.0, 1.0, 0.7),
    }
    active = units.measure_units([rest, *shown.values()]) > 0
    marked = [{name for name, is_active in zip(ACTION_UNITS, row, strict=True) if is_active} for row in active]
    assert marked[0] == {"AU25"}
    for name, active_units in zip(shown, marked[1:], strict=True):
        assert name in active_units
        assert active_units - {name} <= {"AU25", "AU12" if name == "AU10" else "AU4"}
    blink = units.measure_units([FaceState(0.2, 0.0, 0.0, 0.08, 0.05)])
    assert blink[0, ACTION_UNITS.index("AU7")] < 0
