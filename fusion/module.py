"""One training step and one validation for every fusion model and task."""

from collections import defaultdict
from collections.abc import Mapping

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
from fusion.models.base import FusionModel

Raw = dict[str, np.ndarray]  # task -> raw outputs (time out)


class FusionModule(lightning.LightningModule):
    """Front, fusion model and a linear head for each task.

    The loss is the sum over tasks of weight times loss, plus the model's own losses weighed by the config's ``losses``
    (default 1). A batch without labels of a task has no loss of it. Validation stitches every clip's windows and scores
    the whole split at once: ``validation/<task>/<metric>``, and ``validation/score``, the mean of all tasks' ranking
    metrics, by which the best weights are chosen. Raises ValueError where ``losses`` names what the model lacks,
    or an output is not finite. ``scores`` are the last validation's, or those of the weights that were read.
    """

    def __init__(self, model: FusionModel, tasks: Mapping[str, Task], config: Config, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.dims = dict(dims)
        self.front = Front(dims)
        self.model = model
        self.heads = nn.ModuleDict({name: nn.Linear(model.hidden_dim, task.out_dim) for name, task in tasks.items()})
        self.tasks = dict(tasks)
        self.config = config
        self.scores: dict[str, dict[str, float]] = {}
        self._windows: dict[str, list[tuple[int, Raw]]] = {}

    def forward(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Raw outputs (batch time out) of every task, and the model's own losses."""
        fused = self.model(self.front(batch))
        return {name: head(fused.hidden) for name, head in self.heads.items()}, fused.losses

    def on_train_epoch_start(self) -> None:
        # dropout draws from torch's global generator: seeded by epoch, a run that was stopped and resumed sees the
        # noise an unbroken one sees, whatever was drawn in between
        torch.manual_seed(seed_of_epoch(self.config.training.seed, self.current_epoch))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        raw, model_losses = self(batch)
        self._check_losses(model_losses)
        losses = {
            name: task.loss(raw[name], batch.target[name], batch.scored[name])
            for name, task in self.tasks.items()
            if name in batch.target
        }
        weighed = [self.config.tasks[name].weight * loss for name, loss in losses.items()]
        weighed += [self.config.losses.get(name, 1.0) * loss for name, loss in model_losses.items()]
        total = torch.stack(weighed).sum()
        logged = {"loss": total, **losses, **{f"model/{name}": loss for name, loss in model_losses.items()}}
        self.log_dict(
            {f"train/{name}": loss.detach() for name, loss in logged.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(batch.clip_ids),
        )
        return total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        training = self.config.training
        return torch.optim.AdamW(self.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)

    def on_validation_epoch_start(self) -> None:
        self._windows = defaultdict(list)

    def validation_step(self, batch: Batch, _: int) -> None:
        for clip_id, first_step, raw in zip(
            batch.clip_ids, batch.first_step.tolist(), self.outputs(batch), strict=True
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

    def outputs(self, batch: Batch) -> list[Raw]:
        """Every window's raw outputs without its padding. ValueError where one is not finite."""
        raw, _ = self(batch)
        arrays = {name: values.detach().float().cpu().numpy() for name, values in raw.items()}
        lengths = batch.lengths.tolist()
        rows = [{name: values[i, :length] for name, values in arrays.items()} for i, length in enumerate(lengths)]
        for name in arrays:
            if not all(np.isfinite(each[name]).all() for each in rows):
                raise ValueError(
                    f"outputs for {name} are not finite: training ran away; lower training.learning_rate or "
                    "set trainer.gradient_clip_val"
                )
        return rows

    def _check_losses(self, model_losses: Mapping[str, Tensor]) -> None:
        for name in self.config.losses:
            if name not in model_losses:
                known = ", ".join(model_losses) or "none"
                raise ValueError(f"losses.{name}: model {self.config.model.name!r} has no such loss; known: {known}")


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
