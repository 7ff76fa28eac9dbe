"""What run.json records of a training before it begins."""

from typing import TYPE_CHECKING, Any

from abaw.folds import seen_in
from abaw.pipelines.rebuilding import portable
from abaw.plugins import records
from abaw.results.runs import labels_hash
from abaw.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from abaw.configs.sections import Config
    from abaw.dataset.annotations import Labels
    from abaw.results.observed import ObservedFrames
    from abaw.tasks.base import Task
    from extract.store.source import AlignedSource


def record_facts(
    config: "Config",
    tasks: "dict[str, Task]",
    labels: "dict[str, dict[str, dict[str, Labels]]]",
    recipes: "Mapping[str, dict[str, Any]]",
) -> dict[str, Any]:
    """What run.json records of a run before it is trained; ``groups`` only where the data set names groups."""
    from fusion.checkpoint import find_context

    seen = {split: seen_in(by_task) for split, by_task in labels.items()}
    groups = {"groups": {split: list(each.groups) for split, each in seen.items()}}
    return {
        "tasks": {name: task.settings() for name, task in tasks.items()},
        "label_tasks_seen": sorted(tasks),
        "plugins": _plugins(config),
        "context": find_context(config),
        "labels": labels_hash(labels),
        "recipes": {name: portable(recipe) for name, recipe in recipes.items()},
        "folds": config.folds.model_dump(include={"num", "fold", "seed", "refit"}),
        "videos": {split: list(each.videos) for split, each in seen.items()},
        **(groups if any(each.groups for each in seen.values()) else {}),
        "splits": {
            split: {name: _size(by_clip) for name, by_clip in by_task.items()} for split, by_task in labels.items()
        },
    }


def count_observed(
    source: "AlignedSource", labels: "dict[str, dict[str, dict[str, Labels]]]"
) -> "dict[str, ObservedFrames]":
    """Feature -> in how many frames of the training clips it is observed."""
    clips = list(dict.fromkeys(clip_id for by_clip in labels["train"].values() for clip_id in by_clip))
    return {name: source.count_observed(name, clips) for name in source.names()}


def _plugins(config: "Config") -> list[dict[str, str]]:
    """The plug-ins that the config's model, tasks and aligners come from; those of encoders are in the recipes."""
    from extract import ALIGNERS
    from fusion.models import FUSION_MODELS

    used = [FUSION_MODELS.plugin(config.model.name)]
    used += [TASKS.plugin(name) for name in config.tasks]
    used += [ALIGNERS.plugin(feature.align) for feature in config.features.values()]
    return records(used)


def _size(by_clip: "dict[str, Labels]") -> dict[str, int]:
    scored = sum(int(labels.scored.sum()) for labels in by_clip.values())
    return {"clips": len(by_clip), "frames": sum(map(len, by_clip.values())), "scored": scored}
