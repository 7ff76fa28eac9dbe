"""Where dropout lies in each model, at its default settings: what a paper drops is dropped, and nothing else."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from fusion.models import FUSION_MODELS
from tests.support.inputs import make_inputs

# Two modalities of 5 and 3 features, one window of 9 steps: share and shape of what is dropped from -> how often.
PLACES = {
    "attention": {"0.4 of 1x9x64": 2, "0.4 of 1x9x128": 1},
    "bigru": {"0.3 of 1x9x128": 2},
    "bottleneck": {"0.1 of 1x9x64": 10, "0.1 of 1x9x256": 4, "0.1 of 1x13x64": 8, "0.1 of 1x13x256": 4},
    "concat": {"0.2 of 1x9x128": 2},
    "frame_transformer": {"0.5 of 1x9x16": 1},
    "gated_sum": {"0.2 of 1x9x128": 1},
    "graph_mfn": {"0.5 of 9x2x1x128": 1, "0.5 of 1x9x128": 2},
    "joint_cross_attention": {"0.1 of 1x9x128": 16, "0.6 of 1x128x256": 4, "0.6 of 1x9x128": 4},
    "lmf": {"0.3 of 1x9x5": 1, "0.3 of 1x9x3": 1},
    "mamba": {"0.3 of 1x9x128": 8},
    "mctn": {"0.2 of 1x9x256": 2},
    "mfm": {"0.5 of 1x9x128": 2, "0.5 of 9x2x1x128": 1, "0.5 of 1x9x64": 2, "0.5 of 1x1x64": 2},
    "mfn": {"0.5 of 1x9x128": 3, "0.5 of 9x2x1x128": 1},
    "misa": {"0.1 of 9x4x128": 2, "0.1 of 9x4x512": 1, "0.5 of 9x256": 1},
    "mmim": {"0.1 of 1x9x128": 1},
    "mult": {"0.1 of 2x1x9x40": 19, "0.1 of 2x1x9x160": 8, "0.1 of 1x9x80": 1},
    "residual_dcn": {"0.3 of 1x9x128": 2, "0.3 of 1x9x256": 1},
    "reliability_gate": {"0.1 of 1x9x256": 5, "0.1 of 1x9x1024": 1},
    "safe_cross_attention": {"0.1 of 1x9x128": 9, "0.1 of 1x9x512": 4},
    "tcn": {"0.1 of 1x9x128": 8},
    "tcn_transformer": {"0.3 of 1x9x128": 24},
    "tfn": {"0.3 of 1x9x5": 1, "0.3 of 1x9x3": 1, "0.3 of 1x9x4096": 1},
}


@pytest.mark.parametrize("name", PLACES)
def test_dropout_lies_where_the_model_says(name, monkeypatch):
    dropout, places = F.dropout, Counter()

    def count(values, p=0.5, training=True, inplace=False):
        places[f"{p} of {'x'.join(map(str, values.shape))}"] += training
        return dropout(values, p, training, inplace)

    dims = {"face": 5, "voice": 3}
    torch.manual_seed(0)
    model = FUSION_MODELS.build(name, dims=dims).train()
    monkeypatch.setattr(F, "dropout", count)
    model(make_inputs(dims, (9,), seed=5, share=1.0))
    assert {place: times for place, times in places.items() if not place.startswith("0.0")} == PLACES[name]
