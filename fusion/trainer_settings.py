"""What a config's ``trainer`` and ``training`` may say: whatever only training can find wrong with them."""

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

import lightning
from pydantic import ConfigDict, TypeAdapter, ValidationError

from abaw.configs.sections import Config
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
# what Lightning finds out only when the training has begun
LEAST = {"accumulate_grad_batches": 1, "check_val_every_n_epoch": 1, "max_epochs": -1, "max_steps": -1}
LEAST |= {"gradient_clip_val": 0, "log_every_n_steps": 0, "min_epochs": 0, "min_steps": 0}
SHARDING = ("fsdp", "deepspeed", "model_parallel", "xla")  # no process has all of the weights


def config_errors(config: Config) -> list[tuple[tuple[str, ...], str]]:
    """What only training can find wrong with a config: keys and message; empty where nothing is."""
    errors: list[tuple[tuple[str, ...], str]] = [(("trainer", key), why) for key, why in trainer_errors(config.trainer)]
    errors += [(("training", "loggers"), why) for why in logger_errors(config)]
    if errors:  # what follows reckons with these
        return errors
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
    ends = [config.trainer.get("max_epochs") or 0, config.trainer.get("max_steps", 0)]
    if config.folds.refit and max(ends) <= 0 and not config.trainer.get("max_time"):
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
        elif why := _value_error(key, value):
            errors.append((key, f"trainer.{key} is {value!r}: {why}"))
    return errors


def _value_error(key: str, value: Any) -> str | None:
    """Why a value is none that lightning.Trainer documents for the argument; None where it may be."""
    if isinstance(value, int | float) and value < LEAST.get(key, value):
        return f"expected {LEAST[key]} or more"
    hint = get_type_hints(lightning.Trainer.__init__)[key]
    try:
        TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError:
        return f"expected {hint.__name__ if isinstance(hint, type) else str(hint).replace('typing.', '')}"
    return None
