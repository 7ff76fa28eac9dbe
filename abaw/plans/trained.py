"""Whether a run that is there serves a recipe: whole, and of the labels and features that are there now."""

from collections.abc import Callable, Mapping
from typing import Any

from abaw import predictions
from abaw.files import visible
from abaw.runs import Run

AGAIN = "delete that folder, or give another name=..., to train again"
Recipes = Mapping[str, dict[str, Any]]


def check_whole(run: Run) -> None:
    """ValueError where the weights of a complete run are gone, or tables of what it held out."""
    document = run.finished()
    sizes = document.get("splits", {}).get("validation", {})
    gone = [] if visible(run.folder / "weights", "*.safetensors") else ["weights"]
    for name in document["tasks"]:
        tables = run.predictions("validation") / name
        num_clips = sizes.get(name, {}).get("clips", 1)
        if not (tables / predictions.METADATA).is_file() or len(predictions.clip_ids(tables)) < num_clips:
            gone.append(f"held-out predictions of {name}")
    if gone:
        raise ValueError(f"{run.folder} is damaged, it lacks its {' and '.join(gone)}: {AGAIN}")


def check_same(run: Run, labels: str, recipes: Recipes, is_same: Callable[[Any, Any], bool]) -> None:
    """ValueError where a run was trained, or judged, on other labels or features than those that are there now.

    ``labels`` as ``labels_hash`` has it; ``recipes``: of the features that the store has. What the run does not tell
    is taken as it is.
    """
    document = run.document()
    changed = [] if document.get("labels", labels) == labels else ["labels"]
    for name, before in document.get("recipes", {}).items():
        now = recipes.get(name, before)
        if not is_same(before, now):
            keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
            changed.append(f"features {name} ({', '.join(keys)})")
    if changed:
        raise ValueError(f"{run.folder} was trained on other {' and '.join(changed)} than are there now: {AGAIN}")
