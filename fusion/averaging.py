"""Weights that are an exponential mean over training steps, for what is scored and kept."""

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging


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
