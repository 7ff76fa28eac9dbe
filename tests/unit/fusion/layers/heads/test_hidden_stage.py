"""Layers that a config adds between any model and the heads of its tasks."""

import pytest
import torch

from abaw.batches import collate
from abaw.configs.optional_sections import HiddenConfig
from abaw.configs.sections import PartConfig
from abaw.errors import InputError
from fusion.checkpoint import build_module, find_context, load_module
from fusion.data import WindowDataset
from fusion.predict import predict
from fusion.train import train
from tests.support.memory import make_config, make_tasks

DIMS = {"face": 3, "voice": 2}


def make(hidden=None, model="bigru", **settings):
    part = PartConfig.model_validate({"name": model, **settings})
    return make_config(max_epochs=1).model_copy(update={"hidden": HiddenConfig(**hidden or {}), "model": part})


def outputs_of(module, source, clip_ids=("both", "val_va")):
    window = module.config.window
    data = WindowDataset(source, clip_ids, {}, window)
    with torch.no_grad():
        return module.eval()(collate([data[0], data[len(data) - 1]]))[0]


def test_by_default_nothing_is_added():
    module = build_module(make(), make_tasks(), DIMS)
    assert [*module.hidden_stage.parameters()] == []
    assert not [key for key in module.state_dict() if key.startswith("hidden_stage")]


def test_heads_and_model_start_with_the_same_weights_with_and_without(source):
    without, with_ = (build_module(make(each), make_tasks(), DIMS) for each in ({}, {"frequency_attention": "dot"}))
    added = {key for key in with_.state_dict() if key not in without.state_dict()}
    assert added == {f"hidden_stage.attention.{name}" for name in with_.hidden_stage.attention.state_dict()}
    for key, value in without.state_dict().items():
        torch.testing.assert_close(with_.state_dict()[key], value, rtol=0, atol=0)
    raw, other = (outputs_of(each, source)["va"] for each in (without, with_))
    assert (raw - other).abs().max() > 1e-3


@pytest.mark.parametrize(("key", "value"), [("cutoff_hz", 6.0), ("head_dim", 3), ("num_repeats", 1)])
def test_every_setting_has_an_effect(source, key, value):
    modules = [
        build_module(make({"frequency_attention": "dot", **more}), make_tasks(), DIMS) for more in ({}, {key: value})
    ]
    raw, other = (outputs_of(each, source)["va"] for each in modules)
    assert (raw - other).abs().max() > 1e-6


@pytest.mark.parametrize("mode", ["dot", "linsoftmax"])
def test_a_run_with_it_trains_is_loaded_and_predicts_the_same(source, labels, tmp_path, mode):
    config = make({"frequency_attention": mode})
    trained = train(config, make_tasks(), labels, source, tmp_path)
    loaded = load_module(tmp_path, config, make_tasks())
    start = build_module(config, make_tasks(), DIMS).state_dict()
    for name in ("query.weight", "key.weight", "value.weight", "gain", "bias"):
        key = f"hidden_stage.attention.{name}"
        assert not torch.equal(loaded.state_dict()[key], start[key]), f"{name} was not trained"
    torch.testing.assert_close(outputs_of(loaded, source)["va"], outputs_of(trained, source)["va"])


def test_gating_multiplies_the_features_of_a_step_after_the_attention(source):
    module = build_module(make({"frequency_attention": "dot", "gating": True}), make_tasks(), DIMS)
    layer, head = module.hidden_stage.gate.gate, module.heads["va"]
    assert (outputs_of(module, source)["va"] - head.bias).abs().max() > 1e-3
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(layer.bias, -torch.inf)  # shut: what is left is the bias of the head
    torch.testing.assert_close(outputs_of(module, source)["va"], head.bias.expand(2, 20, 2))
    assert find_context(make({"gating": True}, "concat")) == "step"


@pytest.mark.parametrize(
    ("hidden", "model", "settings", "context"),
    [
        ({}, "concat", {}, "step"),
        ({}, "mamba", {}, "past"),
        ({}, "tcn", {}, "window"),
        ({}, "tcn", {"causal": True}, "past"),
        ({"frequency_attention": "dot"}, "concat", {}, "window"),
        ({"frequency_attention": "linsoftmax"}, "tcn", {"causal": True}, "window"),
    ],
)
def test_the_context_of_a_config_is_that_of_its_outputs(source, hidden, model, settings, context):
    config = make(hidden, model, **settings)
    assert find_context(config) == context
    module, data = build_module(config, make_tasks(), DIMS).eval(), WindowDataset(source, ["both"], {}, config.window)
    batch = collate([data[0]])
    before = module(batch)[0]["va"][0]
    for signal in batch.signals.values():
        signal.values[:, 10], signal.observed[:, 10] = 50.0, True
    differs = (module(batch)[0]["va"][0] - before).abs().amax(-1) > 1e-6
    assert (bool(differs[:10].any()), bool(differs[11:].any())) == (context == "window", context != "step")


def test_a_model_of_the_past_that_no_longer_is_one_is_warned_of(source, labels, tmp_path, caplog):
    train(make({"frequency_attention": "dot"}, "tcn", causal=True), make_tasks(), labels, source, tmp_path / "tcn")
    assert "outputs of tcn now depend on later frames, too (context window instead of past)" in caplog.text
    caplog.clear()
    train(make({"frequency_attention": "dot"}), make_tasks(), labels, source, tmp_path / "bigru")
    assert "later frames" not in caplog.text


@pytest.mark.parametrize("place", ["hidden", "model"])
def test_a_cut_off_above_half_a_clips_frame_rate_is_refused_in_training_and_prediction(source, labels, tmp_path, place):
    high = {"cutoff_hz": 12.6}
    config = (
        make({"frequency_attention": "dot", **high}) if place == "hidden" else make({}, "frequency_attention", **high)
    )
    match = rf"{place}.cutoff_hz is 12.6 Hz, but clip '\w+' has 25 frames a second, .* set {place}.cutoff_hz to 12.5"
    with pytest.raises(InputError, match=match):
        train(config, make_tasks(), labels, source, tmp_path)
    with pytest.raises(InputError, match=match):
        next(predict(build_module(config, make_tasks(), DIMS), source, ["both"], config.window))


def test_windows_that_are_too_short_for_the_cut_off_are_warned_of(source, labels, tmp_path, caplog):
    train(make({"frequency_attention": "dot", "cutoff_hz": 0.1}), make_tasks(), labels, source, tmp_path)
    assert "hidden.cutoff_hz is 0.1 Hz: of windows below 5 s only the mean is kept" in caplog.text
