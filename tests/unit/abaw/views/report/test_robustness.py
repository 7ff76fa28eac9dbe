"""What a report says of the curve of shifted sound."""

import pytest

from abaw.evaluation.robustness import Curve, Point
from abaw.views.report.sections.robustness import describe_optimum

WITHOUT = (0.0, 0.0, (0.0, 0.0))
CHANCE = "above that without a shift: a difference that chance explains."
BEYOND = "+0.0200 (95 % +0.0100 to +0.0300) above that without a shift."


def words_of(*points):
    found = [
        Point({"F1": 0.74 + difference}, None, difference, interval, strength=shift_s)
        for shift_s, difference, interval in points
    ]
    return describe_optimum("runs/a", Curve("sound shifted", "s", "", ["voice"], found))


@pytest.mark.parametrize(
    ("shifted", "words"),
    [
        ((-0.1, -0.01, (-0.02, 0.01)), "the score is highest without a shift."),
        ((-0.1, 0.002, (-0.004, 0.009)), CHANCE),
        ((-0.1, 0.02, (0.01, 0.03)), BEYOND),
    ],
)
def test_a_better_shift_is_shown_with_its_interval_and_chance_is_called_chance(shifted, words):
    assert words_of(shifted, WITHOUT).endswith(words)
