"""The Lightning module: training step and validation, the same for every fusion model and task."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from abaw.batches import Batch
from abaw.configs.sections import Config
from abaw.errors import InputError
from abaw.results.runs import RESUME
from abaw.tasks.base import Task
from abaw.teachers.distillation import DISTILLATION, PSEUDO_LABELS, distillation_loss, key_of
from fusion.adaptation.inner_loop import (
    Adapted,
    AdaptiveModel,
    Episode,
    adapt,
    draw_episode,
    stack_vectors,
    support_loss,
    without_dropout,
)
from fusion.base import FusionInput, FusionModel
from fusion.continuing.anchors import Anchors
from fusion.input_stage import InputStage
from fusion.layers.heads.calibrator import calibrators_of
from fusion.layers.heads.hidden_stage import HiddenStage
from fusion.layers.pooling import PoolingHead, apply_to_steps, build_head, find_pooled_steps
from fusion.sampling import derive_epoch_seed
from fusion.validation import Raw, check_loss, gather_windows, score
from fusion.weight_decay import split_by_decay

NUM_GROUPS = 2  # of the optimizer: parameters that decay, and those that do not
PLATEAU = 10  # validations in a row without a better score before the learning rate falls

WindowOutput = tuple[Raw, dict[str, np.ndarray]]  # raw outputs of one window; where each modality was observed (time)
Outputs = tuple[dict[str, Tensor], dict[str, Tensor]]  # raw outputs of every task; the model's auxiliary losses


class LossTerm(NamedTuple):
    """One term of the loss: its weight, its value, and the number of windows it was computed from."""

    weight: float
    loss: Tensor
    num_windows: int


class FusionModule(lightning.LightningModule):
    """Input stage, fusion model, the layers that the config adds to it (``HiddenStage``), and a linear head for each
    task, which may pool a window's steps (``PoolingHead``) and be followed by a calibration (``Calibrator``).

    The loss is the weighted sum of the tasks' losses, plus the model's auxiliary losses weighted by the config's
    ``losses`` (default: the model's ``loss_weights``). A task without labels in a batch contributes nothing. If a task
    has an ``r_drop_weight``, each batch is passed twice with different dropout; losses are the mean of both passes, and
    the disagreement between them is one more loss (R-Drop, Liang et al. 2021, arXiv 2106.14448). Pseudo-labels and the
    outputs of teachers, where the config names some, add a loss for each task; a training that continues another run
    adds the penalty of its ``anchors``.

    A training step adapts an ``AdaptiveModel`` to the persons of the batch (``persons``: clip -> person), and labels of
    the support do not count in the loss. Outputs are without adaptation, but for clips with ``vectors``.

    Validation merges the windows of all processes into clips and scores the whole split. It logs
    ``validation/<task>/<metric>`` and ``validation/score``, the mean of the tasks' ranking metrics, which selects the
    best weights; and ``validation/loss``, the weighted sum of the tasks' losses, with ``validation/loss/<task>``: means
    over windows with labels, as of the training's, without the model's auxiliary losses and R-Drop.
    ``scores`` holds the scores of the last validation, or those saved with the weights.

    Raises InputError where ``losses`` names a loss that the model does not have, or an output is not finite.
    """

    def __init__(self, model: FusionModel, tasks: Mapping[str, Task], config: Config, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.dims = dict(dims)
        self.input_stage = InputStage(dims, config.features)
        self.model = model
        for name in config.losses:
            check_loss(name, config, model)
        self.loss_weights = {**model.loss_weights, **config.losses}
        self.heads = nn.ModuleDict(
            {_key(name): build_head(model.hidden_dim, task, config) for name, task in tasks.items()}
        )
        if model.heads_start_at_zero:
            for parameter in nn.ModuleList(map(self.last_layer, tasks)).parameters():
                nn.init.zeros_(parameter)
        self.hidden_stage = HiddenStage(model.hidden_dim, config.hidden)  # after the heads: their start stays the same
        self.calibrators = nn.ModuleDict({_key(name): each for name, each in calibrators_of(tasks, config, dims)})
        self.tasks = dict(tasks)
        self.config = config
        self.persons: Mapping[str, str] = {}
        self.vectors: Mapping[str, Tensor] = {}
        self.scores: dict[str, dict[str, float]] = {}
        self.anchors: Anchors | None = None  # of a training that continues another
        self.epoch: int | None = None  # that loaded weights are of, from 0
        self._windows: dict[str, dict[int, Raw]] = {}
        self._num_steps: float | None = None  # optimizer steps of the whole training, for the schedule
        self._plateau: ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None  # of a run that is resumed

    def forward(self, batch: Batch) -> Outputs:
        """Raw outputs (batch time out) of every task, and the model's auxiliary losses."""
        return self._fuse(self.input_stage(batch))

    def _fuse(self, inputs: FusionInput) -> Outputs:
        output = self.model(inputs)
        return self._read(output.hidden, inputs), output.losses

    def _read(self, hidden: Tensor, inputs: FusionInput) -> dict[str, Tensor]:
        hidden, raw = self.hidden_stage(hidden, inputs), {}
        for name in self.tasks:
            head = self.heads[_key(name)]
            is_pooling = isinstance(head, PoolingHead)
            raw[name] = head(hidden, find_pooled_steps(inputs)) if is_pooling else apply_to_steps(head, hidden)
            if _key(name) in self.calibrators:
                raw[name] = self.calibrators[_key(name)](raw[name], inputs.observed)
        return raw

    def last_layer(self, task: str) -> nn.Module:
        """The linear layer that gives a task's raw outputs."""
        return getattr(self.heads[_key(task)], "out", self.heads[_key(task)])

    def measure(self, batches: Iterable[Batch]) -> None:
        """Let the model see the training windows before training, where it asks for them (``FusionModel.measure``)."""
        if type(self.model).measure is not FusionModel.measure:
            self.eval()
            with torch.no_grad():
                self.model.measure(self.input_stage(batch) for batch in batches)
            self.train()

    def on_fit_start(self) -> None:
        if self.anchors is not None:
            self.anchors = self.anchors.to(self.device)

    def on_train_epoch_start(self) -> None:
        # dropout uses torch's global generator: seeding it in every epoch makes a resumed run equal an uninterrupted
        # one; each process has its own seed
        torch.manual_seed(derive_epoch_seed(self.config.training.seed, self.current_epoch, self.global_rank))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        run: Callable[[Batch], Outputs] = self
        if isinstance(self.model, AdaptiveModel):
            episode = draw_episode(batch, self.persons, self.tasks, self.config.adaptation)
            run = partial(self._run_adapted, episode)
            batch = replace(batch, scored={**batch.scored, **episode.query})
        needs_two_passes = any(task.r_drop_weight for task in self.tasks.values())
        terms = self._loss_terms(batch, [run(batch) for _ in range(2 if needs_two_passes else 1)])
        if self.anchors is not None:
            penalty = self.anchors.compute_loss(self.named_parameters())
            terms["penalty"] = LossTerm(1.0, penalty, len(batch.clip_ids))
        total = torch.stack([term.weight * term.loss for term in terms.values()]).sum()
        for name, term in {"loss": LossTerm(1.0, total, len(batch.clip_ids)), **terms}.items():
            # every process must log the same names, because they are averaged over processes at the end of the epoch;
            # a task without labels in this batch counts 0 windows
            value, num = term.loss.detach(), term.num_windows
            self.log(f"train/{name}", value, on_step=False, on_epoch=True, batch_size=num, sync_dist=True)
        return total

    def _run_adapted(self, episode: Episode, batch: Batch) -> Outputs:
        """``forward``, with the vectors of the persons of a batch adapted to their support."""
        inputs = self.input_stage(batch)
        vectors = self.adapt(inputs, batch, episode, is_training=True).vectors
        return self._fuse(replace(inputs, vectors=vectors[episode.persons]))

    def adapt(self, inputs: FusionInput, batch: Batch, episode: Episode, *, is_training: bool) -> Adapted:
        """Adapt the model to the persons of a batch, whose ``inputs`` these are; see ``adapt``."""
        assert isinstance(self.model, AdaptiveModel)
        loss = support_loss(self.tasks, {name: self.config.tasks[name].weight for name in self.tasks}, batch, episode)
        with without_dropout(self.model, self.hidden_stage, self.heads):
            settings, run = self.config.adaptation, lambda given: self._fuse(given)[0]
            return adapt(self.model, run, inputs, episode.persons, loss, settings, is_training=is_training)

    def _loss_terms(self, batch: Batch, passes: list[Outputs]) -> dict[str, LossTerm]:
        """The terms of the loss, by the names under which they are logged."""
        terms: dict[str, LossTerm] = {}
        for name, task in self.tasks.items():
            weight, scored = self.config.tasks[name].weight, batch.scored.get(name)
            outputs = [raw[name] for raw, _ in passes]
            if scored is None:  # a loss of 0 with a gradient: DDP requires one for every head
                nothing = LossTerm(weight, _mean(raw[:0].sum() for raw in outputs), 0)
                terms |= dict.fromkeys([name, f"{name}/r_drop"] if task.r_drop_weight else [name], nothing)
            else:
                num, target = int(scored.any(1).sum()), batch.target[name]
                terms[name] = LossTerm(weight, _mean(task.loss(raw, target, scored) for raw in outputs), num)
                if task.r_drop_weight:
                    disagreement = task.disagreement(outputs[0], outputs[1], scored)
                    terms[f"{name}/r_drop"] = LossTerm(weight * task.r_drop_weight, disagreement, num)
            terms |= self._taught_terms(batch, name, outputs)
        for name in passes[0][1]:
            loss = _mean(losses[name] for _, losses in passes)
            terms[f"model/{name}"] = LossTerm(self.loss_weights[name], loss, len(batch.clip_ids))
        return terms

    def _taught_terms(self, batch: Batch, name: str, outputs: list[Tensor]) -> dict[str, LossTerm]:
        """The terms of a task's loss on targets of teachers; the same names in every batch, as for the labels."""
        task, weight = self.tasks[name], self.config.tasks[name].weight
        pseudo_labels, distillation = self.config.pseudo_labels, self.config.distillation
        terms: dict[str, LossTerm] = {}
        for kind, section, loss in (
            (PSEUDO_LABELS, pseudo_labels, task.loss),
            (DISTILLATION, distillation, partial(distillation_loss, task, temperature=distillation.temperature)),
        ):
            if not section.tables:
                continue
            key = key_of(name, kind)
            scored = batch.scored.get(key)
            if scored is None:
                value, num = _mean(raw[:0].sum() for raw in outputs), 0
            else:
                value, num = _mean(loss(raw, batch.target[key], scored) for raw in outputs), int(scored.any(1).sum())
            terms[key] = LossTerm(weight * section.weight, value, num)
        return terms

    def configure_optimizers(self) -> Any:
        training = self.config.training
        optimizer_class = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[training.optimizer]
        decayed, spared = ([*named.values()] for named in split_by_decay(self))
        groups = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
        optimizer = optimizer_class(groups, lr=training.learning_rate, weight_decay=training.weight_decay)
        if training.schedule == "plateau":
            # stepped here: Lightning does so after resume.ckpt is written, and a resumed run would differ
            self._plateau = ReduceLROnPlateau(optimizer, "max", factor=0.1, patience=PLATEAU, min_lr=1e-7)
            if self._plateau_state is not None:
                self._plateau.load_state_dict(self._plateau_state)
            return optimizer
        if training.schedule == "constant" and not training.warmup_epochs:
            return optimizer
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._make_schedule())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _make_schedule(self) -> Callable[[int], float]:
        """The factor of the learning rate at an optimizer step: linear warm-up, then constant or a cosine decay."""
        num_steps = float(self.trainer.estimated_stepping_batches)
        is_cosine = self.config.training.schedule == "cosine"
        if is_cosine and self._num_steps not in (None, num_steps):
            raise InputError(
                f"this run was started with a cosine schedule over {self._num_steps:g} steps and cannot resume with "
                f"{num_steps:g}: restore the settings of trainer, or give the run another name"
            )
        self._num_steps = num_steps
        self.trainer.fit_loop.setup_data()  # counts the batches, also where training has no fixed end
        epoch_steps = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        warmup = self.config.training.warmup_epochs * epoch_steps

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            done = min(1.0, (step - warmup) / max(1.0, num_steps - warmup))
            return (1 + math.cos(math.pi * done)) / 2 if is_cosine else 1.0

        return factor

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["num_steps"] = self._num_steps
        checkpoint["plateau"] = self._plateau.state_dict() if self._plateau else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._num_steps, self._plateau_state = checkpoint["num_steps"], checkpoint.get("plateau")
        if any(len(state["param_groups"]) != NUM_GROUPS for state in checkpoint["optimizer_states"]):
            raise InputError(
                f"{RESUME} was written by an older version, whose weight decay applied to every parameter: delete it "
                "to start again"
            )

    def on_validation_epoch_start(self) -> None:
        self._windows = defaultdict(dict)

    def validation_step(self, batch: Batch, _: int) -> None:
        raw, observed = self._raw(batch)
        windows = zip(batch.clip_ids, batch.first_step.tolist(), self._rows(batch, raw, observed), strict=True)
        for clip_id, first_step, (rows, _observed) in windows:
            self._windows[clip_id][first_step] = rows
        total, num_windows = torch.zeros((), device=self.device), 0
        if batch.scored:
            num_windows = int(torch.stack([scored.any(1) for scored in batch.scored.values()]).any(0).sum())
        for name, task in self.tasks.items():  # also those without labels here: every process logs the same names
            scored = batch.scored.get(name)
            num = 0 if scored is None else int(scored.any(1).sum())
            loss = raw[name].new_zeros(()) if scored is None else task.loss(raw[name], batch.target[name], scored)
            total = total + self.config.tasks[name].weight * loss
            self.log(f"validation/loss/{name}", loss, on_step=False, on_epoch=True, batch_size=num, sync_dist=True)
        self.log("validation/loss", total, on_step=False, on_epoch=True, batch_size=num_windows, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        truth = self.trainer.datamodule.truth  # type: ignore[attr-defined]
        self.scores = score(self.tasks, gather_windows(self._windows), truth, self.config)
        self._windows = {}
        ranks = [next(iter(metrics.values())) for metrics in self.scores.values()]
        logged = {f"{task}/{key}": value for task, metrics in self.scores.items() for key, value in metrics.items()}
        logged["score"] = sum(ranks) / len(ranks)
        # every process has computed the same scores; the mean makes sure that they agree to the last bit
        values = {f"validation/{key}": float(value) for key, value in logged.items()}
        self.log_dict(values, batch_size=1, sync_dist=True)
        if self._plateau:
            self._plateau.step(values["validation/score"])

    def outputs(self, batch: Batch) -> list[WindowOutput]:
        """Raw outputs of each window and where each modality was observed, without padding.

        Raises InputError if an output is not finite.
        """
        return self._rows(batch, *self._raw(batch))

    def _raw(self, batch: Batch) -> tuple[dict[str, Tensor], Mapping[str, Tensor]]:
        """Raw outputs (batch time out) of every task, and where each modality was observed (batch time)."""
        vectors = stack_vectors(self.vectors, batch)
        inputs = replace(self.input_stage(batch), wants_losses=False, vectors=vectors)
        raw, _ = self._fuse(inputs)
        return raw, inputs.observed

    def _rows(self, batch: Batch, raw: Mapping[str, Tensor], seen: Mapping[str, Tensor]) -> list[WindowOutput]:
        observed = {name: flags.cpu().numpy() for name, flags in seen.items()}
        arrays = {name: values.detach().float().cpu().numpy() for name, values in raw.items()}
        lengths = batch.lengths.tolist()
        rows = [{name: values[i, :length] for name, values in arrays.items()} for i, length in enumerate(lengths)]
        for name in arrays:
            if not all(np.isfinite(each[name]).all() for each in rows):
                raise InputError(
                    f"outputs for {name} are not finite, because training diverged: lower training.learning_rate or "
                    "set trainer.gradient_clip_val"
                )
        return [
            (each, {name: flags[i, :length] for name, flags in observed.items()})
            for i, (each, length) in enumerate(zip(rows, lengths, strict=True))
        ]


def _key(name: str) -> str:
    """The key of a task's head: a ``ModuleDict`` refuses names that it has itself, such as "values"."""
    return f"{name}_" if hasattr(nn.ModuleDict, name) else name


def _mean(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()
