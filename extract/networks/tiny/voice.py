"""A tiny voice encoder, in a checkpoint as its training writes it."""

from __future__ import annotations

from pathlib import Path


def write_ge2e(path: Path, hidden: int = 8) -> Path:
    """GE2E's network with three LSTMs of ``hidden`` cells, whose inputs are so large that mel bands matter."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        lstm, linear = torch.nn.LSTM(40, hidden, 3), torch.nn.Linear(hidden, hidden)
        state = {
            **{f"lstm.{name}": value for name, value in lstm.state_dict().items()},
            **{f"linear.{name}": value for name, value in linear.state_dict().items()},
            "similarity_weight": torch.tensor([10.0]),
        }
    torch.save({"step": 1, "model_state": state, "optimizer_state": {}}, path)
    return path
