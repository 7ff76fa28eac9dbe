"""Standard deviations of values after post-processing."""

import numpy as np
import pytest

from abaw.postprocessing import PostProcessing
from abaw.results.deviations import post_process_deviations
from abaw.tasks import TASKS

VA = TASKS.build("va")


def test_standard_deviations_are_multiplied_by_the_scale_and_are_not_smoothed():
    spread = {"valence": np.float32([0.1, 0.3]), "arousal": np.float32([0.2, 0.2])}
    scaled = PostProcessing(smoother="box", width=3, scale=(2.0, -0.5), bias=(0.1, 0.0), match_scale=(1.0, 3.0))
    found = post_process_deviations(scaled, VA, spread)
    assert found["valence"] == pytest.approx([0.2, 0.6])
    assert found["arousal"] == pytest.approx([0.3, 0.3])
    smoothed = post_process_deviations(PostProcessing(smoother="box", width=3), VA, spread)
    assert (smoothed["valence"] == spread["valence"]).all()
