"""A fusion model is one file."""

import sys

from fusion.models import FUSION_MODELS
from fusion.train import train
from tests.support.memory import make_config, make_tasks

ONE_FILE = '''
from torch import nn

from fusion.base import DropoutRate, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, sort_modalities
from fusion.models import FUSION_MODELS


@FUSION_MODELS.register
def running_mean(*, dims, hidden_dim: Size = 4, dropout: DropoutRate = 0.1) -> FusionModel:
    """The mean of everything so far."""
    return RunningMean(dims, hidden_dim, dropout)


class RunningMean(FusionModel):
    def __init__(self, dims, hidden_dim, dropout):
        super().__init__()
        self.hidden_dim, self.names = hidden_dim, sort_modalities(dims)
        self.layers = nn.ModuleList(nn.Linear(dims[name], hidden_dim) for name in self.names)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs):
        hidden = sum(layer(mask_features(inputs, name)[0]) for layer, name in zip(self.layers, self.names, strict=True))
        num = hidden.new_ones(hidden.shape[:2]).cumsum(1)[..., None]
        return FusionOutput(self.dropout(hidden.cumsum(1) / num))
'''


def test_a_model_in_one_new_file_is_listed_and_trained_by_its_name(source, labels, tmp_path, monkeypatch):
    import fusion.models

    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "running_mean.py").write_text(ONE_FILE)
    folders = [*fusion.models.__path__, str(folder)]
    monkeypatch.setattr(fusion.models.__spec__, "submodule_search_locations", folders)
    monkeypatch.setattr(fusion.models, "__path__", folders)
    assert "running_mean" in FUSION_MODELS.names()
    module = train(make_config("running_mean"), make_tasks(), labels, source, tmp_path / "run")
    assert type(module.model).__name__ == "RunningMean"
    assert module.scores["va"]["n"] > 0
    monkeypatch.undo()
    assert "running_mean" not in FUSION_MODELS.names()
    monkeypatch.delitem(sys.modules, "fusion.models.running_mean")
    FUSION_MODELS._builders.pop("running_mean")
