"""What happens around the epochs of a run: the best weights are kept, a stopped run can go on, a line is printed."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

from abaw.files import atomic_write
from fusion.checkpoint import save_weights
from fusion.module import FusionModule

SELECT = "validation/score"


class BestWeights(lightning.Callback):
    """Writes the weights when ``validation/score`` is better than ever; stops ``patience_epochs`` after the last time.

    Without a validation the last weights are kept. Of several processes, all of which know the score, the first writes.
    Not Lightning's EarlyStopping: that one counts validations, not epochs, and forgets on resuming that it had stopped.
    """

    def __init__(self, folder: Path, patience_epochs: int) -> None:
        self._folder, self._patience_epochs = folder, patience_epochs
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
        # averaging losses over processes takes all of them, and happens when they are first asked for: here, before
        # the first process alone prints them
        _ = trainer.callback_metrics

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        # the very end, when averaged weights have taken their place; not reached when training fails
        assert isinstance(pl_module, FusionModule)
        if self.epoch < 0:  # no validation, or a run too short for one: there is nothing to choose by
            self.epoch = max(0, trainer.current_epoch - 1)
            self._save(trainer, pl_module)
        trainer.strategy.barrier()  # the weights are read next, by all processes

    def _save(self, trainer: lightning.Trainer, module: FusionModule) -> None:
        if trainer.is_global_zero:
            save_weights(self._folder, module, self.epoch)


class Resumable(lightning.Callback):
    """Writes ``resume.ckpt`` at every epoch's end, whole or absent; ``config`` says which run it belongs to."""

    def __init__(self, path: Path, config: str) -> None:
        self._path, self._config = path, config

    def on_save_checkpoint(self, _: Any, __: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self._config

    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        # every process takes part, the first one writes
        with atomic_write(self._path) if trainer.is_global_zero else nullcontext(self._path) as temporary:
            trainer.save_checkpoint(
                temporary, weights_only=False
            )  # False: with the optimizer; it is read as weights only


class EpochLines(lightning.Callback):
    """One plain line an epoch on stderr, for where a progress bar has no terminal."""

    def __init__(self, best: BestWeights) -> None:
        self._best = best

    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        epochs = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        score = (
            f", score {metrics[SELECT]:.4f} (best {self._best.score:.4f} in epoch {self._best.epoch + 1})"
            if SELECT in metrics
            else ""
        )
        print(
            f"epoch {trainer.current_epoch + 1}{epochs}: loss {metrics['train/loss']:.4f}{score}",
            file=sys.stderr,
            flush=True,
        )


class Averaged(EMAWeightAveraging):
    """Validation sees, and ``BestWeights`` keeps, the mean of all steps' weights, each older step by ``decay`` less.

    Lightning's callback, but for three things. It gives the averaged weights back before anybody could save them: here
    after, so that this callback must stand behind ``BestWeights``. It takes them at the end of training only, not where
    a run that had ended is resumed. And it would average buffers, of which ours are constants. A run that was stopped
    goes on with the mean it had.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False, decay=decay)

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        self._device: torch.device = trainer.strategy.root_device  # where the module is not yet
        super().setup(trainer, pl_module, stage)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Not yet: the best weights are written after this."""

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Not yet: where a run that had ended is resumed this never comes, the end of fit does."""

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
