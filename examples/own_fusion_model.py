"""A fusion model of your own: this file is a plug-in and a script that trains it beside a built-in model.

    python examples/own_fusion_model.py
    abaw --plugin examples/own_fusion_model.py train synthetic name=own "model={name: max_fusion}"
    abaw --plugin examples/own_fusion_model.py list models

The model projects every modality to one width and takes the largest value of each feature at every step.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

import abaw
from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, sort_modalities
from fusion.models import FUSION_MODELS

FACTS = {"paper": "none", "context": "step", "differs": "There is no paper to differ from."}


@FUSION_MODELS.register
def max_fusion(*, dims: Mapping[str, int], hidden_dim: Size = 64, dropout: DropoutRate = 0.3) -> FusionModel:
    """Maximum of the projected modalities at every step."""
    return MaxFusion(dims, hidden_dim, dropout)


class MaxFusion(FusionModel):
    """Features that were not observed enter as 0, so that an absent modality contributes its bias alone."""

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.names, self.hidden_dim = sort_modalities(dims), hidden_dim
        self.projections = nn.ModuleList(nn.Linear(dims[name], hidden_dim) for name in self.names)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        """Hidden states (batch, time, hidden_dim)."""
        features = [mask_features(inputs, name)[0] for name in self.names]
        parts = [project(each) for project, each in zip(self.projections, features, strict=True)]
        return FusionOutput(self.dropout(torch.stack(parts).amax(0)))


def main() -> None:
    """Train this model and a built-in one on the synthetic data set, and compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", default="concat", help="the built-in model to compare with")
    parser.add_argument("--work", type=Path, default=Path("work/own_model"), help="folder for everything that is made")
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()

    abaw.load_plugin(__file__)
    data, store = abaw.synthesize(given.work / "data", clips=14, seconds=3.0), given.work / "store"
    abaw.extract(data, store, ["face_hog", "voice_mel"])
    settings = {"data": str(data), "store": str(store), "window": {"length": 50, "stride": 25}}
    settings |= {"tasks": {"va": {"mse_weight": 5.0}}, "trainer.max_epochs": given.epochs}
    runs = [
        abaw.train("synthetic", {**settings, "name": model, "model": {"name": model}}, runs=given.work / "runs")
        for model in (given.other, "max_fusion")
    ]
    print(abaw.score([run.folder for run in runs]))


if __name__ == "__main__":
    main()
