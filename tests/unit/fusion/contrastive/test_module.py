"""The training of a siamese model: what its heads, its twins and its input stages may and may not change."""

import numpy as np
import pytest
import torch

from abaw.batches import collate
from abaw.errors import InputError
from fusion.checkpoint import build_module, load_module
from fusion.contrastive.measuring import embed_clips, measure_pairs
from fusion.contrastive.module import ContrastiveModule
from fusion.data import ClipDataModule
from fusion.predict import predict
from fusion.train import train
from tests.support.memory import make_config, make_tasks

DIMS = {"face": 3, "voice": 2}


@pytest.fixture
def config():
    return make_config("multitask_contrastive", max_epochs=2)


@pytest.fixture
def batch(config, source, labels):
    data = ClipDataModule(config, make_tasks(), labels, source)
    return collate([data.train[i] for i in range(len(data.train))])


def test_a_twin_begins_as_the_joint_encoder_and_learns_from_its_own_pairs_alone(config, batch):
    module = build_module(config, make_tasks(), DIMS).eval()
    assert isinstance(module, ContrastiveModule)
    assert module.encoder_names() == ("joint", "va", "expr")
    joint, seen = module.embed(batch)
    for name in ("va", "expr"):
        assert torch.equal(module.embed(batch, name)[0], joint)
    assert not seen[~seen].any()
    terms = module.pair_terms(batch)
    assert set(terms) == {"pairs/va", "pairs/expr", "pairs_alone/va", "pairs_alone/expr"}
    assert torch.equal(terms["pairs/va"].loss, terms["pairs_alone/va"].loss)  # the same pairs
    assert terms["pairs/va"].weight == 0.5  # the mean over the relations
    terms["pairs_alone/va"].loss.backward()
    moved = {
        name.split(".")[1] for name, each in module.named_parameters() if each.grad is not None and each.grad.any()
    }
    assert {name.split(".")[0] for name, each in module.named_parameters() if each.grad is not None} == {"twins"}
    assert moved == {"of_va"}


def test_the_heads_read_the_embedding_and_do_not_change_it(config, batch):
    module = build_module(config, make_tasks(), DIMS)
    raw, losses = module(batch)
    assert not losses
    sum(each.nan_to_num().sum() for each in raw.values()).backward()
    trained = {name.split(".")[0] for name, each in module.named_parameters() if each.grad is not None}
    assert trained == {"heads"}


def test_every_parameter_gets_a_gradient_where_a_task_has_no_labels(config, batch):
    module = build_module(config, make_tasks(), DIMS)
    lacking = torch.zeros_like(batch.scored["expr"])
    batch = type(batch)(**{**vars(batch), "scored": {**batch.scored, "expr": lacking}})
    terms = module._loss_terms(batch, [module(batch)])
    assert terms["pairs/expr"].loss.item() == 0
    assert terms["pairs/expr"].num_windows == 0
    sum(each.loss for each in terms.values()).backward()
    assert all(each.grad is not None for each in module.parameters())


def test_a_run_saves_and_loads_twins_and_says_how_well_they_separate_pairs(config, source, labels, tmp_path):
    tasks = make_tasks()
    module = train(config, tasks, labels, source, tmp_path)
    loaded = load_module(tmp_path, config, tasks)
    assert isinstance(loaded, ContrastiveModule)
    statistics = module.input_stage.statistics()["face"].mean
    for twin in loaded.twins.values():
        assert np.array_equal(twin.input_stage.statistics()["face"].mean, statistics)
    found = measure_pairs(loaded, source, labels["validation"])
    assert set(found) == {"va", "expr"}
    assert found["va"].num_clips == 2
    assert 0 <= found["va"].joint <= 1
    assert found["va"].joint != found["va"].alone
    assert found["expr"].joint is None  # a single clip has no pairs of different clips
    assert found["expr"].num_alike == 0


def test_embeddings_of_clips_do_not_depend_on_windows_and_batches(config, source):
    module = build_module(config, make_tasks(), DIMS).eval()
    clips = ["both", "val_va"]
    one = {clip: made["joint"] for clip, made in embed_clips(module, source, clips, batch_size=1)}
    longer = build_module(make_config("multitask_contrastive", window=(200, 100)), make_tasks(), DIMS).eval()
    whole = {clip: made["joint"] for clip, made in embed_clips(longer, source, clips, batch_size=3)}
    predicted = predict(module, source, clips, config.window)
    observed = {clip: np.any(list(flags.values()), axis=0) for clip, _, flags in predicted}
    for clip in clips:
        assert one[clip][0] == pytest.approx(whole[clip][0], abs=1e-6)
        assert np.array_equal(one[clip][1], observed[clip])
        assert np.linalg.norm(one[clip][0][one[clip][1]], axis=1) == pytest.approx(1, abs=1e-6)


def test_a_single_task_has_no_twin(batch):
    module = build_module(make_config("multitask_contrastive", tasks=("va",)), make_tasks("va"), DIMS)
    assert module.encoder_names() == ("joint",)
    with pytest.raises(InputError, match="no encoder 'va' in this run: it has joint"):
        module.embed(batch, "va")
