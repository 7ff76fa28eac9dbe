"""One training step and one validation for every fusion model and task."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from abaw.annotations import Labels
from abaw.batches import Batch
from abaw.config import Config
from abaw.decoding import stitch
from abaw.tasks.base import Scored, Task
from fusion.data import LabelsByTask, seed_of_epoch
from fusion.front import Front
from fusion.models.base import FusionModel, Steps

Raw = dict[str, np.ndarray]  # task -> raw outputs (time out)
Answer = tuple[Raw, np.ndarray]  # of one window: raw outputs, and where anything was observed (time)


class FusionModule(lightning.LightningModule):
    """Front, fusion model and a linear head for each task.

    The loss is the sum over tasks of weight times loss, plus the model's own losses weighed by the config's ``losses``
    (default: the model's ``loss_weights``). A batch without labels of a task has no loss of it. Validation stitches
    every clip's windows and scores the whole split at once: ``validation/<task>/<metric>``, and ``validation/score``,
    the mean of all tasks' ranking metrics, by which the best weights are chosen. Raises ValueError where ``losses``
    names what the model lacks, or an output is not finite. ``scores`` are the last validation's, or those of the
    weights that were read.
    """

    def __init__(self, model: FusionModel, tasks: Mapping[str, Task], config: Config, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.dims = dict(dims)
        self.front = Front(dims, config.features)
        self.model = model
        for name in config.losses:
            check_loss(name, config, model)
        self.loss_weights = {**model.loss_weights, **config.losses}
        self.heads = nn.ModuleDict({name: nn.Linear(model.hidden_dim, task.out_dim) for name, task in tasks.items()})
        self.tasks = dict(tasks)
        self.config = config
        self.scores: dict[str, dict[str, float]] = {}
        self._windows: dict[str, list[tuple[int, Raw]]] = {}

    def forward(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Raw outputs (batch time out) of every task, and the model's own losses."""
        return self._fused(self.front(batch))

    def _fused(self, steps: Steps) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        fused = self.model(steps)
        return {name: head(fused.hidden) for name, head in self.heads.items()}, fused.losses

    def on_train_epoch_start(self) -> None:
        # dropout draws from torch's global generator: seeded by epoch, a run that was stopped and resumed sees the
        # noise an unbroken one sees, whatever was drawn in between
        torch.manual_seed(seed_of_epoch(self.config.training.seed, self.current_epoch))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        raw, model_losses = self(batch)
        losses = {
            name: task.loss(raw[name], batch.target[name], batch.scored[name])
            for name, task in self.tasks.items()
            if name in batch.target
        }
        weighed = [self.config.tasks[name].weight * loss for name, loss in losses.items()]
        weighed += [self.loss_weights[name] * loss for name, loss in model_losses.items()]
        total = torch.stack(weighed).sum()
        logged = {"loss": total, **losses, **{f"model/{name}": loss for name, loss in model_losses.items()}}
        self.log_dict(
            {f"train/{name}": loss.detach() for name, loss in logged.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(batch.clip_ids),
        )
        return total

    def configure_optimizers(self) -> Any:
        training = self.config.training
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[training.optimizer]
        optimizer = kind(self.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
        if training.schedule == "constant" and not training.warmup_epochs:
            return optimizer
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self) -> Callable[[int], float]:
        """The share of the learning rate at an optimizer step: up over the first epochs, then as the schedule says."""
        num_steps = float(self.trainer.estimated_stepping_batches)
        is_cosine = self.config.training.schedule == "cosine"
        self.trainer.fit_loop.setup_data()  # without an end nobody has counted the batches yet
        of_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        warmup = self.config.training.warmup_epochs * of_epoch

        def share(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            done = min(1.0, (step - warmup) / max(1.0, num_steps - warmup))
            return (1 + math.cos(math.pi * done)) / 2 if is_cosine else 1.0

        return share

    def on_validation_epoch_start(self) -> None:
        self._windows = defaultdict(list)

    def validation_step(self, batch: Batch, _: int) -> None:
        answers = self.outputs(batch)
        for clip_id, first_step, (raw, _observed) in zip(
            batch.clip_ids, batch.first_step.tolist(), answers, strict=True
        ):
            self._windows[clip_id].append((first_step, raw))

    def on_validation_epoch_end(self) -> None:
        labels = self.trainer.datamodule.labels["validation"]  # type: ignore[attr-defined]
        self.scores = score(self.tasks, self._windows, labels)
        self._windows = {}
        ranks = [next(iter(metrics.values())) for metrics in self.scores.values()]
        logged = {f"{task}/{key}": value for task, metrics in self.scores.items() for key, value in metrics.items()}
        logged["score"] = sum(ranks) / len(ranks)
        self.log_dict({f"validation/{key}": float(value) for key, value in logged.items()}, batch_size=1)

    def outputs(self, batch: Batch) -> list[Answer]:
        """Every window's raw outputs and observed flags without its padding. ValueError where one is not finite."""
        steps = replace(self.front(batch), wants_losses=False)
        raw, _ = self._fused(steps)
        seen = torch.stack(list(steps.observed.values())).any(0).cpu().numpy()
        arrays = {name: values.detach().float().cpu().numpy() for name, values in raw.items()}
        lengths = batch.lengths.tolist()
        rows = [{name: values[i, :length] for name, values in arrays.items()} for i, length in enumerate(lengths)]
        for name in arrays:
            if not all(np.isfinite(each[name]).all() for each in rows):
                raise ValueError(
                    f"outputs for {name} are not finite: training ran away; lower training.learning_rate or "
                    "set trainer.gradient_clip_val"
                )
        return [(each, flags[:length]) for each, flags, length in zip(rows, seen, lengths, strict=True)]


def check_loss(name: str, config: Config, model: FusionModel) -> None:
    """ValueError where the model has no loss of that name."""
    if name not in model.loss_weights:
        known = ", ".join(model.loss_weights) or "none"
        raise ValueError(f"losses.{name}: model {config.model.name!r} has no such loss; known: {known}")


def score(
    tasks: Mapping[str, Task], windows: Mapping[str, list[tuple[int, Raw]]], labels: LabelsByTask
) -> dict[str, dict[str, float]]:
    """Each task's official score over all its labelled clips, from raw windows by clip: first step, task -> raw."""
    return {
        name: task.score({clip: _scored(task, name, windows[clip], each) for clip, each in labels[name].items()})
        for name, task in tasks.items()
    }


def _scored(task: Task, name: str, windows: list[tuple[int, Raw]], labels: Labels) -> Scored:
    raw = stitch(((first_step, raw[name]) for first_step, raw in windows), len(labels))
    return Scored(task.decode(task.probabilities(raw)), labels)
