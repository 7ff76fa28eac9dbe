"""Graph Memory Fusion Network: a graph over sets of modalities, and a gated memory over time."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, sort_modalities
from fusion.layers.recurrences.memory import GatedMemory, shift_one_step
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Zadeh et al. 2018, Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic "
    "Fusion Graph, ACL P18-1208",
    "context": "past",
    "differs": "The paper predicts once, at the last step; here every step is predicted from the past. Unobserved "
    "steps are 0, and the last linear layer is the head of the task. Above three modalities the graph has only pairs "
    "and the set of all, because the number of subsets doubles with each modality. Nodes and efficacies are linear, as "
    "in the authors' toolkit, and a vertex reads the hidden states of two steps, as in MMSA.",
}

# width of the inner layer of every node and of the efficacies, as in the authors' toolkit
CORE_DIM = 100

Node = tuple[int, ...]


@FUSION_MODELS.register
def graph_mfn(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    memory_dim: Size = 128,
    node_dim: Size = 128,
    dropout: DropoutRate = 0.5,
) -> FusionModel:
    """LSTM for each modality, a graph over their combinations, a gated memory over time."""
    return GraphMfn(dims, hidden_dim, memory_dim, node_dim, dropout)


class GraphMfn(FusionModel):
    """Graph-MFN of Zadeh et al. 2018 (ACL P18-1208): MFN with a dynamic fusion graph in place of its attention.

    For each modality LSTM(dim -> h), where h is ``hidden_dim``. A linear layer with ReLU on its states at this step and
    the one before is a vertex of the graph. The output of the graph is the input of the gated memory. Linear, ReLU and
    dropout on all hidden states and the memory give the output, h features. The graph depends on LSTM states only and
    is computed for all steps at once.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, memory_dim: int, node_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
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

    def forward(self, inputs: FusionInput) -> FusionOutput:
        hidden = [
            recurrent(mask_features(inputs, name)[0], inputs.lengths)
            for recurrent, name in zip(self.recurrent, self.names, strict=True)
        ]
        vertices = [
            layer(torch.cat([shift_one_step(each), each], dim=-1))
            for layer, each in zip(self.vertices, hidden, strict=True)
        ]
        memory = self.memory(self.graph(vertices))
        return FusionOutput(self.out(torch.cat([*hidden, memory], dim=-1)))


class FusionGraph(nn.Module):
    """Dynamic fusion graph: each node, a set of modalities, is computed from the nodes of all its proper subsets.

    Every edge has an efficacy, a factor computed from all vertices of the step. The output is computed from all nodes,
    through edges with efficacies, too.
    """

    def __init__(self, num_modalities: int, dim: int, node_dim: int) -> None:
        super().__init__()
        self.nodes = list_nodes(num_modalities)
        self.sources = {node: [other for other in self.nodes if set(other) < set(node)] for node in self.nodes}
        widths = {node: dim if len(node) == 1 else node_dim for node in self.nodes}
        self.combined = nn.ModuleList(
            _linear_pair(sum(widths[source] for source in self.sources[node]), node_dim)
            for node in self.nodes[num_modalities:]
        )
        self.output = _linear_pair(sum(widths.values()), node_dim)
        num_edges = sum(map(len, self.sources.values())) + len(self.nodes)
        self.efficacies = nn.Sequential(_linear_pair(num_modalities * dim, node_dim), nn.Linear(node_dim, num_edges))

    def forward(self, vertices: Sequence[Float[Tensor, "batch time dim"]]) -> Float[Tensor, "batch time node"]:
        edges = iter(self.efficacies(torch.cat(list(vertices), dim=-1)).split(1, dim=-1))
        values: dict[Node, Tensor] = {(i,): vertex for i, vertex in enumerate(vertices)}

        def read(sources: Sequence[Node]) -> Tensor:
            return torch.cat([next(edges) * values[source] for source in sources], dim=-1)

        for node, layer in zip(self.nodes[len(vertices) :], self.combined, strict=True):
            values[node] = layer(read(self.sources[node]))
        return self.output(read(self.nodes))


def list_nodes(num_modalities: int) -> list[Node]:
    """The sets of modalities that are nodes, small ones first.

    All subsets; above three modalities each alone, all pairs, and the set of all.

    >>> list_nodes(2)
    [(0,), (1,), (0, 1)]
    """
    sizes = range(1, num_modalities + 1) if num_modalities <= 3 else (1, 2, num_modalities)
    return [node for size in sizes for node in combinations(range(num_modalities), size)]


def _linear_pair(dim: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, CORE_DIM), nn.Linear(CORE_DIM, out_dim))
