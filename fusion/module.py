"""One training step and one validation for every fusion model and task."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from abaw.batches import Batch
from abaw.configs.sections import Config
from abaw.errors import InputError
from abaw.tasks.base import Task
from fusion.base import FusionInput, FusionModel
from fusion.front import InputStage
from fusion.sampling import seed_of_epoch
from fusion.validation import Raw, gathered, score

Answer = tuple[Raw, np.ndarray]  # of one window: raw outputs, and where anything was observed (time)
Outputs = tuple[dict[str, Tensor], dict[str, Tensor]]  # raw outputs of every task, the model's own losses


class Part(NamedTuple):
    """One summand of the loss: its weight, its value, and how many windows of the batch it is about."""

    weight: float
    loss: Tensor
    num_windows: int


class FusionModule(lightning.LightningModule):
    """InputStage, fusion model and a linear head for each task.

    The loss is the sum over tasks of weight times loss, plus the model's own losses weighed by the config's ``losses``
    (default: the model's ``loss_weights``). A batch without labels of a task has no loss of it. Where a task has an
    ``r_drop_weight`` a batch goes through twice, with noise of its own each time; losses are the mean of both, and how
    far the two disagree is a loss of the task (R-Drop, Liang et al. 2021, arXiv 2106.14448). Validation stitches every
    clip's windows, of all processes, and scores the whole split at once: ``validation/<task>/<metric>``, and
    ``validation/score``, the mean of all tasks' ranking metrics, by which the best weights are chosen. Raises
    ValueError where ``losses`` names what the model lacks, or an output is not finite. ``scores`` are the last
    validation's, or those of the weights that were read.
    """

    def __init__(self, model: FusionModel, tasks: Mapping[str, Task], config: Config, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.dims = dict(dims)
        self.front = InputStage(dims, config.features)
        self.model = model
        for name in config.losses:
            check_loss(name, config, model)
        self.loss_weights = {**model.loss_weights, **config.losses}
        self.heads = nn.ModuleDict({name: nn.Linear(model.hidden_dim, task.out_dim) for name, task in tasks.items()})
        self.tasks = dict(tasks)
        self.config = config
        self.scores: dict[str, dict[str, float]] = {}
        self._windows: dict[str, dict[int, Raw]] = {}
        self._num_steps: float | None = None  # of the whole training, as the learning rate's schedule counts on

    def forward(self, batch: Batch) -> Outputs:
        """Raw outputs (batch time out) of every task, and the model's own losses."""
        return self._fused(self.front(batch))

    def _fused(self, steps: FusionInput) -> Outputs:
        fused = self.model(steps)
        return {name: head(fused.hidden) for name, head in self.heads.items()}, fused.losses

    def on_train_epoch_start(self) -> None:
        # dropout draws from torch's global generator: seeded by epoch, a run that was stopped and resumed sees the
        # noise an unbroken one sees, whatever was drawn in between; every process draws noise of its own
        torch.manual_seed(seed_of_epoch(self.config.training.seed, self.current_epoch, self.global_rank))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        doubled = any(task.r_drop_weight for task in self.tasks.values())
        parts = self._parts(batch, [self(batch) for _ in range(2 if doubled else 1)])
        total = torch.stack([part.weight * part.loss for part in parts.values()]).sum()
        for name, part in {"loss": Part(1.0, total, len(batch.clip_ids)), **parts}.items():
            # every process logs the same names, those of tasks without labels here with no window: they are averaged
            # over all processes at the epoch's end, which none may miss
            value, num = part.loss.detach(), part.num_windows
            self.log(f"train/{name}", value, on_step=False, on_epoch=True, batch_size=num, sync_dist=True)
        return total

    def _parts(self, batch: Batch, passes: list[Outputs]) -> dict[str, Part]:
        """What the loss is the sum of, by the name it is logged under."""
        parts: dict[str, Part] = {}
        for name, task in self.tasks.items():
            weight, scored = self.config.tasks[name].weight, batch.scored.get(name)
            outputs = [raw[name] for raw, _ in passes]
            if scored is None:  # a gradient of 0: a head without any would stop training on several devices
                nothing = Part(weight, _mean(raw[:0].sum() for raw in outputs), 0)
                parts |= dict.fromkeys([name, f"{name}/r_drop"] if task.r_drop_weight else [name], nothing)
                continue
            num = int(scored.any(1).sum())
            parts[name] = Part(weight, _mean(task.loss(raw, batch.target[name], scored) for raw in outputs), num)
            if task.r_drop_weight:
                apart = task.disagreement(outputs[0], outputs[1], scored)
                parts[f"{name}/r_drop"] = Part(weight * task.r_drop_weight, apart, num)
        for name in passes[0][1]:
            loss = _mean(losses[name] for _, losses in passes)
            parts[f"model/{name}"] = Part(self.loss_weights[name], loss, len(batch.clip_ids))
        return parts

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
        if is_cosine and self._num_steps not in (None, num_steps):
            raise InputError(
                f"the learning rate falls along a cosine to the end of {self._num_steps:g} steps, of which some are "
                f"done; now there would be {num_steps:g}: give trainer the settings this run began with, or give the "
                "new one another name"
            )
        self._num_steps = num_steps
        self.trainer.fit_loop.setup_data()  # without an end nobody has counted the batches yet
        of_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        warmup = self.config.training.warmup_epochs * of_epoch

        def share(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            done = min(1.0, (step - warmup) / max(1.0, num_steps - warmup))
            return (1 + math.cos(math.pi * done)) / 2 if is_cosine else 1.0

        return share

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["num_steps"] = self._num_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._num_steps = checkpoint["num_steps"]

    def on_validation_epoch_start(self) -> None:
        self._windows = defaultdict(dict)

    def validation_step(self, batch: Batch, _: int) -> None:
        answers = self.outputs(batch)
        for clip_id, first_step, (raw, _observed) in zip(
            batch.clip_ids, batch.first_step.tolist(), answers, strict=True
        ):
            self._windows[clip_id][first_step] = raw

    def on_validation_epoch_end(self) -> None:
        truth = self.trainer.datamodule.truth  # type: ignore[attr-defined]
        self.scores = score(self.tasks, gathered(self._windows), truth, self.config)
        self._windows = {}
        ranks = [next(iter(metrics.values())) for metrics in self.scores.values()]
        logged = {f"{task}/{key}": value for task, metrics in self.scores.items() for key, value in metrics.items()}
        logged["score"] = sum(ranks) / len(ranks)
        # every process has the same numbers: their mean is asked for so that none can differ by a rounding
        values = {f"validation/{key}": float(value) for key, value in logged.items()}
        self.log_dict(values, batch_size=1, sync_dist=True)

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
                raise InputError(
                    f"outputs for {name} are not finite: training ran away; lower training.learning_rate or "
                    "set trainer.gradient_clip_val"
                )
        return [(each, flags[:length]) for each, flags, length in zip(rows, seen, lengths, strict=True)]


def check_loss(name: str, config: Config, model: FusionModel) -> None:
    """ValueError where the model has no loss of that name."""
    if name not in model.loss_weights:
        known = ", ".join(model.loss_weights) or "none"
        raise InputError(f"losses.{name}: model {config.model.name!r} has no such loss; known: {known}")


def _mean(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()
