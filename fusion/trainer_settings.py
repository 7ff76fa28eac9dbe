"""Checks of a config's ``trainer`` and ``training`` sections before training starts."""

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

import lightning
from pydantic import ConfigDict, TypeAdapter, ValidationError

from abaw.configs.sections import Config
from abaw.registry import nearest
from fusion.loggers import find_logger_errors
from fusion.module import PLATEAU

_WHOLE = "the weights are chosen by the official score over the whole validation split"
RESERVED = {
    "callbacks": "abaw saves the best weights, stops after training.patience_epochs and resumes by itself",
    "logger": "choose loggers with training.loggers; they write into the run's folder",
    "default_root_dir": "abaw writes into the run's folder only",
    "enable_checkpointing": "abaw saves the best weights and resume.ckpt itself",
    "use_distributed_sampler": "abaw has its own sampler, which distributes the windows over processes",
    "reload_dataloaders_every_n_epochs": "abaw has its own sampler, which orders the windows by seed and epoch",
    "barebones": "it turns off validation and logging; set max_epochs for a short run",
    "fast_dev_run": "it turns off logging; set max_epochs: 1 and limit_train_batches for a short run",
    "limit_val_batches": _WHOLE,
    "overfit_batches": _WHOLE,
    "num_sanity_val_steps": _WHOLE,
}
# minima that Lightning checks only after training has started, or not at all
MINIMA = {"accumulate_grad_batches": 1, "check_val_every_n_epoch": 1, "max_epochs": -1, "max_steps": -1}
MINIMA |= {"gradient_clip_val": 0, "log_every_n_steps": 0, "min_epochs": 0, "min_steps": 0}
SHARDING = ("fsdp", "deepspeed", "model_parallel", "xla")  # no process holds all weights


def find_config_errors(config: Config) -> list[tuple[tuple[str, ...], str]]:
    """Errors in the sections ``trainer`` and ``training``: keys and message of each. Empty if there are none."""
    errors: list[tuple[tuple[str, ...], str]] = [
        (("trainer", key), why) for key, why in find_trainer_errors(config.trainer)
    ]
    errors += [(("training", "loggers"), why) for why in find_logger_errors(config)]
    if errors:  # the checks below need valid values
        return errors
    training, max_epochs = config.training, get_max_epochs(config.trainer)
    is_endless = (max_epochs or -1) < 0 and config.trainer.get("max_steps", -1) < 0
    if training.schedule == "cosine" and is_endless:
        why = "a cosine schedule needs an end: set trainer.max_epochs or trainer.max_steps, or schedule: constant"
        errors.append((("training", "schedule"), why))
    if training.warmup_epochs and 0 < (max_epochs or 0) <= training.warmup_epochs:
        why = (
            f"a warm-up of {training.warmup_epochs} epochs does not end within {max_epochs} epochs of training: lower "
            "training.warmup_epochs or raise trainer.max_epochs"
        )
        errors.append((("training", "warmup_epochs"), why))
    if training.schedule == "plateau":
        errors += [(("training", key), why) for key, why in _plateau_errors(config)]
    ends = [config.trainer.get("max_epochs") or 0, config.trainer.get("max_steps", 0)]
    if training.select_on == "validation" and config.folds.refit:
        why = "a refit holds nothing out to choose an epoch on: set training.select_on to inner or last"
        errors.append((("training", "select_on"), why))
    if training.select_on == "inner" and config.trainer.get("max_steps", -1) > 0:
        why = (
            "trainer.max_steps ends training, but training.select_on: inner repeats a number of epochs: set "
            "trainer.max_epochs instead"
        )
        errors.append((("trainer", "max_steps"), why))
    chooses_none = training.select_on == "last" or (config.folds.refit and training.select_on != "inner")
    if chooses_none and max(ends) <= 0 and not config.trainer.get("max_time"):
        why = (
            "without validation, training cannot stop by itself: set trainer.max_epochs, for example to the best epoch "
            "of a run with validation"
        )
        errors.append((("folds", "refit") if config.folds.refit else ("training", "select_on"), why))
    return errors


def _plateau_errors(config: Config) -> list[tuple[str, str]]:
    training = config.training
    errors = []
    if training.warmup_epochs:
        errors.append(
            ("warmup_epochs", "schedule: plateau has no warm-up: set it to 0, or schedule: constant or cosine")
        )
    if training.patience_epochs <= PLATEAU + 1:
        why = (
            f"training stops after {training.patience_epochs} epochs without a better score, before schedule: plateau "
            f"lowers the learning rate (after {PLATEAU + 1}): set it to {PLATEAU + 2} or more"
        )
        errors.append(("patience_epochs", why))
    if config.folds.refit:
        errors.append(
            ("schedule", "plateau needs a validation split, which folds.refit trains on: give constant or cosine")
        )
    elif training.select_on in ("inner", "last"):
        why = (
            f"plateau follows the score on the held-out clips, but select_on is {training.select_on}: set select_on to "
            "validation, or schedule to constant or cosine"
        )
        errors.append(("schedule", why))
    return errors


def get_max_epochs(trainer: Mapping[str, Any]) -> int | None:
    """The number of epochs: as given, else 100, or None where ``max_steps`` or ``max_time`` ends training."""
    return trainer.get("max_epochs", None if trainer.keys() & {"max_steps", "max_time"} else 100)


def find_trainer_errors(trainer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Errors in a config's ``trainer`` section: key and message of each. Empty if there are none."""
    known = [key for key in inspect.signature(lightning.Trainer).parameters if key not in RESERVED]
    errors = []
    for key, value in trainer.items():
        if key in RESERVED:
            errors.append((key, f"trainer.{key} cannot be set: {RESERVED[key]}; remove the key"))
        elif key == "precision" and str(value).endswith("-true") and value != "32-true":
            errors.append((key, f"trainer.precision is {value!r}, but times need float64: use {value[:-5]}-mixed"))
        elif key == "strategy" and str(value).startswith(SHARDING):
            errors.append(
                (key, f"trainer.strategy is {value!r}, which splits a model over devices and is not supported: use ddp")
            )
        elif key in ("max_epochs", "max_steps", "limit_train_batches") and value == 0:
            errors.append((key, f"trainer.{key} is 0, so nothing would be trained: expected 1 or more"))
        elif key not in known:
            message = f"lightning.Trainer has no argument {key!r}{nearest(key, known)} known: {', '.join(known)}"
            errors.append((key, message))
        elif why := _value_error(key, value):
            errors.append((key, f"trainer.{key} is {value!r}: {why}"))
    return errors


def _value_error(key: str, value: Any) -> str | None:
    """What lightning.Trainer expects for the argument, if the value does not match; else None."""
    if isinstance(value, int | float) and value < MINIMA.get(key, value):
        return f"expected {MINIMA[key]} or more"
    hint = get_type_hints(lightning.Trainer.__init__)[key]
    try:
        TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError:
        return f"expected {hint.__name__ if isinstance(hint, type) else str(hint).replace('typing.', '')}"
    return None
