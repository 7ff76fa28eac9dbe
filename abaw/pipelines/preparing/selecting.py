"""On which clips a training chooses its epoch: those that it is scored on, an inner part, or none."""

import logging
from typing import TYPE_CHECKING

from abaw.configs.sections import BY_GROUP
from abaw.errors import InputError
from abaw.evaluation.labels import has_validation
from abaw.folds import seen_in, split_inner
from abaw.numbers import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from abaw.configs.sections import Config
    from abaw.dataset.annotations import Labels
    from abaw.dataset.layout import Dataset
    from abaw.folds import ByTask
    from abaw.tasks.base import Task

    Divided = tuple[str, dict[str, dict[str, dict[str, Labels]]] | None]

LOG = logging.getLogger("abaw")
VALIDATION = "validation"


def find_selection(
    config: "Config", dataset: "Dataset", tasks: "Mapping[str, Task]", labels: "Mapping[str, ByTask]"
) -> "Divided":
    """On which clips the epoch is chosen, and where that is an inner part its labels and those of the rest.

    Raises InputError where an inner part is asked for and there are too few groups; where it is only the default, the
    last weights are kept, and a warning says so.
    """
    select_on, inner = _divide(config, dataset, tasks, labels)
    if config.training.schedule == "plateau" and select_on != VALIDATION:
        raise InputError(
            f"training.schedule is plateau, which follows the score on the held-out clips, but select_on is "
            f"{select_on} here: set select_on to validation, or schedule to constant or cosine"
        )
    return select_on, inner


def _divide(
    config: "Config", dataset: "Dataset", tasks: "Mapping[str, Task]", labels: "Mapping[str, ByTask]"
) -> "Divided":
    asked: str = config.training.select_on
    if asked == "auto":
        is_official = config.folds.num != BY_GROUP and has_validation(dataset, tasks)
        asked = "last" if config.folds.refit else VALIDATION if is_official else "auto"
    if asked in (VALIDATION, "last"):
        return asked, None
    try:
        if asked == "auto" and config.trainer.get("max_steps", -1) > 0:
            raise InputError("trainer.max_steps ends training, so no number of epochs is chosen")
        found = split_inner(labels["train"], tasks, config.folds.seed)
    except InputError as error:
        if asked == "inner":
            raise
        LOG.warning("%s; training.select_on is auto: the last weights are kept", error)
        return "last", None
    inner, rest = (seen_in(found[side]) for side in (VALIDATION, "train"))
    unit, num = ("group", len(inner.groups)) if inner.groups else ("video", len(inner.videos))
    LOG.info(
        "the epoch is chosen on an inner part of the training side: %s of %s, trained on the other %s",
        format_count(len({clip for clips in found[VALIDATION].values() for clip in clips}), "clip"),
        format_count(num, unit),
        format_count(len(rest.groups or rest.videos), unit),
    )
    return "inner", found
