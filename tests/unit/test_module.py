"""From windows to predictions: one module for every model and task, a run that can be stopped."""

import json
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from abaw.annotations import Labels
from abaw.batches import collate
from abaw.config import Config, FeatureConfig, WindowConfig
from abaw.decoding import stitch
from abaw.tasks import TASKS
from abaw.tasks.base import Scored
from abaw.tracks import Clock, Track
from fusion.data import ClipDataModule, Shuffled, WindowDataset, fit_to_clock, seed_of_epoch
from fusion.layers.masks import seen
from fusion.models import FUSION_MODELS
from fusion.models.base import Fused, FusionModel
from fusion.module import FusionModule
from fusion.predict import predict
from fusion.train import train, trainer_errors
from fusion.weights import build_module, load_module


@dataclass
class MemorySource:
    """Two tracks on the clock: the face shows valence and expression, the voice arousal."""

    tracks: dict[str, dict[str, Track]]
    reads_left: int = 10**9

    def names(self):
        return ("face", "voice")

    def dim(self, name):
        return {"face": 3, "voice": 2}[name]

    def is_on_clock(self, name):
        return True

    def clock(self, clip_id):
        times_s = self.tracks[clip_id]["face"].times_s
        return Clock(np.arange(1, len(times_s) + 1), times_s, np.ones(len(times_s), bool))

    def read(self, name, clip_id, start_s, stop_s):
        self.reads_left -= 1
        if self.reads_left < 0:
            raise OSError("the power went")
        track = self.tracks[clip_id][name]
        rows = (track.times_s >= start_s) & (track.times_s <= stop_s)
        return Track(track.values[rows], track.times_s[rows], track.observed[rows])


def make_source(lengths):
    """Clips by name: number of steps. One in eight rows is unobserved, and NaN there."""
    tracks = {}
    for seed, (clip_id, num_steps) in enumerate(lengths.items()):
        rng = np.random.default_rng(seed)
        times_s = 0.5 + np.arange(num_steps) / 25
        tracks[clip_id] = {
            name: _track(rng.normal(size=(num_steps, dim)) * 3 + 7, times_s, rng.random(num_steps) > 1 / 8)
            for name, dim in (("face", 3), ("voice", 2))
        }
    return MemorySource(tracks)


def _track(values, times_s, observed):
    values = values.astype(np.float32)
    values[~observed] = np.nan
    return Track(values, times_s, observed)


def va_labels(source, clip_id):
    face, voice = (source.tracks[clip_id][name].values for name in ("face", "voice"))
    values = np.tanh((np.stack([face[:, 0], voice[:, 0]], 1) - 7) / 3).astype(np.float32)
    scored = np.isfinite(values).all(1)
    return Labels(np.where(scored[:, None], values, 0), scored)


def expr_labels(source, clip_id):
    face = source.tracks[clip_id]["face"].values
    scored = np.isfinite(face).all(1)
    return Labels(np.where(scored & (face[:, 1] > 7), 4.0, 5.0).astype(np.float32)[:, None], scored)


LENGTHS = {"both": 60, "only_va": 45, "only_expr": 50, "val_both": 47, "val_va": 9}


@pytest.fixture
def source():
    return make_source(LENGTHS)


@pytest.fixture
def labels(source):
    va = {clip: va_labels(source, clip) for clip in ("both", "only_va", "val_both", "val_va")}
    expr = {clip: expr_labels(source, clip) for clip in ("both", "only_expr", "val_both")}
    return {
        split: {
            name: {clip: each for clip, each in of_task.items() if clip.startswith("val") == (split == "validation")}
            for name, of_task in (("va", va), ("expr", expr))
        }
        for split in ("train", "validation")
    }


def make_config(model="bigru", *, tasks=("va", "expr"), losses=None, window=(20, 10), settings=None, **trainer):
    return Config.model_validate(
        {
            "name": "test",
            "data": "data",
            "store": "store",
            "tasks": {task: {} for task in tasks},
            "features": {"face": {}, "voice": {}},
            "model": {"name": model, "hidden_dim": 8, "dropout": 0.2, **(settings or {})},
            "losses": losses or {},
            "window": {"length": window[0], "stride": window[1]},
            "training": {"batch_size": 4, "learning_rate": 0.01, "patience_epochs": 50},
            "trainer": {"max_epochs": 4, "accelerator": "cpu", **trainer},
        }
    )


