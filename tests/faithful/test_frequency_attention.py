"""Frequency attention against FsaNet's equations and claims (arXiv 2211.15595).

``benchmarks/seed_systems/frequency_attention.py`` has the reference and measures all claims with three seeds.
"""

import pytest
import torch

from benchmarks.seed_systems import frequency_attention as proofs
from benchmarks.seed_systems.worlds import smooth_clips
from fusion.layers.frequency import FrequencySelfAttention, padded_basis
from fusion.models import FUSION_MODELS
from tests.support.inputs import THREE, make_inputs, run

each_mode = pytest.mark.parametrize("mode", proofs.MODES)


@each_mode
@pytest.mark.parametrize("num_steps", [1, 2, 40, 300])
def test_with_all_coefficients_it_is_full_linear_attention(mode, num_steps):
    assert proofs.measure_exactness(mode, num_steps, num_steps, 0)[0] <= 1e-10


@each_mode
@pytest.mark.parametrize("num_coefficients", [1, 2, 7, 39])
def test_with_any_number_it_is_full_attention_of_the_low_passed_values(mode, num_coefficients):
    low_passed, of_values = proofs.measure_exactness(mode, 40, num_coefficients, 1)
    assert low_passed <= 1e-10
    assert of_values > 1e-4  # the control: of the values themselves it is another one


@each_mode
def test_padding_changes_nothing_and_a_basis_of_the_padded_length_would(mode):
    found, naive = proofs.measure_padding(mode, 0)
    assert found <= 1e-10
    assert naive > 1e-3


@each_mode
def test_a_step_by_step_loop_gives_the_same(mode):
    """Sums over steps as the paper writes them, of queries, keys and values made at each step."""
    torch.manual_seed(2)
    layer, values = FrequencySelfAttention(5, head_dim=3, mode=mode).double(), torch.randn(1, 12, 5).double()
    lengths, numbers = torch.tensor([12]), torch.tensor([12])
    query, key, value = (each(values[0]).detach() for each in (layer.query, layer.key, layer.value))
    expected = torch.zeros(12, 5).double()
    for n in range(12):
        weights = [(key[m] @ query[n]).item() for m in range(12)]
        if mode == "linsoftmax":
            weights = [1 + w / (key[m].norm() * query[n].norm()).item() for m, w in enumerate(weights)]
        total = sum(weights) if mode == "linsoftmax" else 12
        expected[n] = sum(weight * value[m] for m, weight in enumerate(weights)) / total
    basis = padded_basis(lengths, numbers, 12, values)
    torch.testing.assert_close(layer.attend(values, lengths, basis)[0].detach(), expected, atol=1e-12, rtol=0)


@each_mode
def test_operations_and_memory_at_the_papers_size(mode):
    flops, largest = proofs.measure_saving(mode, proofs.PAPER_SIZE)
    assert flops >= 96.13
    assert largest >= 87


@each_mode
@pytest.mark.parametrize("size", proofs.SIZES)
def test_operations_at_the_sizes_of_windows(mode, size):
    assert proofs.measure_saving(mode, size)[0] >= proofs.SIZES[size][proofs.MODES.index(mode)] - 0.1


def test_operations_of_regular_attention_are_those_that_were_noted():
    for size, gflops in ((proofs.PAPER_SIZE, 108.152), ((1000, 128, 32, 16), 0.3692), ((4096, 256, 32, 64), 10.335)):
        assert proofs.measure_cost(None, size)[0] / 1e9 == pytest.approx(gflops, rel=1e-3)


@each_mode
def test_operations_double_with_the_steps(mode):
    assert proofs.measure_growth(mode) == pytest.approx(2, abs=0.02)


def test_low_passing_a_trained_network_loses_little_and_training_at_the_cut_off_nothing():
    """The control: without attention the offset of a clip is not seen."""
    found = smooth_clips.compare("dot", 0)
    assert found["all"] - found["low-passed"] <= 0.02
    assert found["few"] >= found["all"] - 0.005
    assert found["few"] >= found["none"] + 0.03


def test_with_a_low_cut_off_a_change_at_one_step_moves_all_others():
    inputs, changed = make_inputs(THREE, (60,)), make_inputs(THREE, (60,))
    for name in THREE:
        changed.features[name][:, 30] += 3
        changed.observed[name][:, 30] = inputs.observed[name][:, 30] = True
    moved = {}
    for cutoff_hz in (0.1, 12.5):  # the mean alone, and all frequencies of 25 frames a second
        torch.manual_seed(0)
        model = FUSION_MODELS.build("frequency_attention", dims=THREE, cutoff_hz=cutoff_hz).eval()
        (before,), (after,) = (run(model, each)[0] for each in (inputs, changed))
        moved[cutoff_hz] = (before - after).abs().amax(-1)
    assert moved[0.1][:20].min() > 0
    assert all(each[30] > 10 * each[:20].max() for each in moved.values())
