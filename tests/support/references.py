"""Plain loops in float64, written from papers' equations: what the fast models are held against."""

import numpy as np


def weights_of(model):
    """Every tensor of a model's state by name, in float64."""
    return {name: value.double().numpy() for name, value in model.state_dict().items()}


def linear(rows, weights, layer):
    """Rows (n, in) or one row through ``layer``, with its bias where it has one."""
    return np.asarray(rows) @ weights[f"{layer}.weight"].T + weights.get(f"{layer}.bias", 0.0)


def lstm(rows, weights, layer, h, end=""):
    """Hidden states of a torch LSTM, step by step; ``end`` is "_reverse" for the backward direction's weights."""
    w_in, w_hidden = weights[f"{layer}.weight_ih_l0{end}"], weights[f"{layer}.weight_hh_l0{end}"]
    bias = weights[f"{layer}.bias_ih_l0{end}"] + weights[f"{layer}.bias_hh_l0{end}"]
    hidden, cell, states = np.zeros(h), np.zeros(h), []
    for row in rows:
        gates = w_in @ row + w_hidden @ hidden + bias
        enter, forget, new, leave = (gates[i * h : (i + 1) * h] for i in range(4))
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        hidden = sigmoid(leave) * np.tanh(cell)
        states.append(hidden)
    return states


def sigmoid(x):
    return 1 / (1 + np.exp(-x))
