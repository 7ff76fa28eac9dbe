"""The scores after every step of a recipe."""

import numpy as np
import pytest

from abaw.competition.ablation import Step, lines, steps
from abaw.postprocessing import PostProcessing
from abaw.tasks import TASKS
from tests.support.recipes import tables


def test_the_score_is_given_after_every_step(data, tmp_path):
    truth = np.array([[0.5, 0.1], [0.2, -0.3]])
    tables(tmp_path / "one", lambda _: truth + 0.2, {})
    tables(tmp_path / "two", lambda _: truth - 0.1, {})
    post_processing = PostProcessing(scale=(1.0, 1.0), bias=(-0.05, -0.05), fitted_on=("b",))
    ensemble = {"how": "weighted", "weights": [0.5, 0.5], "members": ["one", "two"], "fitted_on": ["b"]}
    tables(
        tmp_path / "both", lambda _: truth + 0.05, {"post_processing": post_processing.document(), "ensemble": ensemble}
    )
    task = TASKS.build("va")
    found = steps(task, {"one": tmp_path / "one", "two": tmp_path / "two"}, tmp_path / "both", data)
    names = ["one", "two", "mean of 2", "weighted ensemble", "no smoothing (none helped)", "scale and bias"]
    assert [step.name for step in found] == names
    assert [step.after for step in found] == [None, None, "two", *names[2:5]]
    assert found[-1].rank == pytest.approx(1)
    assert found[2].rank == pytest.approx(found[3].rank) == pytest.approx(found[4].rank)
    assert found[0].rank < found[1].rank < found[2].rank < 1
    shown = list(lines("va", found))
    assert shown[-1].split()[:3] == ["scale", "and", "bias"]
    assert shown[-1].endswith(f"{1 - found[4].rank:+.4f} over no smoothing (none helped)")
    alone = steps(task, {"one": tmp_path / "one"}, tmp_path / "both", data)
    assert [step.name for step in alone] == ["one", *names[4:]]


def test_post_processing_fitted_on_the_scored_videos_is_a_leak(data, tmp_path):
    tables(tmp_path / "one", lambda _: np.zeros((2, 2)), {})
    tables(
        tmp_path / "both", lambda _: np.zeros((2, 2)), {"post_processing": PostProcessing(fitted_on=("d",)).document()}
    )
    with pytest.raises(ValueError, match="a leak: .*'d'"):
        steps(TASKS.build("va"), {"one": tmp_path / "one"}, tmp_path / "both", data)


def test_a_step_that_is_compared_with_none_has_no_difference():
    assert list(lines("va", [Step("one", {"CCC": 0.5, "n": 3})]))[1] == "  one  0.5000"
