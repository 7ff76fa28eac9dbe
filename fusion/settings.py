"""What a config's ``trainer`` and ``training`` may say: whatever only training can find wrong with them."""

import inspect
from collections.abc import Mapping
from typing import Any

import lightning

from abaw.config import Config
from abaw.registry import nearest
from fusion.loggers import logger_errors

_WHOLE = "the score that chooses the weights is the official one, over the whole validation split"
OURS = {
    "callbacks": "abaw keeps the best weights, stops by training.patience_epochs and resumes by itself",
    "logger": "training.loggers chooses them, and they write into the run's folder",
    "default_root_dir": "abaw writes into the run's folder only",
    "enable_checkpointing": "abaw keeps the best weights and resume.ckpt itself",
    "use_distributed_sampler": "abaw's own sampler orders the windows and gives every process its share",
    "reload_dataloaders_every_n_epochs": "abaw's own sampler orders the windows by seed and epoch",
    "barebones": "it turns validation and logging off; set max_epochs for a short run",
    "fast_dev_run": "it turns logging off; set max_epochs: 1 and limit_train_batches for a short run",
    "limit_val_batches": _WHOLE,
    "overfit_batches": _WHOLE,
    "num_sanity_val_steps": _WHOLE,
}
SHARDING = ("fsdp", "deepspeed", "model_parallel", "xla")  # no process has all of the weights


def config_errors(config: Config) -> list[tuple[tuple[str, ...], str]]:
    """What only training can find wrong with a config: keys and message; empty where nothing is."""
    errors: list[tuple[tuple[str, ...], str]] = [(("trainer", key), why) for key, why in trainer_errors(config.trainer)]
    errors += [(("training", "loggers"), why) for why in logger_errors(config)]
    training, max_epochs = config.training, max_epochs_of(config.trainer)
    is_endless = (max_epochs or -1) < 0 and config.trainer.get("max_steps", -1) < 0
    if training.schedule == "cosine" and is_endless:
        why = "a cosine needs an end: set trainer.max_epochs or trainer.max_steps, or schedule: constant"
        errors.append((("training", "schedule"), why))
    if training.warmup_epochs and 0 < (max_epochs or 0) <= training.warmup_epochs:
        why = (
            f"a warm-up of {training.warmup_epochs} epochs is not over after {max_epochs}: give fewer, or train longer"
        )
        errors.append((("training", "warmup_epochs"), why))
    if config.folds.refit and all(config.trainer.get(key, -1) == -1 for key in ("max_epochs", "max_steps", "max_time")):
        why = (
            "nothing is held out that could say when to stop: set trainer.max_epochs, as a run with a validation has it"
        )
        errors.append((("folds", "refit"), why))
    return errors


def max_epochs_of(trainer: Mapping[str, Any]) -> int | None:
    """As given, else 100, else None where steps or time end the training."""
    return trainer.get("max_epochs", None if trainer.keys() & {"max_steps", "max_time"} else 100)


def trainer_errors(trainer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a config's ``trainer``: key and message; empty where nothing is."""
    known = [key for key in inspect.signature(lightning.Trainer).parameters if key not in OURS]
    errors = []
    for key, value in trainer.items():
        if key in OURS:
            errors.append((key, f"trainer.{key} is not free: {OURS[key]}; remove the key"))
        elif key == "precision" and str(value).endswith("-true") and value != "32-true":
            errors.append((key, f"trainer.precision is {value!r}: times need float64; take {value[:-5]}-mixed"))
        elif key == "strategy" and str(value).startswith(SHARDING):
            errors.append((key, f"trainer.strategy is {value!r}: it spreads a model over devices; take ddp"))
        elif key in ("max_epochs", "max_steps", "limit_train_batches") and value == 0:
            errors.append((key, f"trainer.{key} is 0: nothing would be trained; give 1 or more"))
        elif key not in known:
            message = f"lightning.Trainer has no argument {key!r}{nearest(key, known)} known: {', '.join(known)}"
            errors.append((key, message))
    return errors
