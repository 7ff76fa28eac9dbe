"""Graph Memory Fusion Network: a graph whose nodes are sets of modalities, and a memory of what it says."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings, ordered, seen
from fusion.layers.memory import GatedMemory, one_step_back
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Zadeh et al. 2018, Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic "
    "Fusion Graph, ACL P18-1208",
    "context": "past",
    "differs": "The paper answers at the last step, here every step does, from the past; unobserved steps enter as 0 "
    "and the last linear layer is the task's head. Above three modalities the graph has the pairs and the set of "
    "all, not every subset: their number would double with each modality. Nodes and efficacies are linear, as in the "
    "authors' toolkit, and a vertex reads hidden states of two steps, as in MMSA.",
}

# The authors' toolkit has a layer of this width inside every node and inside the efficacies.
CORE_DIM = 100

Node = tuple[int, ...]


@FUSION_MODELS.register
def graph_mfn(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    memory_dim: int = 128,
    node_dim: int = 128,
    dropout: float = 0.5,
) -> FusionModel:
    """An LSTM for each modality, a graph of their combinations, a gated memory over time."""
    return GraphMfn(dims, hidden_dim, memory_dim, node_dim, dropout)


class GraphMfn(FusionModel):
    """Zadeh et al. 2018 (ACL P18-1208): MFN with a dynamic fusion graph in place of its attention.

    Per modality LSTM(dim -> h), then a perceptron on its states of this step and the one before, which is a vertex of
    the graph; the graph's answer feeds the gated memory; ReLU and dropout on all hidden states and the memory. The
    graph reads states of LSTMs only, so that it runs for all steps at once. ``hidden_dim`` is h and the fused width.
    Raises ValueError for settings that make no sense.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, memory_dim: int, node_dim: int, dropout: float
    ) -> None:
        super().__init__()
        sizes = {"hidden_dim": hidden_dim, "memory_dim": memory_dim, "node_dim": node_dim}
        check_settings("graph_mfn", dropout=dropout, **sizes)
        self.names = ordered(dims)
        self.hidden_dim = hidden_dim
        num = len(self.names)
        self.recurrent = nn.ModuleList(
            Recurrent(nn.LSTM, dims[name], hidden_dim, bidirectional=False) for name in self.names
        )
        self.vertices = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * hidden_dim, hidden_dim), nn.ReLU()) for _ in self.names
        )
        self.graph = FusionGraph(num, hidden_dim, node_dim)
        self.memory = GatedMemory(node_dim, memory_dim, hidden_dim, dropout)
        self.out = nn.Sequential(nn.Linear(num * hidden_dim + memory_dim, hidden_dim), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, steps: FusionInput) -> FusionOutput:
        hidden = [
            recurrent(seen(steps, name)[0], steps.lengths)
            for recurrent, name in zip(self.recurrent, self.names, strict=True)
        ]
        vertices = [
            layer(torch.cat([one_step_back(each), each], dim=-1))
            for layer, each in zip(self.vertices, hidden, strict=True)
        ]
        memory = self.memory(self.graph(vertices))
        return FusionOutput(self.out(torch.cat([*hidden, memory], dim=-1)))


class FusionGraph(nn.Module):
    """The dynamic fusion graph: a node for each set of modalities, read from the nodes of all smaller sets in it.

    Every edge has an efficacy, a factor on what passes, told by all vertices at this step; the answer is read from all
    nodes through edges of its own.
    """

    def __init__(self, num_modalities: int, dim: int, node_dim: int) -> None:
        super().__init__()
        self.nodes = nodes(num_modalities)
        self.sources = {node: [other for other in self.nodes if set(other) < set(node)] for node in self.nodes}
        widths = {node: dim if len(node) == 1 else node_dim for node in self.nodes}
        self.combined = nn.ModuleList(
            _linear_pair(sum(widths[source] for source in self.sources[node]), node_dim)
            for node in self.nodes[num_modalities:]
        )
        self.answer = _linear_pair(sum(widths.values()), node_dim)
        num_edges = sum(map(len, self.sources.values())) + len(self.nodes)
        self.efficacies = nn.Sequential(_linear_pair(num_modalities * dim, node_dim), nn.Linear(node_dim, num_edges))

    def forward(self, vertices: Sequence[Float[Tensor, "batch time dim"]]) -> Float[Tensor, "batch time node"]:
        edges = iter(self.efficacies(torch.cat(list(vertices), dim=-1)).split(1, dim=-1))
        values: dict[Node, Tensor] = {(i,): vertex for i, vertex in enumerate(vertices)}

        def read(sources: Sequence[Node]) -> Tensor:
            return torch.cat([next(edges) * values[source] for source in sources], dim=-1)

        for node, layer in zip(self.nodes[len(vertices) :], self.combined, strict=True):
            values[node] = layer(read(self.sources[node]))
        return self.answer(read(self.nodes))


def nodes(num_modalities: int) -> list[Node]:
    """Every set of up to three modalities, small ones first; of more: each alone, the pairs and all together."""
    sizes = range(1, num_modalities + 1) if num_modalities <= 3 else (1, 2, num_modalities)
    return [node for size in sizes for node in combinations(range(num_modalities), size)]


def _linear_pair(dim: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, CORE_DIM), nn.Linear(CORE_DIM, out_dim))
