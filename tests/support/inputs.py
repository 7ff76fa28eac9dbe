"""Random steps of made-up modalities, for tests of fusion models."""

import torch

from fusion.base import FusionInput

DIMS = {"voice": 3, "face": 5, "scene": 2, "body": 4, "words": 6}
THREE = dict(list(DIMS.items())[:3])
LENGTHS = (9, 6, 1)


def make_inputs(dims, lengths=LENGTHS, seed=0, *, share=0.75):
    """Random features, ``share`` of them observed, noise where unobserved and in padding; clips start apart in time."""
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
    """Hidden states of the valid steps of every clip, and the model's own losses."""
    with torch.no_grad():
        fused = model(inputs)
    return [hidden[:length] for hidden, length in zip(fused.hidden, inputs.lengths, strict=True)], fused.losses
