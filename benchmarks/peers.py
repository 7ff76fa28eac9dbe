"""MMSA's fusion models with the sizes of ours, and lower bounds of the time of recurrent models.

MMSA (MIT, the extra ``peers``) is the toolkit that most public comparisons use. Its models give one prediction for a
whole clip; COMPARISONS says what is compared for each model, INCOMPARABLE why there is no comparison.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from fusion.models import FUSION_MODELS

Call = Callable[[nn.Module, list[Tensor]], Tensor]  # the peer and the modalities (batch time dim) -> the loss


@dataclass(frozen=True)
class Comparison:
    """``make(dims, device)`` returns the peer with the default sizes of our model, and a function that calls it."""

    words: str
    make: Callable[[Mapping[str, int], str], tuple[nn.Module, Call]]
    batch: int | None = None  # a smaller one where the peer needs too much memory


def size(model: str, setting: str) -> int:
    """The default of a setting of our model."""
    return int(ast.literal_eval(FUSION_MODELS.part(model).settings[setting]))


def _args(dims: Mapping[str, int], device: str, **settings: Any) -> SimpleNamespace:
    """The arguments of an MMSA model, with the widths in the order of our modalities."""
    return SimpleNamespace(feature_dims=list(dims.values()), train_mode="regression", device=device, **settings)


def _mlps(*names: str, width: int) -> dict[str, Any]:
    return {f"{name}Config": {"shapes": width, "drop": 0.5} for name in names}


def _mean_square(output: Callable[[nn.Module, list[Tensor]], Tensor]) -> Call:
    return lambda model, values: output(model, values).square().mean()


def _mfn(dims: Mapping[str, int], device: str) -> tuple[nn.Module, Call]:
    from MMSA.models.singleTask import MFN

    h = size("mfn", "hidden_dim")
    mlps = _mlps("NN1", "NN2", "gamma1", "gamma2", "out", width=h)
    args = _args(dims, device, hidden_dims=[h] * 3, memsize=size("mfn", "memory_dim"), windowsize=2, **mlps)
    return MFN(args), _mean_square(lambda model, values: model(*values)["M"])


def _graph_mfn(dims: Mapping[str, int], device: str) -> tuple[nn.Module, Call]:
    from MMSA.models.singleTask import Graph_MFN

    h, sizes = size("graph_mfn", "hidden_dim"), {"memsize": size("graph_mfn", "memory_dim")}
    mlps = _mlps("NN", "gamma1", "gamma2", "out", width=h)
    args = _args(dims, device, hidden_dims=[h] * 3, inner_node_dim=size("graph_mfn", "node_dim"), **sizes, **mlps)
    return Graph_MFN(args), _mean_square(lambda model, values: model(*values)["M"])


def _mfm(dims: Mapping[str, int], device: str) -> tuple[nn.Module, Call]:
    from MMSA.models.singleTask import MFM

    h, factor = size("mfm", "hidden_dim"), size("mfm", "factor_dim")
    sizes: dict[str, Any] = {f"z{each}_size": factor for each in "ylav"} | {f"f{each}_size": factor for each in "ylav"}
    sizes |= {f"z{each}_to_f{each}_dropout": 0.5 for each in "ylav"} | {"fy_to_y_dropout": 0.5}
    sizes |= {f"lda_x{each}": 0.5 for each in "lav"} | {"memsize": size("mfm", "memory_dim"), "windowsize": 2}
    mlps = _mlps("NN1", "NN2", "gamma1", "gamma2", "out", width=h)

    def loss(model: nn.Module, values: list[Tensor]) -> Tensor:
        output, reconstruction, mmd, _ = model(*values)
        return output.square().mean() + reconstruction + mmd

    return MFM(_args(dims, device, hidden_dims=[h] * 3, **sizes, **mlps)), loss


def _mctn(dims: Mapping[str, int], device: str) -> tuple[nn.Module, Call]:
    from MMSA.models.singleTask import MCTN

    most = max(dims.values())
    args = SimpleNamespace(hid_dim=size("mctn", "hidden_dim"), output_dim=most, max_seq_len=10**6, use_bert=False)
    peer = MCTN(args)
    peer.seq2seq1.device = peer.seq2seq2.device = device  # "cuda", as it is written there

    def loss(model: nn.Module, values: list[Tensor]) -> Tensor:
        # its layers expect time first; the toolkit passes batch first and so iterates over the batch
        first, second, third = (each.transpose(0, 1) for each in values)
        return model(first, second, third, first.new_zeros(len(first), 1), None)[0]

    return peer, loss


def _mult(dims: Mapping[str, int], device: str) -> tuple[nn.Module, Call]:
    from MMSA.models.singleTask import MULT

    dropouts = [f"{name}_dropout" for name in ("attn", "relu", "embed", "res", "output", "text")]
    dropouts += ["attn_dropout_a", "attn_dropout_v"]
    args = _args(
        dims,
        device,
        use_bert=False,
        dst_feature_dim_nheads=[size("mult", "hidden_dim"), size("mult", "num_heads")],
        nlevels=size("mult", "num_layers"),
        attn_mask=False,
        **{f"conv1d_kernel_size_{each}": size("mult", "kernel") for each in "lav"},
        **dict.fromkeys(dropouts, 0.1),
    )
    return MULT(args), _mean_square(lambda model, values: model(*values)["M"])


def _by_row(model: nn.Module, values: list[Tensor]) -> Tensor:
    """The output for every step as a clip of its own; the last modality is the one with an LSTM."""
    first, second, third = (each.flatten(0, 1) for each in values)
    output: Tensor = model(third[:, None], first, second)["M"]
    return output


def _tfn(dims: Mapping[str, int], device: str) -> tuple[nn.Module, Call]:
    from MMSA.models.singleTask import TFN

    from fusion.models.tfn import find_factor_dim

    h = size("tfn", "hidden_dim")
    factor = find_factor_dim(len(dims), h)
    first, second, third = dims.values()
    args = _args({"text": third, "audio": first, "video": second}, device, hidden_dims=[factor] * 3)
    args.text_out, args.post_fusion_dim, args.dropouts = factor, h, [0.3] * 4
    return _with_subnetworks_alone(TFN(args), third, factor), _mean_square(_by_row)


def _lmf(dims: Mapping[str, int], device: str) -> tuple[nn.Module, Call]:
    from MMSA.models.singleTask import LMF

    factor = size("lmf", "factor_dim")
    first, second, third = dims.values()
    args = _args({"text": third, "audio": first, "video": second}, device, hidden_dims=[2 * factor, factor, factor])
    args.rank, args.dropouts = size("lmf", "rank"), [0.3] * 4
    args.train_mode, args.num_classes = "classification", size("lmf", "hidden_dim")  # an output as wide as ours
    return _with_subnetworks_alone(LMF(args), third, factor), _mean_square(_by_row)


def _with_subnetworks_alone(peer: nn.Module, dim: int, out_dim: int) -> nn.Module:
    """Replace the LSTM for language, useless in clips of one step, by the sub-network of the other modalities."""
    from MMSA.models.subNets import FeatureNets

    peer.text_subnet = nn.Sequential(nn.Flatten(), FeatureNets.SubNet(dim, out_dim, 0.3))
    return peer


ONE_OUTPUT = "the peer predicts the last step, ours every step"
ROWS = (
    "the peer on every step as a clip of its own, with its sub-network for video instead of its LSTM for language, as "
    "in ours"
)
COMPARISONS: dict[str, Comparison] = {
    "graph_mfn": Comparison(f"the same window; {ONE_OUTPUT}", _graph_mfn),
    "lmf": Comparison(ROWS, _lmf),
    "mctn": Comparison(
        "the same window, time first; the peer always uses teacher forcing. Batch 8: with 32 the peer stores about 40 "
        "GB for the gradient",
        _mctn,
        batch=8,
    ),
    "mfm": Comparison(
        f"the same window; {ONE_OUTPUT}, and reconstructs 300 steps where ours reconstructs segments of 32", _mfm
    ),
    "mfn": Comparison(f"the same window; {ONE_OUTPUT}, and has no bidirectional LSTM over the window", _mfn),
    "mult": Comparison(
        f"the same window; {ONE_OUTPUT}. Batch 16: with 32 the peer's attention stores about 15 GB for the gradient",
        _mult,
        batch=16,
    ),
    "tfn": Comparison(ROWS, _tfn),
}
INCOMPARABLE = {
    "misa": "no fair comparison: the peer's LSTMs are as wide as the features, its text features come from BERT, and "
    "it predicts once per clip, where ours runs its transformer at every step",
    "mmim": "no fair comparison: the peer's text features come from BERT, and it fuses one vector per clip, ours one "
    "per step",
}


class Floor(nn.Module):
    """The parts of a model that need no loop over time: torch's fused LSTMs, and linear layers on all steps at once.

    ``outer`` LSTMs read features, ``inner`` LSTMs and ``linears`` read values with a gradient; each LSTM is given as
    (dim, hidden, bidirectional), each linear layer as (dim, out). All run independently on random inputs.
    """

    def __init__(
        self,
        outer: Sequence[tuple[int, int, bool]],
        inner: Sequence[tuple[int, int, bool]],
        linears: Sequence[tuple[int, int]],
    ) -> None:
        super().__init__()
        self.num_outer = len(outer)
        self.widths = [each[0] for each in chain(outer, inner, linears)]
        self.recurrent = nn.ModuleList(
            nn.LSTM(dim, hidden, batch_first=True, bidirectional=both) for dim, hidden, both in chain(outer, inner)
        )
        self.linears = nn.ModuleList(nn.Linear(*each) for each in linears)

    def inputs(self, batch: int, num_steps: int, device: str) -> list[Tensor]:
        made = [torch.randn(batch, num_steps, width, device=device) for width in self.widths]
        return [each.requires_grad_(i >= self.num_outer) for i, each in enumerate(made)]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        hidden = [layer(each)[0] for layer, each in zip(self.recurrent, inputs, strict=False)]
        hidden += [layer(each) for layer, each in zip(self.linears, inputs[len(hidden) :], strict=True)]
        return torch.stack([each.square().mean() for each in hidden]).sum()


def _floor_mfn(dims: Mapping[str, int]) -> Floor:
    h, m, num = size("mfn", "hidden_dim"), size("mfn", "memory_dim"), len(dims)
    attend, gates = [(2 * num * h, h), (h, 2 * num * h)], [(2 * num * h, h), (h, m), (2 * num * h, 2 * h)]
    out = [(num * h + m, h), (h, h // 2)]
    return Floor([(dim, h, False) for dim in dims.values()], [(h // 2, h // 2, True)], [*attend, *gates, *out])


def _floor_graph_mfn(dims: Mapping[str, int]) -> Floor:
    from fusion.models.graph_mfn import CORE_DIM, FusionGraph

    h, m, node = (size("graph_mfn", f"{each}_dim") for each in ("hidden", "memory", "node"))
    num = len(dims)
    graph = FusionGraph(num, h, node)  # its linear layers, each on all steps
    inside = [(each.in_features, each.out_features) for each in graph.modules() if isinstance(each, nn.Linear)]
    assert any(CORE_DIM in each for each in inside)
    gates = [(node, h), (h, m), (node, 2 * h)]
    linears = [(2 * h, h)] * num + inside + gates + [(num * h + m, h)]
    return Floor([(dim, h, False) for dim in dims.values()], [], linears)


def _floor_mctn(dims: Mapping[str, int]) -> Floor:
    h = size("mctn", "hidden_dim")
    source, *targets = dims.values()
    both_ways = max(source, targets[0])
    outputs = [targets[0], source, *targets[1:]]  # the cycle translates back into the source
    linears = [each for dim in outputs for each in ((dim, 4 * h), (h, h), (2 * h, dim))]
    again = [(both_ways, h, True)] + [(h, h, True)] * (len(targets) - 1)
    return Floor([(both_ways, h, True)], [*again, (h, h, True)], linears)


FLOORS: dict[str, Callable[[Mapping[str, int]], Floor]] = {
    "graph_mfn": _floor_graph_mfn,
    "mctn": _floor_mctn,
    "mfn": _floor_mfn,
}
