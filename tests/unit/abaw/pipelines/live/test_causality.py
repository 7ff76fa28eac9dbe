"""What depends on later frames is refused by name, with what to use instead; aligners that claim to be causal are."""

import json

import numpy as np
import pytest

import abaw
from abaw.errors import InputError
from extract import ALIGNERS
from extract.align import CAUSAL, apply
from tests.support.abaw.live_runs import write_random_run
from tests.support.extract.drawn_clips import picture, tone, write_video

MEMORY = {"name": "mmim", "hidden_dim": 8}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("media") / "drawn.mp4"
    write_video(path, [picture((20 + i, 30, 40)) for i in range(12)], tone(0.6))
    return path


def refusal(video, tmp_path, encoders=("face_hog",), model=None, smoother=None, **given):
    options = {key: given.pop(key) for key in ("target", "max_delay_s", "smoothed") if key in given}
    run = write_random_run(tmp_path / "run", encoders, model or MEMORY, **given)
    if smoother:
        path = run.folder / "post_processing.json"
        path.write_text(json.dumps({"va": {"smoother": smoother, "width": 5}}))
    try:
        with abaw.live(video, run.folder, real_time=False, **options) as session:
            assert len(list(session)) == 12
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": {"name": "bigru", "hidden_dim": 8}}, "the model bigru depends on later frames of a window: train "),
        ({"model": {"name": "tcn", "hidden_dim": 8}}, "the model tcn depends on later frames"),
        ({"encoders": ["voice_mel:means=past"], "features": {"voice_mel": {"align": "linear"}}},
         "features.voice_mel.align is linear, which takes rows after a frame: train with align: hold_last"),
        ({"encoders": ["voice_mel:means=past"], "features": {"voice_mel": {"align": "convolution"}}},
         "features.voice_mel.align is convolution, a convolution over rows around"),
        ({"features": {"face_hog": {"fill_gap_s": 0.2}}}, "face_hog.fill_gap_s fills gaps from the row after"),
        ({"features": {"face_hog": {"normalise": "group"}}}, "face_hog.normalise is group, by the"),
        ({"encoders": ["face_hog:stored_dtype=int8"]}, "face_hog is rounded to 8 bits by the columns"),
        ({"encoders": ["voice_mel"]}, "voice_mel needs 0.53 s of sound after a frame, and 0.1 s are allowed: "),
        ({"tasks": ("emi",)}, "emi is one answer for a whole clip"),
        ({"target": "longest"}, "the target is 'longest', who is chosen from the whole clip"),
        ({"smoother": "box"}, "the post-processing of va (box over 5 frames"),
    ],
)  # fmt: skip
def test_what_depends_on_later_frames_is_refused_by_name(given, message, video, tmp_path):
    found = refusal(video, tmp_path, **given)
    assert found.startswith("nothing after a frame is known live, but ")
    assert message in found


@pytest.mark.parametrize(
    "given",
    [
        {"features": {"face_hog": {"align": "linear"}}},  # every frame has a row of its own
        {"encoders": ["voice_mel"], "max_delay_s": 0.6},
        {"smoother": "box", "smoothed": False},
        {"target": "leftmost"},
    ],
)
def test_what_needs_no_later_frame_or_is_asked_for_runs(given, video, tmp_path):
    assert refusal(video, tmp_path, **given) == ""


@pytest.mark.parametrize("name", [part.name for part in ALIGNERS.parts()])
def test_an_aligner_is_causal_where_it_says_so_and_nowhere_else(name):
    rng = np.random.default_rng(0)
    times_s = np.sort(rng.uniform(0, 2, 40))
    values, goal_s = rng.normal(size=(40, 2)), np.arange(1, 50) / 25

    def aligned(until_s, num_rows):
        rows_s, observed = times_s[:num_rows], np.ones(num_rows, bool)
        plan = ALIGNERS.build(name, times_s=rows_s, observed=observed, goal_s=goal_s, max_gap_s=0.5)
        return np.where(plan.observed[:, None], apply(plan, values[:num_rows]), np.nan)[goal_s <= until_s]

    is_same = [
        np.array_equal(aligned(at_s, 40), aligned(at_s, int((times_s <= at_s).sum())), equal_nan=True)
        for at_s in goal_s
    ]
    assert all(is_same) == (name in CAUSAL)
