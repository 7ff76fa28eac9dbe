"""What features have seen that were themselves trained on labels: their recipe says it under "trained_on"."""

from collections.abc import Mapping
from typing import Any

from abaw.dataset.seen import Seen, groups_in
from abaw.errors import InputError
from abaw.files.names import first_few
from abaw.folds import ByTask
from abaw.numbers import format_count

TRAINED_ON, CHOSEN_ON = "trained_on", "epoch_chosen_on"  # keys of a recipe
Recipe = Mapping[str, Any]


def seen_by(recipe: Recipe, key: str = TRAINED_ON) -> Seen:
    """The videos and groups whose labels the features of a recipe have seen; none of frozen encoders."""
    found = recipe.get(key, {})
    return Seen(tuple(found.get("videos", ())), tuple(found.get("groups", ())))


def chosen_by(recipes: Mapping[str, Recipe]) -> Seen:
    """The videos and groups on which the epochs of trained features were chosen."""
    chosen = Seen()
    for recipe in recipes.values():
        chosen = chosen | seen_by(recipe, CHOSEN_ON)
    return chosen


def describe_seen(recipe: Recipe, clips: Mapping[str, str]) -> list[str]:
    """A remark where features were trained on the labels of some of these clips (clip -> group), which are scored."""
    found = seen_by(recipe).find(clips)
    if not found:
        return []
    return [
        f"{recipe['name']} was trained on the labels of {len(found)} of these {format_count(len(clips), 'clip')}: its "
        "score is not held out, so compare it with other features on other clips"
    ]


def add_seen(facts: Mapping[str, Any], recipes: Mapping[str, Recipe], held_out: ByTask) -> dict[str, Any]:
    """The entries of run.json that change where features were trained on labels: what they have seen, the run has seen.

    Raises InputError where they have seen what the run holds out.
    """
    trained = {name: recipe for name, recipe in recipes.items() if TRAINED_ON in recipe}
    if not trained:
        return {}
    own, label_tasks = Seen.of_side(facts, "train"), set(facts["label_tasks_seen"])
    clips = {clip_id: group for by_clip in held_out.values() for clip_id, group in groups_in(by_clip).items()}
    for name, recipe in trained.items():
        if found := seen_by(recipe).find(clips):
            raise InputError(
                f"the features {name} were trained on the labels of {first_few(sorted(set(found.values())))}, which "
                "this run holds out: train the run that made them with the same folds, and give its export a name of "
                "its own (abaw embed --name)"
            )
        own, label_tasks = own | seen_by(recipe), label_tasks | set(recipe[TRAINED_ON].get("label_tasks", ()))
    groups = {"groups": {**facts.get("groups", {}), "train": list(own.groups)}} if own.groups else {}
    videos = {"videos": {**facts["videos"], "train": list(own.videos)}}
    return {**videos, **groups, "label_tasks_seen": sorted(label_tasks)}
