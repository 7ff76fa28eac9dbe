"""attention_seq (Wen et al. 2024) against loops over clips and steps written from the description in the paper."""

import numpy as np
import torch
import torch.nn.functional as F

from fusion.models import FUSION_MODELS
from tests.support.inputs import make_inputs, run
from tests.support.references import lstm, weights_of


def test_attention_is_the_seeds_attention_seq():
    """Reference: loops over clips and steps written from the paper's description, in float64, weights carried over."""
    dims = {"face": 5, "voice": 3, "scene": 2}
    torch.manual_seed(4)
    model = FUSION_MODELS.build("attention", dims=dims, hidden_dim=6).eval()
    weights = weights_of(model)
    inputs = make_inputs(dims, seed=5)
    clips, _ = run(model, inputs)
    for i, clip in enumerate(clips):
        length = int(inputs.lengths[i])
        values = {
            name: np.where(inputs.observed[name][i, :length, None], inputs.features[name][i, :length], 0).astype(float)
            for name in dims
        }
        np.testing.assert_allclose(clip.numpy(), reference_attention(values, weights, h=6), atol=1e-5)


def test_dropout_lies_after_each_lstm_and_before_the_weighing_as_in_the_seed(monkeypatch):
    """Here the second half of what passes is dropped."""

    def drop_half(values):
        return values * np.repeat([2.0, 0.0], len(values) // 2)

    monkeypatch.setattr(
        F, "dropout", lambda values, *_, **__: values * values.new_tensor(drop_half(np.ones(values.shape[-1])))
    )
    torch.manual_seed(4)
    model = FUSION_MODELS.build("attention", dims={"face": 5, "voice": 3}, hidden_dim=6)
    inputs = make_inputs({"face": 5, "voice": 3}, (9,), seed=5, share=1.0)
    (clip,), _ = run(model.train(), inputs)
    values = {name: rows[0].double().numpy() for name, rows in inputs.features.items()}
    np.testing.assert_allclose(clip, reference_attention(values, weights_of(model), h=6, drop=drop_half), atol=1e-5)


def reference_attention(values, weights, h, drop=lambda x: x):
    hidden = []
    for i, name in enumerate(sorted(values)):
        states = [drop(state) for state in lstm(values[name], weights, f"recurrent.{i}.layer", h)]
        hidden.append(
            [weights[f"projections.{i}.weight"] @ state + weights[f"projections.{i}.bias"] for state in states]
        )
    fused = []
    for of_step in zip(*hidden, strict=True):
        x = drop(np.concatenate(of_step))
        for layer in (1, 3, 5):
            x = np.maximum(0, weights[f"weigh.{layer}.weight"] @ x + weights[f"weigh.{layer}.bias"])
        modality_weights = weights["weigh.7.weight"] @ x + weights["weigh.7.bias"]
        fused.append(sum(weight * state for weight, state in zip(modality_weights, of_step, strict=True)))
    forwards = lstm(fused, weights, "over_time.layer", h)
    backwards = lstm(fused[::-1], weights, "over_time.layer", h, "_reverse")[::-1]
    return np.concatenate([forwards, backwards], axis=1)
