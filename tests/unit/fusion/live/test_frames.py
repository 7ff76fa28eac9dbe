"""Frame by frame, a model that depends on no later step gives what it gives for windows of a whole clip."""

import numpy as np
import pytest
import torch

from abaw.batches import Window, collate
from abaw.errors import InputError
from abaw.tracks import Track
from fusion.checkpoint import build_module, find_context
from fusion.live.frames import FramePredictor
from fusion.predict import predict
from fusion.validation import stitch_windows
from tests.support.memory import make_config, make_tasks, with_training

DIMS = {"face": 3, "voice": 2}


def config_of(model, window=(20, 10), **changes):
    settings = {"causal": True} if model == "tcn" else {}
    return with_training(make_config(model, window=window, settings=settings), **changes)


def rows_of(source, clip_id):
    clock = source.clock(clip_id)
    whole = {name: source.read(name, clip_id, clock.times_s[0], clock.times_s[-1]) for name in DIMS}
    for i, time_s in enumerate(clock.times_s):
        yield time_s, {name: Track(t.values[[i]], t.times_s[[i]], t.observed[[i]]) for name, t in whole.items()}


def frame_by_frame(module, source, clip_id, config, states_of=()):
    predictor = FramePredictor(module, config.window, find_context(config), states_of=states_of)
    found = []
    for time_s, rows in rows_of(source, clip_id):
        predictor.add(time_s, rows)
        found.append(predictor.predict())
    raw = {name: np.concatenate([each[name] for each, _ in found]) for name in found[0][0]}
    return raw, {name: np.concatenate([seen[name] for _, seen in found]) for name in DIMS}


def on_the_grid(module, source, clip_id, config):
    """Raw outputs of every window that begins at a multiple of the stride; the last ones are cut off by the clip."""
    steps = list(rows_of(source, clip_id))
    pieces = []
    for first in range(0, len(steps), config.window.stride):
        part = steps[first : first + config.window.length]
        times_s = np.array([time_s for time_s, _ in part])
        signals = {
            name: Track(
                np.concatenate([r[name].values for _, r in part]), times_s,
                np.concatenate([r[name].observed for _, r in part]),
            )
            for name in DIMS
        }  # fmt: skip
        batch = collate([Window(clip_id, first, torch.tensor(times_s), signals, {}, {})])
        pieces.append((first, module.outputs(batch)[0][0]["va"]))
    return stitch_windows(pieces, module.tasks["va"], config)


@pytest.mark.parametrize("model", ["concat", "tcn", "mmim", "mamba", "graph_mfn", "mfm"])
def test_frames_one_by_one_are_the_windows_on_the_grid(source, model):
    config = config_of(model)
    module = build_module(config, make_tasks(), DIMS).eval()
    raw, _ = frame_by_frame(module, source, "both", config)
    np.testing.assert_allclose(raw["va"], on_the_grid(module, source, "both", config), atol=1e-5)
    assert raw["va"].std() > 1e-3


@pytest.mark.parametrize(("shift", "stride"), [(0, 20), (3, 20), (3, 7), (0, 1)])
def test_a_clip_that_ends_with_a_window_has_the_numbers_of_predict(source, shift, stride):
    config = config_of("tcn", (60, stride) if stride < 20 else (20, stride), label_shift=shift)
    module = build_module(config, make_tasks(), DIMS).eval()
    if stride < 20:  # one window, and those that begin in it, which predict does not have
        config = config.model_copy(update={"window": config.window.model_copy(update={"stride": 60})})
    raw, seen = frame_by_frame(module, source, "both", config, states_of=["va"])
    ((_, expected, observed),) = predict(module, source, ["both"], config.window, states_of=["va"])
    assert expected.keys() == raw.keys()
    for name in expected:
        np.testing.assert_allclose(raw[name], expected[name], atol=1e-5)
    for name in DIMS:
        np.testing.assert_array_equal(seen[name], observed[name])


def test_weights_by_the_centre_of_a_window_are_those_of_whole_windows(source):
    config = config_of("concat", (20, 10))
    config = config.model_copy(update={"window": config.window.model_copy(update={"overlap": "centre"})})
    module = build_module(config, make_tasks(), DIMS).eval()
    raw, _ = frame_by_frame(module, source, "both", config)
    ((_, expected, _),) = predict(module, source, ["both"], config.window)
    np.testing.assert_allclose(raw["va"], expected["va"], atol=1e-5)


def test_a_model_that_needs_the_whole_window_is_refused():
    config = make_config("bigru")
    module = build_module(config, make_tasks(), DIMS)
    with pytest.raises(InputError, match="depend on the window, expected"):
        FramePredictor(module, config.window, find_context(config))
