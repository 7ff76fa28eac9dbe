"""Graph-MFN against MMSA's, and its graph for other numbers of modalities against a loop over nodes."""

import numpy as np
import pytest
import torch
from torch import nn

from fusion.models import FUSION_MODELS
from fusion.models.graph_mfn import FusionGraph, list_nodes
from tests.faithful.test_mfn import DIMS, MEMORY, WIDTH, carry, copy, layers_of_memory, settings_of
from tests.support.inputs import make_inputs, make_model
from tests.support.references import linear, weights_of

NODE = 5


def build():
    settings = {"hidden_dim": WIDTH, "memory_dim": MEMORY, "node_dim": NODE}
    return make_model(lambda *, dims: FUSION_MODELS.build("graph_mfn", dims=dims, **settings), DIMS)


def peer_of(mmsa, model):
    """MMSA's model with our weights; it answers with what its last linear layer reads."""
    settings = settings_of(WIDTH)
    settings.inner_node_dim = NODE
    peer = mmsa.Graph_MFN(settings).eval()
    ours = layers_of_memory(model.memory)
    for end, recurrent, vertex in zip("lav", model.recurrent, model.vertices, strict=True):
        ours |= {f"lstm_{end}": recurrent.layer, f"{end}_transform": vertex[0]}
    carry(peer, {**ours, "out_fc1": model.out[0]})
    peer.out_fc2 = nn.Identity()
    carry(peer.graph_mfn, {"t_network": model.graph.output, "efficacy_model": model.graph.efficacies})
    # MMSA holds its nodes in a plain dict: they are not among its parameters, and it never trains them
    for node, layer in zip(model.graph.nodes[3:], model.graph.combined, strict=True):
        copy(peer.graph_mfn.networks[node], layer)
    return peer


@pytest.mark.peers
@pytest.mark.parametrize("num_steps", [1, 2, 12])
def test_graph_mfn_is_mmsas_at_the_last_step(mmsa, num_steps):
    model, inputs = build(), make_inputs(DIMS, (num_steps,) * 3, share=1.0)
    expected = peer_of(mmsa, model)(*inputs.features.values())["M"]
    torch.testing.assert_close(model(inputs).hidden[:, -1], expected, rtol=1e-5, atol=1e-5)


def test_up_to_three_modalities_the_nodes_are_all_subsets_then_pairs_and_all():
    assert list_nodes(1) == [(0,)]
    assert list_nodes(2) == [(0,), (1,), (0, 1)]
    assert list_nodes(3) == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    assert list_nodes(4)[4:] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (0, 1, 2, 3)]
    assert len(list_nodes(12)) == 12 + 66 + 1


@pytest.mark.parametrize("num_modalities", [1, 2, 3, 5])
def test_a_node_reads_all_smaller_sets_in_it_times_their_efficacies(num_modalities):
    torch.manual_seed(0)
    graph = FusionGraph(num_modalities, 3, NODE)
    vertices = torch.randn(num_modalities, 1, 2, 3)
    answer = graph(list(vertices)).detach().numpy()
    weights = weights_of(graph)
    for step in range(2):
        values = {(i,): vertices[i, 0, step].double().numpy() for i in range(num_modalities)}
        expected = reference_graph(values, weights, list_nodes(num_modalities))
        np.testing.assert_allclose(answer[0, step], expected, atol=1e-5)


def reference_graph(values, weights, all_nodes):
    """From the paper's section 4.1: values hold the vertices of single modalities, and gain the other nodes."""
    values_of_nodes = np.concatenate([values[node] for node in all_nodes if len(node) == 1])
    efficacies = list(linear(pair(values_of_nodes, weights, "efficacies.0"), weights, "efficacies.1"))
    num_combined = 0
    for node in all_nodes:
        if len(node) > 1:
            inside = [values[other] * efficacies.pop(0) for other in all_nodes if set(other) < set(node)]
            values[node] = pair(np.concatenate(inside), weights, f"combined.{num_combined}")
            num_combined += 1
    answer = pair(np.concatenate([values[node] * efficacies.pop(0) for node in all_nodes]), weights, "output")
    assert not efficacies
    return answer


def pair(row, weights, at):
    return linear(linear(row, weights, f"{at}.0"), weights, f"{at}.1")


def test_settings_that_make_no_sense_are_errors():
    with pytest.raises(ValueError, match="'graph_mfn': node_dim is 0"):
        FUSION_MODELS.build("graph_mfn", dims=DIMS, node_dim=0)
    with pytest.raises(ValueError, match="'graph_mfn': memory_dim is 0"):
        FUSION_MODELS.build("graph_mfn", dims=DIMS, memory_dim=0)
