"""Lightning callbacks of a training run: best weights, resuming, curves, progress, cost, averaged weights."""

import csv
import logging
import resource
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

from abaw.files import atomic_write
from abaw.progress import ProgressCallback
from abaw.results.runs import CURVES
from fusion.checkpoint import save_weights
from fusion.module import FusionModule

LOG = logging.getLogger("abaw")
SELECT = "validation/score"


class BestWeights(lightning.Callback):
    """Saves the weights whenever ``validation/score`` improves; stops after ``patience_epochs`` without improvement.

    Without validation the last weights are saved, after ``epochs`` epochs where they are given. With several processes
    only the first one writes. Lightning's EarlyStopping is not used: it counts validations instead of epochs, and a
    resumed run forgets that it had stopped.
    """

    def __init__(self, folder: Path, patience_epochs: int, epochs: int | None = None) -> None:
        self._folder, self._patience_epochs, self.epochs = folder, patience_epochs, epochs
        self.score, self.epoch, self._is_over = float("-inf"), -1, False

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score, "epoch": self.epoch, "is_over": self._is_over}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.score, self.epoch, self._is_over = state_dict["score"], state_dict["epoch"], state_dict["is_over"]

    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        trainer.should_stop = self._is_over

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, FusionModule)
        score = float(trainer.callback_metrics[SELECT])
        if score > self.score:
            self.score, self.epoch = score, trainer.current_epoch
            self._save(trainer, pl_module)
        elif trainer.current_epoch - self.epoch >= self._patience_epochs:
            self._is_over = trainer.should_stop = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        # the first access averages the losses over processes, in which all processes must take part; afterwards the
        # first process alone may read them
        _ = trainer.callback_metrics
        if self.epochs is not None and trainer.current_epoch + 1 >= self.epochs:
            self._is_over = trainer.should_stop = True

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        # after WeightAveraging has put the averaged weights in place; not reached when training fails
        assert isinstance(pl_module, FusionModule)
        if self.epoch < 0:  # no validation took place: save the last weights
            self.epoch = max(0, trainer.current_epoch - 1)
            self._save(trainer, pl_module)
        trainer.strategy.barrier()  # all processes read the weights next

    def _save(self, trainer: lightning.Trainer, module: FusionModule) -> None:
        if trainer.is_global_zero:
            save_weights(self._folder, module, self.epoch)


class ResumeCheckpoint(lightning.Callback):
    """Writes ``resume.ckpt`` atomically at the end of every epoch; ``config`` identifies the run it belongs to."""

    def __init__(self, path: Path, config: str) -> None:
        self._path, self._config = path, config

    def on_save_checkpoint(self, _: Any, __: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self._config

    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        # every process takes part, only the first one writes
        with atomic_write(self._path) if trainer.is_global_zero else nullcontext(self._path) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)  # False: include the state of the optimizer


