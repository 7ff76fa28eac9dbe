"""Which parameters weight decay applies to: the weights of linear maps, convolutions and recurrent layers."""

import re

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

WEIGHT = re.compile(r"weight(_|$)|.*_weight$")  # weight, weight_ih_l0, in_proj_weight
NORM = re.compile(r"Norm(\dd)?$")  # LayerNorm, BatchNorm1d, GroupedNorm


def split_by_decay(module: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """The parameters that decay and those that are spared, by name.

    Decay pulls towards 0. For a matrix that multiplies features this means less influence; for other parameters 0 means
    nothing of the kind. These decay: parameters of two or more dimensions called ``weight``, ``weight_...`` or
    ``..._weight``, and those that a module's class names in ``decayed``. Spared are biases, norms, embeddings,
    positions, other learned vectors and tokens, and the rates A and skip factors D of a selective state space, as the
    authors of Mamba spare them (Gu and Dao 2023, arXiv 2312.00752).
    """
    decayed: dict[str, nn.Parameter] = {}
    spared: dict[str, nn.Parameter] = {}
    seen: set[nn.Parameter] = set()
    for place, owner in module.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter in seen:  # shared by two modules
                continue
            seen.add(parameter)
            chosen = decayed if _decays(owner, name, place, parameter) else spared
            chosen[f"{place}.{name}" if place else name] = parameter
    return decayed, spared


def _decays(owner: nn.Module, name: str, place: str, parameter: nn.Parameter) -> bool:
    if isinstance(owner, ParametrizationList):  # of torch's weight norm: parametrizations.weight.original0
        name = place.rpartition(".")[2]
    if name in getattr(owner, "decayed", ()):
        return True
    is_table = isinstance(owner, nn.Embedding | nn.EmbeddingBag) or NORM.search(type(owner).__name__)
    return parameter.dim() > 1 and not is_table and WEIGHT.match(name) is not None
