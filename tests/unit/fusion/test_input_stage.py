"""The input stage: normalisation, projection, alignment by convolution, hidden inputs; 0 where nothing was observed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from abaw.batches import Batch, Signal
from abaw.configs.sections import FeatureConfig
from extract import align
from fusion.input_stage import LIMIT_STD, InputStage, compute_model_dims
from fusion.normalisation.statistics import FeatureStatistics


def make_batch(values, observed=None, *, times_s=None, name="face"):
    values = torch.as_tensor(values, dtype=torch.float32)[None]
    num = values.shape[1]
    seen = torch.ones(1, num, dtype=torch.bool) if observed is None else torch.tensor([observed])
    clock_s = torch.arange(num if times_s is None else times_s, dtype=torch.float64)[None] / 25
    signal = Signal(values, torch.arange(num, dtype=torch.float64)[None] / 25, seen, torch.tensor([num]))
    return Batch(("a",), torch.tensor([0]), torch.tensor([clock_s.shape[1]]), clock_s, {name: signal}, {}, {})


def make_front(mean, std):
    input_stage = InputStage({"face": len(mean)})
    input_stage.set_statistics({"face": FeatureStatistics(np.array(mean, float), np.array(std, float))})
    return input_stage


def test_values_are_standardised_and_unobserved_ones_become_0():
    inputs = make_front([1.0, 10.0], [2.0, 5.0])(make_batch([[3.0, 0.0], [np.nan, np.inf]], [True, False]))
    assert inputs.features["face"].tolist() == [[[1.0, -2.0], [0.0, 0.0]]]
    assert inputs.observed["face"].tolist() == [[True, False]]


def test_a_value_far_out_of_its_range_is_held_at_the_limit():
    inputs = make_front([0.0], [1e-3])(make_batch([[5.0], [-5.0]]))
    assert inputs.features["face"].flatten().tolist() == [LIMIT_STD, -LIMIT_STD]


def test_the_spread_is_saved_with_the_weights():
    input_stage, other = make_front([1.0], [2.0]), InputStage({"face": 1})
    other.load_state_dict(input_stage.state_dict())
    batch = make_batch([[5.0]])
    assert torch.equal(other(batch).features["face"], input_stage(batch).features["face"])


def test_signals_that_are_not_on_the_clock_are_refused():
    with pytest.raises(ValueError, match=r"'face' has 4 rows for 3 frames, expected one row per frame"):
        make_front([0.0], [1.0])(make_batch(np.zeros((4, 1)), times_s=3))


def test_a_missing_signal_and_another_width_are_errors():
    with pytest.raises(ValueError, match=r"the batch has no signal 'face', only \['voice'\]"):
        make_front([0.0], [1.0])(make_batch([[0.0]], name="voice"))
    with pytest.raises(ValueError, match="'face' has 3 features, the model was built with 1"):
        make_front([0.0], [1.0])(make_batch([[0.0, 1.0, 2.0]]))


def test_each_modality_keeps_its_own_observed_flags():
    signals = {
        name: Signal(torch.ones(1, 3, 2), torch.zeros(1, 3, dtype=torch.float64), flags, torch.tensor([3]))
        for name, flags in (("a", torch.tensor([[True, False, True]])), ("b", torch.tensor([[False, True, True]])))
    }
    batch = Batch(("x",), torch.tensor([0]), torch.tensor([3]), torch.zeros(1, 3, dtype=torch.float64), signals, {}, {})
    inputs = InputStage({"a": 2, "b": 2})(batch)
    for name, signal in signals.items():
        assert torch.equal(inputs.observed[name], signal.observed)


def on_clock_batch(dims, num_clips=2, num_steps=9, seed=0):
    """Signals on the clock, three rows in four observed, NaN elsewhere; the second clip is shorter."""
    generator = torch.Generator().manual_seed(seed)
    times_s = torch.arange(num_steps, dtype=torch.float64).repeat(num_clips, 1) / 25
    lengths = torch.tensor([num_steps] + [num_steps - 3] * (num_clips - 1))
    signals = {}
    for name, dim in dims.items():
        flags = torch.rand(num_clips, num_steps, generator=generator) < 0.75
        values = torch.randn(num_clips, num_steps, dim, generator=generator)
        signals[name] = Signal(torch.where(flags[..., None], values, torch.nan), times_s, flags, lengths)
    return Batch(tuple("abcdefgh"[:num_clips]), torch.zeros(num_clips, dtype=int), lengths, times_s, signals, {}, {})


def test_a_projection_changes_the_width_and_leaves_unobserved_steps_0():
    features = {"face": FeatureConfig(project_dim=4)}
    input_stage, batch = InputStage({"face": 3}, features), on_clock_batch({"face": 3})
    inputs = input_stage(batch)
    assert compute_model_dims({"face": 3, "voice": 2}, features) == {"face": 4, "voice": 2}
    assert inputs.features["face"].shape == (2, 9, 4)
    flags = batch.signals["face"].observed
    assert (inputs.features["face"][~flags] == 0).all()
    seen = batch.signals["face"].values[flags]
    torch.testing.assert_close(inputs.features["face"][flags], input_stage.channels[0].project(seen))


def test_a_learned_norm_is_learned_and_needs_no_statistics():
    input_stage = InputStage({"face": 3}, {"face": FeatureConfig(normalise="learned")})
    input_stage.set_statistics({"face": FeatureStatistics(np.full(3, 100.0), np.full(3, 7.0))})
    batch = on_clock_batch({"face": 3})
    values, flags = input_stage(batch).features["face"], batch.signals["face"].observed
    torch.testing.assert_close(values[flags].mean(-1), torch.zeros(int(flags.sum())), atol=1e-5, rtol=0)
    (values**2).sum().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().max() > 0 for p in input_stage.parameters())
    with pytest.raises(
        ValueError, match="features.face: normalise is 'learned', but the layer norm of a single feature is always 0"
    ):
        InputStage({"face": 1}, {"face": FeatureConfig(normalise="learned")})


def test_without_normalisation_values_pass_as_they_are():
    input_stage, batch = InputStage({"face": 3}, {"face": FeatureConfig(normalise="none")}), on_clock_batch({"face": 3})
    input_stage.set_statistics({"face": FeatureStatistics(np.full(3, 100.0), np.full(3, 7.0))})
    flags = batch.signals["face"].observed
    assert torch.equal(input_stage(batch).features["face"][flags], batch.signals["face"].values[flags])


def test_noise_is_added_to_what_was_observed_and_in_training_only():
    input_stage, batch = (
        InputStage({"face": 3}, {"face": FeatureConfig(noise_std=0.5)}),
        on_clock_batch({"face": 3}, 8, 200),
    )
    flags = batch.signals["face"].observed
    quiet = input_stage.eval()(batch).features["face"]
    noise = input_stage.train()(batch).features["face"] - quiet
    assert torch.equal(quiet[flags], batch.signals["face"].values[flags].clamp(-LIMIT_STD, LIMIT_STD))
    assert noise[flags].std().item() == pytest.approx(0.5, rel=0.05)
    assert (noise[~flags] == 0).all()


def test_modalities_and_steps_are_lost_in_training_only_and_as_often_as_asked():
    torch.manual_seed(0)
    features = {"face": FeatureConfig(modality_dropout=0.3), "voice": FeatureConfig(step_dropout=0.2)}
    input_stage = InputStage({"face": 3, "voice": 2}, features)
    batch = on_clock_batch({"face": 3, "voice": 2}, 8, 200)
    flags = {name: signal.observed for name, signal in batch.signals.items()}
    assert all(torch.equal(input_stage.eval()(batch).observed[name], flags[name]) for name in flags)
    drawn = [input_stage.train()(batch).observed for _ in range(100)]
    lost = torch.stack([~each["face"].any(1) for each in drawn]).float().mean().item()
    assert lost == pytest.approx(0.3, abs=0.04)
    kept = torch.stack([each["voice"][flags["voice"]].float().mean() for each in drawn]).mean().item()
    assert kept == pytest.approx(0.8, abs=0.01)
    assert not any((each[name] & ~flags[name]).any() for each in drawn for name in flags)


def test_steps_are_lost_clip_by_clip():
    torch.manual_seed(0)
    input_stage = InputStage({"face": 3}, {"face": FeatureConfig(step_dropout=0.5)})
    batch = on_clock_batch({"face": 3}, 2, 200)
    batch.signals["face"].observed[:] = True
    one, two = input_stage.train()(batch).observed["face"]
    assert not torch.equal(one, two)


def own_rate(rows=80, clips=3, dim=4, seed=0):
    """Tracks of 49.95 Hz with gaps, NaN where unobserved, and clocks of 29.97 frames a second that reach beyond."""
    rng = np.random.default_rng(seed)
    lengths = [rows, rows - 17, 0][:clips]
    times_s = [0.1 + np.arange(length) / 49.95 + (np.arange(length) > 30) * 0.7 for length in lengths]
    observed = [rng.random(length) < 0.8 for length in lengths]
    values = [rng.normal(size=(length, dim)).astype(np.float32) for length in lengths]
    for value, flags in zip(values, observed, strict=True):
        value[~flags] = np.nan
    goal_s = np.arange(70) / 29.97 + np.array([0.0, 0.013, 0.0])[:clips, None]
    pad = torch.nn.utils.rnn.pad_sequence
    signal = Signal(
        pad([torch.tensor(each) for each in values], batch_first=True, padding_value=torch.nan),
        pad([torch.tensor(each) for each in times_s], batch_first=True),
        pad([torch.tensor(each) for each in observed], batch_first=True),
        torch.tensor(lengths),
    )
    return values, times_s, observed, torch.tensor(goal_s), signal


def convolving(kernel, dim=4, out_dim=0, max_gap_s=0.3):
    feature = FeatureConfig(align="convolution", kernel=kernel, project_dim=out_dim, max_gap_s=max_gap_s)
    return InputStage({"voice": dim}, {"voice": feature})


def batch_of(signal, goal_s):
    num, inputs = goal_s.shape
    return Batch(
        tuple("abc"[:num]), torch.zeros(num, dtype=int), torch.full((num,), inputs), goal_s, {"voice": signal}, {}, {}
    )


def test_a_kernel_of_1_with_identity_weights_is_linear_interpolation():
    values, times_s, observed, goal_s, signal = own_rate()
    input_stage = convolving(1)
    with torch.no_grad():
        input_stage.channels[0].convolve.layer.weight.copy_(torch.eye(4)[..., None])
        input_stage.channels[0].convolve.layer.bias.zero_()
    inputs = input_stage(batch_of(signal, goal_s))
    for i in range(3):
        plan = align.linear(times_s=times_s[i], observed=observed[i], goal_s=goal_s[i].numpy(), max_gap_s=0.3)
        np.testing.assert_array_equal(inputs.observed["voice"][i], plan.observed)
        expected = align.apply(plan, values[i])
        np.testing.assert_allclose(inputs.features["voice"][i].detach(), expected, atol=1e-5)
    assert 0.2 < inputs.observed["voice"][:2].float().mean() < 0.9
    assert not inputs.observed["voice"][2].any()


def test_a_convolution_at_the_tracks_own_rate_sees_the_rows_beside_and_not_the_unobserved():
    values, times_s, observed, goal_s, signal = own_rate(clips=1)
    input_stage = convolving(3, out_dim=2)
    inputs = input_stage(batch_of(signal, goal_s))
    layer, seen = input_stage.channels[0].convolve.layer, observed[0]
    hidden = np.nan_to_num(values[0])
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    padded = np.pad(hidden, ((1, 1), (0, 0)))
    rows = np.stack([np.einsum("ock,kc->o", weight, padded[i : i + 3]) + bias for i in range(len(hidden))])
    plan = align.linear(times_s=times_s[0], observed=seen, goal_s=goal_s[0].numpy(), max_gap_s=0.3)
    np.testing.assert_allclose(
        inputs.features["voice"][0].detach(), align.apply(plan, rows.astype(np.float32)), atol=1e-5
    )
    inputs.features["voice"].square().sum().backward()
    assert torch.isfinite(layer.weight.grad).all()
    assert layer.weight.grad.abs().amin() > 0


def test_padding_is_never_observed_whatever_its_time():
    """A padded step lies at 0 s, where a track may well have a row."""
    _, _, _, goal_s, signal = own_rate(clips=1)
    signal = Signal(signal.values, signal.times_s - signal.times_s[:, :1], signal.observed, signal.lengths)
    goal_s = torch.cat([goal_s, torch.zeros(1, 3, dtype=torch.float64)], dim=1)
    batch = Batch(("a",), torch.zeros(1, dtype=int), torch.tensor([70]), goal_s, {"voice": signal}, {}, {})
    assert not convolving(3)(batch).observed["voice"][0, 70:].any()


@pytest.mark.parametrize("kernel", [1, 4, 5])
def test_a_batch_of_clips_without_a_row_is_unobserved_and_no_error(kernel):
    empty = Signal(
        torch.zeros(2, 0, 4),
        torch.zeros(2, 0, dtype=torch.float64),
        torch.zeros(2, 0, dtype=torch.bool),
        torch.zeros(2, dtype=int),
    )
    input_stage, goal_s = convolving(kernel, out_dim=6), torch.arange(9, dtype=torch.float64).repeat(2, 1)
    inputs = input_stage(batch_of(empty, goal_s))
    assert inputs.features["voice"].shape == (2, 9, 6)
    assert not inputs.features["voice"].any()
    assert not inputs.observed["voice"].any()


def test_the_front_fills_gaps_as_far_as_set_and_padding_never():
    features = {"face": FeatureConfig(fill_gap_s=0.2), "voice": FeatureConfig()}
    batch = on_clock_batch({"face": 3, "voice": 2}, num_steps=30, seed=3)
    inputs = InputStage({"face": 3, "voice": 2}, features)(batch)
    before, after = batch.signals["face"].observed, inputs.observed["face"]
    assert (after & ~before).any()
    assert torch.isfinite(inputs.features["face"][after]).all()
    assert torch.equal(inputs.features["face"][before], batch.signals["face"].values[before])
    assert torch.equal(inputs.observed["voice"], batch.signals["voice"].observed)
    ends = before.clone()
    ends[1, 20:] = False
    signals = {**batch.signals, "face": replace(batch.signals["face"], observed=ends)}
    assert (
        not InputStage({"face": 3, "voice": 2}, features)(replace(batch, signals=signals))
        .observed["face"][1, 20:]
        .any()
    )


def test_what_training_hides_is_filled_too():
    batch = on_clock_batch({"face": 3}, num_steps=200)
    hiding, filling = (
        InputStage({"face": 3}, {"face": FeatureConfig(step_dropout=0.5, fill_gap_s=gap)}).train() for gap in (0.0, 0.5)
    )
    torch.manual_seed(0)
    few = hiding(batch).observed["face"]
    torch.manual_seed(0)
    many = filling(batch).observed["face"]
    assert few.sum() < 0.6 * batch.signals["face"].observed.sum()
    assert many.sum() > 1.5 * few.sum()
    assert (many | ~few).all()


def test_filling_gaps_passes_a_gradient_to_what_was_observed_alone():
    features = {"face": FeatureConfig(fill_gap_s=0.5, project_dim=4)}
    input_stage, batch = InputStage({"face": 3}, features), on_clock_batch({"face": 3})
    input_stage(batch).features["face"].sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in input_stage.parameters())