def make_tasks(*names):
    return {name: TASKS.build(name) for name in names or ("va", "expr")}


def mean_loss(module, data):
    losses = []
    for batch in data.train_dataloader():
        raw, _ = module.eval()(batch)
        losses += [
            task.loss(raw[name], batch.target[name], batch.scored[name]).item()
            for name, task in module.tasks.items()
            if name in batch.target
        ]
    return np.mean(losses)


# ---- windows


def test_a_window_holds_its_own_rows_and_labels(source, labels):
    dataset = WindowDataset(
        source, ["both"], fit_to_clock(labels["train"], source) | {"expr": {}}, make_config().window
    )
    window = dataset[2]
    assert (window.clip_id, window.first_step, len(window.times_s)) == ("both", 20, 20)
    np.testing.assert_array_equal(window.signals["face"].values, source.tracks["both"]["face"].values[20:40])
    np.testing.assert_array_equal(window.target["va"], labels["train"]["va"]["both"].values[20:40])
    assert set(window.scored) == {"va"}


def test_labels_shorter_than_the_clock_are_unscored_at_the_end(source, labels):
    short = {"va": {"both": Labels(np.ones((50, 2), np.float32), np.ones(50, bool))}}
    fitted = fit_to_clock(short, source)["va"]["both"]
    assert len(fitted) == 60
    assert fitted.scored.sum() == 50
    assert not fitted.scored[50:].any()


def test_labels_longer_than_the_clock_name_the_clip(source):
    long = {"va": {"both": Labels(np.ones((61, 2), np.float32), np.ones(61, bool))}}
    with pytest.raises(
        ValueError, match=r"'both' has 61 label lines for va and a clock of 60 frames: run abaw extract again"
    ):
        fit_to_clock(long, source)


def test_a_source_that_is_not_aligned_is_refused(source):
    track = source.tracks["both"]["voice"]
    source.tracks["both"]["voice"] = Track(track.values[::2], track.times_s[::2], track.observed[::2])
    dataset = WindowDataset(source, ["both"], {}, make_config().window)
    with pytest.raises(ValueError, match=r"voice of clip 'both' has 10 rows .* must be aligned to the clock"):
        dataset[0]


def test_windows_without_a_scored_step_are_left_out_of_training_but_not_of_validation(source):
    scored = np.zeros(60, bool)
    scored[3] = True
    some = Labels(np.zeros((60, 2), np.float32), scored)
    labels = {"train": {"va": {"both": some}}, "validation": {"va": {"both": some}}}
    data = ClipDataModule(make_config(tasks=["va"]), labels, source)
    assert [start for _, start, _ in data.train.spans] == [0]
    assert [start for _, start, _ in data.validation.spans] == [0, 10, 20, 30, 40]


def test_a_task_without_a_scored_frame_is_an_error(source, labels):
    labels["validation"]["expr"] = {"val_both": Labels(np.zeros((3, 1), np.float32), np.zeros(3, bool))}
    with pytest.raises(ValueError, match="no frame of the validation split is scored for expr"):
        ClipDataModule(make_config(), labels, source)


def test_the_order_of_windows_follows_from_seed_and_epoch():
    orders = []
    for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0), (-1, 0)):
        sampler = Shuffled(50, seed)
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert sorted(orders[-1]) == list(range(50))
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 4
    assert seed_of_epoch(0, 1) != seed_of_epoch(1, 0)


def test_one_batch_carries_clips_that_have_different_tasks(source, labels):
    dataset = WindowDataset(
        source, ["only_va", "only_expr"], fit_to_clock(labels["train"], source), make_config().window
    )
    batch = collate([dataset[0], dataset[len(dataset) - 1]])
    assert batch.scored["va"].any(1).tolist() == [True, False]
    assert batch.scored["expr"].any(1).tolist() == [False, True]


# ---- training


@pytest.mark.parametrize("model", ["concat", "bigru", "attention"])
def test_the_loss_falls_and_the_scores_of_predictions_are_those_of_validation(model, source, labels, tmp_path):
    config, tasks = make_config(model, max_epochs=8), make_tasks()
    module = train(config, tasks, labels, source, tmp_path)
    data = ClipDataModule(config, labels, source)
    fresh = build_module(config, tasks, module.dims)
    fresh.front.load_state_dict(module.front.state_dict())
    assert mean_loss(module, data) < 0.9 * mean_loss(fresh, data)
    predicted = {
        clip: raw for clip, raw, _ in predict(module, source, ["val_both", "val_va"], config.window, batch_size=3)
    }
    for name, task in tasks.items():
        scored = {
            clip: Scored(task.decode(task.probabilities(predicted[clip][name])), each)
            for clip, each in data.labels["validation"][name].items()
        }
        assert task.score(scored) == pytest.approx(module.scores[name], abs=1e-6)


