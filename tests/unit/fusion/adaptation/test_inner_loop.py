"""Which steps of a batch are the support and the query of a person, and what a model must have to be adapted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from abaw.batches import collate
from abaw.configs.optional_sections import AdaptationConfig
from fusion.adaptation.inner_loop import adapt, check_adaptation, draw_episode
from fusion.base import FusionModel
from fusion.checkpoint import build_module
from fusion.data import ClipDataModule, WindowDataset
from fusion.models import FUSION_MODELS
from fusion.models.limaml import Limaml
from fusion.sampling import keep_together, make_shuffled_order
from fusion.train import train
from tests.support.inputs import THREE, make_inputs
from tests.support.memory import LENGTHS, Mood, make_config, make_labels, make_source, make_tasks

SETTINGS = AdaptationConfig(num_support=3, gap_s=0.2, num_windows=2)


def limaml_config(*tasks, **settings):
    config = make_config("limaml", tasks=tasks or ("va", "expr"), settings=settings)
    return config.model_copy(update={"adaptation": SETTINGS})


def batch_of(*clips):
    source = make_source(LENGTHS)
    return collate([*WindowDataset(source, clips, make_labels(source)["train"], make_config().window)])


def seeds():
    for seed in range(20):
        torch.manual_seed(seed)
        yield seed


def test_support_and_query_are_labelled_steps_of_one_clip_at_least_the_gap_apart():
    batch = batch_of("both", "only_va")
    for _ in seeds():
        episode = draw_episode(batch, {}, make_tasks("va"), SETTINGS)
        for clip_id in ("both", "only_va"):
            rows = [i for i, name in enumerate(batch.clip_ids) if name == clip_id]
            assert len(set(episode.persons[rows].tolist())) == 1
            support, query, scored = (each["va"][rows] for each in (episode.support, episode.query, batch.scored))
            assert not (support & ~scored).any()
            assert not (query & ~scored).any()
            assert support.sum() == 3
            assert query.any()
            times_s = batch.times_s[rows]
            assert (times_s[support][:, None] - times_s[query]).abs().min() >= SETTINGS.gap_s


def test_a_person_whose_labels_are_all_within_the_gap_is_not_adapted_to_and_loses_no_label():
    batch = batch_of("only_va")
    episode = draw_episode(batch, {}, make_tasks("va"), AdaptationConfig(gap_s=100.0))
    assert not episode.support["va"].any()
    assert torch.equal(episode.query["va"], batch.scored["va"])


def test_clips_of_a_group_are_one_person():
    batch = batch_of("both", "only_va")
    episode = draw_episode(batch, {"both": "ann", "only_va": "ann"}, make_tasks("va"), SETTINGS)
    assert set(episode.persons.tolist()) == {0}


def test_where_labels_are_of_clips_whole_clips_are_support_or_query():
    batch = batch_of("both", "only_va", "only_expr")
    batch = replace(batch, scored={"mood": torch.ones_like(batch.scored["va"])}, target={})
    group = dict.fromkeys(batch.clip_ids, "ann")
    for _ in seeds():
        episode = draw_episode(batch, group, {"mood": Mood()}, replace_settings(num_support=1))
        supported = {name for name, row in zip(batch.clip_ids, episode.support["mood"], strict=True) if row.any()}
        asked = {name for name, row in zip(batch.clip_ids, episode.query["mood"], strict=True) if row.any()}
        assert len(supported) == 1
        assert supported | asked == set(batch.clip_ids)
        assert not supported & asked


def replace_settings(**changes):
    return SETTINGS.model_copy(update=changes)


def test_windows_of_a_person_lie_together_and_none_is_lost():
    persons = ["ann", "bob", "cid"] * 5
    order = keep_together(make_shuffled_order(15, seed=1), persons, 2)
    for epoch in range(3):
        found = order(epoch).tolist()
        assert sorted(found) == list(range(15))
        names = [persons[i] for i in found]
        starts = [i for i in range(15) if i == 0 or names[i] != names[i - 1]]
        assert len(starts) <= 9  # five windows of each person in at most three groups
    assert order(0).tolist() != order(1).tolist()


def test_training_adapts_to_persons_and_validation_does_not(tmp_path, monkeypatch):
    source = make_source(LENGTHS)
    given = []
    forward = FUSION_MODELS.build("limaml", dims=THREE).__class__.forward
    monkeypatch.setattr(
        "fusion.models.limaml.Limaml.forward",
        lambda self, inputs: given.append((self.training, inputs.vectors is not None)) or forward(self, inputs),
    )
    module = train(limaml_config(), make_tasks(), make_labels(source), source, tmp_path)
    assert set(given) == {(True, True), (False, True), (False, False)}  # query, inner steps, validation
    assert all(np.isfinite(each.numpy()).all() for each in module.state_dict().values())
    held_out = make_labels(source)["validation"]["va"].values()
    assert module.scores["va"]["n"] == sum(each.scored.sum() for each in held_out)  # no label of theirs was used


def test_the_loss_is_of_the_query_alone():
    source = make_source(LENGTHS)
    config = limaml_config("va")
    tasks, labels = make_tasks("va"), {split: {"va": each["va"]} for split, each in make_labels(source).items()}
    module = build_module(config, tasks, {"face": 3, "voice": 2})
    module.log = lambda *_, **__: None
    batch = next(iter(ClipDataModule(config, tasks, labels, source).train_dataloader()))
    seen = {}
    loss_terms = module._loss_terms
    module._loss_terms = lambda batch, passes: seen.update(batch.scored) or loss_terms(batch, passes)
    torch.manual_seed(0)
    module.training_step(batch, 0).backward()
    torch.manual_seed(0)
    episode = draw_episode(batch, {}, tasks, SETTINGS)
    assert torch.equal(seen["va"], episode.query["va"])
    assert seen["va"].sum() < batch.scored["va"].sum()
    assert all(each.grad is not None and each.grad.abs().max() > 0 for each in module.model.parameters())


def test_an_inner_model_without_second_derivatives_is_refused_unless_they_are_not_needed():
    model = FUSION_MODELS.build("limaml", dims=THREE, inner="mamba")
    with pytest.raises(ValueError, match=r"no second derivative .*set adaptation\.first_order to true"):
        check_adaptation(model, THREE, AdaptationConfig())
    check_adaptation(model, THREE, AdaptationConfig(first_order=True))
    check_adaptation(model, THREE, AdaptationConfig(steps=0))
    check_adaptation(FUSION_MODELS.build("limaml", dims=THREE, inner="frame_transformer"), THREE, AdaptationConfig())


def test_settings_of_adaptation_for_a_model_that_does_not_adapt_are_refused():
    model: FusionModel = FUSION_MODELS.build("bigru", dims=THREE)
    check_adaptation(model, THREE, AdaptationConfig())
    with pytest.raises(ValueError, match="this model does not adapt to persons"):
        check_adaptation(model, THREE, AdaptationConfig(steps=5))


@pytest.mark.parametrize("inner", ["bigru", "frame_transformer", "mamba"])
def test_every_kind_of_inner_model_is_adapted_in_training(inner):
    model = FUSION_MODELS.build("limaml", dims=THREE, inner=inner)
    inputs = make_inputs(THREE, (9, 9))
    settings = AdaptationConfig(steps=2, first_order=inner == "mamba")
    found = adapt(
        model,
        lambda given: {"y": model(given).hidden},
        inputs,
        torch.tensor([0, 1]),
        lambda raw: raw["y"].square().mean((1, 2)).sum(),
        settings,
        is_training=True,
    )
    model(replace(inputs, vectors=found.vectors)).hidden.square().mean().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.person_block.parameters())


def test_the_cut_off_of_the_inner_model_is_that_of_the_model():
    assert FUSION_MODELS.build("limaml", dims=THREE).cutoff_hz is None
    inner = FUSION_MODELS.build("frequency_attention", dims={**THREE, "person": 8}, cutoff_hz=2.0)
    assert Limaml(inner, THREE, "person", 8, statistics=False).cutoff_hz == 2.0


def test_settings_of_the_inner_model_are_those_of_the_model():
    assert FUSION_MODELS.check("limaml", {"inner": "tcn", "kernel": 3})["kernel"] == 3
    with pytest.raises(ValueError, match=r"fusion model 'limaml' has no setting 'kernel'.*num_layers"):
        FUSION_MODELS.check("limaml", {"inner": "concat", "kernel": 3})
    with pytest.raises(ValueError, match="no fusion model named 'gru'"):
        FUSION_MODELS.check("limaml", {"inner": "gru"})
    with pytest.raises(ValueError, match=r"fusion model 'limaml': inner is 'mfn', expected"):
        FUSION_MODELS.check("limaml", {"inner": "mfn"})
    with pytest.raises(ValueError, match=r"hidden_dim is 0, expected"):
        FUSION_MODELS.build("limaml", dims=THREE, hidden_dim=0)
