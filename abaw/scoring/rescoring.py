"""The official score of any draw of parts of a set: from sums it is a matrix product.

A task that ``abaw.scoring.sums`` has no recipe for is scored again for every draw: slower, the same numbers.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from abaw.scoring.sums import RECIPES, Scores
from abaw.tasks.base import Scored, Task, concatenated

Part = Mapping[str, Scored]  # the clips of one video, as one system predicts them
Rescore = Callable[[Int[np.ndarray, "draws parts"]], dict[str, Float[np.ndarray, " draws"]]]


def is_count(name: str) -> bool:
    """Whether an entry of a task's score counts rows: ``n``, or ``va/n`` of a part."""
    return name.split("/")[-1] == "n"


def rescorer(task: Task, parts: Sequence[Part]) -> Rescore:
    """How the task scores sets in which part i occurs as often as ``counts[draw, i]`` says: by name, without counts.

    Each part needs a scored row. ValueError where a clip's predictions and labels differ in number.
    """
    sides = [concatenated(part) for part in parts]
    recipe = RECIPES.get(task.name)
    if recipe is None:
        return lambda counts: _scored_again(task, parts, counts)
    pairs = [tuple(side[:, : recipe.columns].astype(np.float64) for side in pair) for pair in sides]
    centre = _mean_truth([truth for _, truth in pairs], recipe.num_centred)
    rows = np.stack([recipe.sums(prediction - centre, truth - centre) for prediction, truth in pairs])
    return lambda counts: recipe.scores(counts.astype(np.float64) @ rows)


def _mean_truth(truths: Sequence[np.ndarray], num_centred: int) -> np.ndarray:
    """Of the first columns, over the rows that have one (not NaN); 0 of the others."""
    num = sum((~np.isnan(truth[:, :num_centred])).sum(axis=0) for truth in truths)
    mean = np.zeros(truths[0].shape[1])
    mean[:num_centred] = sum(np.nansum(truth[:, :num_centred], axis=0) for truth in truths) / np.maximum(num, 1)
    return mean


def _scored_again(task: Task, parts: Sequence[Part], counts: np.ndarray) -> Scores:
    found = []
    for row in counts:
        copies = ((part, copy) for part, count in enumerate(row) for copy in range(count))
        clips = {f"{part} {copy} {clip}": each for part, copy in copies for clip, each in parts[part].items()}
        found.append(task.score(clips))
    return {name: np.array([scores[name] for scores in found]) for name in found[0] if not is_count(name)}
