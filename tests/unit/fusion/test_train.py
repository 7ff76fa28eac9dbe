"""A run from its first batch to its best weights."""

import numpy as np
import pytest
import torch

from abaw.configs.sections import FeatureConfig, PartConfig
from fusion.module import FusionModule
from fusion.train import train
from tests.support.memory import make_config, make_tasks


def test_training_leaves_the_callers_random_state_alone(source, labels, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(make_config(max_epochs=1), make_tasks(), labels, source, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_fronts_spread_is_the_training_splits(source, labels, tmp_path):
    from fusion.normalisation.statistics import measure_statistics

    module = train(make_config(), make_tasks(), labels, source, tmp_path)
    expected = measure_statistics(source, ["both", "only_va", "only_expr"])
    other = measure_statistics(source, ["val_both", "val_va"])
    for name, layer in zip(module.input_stage.names, module.input_stage.channels, strict=True):
        assert layer.mean.numpy() == pytest.approx(expected[name].mean, rel=1e-5)
        assert layer.mean.numpy() != pytest.approx(other[name].mean, rel=1e-5)


def test_no_spread_is_measured_where_none_is_used(source, labels, tmp_path):
    features = dict.fromkeys(("face", "voice"), FeatureConfig(normalise="learned"))
    before = source.reads_left
    train(make_config(max_epochs=1), make_tasks(), labels, source, tmp_path / "split")
    between = source.reads_left
    config = make_config(max_epochs=1).model_copy(update={"features": features})
    train(config, make_tasks(), labels, source, tmp_path / "learned")
    assert before - between - (between - source.reads_left) == 2 * 3  # two tracks of three clips


def test_a_profilers_report_lies_in_the_runs_folder(source, labels, tmp_path):
    train(make_config(max_epochs=1, profiler="simple"), make_tasks(), labels, source, tmp_path)
    assert "run_training_epoch" in (tmp_path / "fit-profile.txt").read_text()


def test_settings_of_lightnings_trainer_reach_it(source, labels, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(FusionModule, "on_fit_start", lambda self: seen.update(vars(self.trainer)))
    trainer = {"gradient_clip_val": 0.5, "accumulate_grad_batches": 3, "precision": "bf16-mixed", "max_epochs": 1}
    module = train(make_config(**trainer), make_tasks(), labels, source, tmp_path)
    assert (seen["gradient_clip_val"], seen["accumulate_grad_batches"]) == (0.5, 3)
    assert np.isfinite(module.scores["va"]["CCC"])


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_modalities_that_are_dropped_twice_are_warned_of(source, labels, tmp_path, caplog, rate):
    config = make_config(max_epochs=1)
    model = PartConfig.model_validate({"name": "safe_cross_attention", "hidden_dim": 8, "modality_dropout": rate})
    features = {name: each.model_copy(update={"modality_dropout": 0.1}) for name, each in config.features.items()}
    train(config.model_copy(update={"model": model, "features": features}), make_tasks(), labels, source, tmp_path)
    assert ("dropped twice" in caplog.text) == bool(rate)