class CurveFile(lightning.Callback):
    """Writes ``curves.csv`` atomically at the end of every epoch: a row for each epoch, whatever loggers there are.

    ``epoch`` counts from 1; ``learning_rate`` is that of the epoch's last step; the other columns are what is logged,
    by the same names. Those of validation are empty in an epoch without one. The rows are part of ``resume.ckpt``, so
    that the file of a resumed run equals that of an uninterrupted one. Lightning's CSVLogger is not used: it begins
    again when a run resumes, does not write atomically, and has validation in rows of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._rows, self._learning_rate = folder / CURVES, list[dict[str, float]](), 0.0
        self._validated: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rows = state_dict["rows"]

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        self._validated = _logged(trainer, "validation/")

    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        row = {"epoch": trainer.current_epoch + 1, "learning_rate": self._learning_rate}
        self._rows.append({**row, **_logged(trainer, "train/"), **self._validated})
        self._validated = {}  # Lightning keeps them until the next validation
        if trainer.is_global_zero:
            with atomic_write(self._path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, dict.fromkeys(key for each in self._rows for key in each))
                writer.writeheader()
                writer.writerows(self._rows)


def _logged(trainer: lightning.Trainer, beginning: str) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(beginning)}


class EpochLogger(lightning.Callback):
    """Logs one line per epoch."""

    def __init__(self, best: BestWeights) -> None:
        self._best, self._has_score = best, False

    def on_validation_end(self, *_: Any) -> None:
        self._has_score = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        epoch = f"epoch {trainer.current_epoch + 1}"
        if (num := self._best.epochs or trainer.max_epochs or -1) > 0:
            epoch += f"/{num}"
        score = ""
        if self._has_score:  # metrics has that of an earlier epoch too
            score = f", score {metrics[SELECT]:.4f} (best {self._best.score:.4f} in epoch {self._best.epoch + 1})"
        self._has_score = False
        LOG.info("%s: loss %.4f%s", epoch, metrics["train/loss"], score)


class TrainingProgress(lightning.Callback):
    """Reports every batch, of those of the epochs that are still possible: a training may end earlier.

    Where the trainer has no last epoch, the batches are those up to the end of the current one.
    """

    def __init__(self, progress: ProgressCallback, name: str = "") -> None:
        self._progress, self._name = progress, name

    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        self._report(trainer, 0)

    def on_train_batch_end(self, trainer: lightning.Trainer, _: Any, __: Any, ___: Any, batch_idx: int) -> None:
        self._report(trainer, batch_idx + 1)

    def on_validation_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        self._report(trainer, int(trainer.num_training_batches), "validation")

    def _report(self, trainer: lightning.Trainer, num_batches: int, part: str = "") -> None:
        if not trainer.is_global_zero:
            return
        per_epoch, done = int(trainer.num_training_batches), trainer.current_epoch
        last = trainer.max_epochs if (trainer.max_epochs or -1) > 0 else done + 1
        words = f"epoch {done + 1}" + f" of {last}" * ((trainer.max_epochs or -1) > 0)
        loss = trainer.callback_metrics.get("train/loss")
        parts = [self._name, words, part, "" if loss is None else f"loss {float(loss):.4f}"]
        self._progress(", ".join(filter(None, parts)), done * per_epoch + num_batches, int(last or 0) * per_epoch)


class TrainingCost(lightning.Callback):
    """Measures how long a training takes and its largest memory, also of a training that is stopped and goes on.

    The time is that of epochs that count: without pauses, and without an epoch that was begun and lost.
    """

    def __init__(self) -> None:
        self._seconds, self._began_s = 0.0, None  # type: float, float | None
        self._memory_bytes, self._gpu_bytes = 0, 0

    def state_dict(self) -> dict[str, Any]:
        return self.record()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds, self._memory_bytes = state_dict["training_s"], state_dict["peak_memory_bytes"]
        self._gpu_bytes = state_dict["peak_gpu_bytes"] or 0

    def on_fit_start(self, *_: Any) -> None:
        self._began_s = time.perf_counter()

    def on_fit_end(self, *_: Any) -> None:
        self._seconds, self._began_s = self._passed_s(), None

    def record(self) -> dict[str, Any]:
        """For run.json: seconds, the most memory of this process, and the most that torch held on its GPU, if any."""
        unit = 1 if sys.platform == "darwin" else 1024
        self._memory_bytes = max(self._memory_bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
        if torch.cuda.is_initialized():
            self._gpu_bytes = max(self._gpu_bytes, torch.cuda.max_memory_allocated())
        return {
            "training_s": round(self._passed_s(), 3),
            "peak_memory_bytes": self._memory_bytes,
            "peak_gpu_bytes": self._gpu_bytes or None,
        }

    def _passed_s(self) -> float:
        return self._seconds + (time.perf_counter() - self._began_s if self._began_s is not None else 0.0)


class WeightAveraging(EMAWeightAveraging):
    """Exponential moving average of the weights: average = decay * average + (1 - decay) * weights at every step.

    Validation uses the averaged weights and ``BestWeights`` saves them. A resumed run continues with its average. This
    differs from Lightning's callback in three ways:

    - the original weights are restored after validation callbacks, not before, so that ``BestWeights`` can save the
      average; this callback must come after ``BestWeights`` in the list of callbacks;
    - the average replaces the weights at the end of fit, also where a finished run is resumed;
    - buffers are not averaged: ours are constants.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False, decay=decay)

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        self._device: torch.device = trainer.strategy.root_device  # the module is moved there later
        super().setup(trainer, pl_module, stage)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Does nothing: the original weights are restored in ``on_validation_end``, after ``BestWeights`` has saved."""

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Does nothing: see ``on_fit_end``, which is also called where a finished run is resumed."""

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
