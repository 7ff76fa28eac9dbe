"""Safe cross attention against loops in float64, and what "safe" and "dropout" promise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fusion.layers.masks import draw_kept_modalities
from fusion.models import FUSION_MODELS
from tests.support.inputs import THREE, make_inputs, run
from tests.support.references import linear, weights_of

H, HEADS = 8, 2


def make(dims, **settings):
    torch.manual_seed(4)
    sizes = {"hidden_dim": H, "num_heads": HEADS, "num_layers": 2}
    return FUSION_MODELS.build("safe_cross_attention", dims=dims, **sizes, **settings).eval()


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
def test_it_is_branches_that_attend_to_what_the_others_observed(num_modalities):
    """Loops over clips, modalities, steps and heads, in float64, weights carried over; the whole model."""
    dims = dict(list(THREE.items())[:num_modalities])
    model, inputs = make(dims), make_inputs(dims, seed=5)
    weights = weights_of(model)
    clips, _ = run(model, inputs)
    for i, clip in enumerate(clips):
        length = len(clip)
        values = [inputs.features[name][i, :length].double().numpy() for name in sorted(dims)]
        flags = [inputs.observed[name][i, :length].numpy() for name in sorted(dims)]
        np.testing.assert_allclose(clip.numpy(), reference(values, flags, weights), atol=1e-5)


def reference(values, flags, weights):
    states = []
    for m, (rows, seen) in enumerate(zip(values, flags, strict=True)):
        state = np.where(
            seen[:, None], linear(rows, weights, f"branches.{m}.project"), weights[f"branches.{m}.missing"]
        )
        state = state + sines(len(rows))
        for n in range(2):
            state = layer(state, state, [True] * len(rows), weights, f"branches.{m}.layers.{n}")
        states.append(state)
    normed = []
    for m, state in enumerate(states):
        others = [k for k in range(len(states)) if k != m]
        if others:
            memory, seen = (np.concatenate([each[k] for k in others]) for each in (states, flags))
            state = layer(state, memory, seen, weights, f"cross.{m}")
        normed.append(norm(state, weights, f"norms.{m}"))
    return np.maximum(0, linear(np.concatenate(normed, axis=1), weights, "join.0"))


def layer(values, memory, seen, weights, name):
    """Pre-norm: attention over the seen rows of the memory, then a perceptron with ReLU, each added."""
    normed, memory = norm(values, weights, f"{name}.norms.0"), norm(memory, weights, f"{name}.norms.0")
    if any(seen):
        values = values + attend(normed, memory[np.array(seen)], weights, f"{name}.attention")
    hidden = linear(norm(values, weights, f"{name}.norms.1"), weights, f"{name}.feed_forward.0")
    return values + linear(np.maximum(0, hidden), weights, f"{name}.feed_forward.3")


def attend(rows, memory, weights, name):
    query, key, value = (
        linear(each, weights, f"{name}.{part}") for each, part in ((rows, "query"), (memory, "key"), (memory, "value"))
    )
    answers = np.zeros_like(query)
    for t in range(len(rows)):
        for head in np.split(np.arange(H), HEADS):
            shares = np.exp(key[:, head] @ query[t, head] / np.sqrt(H / HEADS))
            answers[t, head] = shares / shares.sum() @ value[:, head]
    return linear(answers, weights, f"{name}.out")


def norm(rows, weights, name):
    centred = rows - rows.mean(1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def sines(num_steps):
    angles = np.arange(num_steps)[:, None] / 10_000 ** (np.arange(H // 2) / (H // 2))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def test_a_modality_that_is_missing_reads_the_others_and_is_read_by_none():
    """Its learned vector reaches the answer through its own branch alone: the other branches never see it."""
    dims = {"face": 5, "voice": 3}
    model, inputs = make(dims), make_inputs(dims)
    observed = {**inputs.observed, "voice": torch.zeros_like(inputs.observed["voice"])}
    branches = {}
    for i, norm_layer in enumerate(model.norms):
        norm_layer.register_forward_hook(lambda _, inputs, __, i=i: branches.setdefault(i, []).append(inputs[0]))
    run(model, replace(inputs, observed=observed))
    with torch.no_grad():
        model.branches[1].missing.add_(1)
    run(model, replace(inputs, observed=observed))
    torch.testing.assert_close(branches[0][0][2, :1], branches[0][1][2, :1])  # a clip whose face is observed throughout
    assert not torch.allclose(branches[1][0][2, :1], branches[1][1][2, :1])
    face = {**inputs.features, "face": inputs.features["face"] + 1}
    run(model, replace(inputs, features=face, observed=observed))
    assert not torch.allclose(branches[1][1][2, :1], branches[1][2][2, :1])


def test_one_modality_has_no_cross_attention():
    assert not [name for name, _ in make({"face": 5}).named_parameters() if "cross" in name]


def test_modality_dropout_takes_whole_modalities_at_its_rate_and_never_the_last():
    torch.manual_seed(1)
    has_any = torch.ones(20_000, 3, dtype=torch.bool)
    stays = draw_kept_modalities(has_any, 0.4)
    assert stays.any(-1).all()
    # where all three are drawn (0.4^3) one of them comes back
    assert (~stays).float().mean(0).tolist() == pytest.approx([0.4 - 0.4**3 / 3] * 3, abs=0.01)
    has_any[:, 1:] = False
    assert draw_kept_modalities(has_any, 0.9)[:, 0].all()
    assert draw_kept_modalities(has_any, 0.0).all()


def test_a_modality_dropped_in_training_is_one_that_was_not_observed():
    dims = {"face": 5, "voice": 3}
    model, inputs = make(dims, modality_dropout=0.9, dropout=0.0), make_inputs(dims, (6,) * 8)
    without = {}
    for name in dims:
        other = {key: flags & (key != name) for key, flags in inputs.observed.items()}
        without[name] = run(model, replace(inputs, observed=other))[0]
    torch.manual_seed(1)
    clips, _ = run(model.train(), inputs)
    lost = [
        [name for name in dims if torch.allclose(clip, without[name][i], atol=1e-6)] for i, clip in enumerate(clips)
    ]
    assert {"face", "voice"} == {name for names in lost for name in names}
    assert sum(len(names) == 1 for names in lost) >= 6, "of 8 windows nearly all lose one"


def test_one_modality_is_never_dropped():
    model, inputs = make({"face": 5}, modality_dropout=0.9, dropout=0.0), make_inputs({"face": 5})
    expected, _ = run(model, inputs)
    for clip, other in zip(expected, run(model.train(), inputs)[0], strict=True):
        torch.testing.assert_close(clip, other)


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_senseless_rate_is_an_error(value):
    with pytest.raises(ValueError, match=f"modality_dropout is {value}"):
        make(THREE, modality_dropout=value)
