"""Random inputs of fusion models."""

import torch

from fusion.base import FusionInput

DIMS = {"voice": 3, "face": 5, "scene": 2, "body": 4, "words": 6}
THREE = dict(list(DIMS.items())[:3])
LENGTHS = (9, 6, 1)


def make_inputs(dims, lengths=LENGTHS, seed=0, *, share=0.75):
    """Random features, of which ``share`` is observed; random values also where unobserved and in padding.

    The first step of every modality is observed. The windows start at different times.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    features = {name: torch.randn(*shape, dim, generator=generator) for name, dim in dims.items()}
    observed = {name: torch.rand(shape, generator=generator) < share for name in dims}
    for flags in observed.values():
        flags[:, 0] = True
    times_s = torch.arange(shape[1], dtype=torch.float64) / 25 + torch.arange(shape[0])[:, None] * 3.0
    return FusionInput(features, observed, times_s, torch.tensor(lengths))


def make_model(build, dims):
    """The model in eval mode, with the same weights on every call."""
    torch.manual_seed(0)
    return build(dims=dims).eval()


def run(model, inputs):
    """Hidden states of each window without padding, and the auxiliary losses."""
    with torch.no_grad():
        output = model(inputs)
    hidden = [rows[:length] for rows, length in zip(output.hidden, inputs.lengths, strict=True)]
    return hidden, output.losses