def test_what_is_logged_is_the_official_score_of_the_best_epoch(source, labels, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    module = train(make_config(), make_tasks(), labels, source, tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"train/loss", "train/va", "train/expr", "validation/va/CCC", "validation/expr/F1"} <= set(
        events.Tags()["scalars"]
    )
    logged = [event.value for event in events.Scalars("validation/score")]
    assert len(logged) == 4
    best = (module.scores["va"]["CCC"] + module.scores["expr"]["F1"]) / 2
    assert max(logged) == pytest.approx(best, abs=1e-6)
    with safetensors.safe_open(tmp_path / "weights" / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["module"])["epoch"] == int(np.argmax(logged))
    assert sorted(path.name.split(".")[0] for path in tmp_path.iterdir()) == ["events", "resume", "weights"]


@pytest.mark.parametrize("model", ["concat", "bigru", "attention"])
def test_a_run_that_was_stopped_ends_with_the_weights_of_an_unbroken_one(model, source, labels, tmp_path):
    config, tasks = make_config(model, max_epochs=5), make_tasks()
    train(config, tasks, labels, source, tmp_path / "unbroken")
    num_reads = 10**9 - source.reads_left
    weights = (tmp_path / "unbroken" / "weights" / "model.safetensors").read_bytes()
    for share in (0.5, 0.75):
        folder = tmp_path / str(share)
        source.reads_left = int(num_reads * share)
        with pytest.raises(OSError, match="the power went"):
            train(config, tasks, labels, source, folder)
        assert (folder / "resume.ckpt").exists()
        source.reads_left = 10**9
        train(config, tasks, labels, source, folder)
        assert (folder / "weights" / "model.safetensors").read_bytes() == weights


def test_the_last_weights_of_a_stopped_run_are_those_of_an_unbroken_one(source, labels, tmp_path, monkeypatch):
    # the best epoch may lie before the stop; the state at the very end shows every epoch
    ends = []
    monkeypatch.setattr(
        FusionModule, "on_fit_end", lambda self: ends.append({k: v.clone() for k, v in self.state_dict().items()})
    )
    config, tasks = make_config(max_epochs=4), make_tasks()
    train(config, tasks, labels, source, tmp_path / "unbroken")
    source.reads_left = (10**9 - source.reads_left) // 2
    with pytest.raises(OSError, match="the power went"):
        train(config, tasks, labels, source, tmp_path / "stopped")
    source.reads_left = 10**9
    train(config, tasks, labels, source, tmp_path / "stopped")
    assert len(ends) == 2
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key


@pytest.mark.parametrize("max_epochs", [2, 30])
def test_a_run_stopped_after_its_last_epoch_does_not_train_on(max_epochs, source, labels, tmp_path, monkeypatch, capfd):
    config = make_config(max_epochs=max_epochs)
    config = config.model_copy(update={"training": replace_training(config, patience_epochs=2, learning_rate=1e-12)})
    with monkeypatch.context() as patch:
        patch.setattr(FusionModule, "on_fit_end", power_cut)
        with pytest.raises(OSError, match="the power went"):
            train(config, make_tasks(), labels, source, tmp_path)
    weights = (tmp_path / "weights" / "model.safetensors").read_bytes()
    capfd.readouterr()
    train(config, make_tasks(), labels, source, tmp_path)
    assert capfd.readouterr().err == ""
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == weights


def power_cut(_):
    raise OSError("the power went")


def test_a_resume_file_of_another_config_is_refused(source, labels, tmp_path):
    config = make_config()
    source.reads_left = 60
    with pytest.raises(OSError, match="the power went"):
        train(config, make_tasks(), labels, source, tmp_path)
    source.reads_left = 10**9
    other = config.model_copy(update={"window": WindowConfig(length=10, stride=10)})
    with pytest.raises(ValueError, match=r"resume.ckpt is of a run with another config: delete it"):
        train(other, make_tasks(), labels, source, tmp_path)


def test_training_stops_when_the_score_has_not_risen_for_long(source, labels, tmp_path, capfd):
    config = make_config(max_epochs=30)
    config = config.model_copy(update={"training": replace_training(config, patience_epochs=2, learning_rate=1e-12)})
    train(config, make_tasks(), labels, source, tmp_path)
    out, err = capfd.readouterr()
    lines = err.strip().splitlines()
    assert 3 <= len(lines) < 30
    assert lines[0].startswith("epoch 1/30: loss ")
    assert "(best " in lines[-1]
    assert out == ""


def replace_training(config, **changes):
    return config.training.model_copy(update=changes)


def test_a_run_too_short_for_a_validation_leaves_its_last_weights(source, labels, tmp_path):
    module = train(make_config(max_epochs=1, max_steps=2), make_tasks(), labels, source, tmp_path)
    assert module.scores == {}


def test_training_leaves_the_callers_random_state_alone(source, labels, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(make_config(max_epochs=1), make_tasks(), labels, source, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


# ---- the model's own losses


class TwoLosses(FusionModel):
    """Has losses of its own, of fixed size, so that a test can count them."""

    hidden_dim = 3

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.shift = nn.Parameter(torch.ones(()))
        self.loss_weights = {"near": 0.25, "far": 4.0}

    def forward(self, steps):
        return Fused(seen(steps, "face")[0] * self.scale, {"near": 2 * self.shift, "far": 10 * self.shift})


def test_the_losses_of_tasks_and_model_are_summed_by_weight(source, labels):
    config = make_config(losses={"far": 0.5})
    config = config.model_copy(
        update={"tasks": {**config.tasks, "va": config.tasks["va"].model_copy(update={"weight": 3.0})}}
    )
    module = FusionModule(TwoLosses(), make_tasks(), config, {"face": 3, "voice": 2})
    logged = {}
    module.log_dict = lambda values, **_: logged.update(values)
    data = ClipDataModule(config, labels, source)
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


# ---- the optimizer


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


def test_the_warm_up_counts_optimizer_steps_not_batches(source, labels, tmp_path, monkeypatch):
    config = make_config(max_epochs=3, accumulate_grad_batches=2)
    config = config.model_copy(update={"training": replace_training(config, warmup_epochs=2)})
    of_epoch = -(-len(ClipDataModule(config, labels, source).train_dataloader()) // 2)
    assert of_epoch > 1
    seen, noted = rates(build_module(config, make_tasks(), {"face": 3, "voice": 2}))
    monkeypatch.setattr(FusionModule, "optimizer_step", noted)
    train(config, make_tasks(), labels, source, tmp_path)
    shares = [min(1.0, (step + 1) / (2 * of_epoch + 1)) for step in range(3 * of_epoch)]
    assert seen == pytest.approx([0.01 * share for share in shares])


def test_a_cosine_without_an_end_is_an_error(source, labels, tmp_path):
    config = make_config(max_epochs=-1)
    config = config.model_copy(update={"training": replace_training(config, schedule="cosine")})
    with pytest.raises(ValueError, match="training.schedule: a cosine needs an end: set trainer.max_epochs"):
        train(config, make_tasks(), labels, source, tmp_path)


def test_adam_decays_by_the_gradient_and_adamw_by_itself(source, labels, tmp_path):
    kinds = []
    for name in ("adam", "adamw"):
        config = make_config()
        config = config.model_copy(update={"training": replace_training(config, optimizer=name, weight_decay=1e-5)})
        kinds.append(build_module(config, make_tasks(), {"face": 3, "voice": 2}).configure_optimizers())
    assert [type(kind) for kind in kinds] == [torch.optim.Adam, torch.optim.AdamW]
    assert all(kind.param_groups[0]["weight_decay"] == 1e-5 for kind in kinds)


def test_a_run_with_a_schedule_that_was_stopped_ends_as_an_unbroken_one(source, labels, tmp_path):
    config = make_config(max_epochs=5)
    config = config.model_copy(update={"training": replace_training(config, warmup_epochs=2, schedule="cosine")})
    train(config, make_tasks(), labels, source, tmp_path / "unbroken")
    source.reads_left = (10**9 - source.reads_left) // 2
    with pytest.raises(OSError, match="the power went"):
        train(config, make_tasks(), labels, source, tmp_path / "stopped")
    source.reads_left = 10**9
    train(config, make_tasks(), labels, source, tmp_path / "stopped")
    one, two = (tmp_path / name / "weights" / "model.safetensors" for name in ("unbroken", "stopped"))
    assert one.read_bytes() == two.read_bytes()


# ---- what features ask of the front


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
    assert [channel.feature for channel in module.front.channels] == [features["face"], features["voice"]]
    assert module.model.layers[0][0].in_features == 5 + 1 + 6 + 1
    for clip_id in ("val_both", "val_va"):  # alone: a batch may have no row of the voice
        ((_, raw, observed),) = predict(module, source, [clip_id], config.window)
        assert np.isfinite(raw["va"]).all()
        assert len(observed) == len(source.clock(clip_id))
    again = load_module(tmp_path, config, make_tasks())
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in module.state_dict().items())


# ---- one file more is one model more


ONE_FILE = '''
from torch import nn

from fusion.layers.masks import ordered, seen
from fusion.models import FUSION_MODELS
from fusion.models import FUSION_MODELS
from fusion.models.base import Fused, FusionModel


@FUSION_MODELS.register
def running_mean(*, dims, hidden_dim: int = 4, dropout: float = 0.1) -> FusionModel:
    """The mean of everything so far."""
    return RunningMean(dims, hidden_dim, dropout)


class RunningMean(FusionModel):
    def __init__(self, dims, hidden_dim, dropout):
        super().__init__()
        self.hidden_dim, self.names = hidden_dim, ordered(dims)
        self.layers = nn.ModuleList(nn.Linear(dims[name], hidden_dim) for name in self.names)
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps):
        hidden = sum(layer(seen(steps, name)[0]) for layer, name in zip(self.layers, self.names, strict=True))
        num = hidden.new_ones(hidden.shape[:2]).cumsum(1)[..., None]
        return Fused(self.dropout(hidden.cumsum(1) / num))
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


def test_a_batch_without_labels_of_a_task_has_no_loss_of_it(source, labels):
    config = make_config()
    module = build_module(config, make_tasks(), {"face": 3, "voice": 2})
    logged = {}
    module.log_dict = lambda values, **_: logged.update(values)
    dataset = WindowDataset(source, ["only_va"], fit_to_clock(labels["train"], source), config.window)
    module.training_step(collate([dataset[0], dataset[1]]), 0).backward()
    assert set(logged) == {"train/loss", "train/va"}
    assert module.heads["expr"].weight.grad is None


def test_training_that_runs_away_says_what_to_do(source, labels, tmp_path, monkeypatch):
    class Nan(TwoLosses):
        def forward(self, steps):
            return Fused(seen(steps, "face")[0] * self.scale * torch.nan)

    monkeypatch.setattr("fusion.weights.FUSION_MODELS.build", lambda *_, **__: Nan())
    with pytest.raises(ValueError, match=r"outputs for va are not finite.*lower training.learning_rate"):
        train(make_config(), make_tasks(), labels, source, tmp_path)


# ---- settings of the Trainer


@pytest.mark.parametrize(
    "key", ["callbacks", "logger", "default_root_dir", "enable_checkpointing", "limit_val_batches", "fast_dev_run"]
)
def test_what_is_ours_in_the_trainer_is_refused_with_the_reason(key):
    ((found, message),) = trainer_errors({"max_epochs": 3, key: 1})
    assert found == key
    assert message.startswith(f"trainer.{key} is not free: ")


def test_an_unknown_trainer_argument_names_the_nearest():
    ((key, message),) = trainer_errors({"max_epoch": 3})
    assert key == "max_epoch"
    assert "has no argument 'max_epoch'; did you mean 'max_epochs'? known: accelerator" in message


def test_a_trainer_argument_that_lightning_refuses_is_a_value_error(source, labels, tmp_path):
    with pytest.raises(ValueError, match=r"lightning.Trainer refuses the settings under trainer: "):
        train(make_config(precision="17-mixed"), make_tasks(), labels, source, tmp_path)
    with pytest.raises(ValueError, match="did you mean 'max_epochs'"):
        train(make_config(max_epoch=3), make_tasks(), labels, source, tmp_path)
    with pytest.raises(ValueError, match=r"training runs on one device, not on 2: set trainer.devices to 1"):
        train(make_config(devices=2), make_tasks(), labels, source, tmp_path)


# ---- weights and predictions


def test_weights_on_disk_give_the_same_module_again(source, labels, tmp_path):
    config, tasks = make_config(), make_tasks()
    module = train(config, tasks, labels, source, tmp_path)
    again = load_module(tmp_path, config, tasks)
    assert again.dims == {"face": 3, "voice": 2}
    assert again.scores == module.scores
    assert not torch.equal(again.front.channels[0].mean, torch.zeros(3))
    for key, value in module.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


def test_missing_or_foreign_weights_are_errors(source, labels, tmp_path):
    tasks = make_tasks()
    with pytest.raises(FileNotFoundError, match=r"no weights at .*model.safetensors: run abaw train"):
        load_module(tmp_path, make_config(), tasks)
    train(make_config(max_epochs=1), tasks, labels, source, tmp_path)
    with pytest.raises(ValueError, match="does not hold the weights of this config"):
        load_module(tmp_path, make_config("attention"), tasks)
    with pytest.raises(ValueError, match="does not hold the weights of this config"):
        load_module(tmp_path, make_config(), make_tasks("va"))
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="does not hold the weights of this config"):
        load_module(tmp_path, make_config(), tasks)


def test_predictions_are_the_mean_of_overlapping_windows(source):
    config = make_config("bigru", window=(20, 7))
    module = build_module(config, make_tasks(), {"face": 3, "voice": 2})
    ((clip_id, raw, observed),) = predict(module, source, ["both"], config.window)
    dataset = WindowDataset(source, ["both"], {}, config.window)
    pieces = [(dataset[i].first_step, module.outputs(collate([dataset[i]]))[0][0]["va"]) for i in range(len(dataset))]
    assert clip_id == "both"
    assert raw["va"].shape == (60, 2)
    assert raw["expr"].shape == (60, 8)
    np.testing.assert_allclose(raw["va"], stitch(pieces, 60), atol=1e-6)
    tracks = source.tracks["both"]
    np.testing.assert_array_equal(observed, tracks["face"].observed | tracks["voice"].observed)


def test_predictions_come_clip_by_clip_in_the_order_asked_whatever_the_batch_size(source):
    config = make_config()
    module = build_module(config, make_tasks("va"), {"face": 3, "voice": 2})
    clips = ["val_va", "both", "only_va"]
    large, small = (list(predict(module, source, clips, config.window, batch_size=size)) for size in (50, 1))
    assert [clip for clip, _, _ in large] == clips
    for (_, a, _), (_, b, _) in zip(large, small, strict=True):
        np.testing.assert_allclose(a["va"], b["va"], atol=1e-5)


def test_a_clip_without_a_frame_has_predictions_without_a_row(source):
    empty = make_source({"empty": 0, "both": 30})
    module = build_module(make_config(), make_tasks("va"), {"face": 3, "voice": 2})
    (_, raw, observed), (_, other, _) = predict(module, empty, ["empty", "both"], make_config().window)
    assert raw["va"].shape == (0, 2)
    assert observed.shape == (0,)
    assert other["va"].shape == (30, 2)


def test_the_same_seed_builds_the_same_module_and_leaves_the_callers_random_state():
    config, dims = make_config(), {"face": 3, "voice": 2}
    before = torch.get_rng_state()
    one, two = (build_module(config, make_tasks(), dims) for _ in range(2))
    other = build_module(config.model_copy(update={"training": replace_training(config, seed=1)}), make_tasks(), dims)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.heads["va"].weight, two.heads["va"].weight)
    assert not torch.equal(one.heads["va"].weight, other.heads["va"].weight)


def test_the_fronts_spread_is_the_training_splits(source, labels, tmp_path):
    from fusion.front import measure_spread

    module = train(make_config(), make_tasks(), labels, source, tmp_path)
    expected = measure_spread(source, ["both", "only_va", "only_expr"])
    other = measure_spread(source, ["val_both", "val_va"])
    for name, layer in zip(module.front.names, module.front.channels, strict=True):
        assert layer.mean.numpy() == pytest.approx(expected[name].mean, rel=1e-5)
        assert layer.mean.numpy() != pytest.approx(other[name].mean, rel=1e-5)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [({"precision": "bf16-true"}, "take bf16-mixed"), ({"max_epochs": 0}, "nothing would be trained")],
)
def test_a_trainer_that_could_not_train_is_refused(trainer, message):
    ((key, said),) = trainer_errors(trainer)
    assert key in trainer
    assert message in said
