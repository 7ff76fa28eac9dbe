"""One module for every model and task: its losses, inputs, parts, learning rate and optimizers."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from abaw.batches import collate
from abaw.configs.sections import FeatureConfig
from abaw.tasks import TASKS
from abaw.tracks import Track
from fusion.base import FusionModel, FusionOutput
from fusion.checkpoint import build_module, load_module
from fusion.data import ClipDataModule, WindowDataset
from fusion.layers.masks import mask_features
from fusion.module import FusionModule
from fusion.predict import predict
from fusion.targets import fit_to_clock
from fusion.train import train
from tests.support.memory import MemorySource, WithRDrop, make_config, make_tasks, replace_training


class TwoLosses(FusionModel):
    """Has losses of its own, of fixed size, so that a test can count them."""

    hidden_dim = 3

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.shift = nn.Parameter(torch.ones(()))
        self.loss_weights = {"near": 0.25, "far": 4.0}

    def forward(self, inputs):
        return FusionOutput(
            mask_features(inputs, "face")[0] * self.scale, {"near": 2 * self.shift, "far": 10 * self.shift}
        )


def test_the_losses_of_tasks_and_model_are_summed_by_weight(source, labels):
    config = make_config(losses={"far": 0.5})
    config = config.model_copy(
        update={"tasks": {**config.tasks, "va": config.tasks["va"].model_copy(update={"weight": 3.0})}}
    )
    module = FusionModule(TwoLosses(), make_tasks(), config, {"face": 3, "voice": 2})
    logged = {}
    module.log = lambda name, value, **_: logged.update({name: value})
    data = ClipDataModule(config, make_tasks(), labels, source)
    total = module.training_step(next(iter(data.train_dataloader())), 0)
    total.backward()
    # near by the weight of its paper, far by the config's
    expected = 3 * logged["train/va"] + logged["train/expr"] + 0.25 * 2 + 0.5 * 10
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (logged["train/model/near"], logged["train/model/far"]) == (2, 10)
    assert module.model.shift.grad.item() == pytest.approx(0.25 * 2 + 0.5 * 10)


def test_a_weight_for_a_loss_that_the_model_lacks_is_an_error(source, labels, tmp_path):
    with pytest.raises(ValueError, match=r"losses.cycle: model 'bigru' has no such loss; known: none"):
        train(make_config(losses={"cycle": 1.0}), make_tasks(), labels, source, tmp_path)


def test_a_batch_without_labels_of_a_task_has_no_loss_of_it(source, labels):
    config = make_config()
    module = build_module(config, make_tasks(), {"face": 3, "voice": 2})
    logged, counted = {}, {}
    module.log = lambda name, value, batch_size, **_: (logged.update({name: value}), counted.update({name: batch_size}))
    dataset = WindowDataset(source, ["only_va"], fit_to_clock(labels["train"], source), config.window)
    module.training_step(collate([dataset[0], dataset[1]]), 0).backward()
    assert logged["train/loss"] == logged["train/va"]
    assert counted == {"train/loss": 2, "train/va": 2, "train/expr": 0}  # in no mean
    # not none: where several processes train, each must have a gradient for everything
    assert not module.heads["expr"].weight.grad.any()


def test_infinite_outputs_of_a_task_without_labels_do_not_affect_the_loss(source, labels):
    """As large as float16 allows and beyond: their sum is infinite, and infinity times 0 is no number."""
    config = make_config()
    module = build_module(config, make_tasks(), {"face": 3, "voice": 2})
    module.log = lambda *_, **__: None
    module.heads["expr"].bias.data.fill_(float("inf"))
    dataset = WindowDataset(source, ["only_va"], fit_to_clock(labels["train"], source), config.window)
    loss = module.training_step(collate([dataset[0]]), 0)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())


def test_windows_without_a_scored_step_count_for_nothing_in_what_is_logged(source, labels):
    config = make_config(tasks=["va"])
    module, counted = build_module(config, make_tasks("va"), {"face": 3, "voice": 2}), {}
    module.log = lambda name, _, batch_size, **__: counted.update({name: batch_size})
    fitted = fit_to_clock(labels["train"], source)["va"]
    fitted["both"].scored[:20] = False
    dataset = WindowDataset(source, ["both"], {"va": fitted}, config.window)
    module.training_step(collate([dataset[0], dataset[2], dataset[4]]), 0)
    assert counted == {"train/loss": 3, "train/va": 2}


def test_r_drop_takes_a_batch_twice_and_weighs_how_far_the_two_disagree(source, labels):
    config = make_config(tasks=["va", "expr"])
    config = config.model_copy(
        update={"tasks": {**config.tasks, "va": config.tasks["va"].model_copy(update={"weight": 3.0})}}
    )
    module = build_module(config, {"va": WithRDrop(0.5), "expr": TASKS.build("expr")}, {"face": 3, "voice": 2})
    seen, logged = [], {}
    module.log = lambda name, value, **_: logged.update({name: value.item()})
    module.register_forward_hook(lambda *given: seen.append(given[-1][0]))
    batch = next(iter(ClipDataModule(config, make_tasks(), labels, source).train_dataloader()))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        total = module.train().training_step(batch, 0)
    assert len(seen) == 2
    apart = (seen[0]["va"] - seen[1]["va"])[batch.scored["va"]].square().mean().item()
    assert apart > 0
    both = [module.tasks["va"].loss(each["va"], batch.target["va"], batch.scored["va"]).item() for each in seen]
    assert both[0] != both[1]
    assert logged["train/va"] == pytest.approx(sum(both) / 2, rel=1e-6)
    assert logged["train/va/r_drop"] == pytest.approx(apart, rel=1e-6)
    assert total.item() == pytest.approx(3 * (sum(both) / 2 + 0.5 * apart) + logged["train/expr"], rel=1e-5)


def test_a_process_without_labels_of_a_task_logs_the_same_names_as_the_others(source, labels):
    module, names = build_module(make_config(), {**make_tasks(), "va": WithRDrop(0.5)}, {"face": 3, "voice": 2}), {}
    fitted = fit_to_clock(labels["train"], source)
    for clip_id in ("only_va", "only_expr"):
        module.log = lambda name, _, batch_size, clip_id=clip_id, **__: names.setdefault(clip_id, []).append(name)
        module.training_step(collate([WindowDataset(source, [clip_id], fitted, make_config().window)[0]]), 0)
    assert names["only_va"] == names["only_expr"] == ["train/loss", "train/va", "train/va/r_drop", "train/expr"]


def test_without_r_drop_a_batch_goes_through_once(source, labels):
    module = build_module(make_config(), make_tasks(), {"face": 3, "voice": 2})
    seen = []
    module.log = lambda *_, **__: None
    module.register_forward_hook(lambda *_: seen.append(1))
    module.training_step(next(iter(ClipDataModule(make_config(), make_tasks(), labels, source).train_dataloader())), 0)
    assert len(seen) == 1


def test_diverged_training_is_an_error_with_advice(source, labels, tmp_path, monkeypatch):
    class Nan(TwoLosses):
        def forward(self, inputs):
            return FusionOutput(mask_features(inputs, "face")[0] * self.scale * torch.nan)

    monkeypatch.setattr("fusion.checkpoint.FUSION_MODELS.build", lambda *_, **__: Nan())
    with pytest.raises(ValueError, match=r"outputs for va are not finite.*lower training.learning_rate"):
        train(make_config(), make_tasks(), labels, source, tmp_path)


class OwnRateSource(MemorySource):
    """Its voice comes at its own rate, three rows a step, with a margin; one clip has none at all."""

    def is_on_clock(self, name):
        return name != "voice"

    def read(self, name, clip_id, start_s, stop_s):
        if name != "voice":
            return super().read(name, clip_id, start_s, stop_s)
        track = self.tracks[clip_id][name]
        if clip_id == "val_both":
            return Track(np.zeros((0, 2), np.float32), np.zeros(0), np.zeros(0, bool))
        times_s = np.arange(track.times_s[0], track.times_s[-1] + 0.001, 0.04 / 3)
        rows = np.abs(times_s[:, None] - track.times_s).argmin(1)
        near = (times_s >= start_s - 0.1) & (times_s <= stop_s + 0.1)
        return Track(track.values[rows[near]], times_s[near], track.observed[rows[near]])


def test_a_run_trains_and_predicts_with_all_that_features_can_ask(source, labels, tmp_path):
    source = OwnRateSource(source.tracks)
    features = {
        "face": FeatureConfig(project_dim=5, normalise="learned", noise_std=0.1, step_dropout=0.1),
        "voice": FeatureConfig(align="convolution", kernel=5, project_dim=6, modality_dropout=0.3),
    }
    config = make_config("concat").model_copy(update={"features": features})
    module = train(config, make_tasks(), labels, source, tmp_path)
    assert [channel.feature for channel in module.input_stage.channels] == [features["face"], features["voice"]]
    assert module.model.layers[0][0].in_features == 5 + 1 + 6 + 1
    for clip_id in ("val_both", "val_va"):  # alone: a batch may have no row of the voice
        ((_, raw, observed),) = predict(module, source, [clip_id], config.window)
        assert np.isfinite(raw["va"]).all()
        assert {len(flags) for flags in observed.values()} == {len(source.clock(clip_id))}
    again = load_module(tmp_path, config, make_tasks())
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("model", ["tcn", "tcn_transformer", "joint_cross_attention", "mamba"])
def test_a_module_can_be_pickled_for_processes_that_are_started(model, source):
    config = make_config(model)
    module = build_module(config, make_tasks(), {"face": 3, "voice": 2}).eval()
    again = pickle.loads(pickle.dumps(module))
    batch = collate([WindowDataset(source, ["both"], {}, config.window)[0]])
    assert torch.equal(again(batch)[0]["va"], module(batch)[0]["va"])


def rates(module):
    """The learning rate of every optimizer step of a run."""
    seen = []
    step = type(module).optimizer_step

    def noted(self, epoch, batch, optimizer, closure=None):
        seen.append(optimizer.param_groups[0]["lr"])
        step(self, epoch, batch, optimizer, closure)

    return seen, noted


@pytest.mark.parametrize(("schedule", "shape"), [("constant", [0.5, 1, 1, 1]), ("cosine", [0.5, 1, 0.75, 0.25])])
def test_the_learning_rate_warms_up_and_follows_its_schedule(schedule, shape, source, labels, tmp_path, monkeypatch):
    config = make_config(max_epochs=4)
    config = config.model_copy(
        update={"training": replace_training(config, warmup_epochs=1, schedule=schedule, batch_size=1000)}
    )
    seen, noted = rates(build_module(config, make_tasks(), {"face": 3, "voice": 2}))
    monkeypatch.setattr(FusionModule, "optimizer_step", noted)
    train(config, make_tasks(), labels, source, tmp_path)
    assert seen == pytest.approx([0.01 * share for share in shape])


def test_a_plateau_lowers_the_learning_rate_after_validations_without_a_better_score(
    source, labels, tmp_path, monkeypatch
):
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.2, 0.4, 0.1, 0.1, 0.1])
    monkeypatch.setattr("fusion.module.PLATEAU", 2)  # 10 in use
    monkeypatch.setattr("fusion.module.score", lambda *_: {"expr": {"F1": next(scores)}})
    config = make_config(max_epochs=9)
    training = replace_training(config, schedule="plateau", batch_size=1000, patience_epochs=20)
    config = config.model_copy(update={"training": training})
    seen, noted = rates(build_module(config, make_tasks(), {"face": 3, "voice": 2}))
    monkeypatch.setattr(FusionModule, "optimizer_step", noted)
    train(config, make_tasks(), labels, source, tmp_path)
    # the third in a row is epoch 5 (0.3 again is not better), and the next three end with the last epoch
    assert seen == pytest.approx([0.01] * 5 + [0.001] * 4)


def test_the_warm_up_counts_optimizer_steps_not_batches(source, labels, tmp_path, monkeypatch):
    config = make_config(max_epochs=3, accumulate_grad_batches=2)
    config = config.model_copy(update={"training": replace_training(config, warmup_epochs=2)})
    of_epoch = -(-len(ClipDataModule(config, make_tasks(), labels, source).train_dataloader()) // 2)
    assert of_epoch > 1
    seen, noted = rates(build_module(config, make_tasks(), {"face": 3, "voice": 2}))
    monkeypatch.setattr(FusionModule, "optimizer_step", noted)
    train(config, make_tasks(), labels, source, tmp_path)
    shares = [min(1.0, (step + 1) / (2 * of_epoch + 1)) for step in range(3 * of_epoch)]
    assert seen == pytest.approx([0.01 * share for share in shares])


def test_adam_decays_by_the_gradient_and_adamw_by_itself(source, labels, tmp_path):
    kinds = []
    for name in ("adam", "adamw"):
        config = make_config()
        config = config.model_copy(update={"training": replace_training(config, optimizer=name, weight_decay=1e-5)})
        kinds.append(build_module(config, make_tasks(), {"face": 3, "voice": 2}).configure_optimizers())
    assert [type(kind) for kind in kinds] == [torch.optim.Adam, torch.optim.AdamW]
    assert all(kind.param_groups[0]["weight_decay"] == 1e-5 for kind in kinds)


def test_a_state_that_all_steps_of_a_window_share_has_one_answer(source):
    """To the last bit: equal rows of a matrix product differ by where they stand in it."""
    config = make_config("pooled", settings={"hidden_dim": 50})
    module = build_module(config, make_tasks(), {"face": 3, "voice": 2}).eval()
    dataset = WindowDataset(source, ["only_va"], {}, config.window)
    with torch.no_grad():
        raw = module(collate([dataset[0], dataset[1]]))[0]["expr"]
    assert torch.equal(raw, raw[:, :1].expand_as(raw))
