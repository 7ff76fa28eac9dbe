"""How well an embedding separates pairs that are alike from others: checks before a training, scores after.

A run of a siamese model records under "pairs" in run.json, for each relation, the pair AUC of the joint embedding and
of the embedding that was trained on that relation alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError

if TYPE_CHECKING:
    from abaw.configs.sections import Config
    from abaw.dataset.annotations import Labels
    from abaw.pipelines.prediction import Member
    from abaw.tasks.base import Task

PAIRS = "pairs"  # the key in run.json


def check_pairs(config: "Config", tasks: "Mapping[str, Task]", labels: "Mapping[str, Mapping[str, Labels]]") -> None:
    """Raises InputError where a siamese model cannot be trained on these labels (task -> clip -> labels).

    That is for a task that has no relation, and where fewer than two training clips have its labels, or no two steps of
    different clips are alike, or different; and for continued training, whose penalty is measured window by window.
    """
    from fusion.checkpoint import build_model
    from fusion.contrastive.relations import check_relations, relations_of

    if build_model(config, dict.fromkeys(config.features, 2)).is_siamese:
        if config.continuing.run or config.continuing.save_fisher:
            raise InputError(
                f"{config.model.name} learns from pairs of clips, but continued training measures single windows: "
                "train a new run on all clips, without continuing.run and continuing.save_fisher"
            )
        check_relations([each for task in tasks.values() for each in relations_of(task)], labels)


def add_pair_scores(
    scores: Mapping[str, Mapping[str, float]], member: "Member", held_out: "Mapping[str, Mapping[str, Labels]]"
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """The scores of a run with the pair AUC of the held-out clips, and what run.json records beside them.

    Another model's scores are as they were, and so are those of a run that holds nothing out.
    """
    from fusion.contrastive.measuring import measure_pairs
    from fusion.contrastive.module import ContrastiveModule

    _, module, source = member
    if not isinstance(module, ContrastiveModule) or not held_out:
        return {task: dict(each) for task, each in scores.items()}, {}
    found = measure_pairs(module, source, held_out)
    pairs = {name: {**asdict(each), "task": module.relations[name].task} for name, each in found.items()}
    return {task: {**each, **as_scores(pairs, task)} for task, each in scores.items()}, {PAIRS: pairs}


def as_scores(pairs: Mapping[str, Mapping[str, Any]], task: str) -> dict[str, float]:
    """The pair AUC as entries of a task's scores: ``AUC_joint`` and ``AUC_alone``, or ``values/AUC_joint`` and so on
    where a task has several relations."""
    found: dict[str, float] = {}
    for name, each in pairs.items():
        if each["task"] == task:
            part = name.removeprefix(task).removeprefix("/")
            prefix = f"{part}/" if part else ""
            found |= {f"{prefix}AUC_{key}": each[key] for key in ("joint", "alone") if each[key] is not None}
    return found


def describe_pairs(pairs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for each relation: the joint embedding against that of the task alone."""
    for name, each in pairs.items():
        joint, alone = each["joint"], each["alone"]
        of = f"{each['num_alike']} alike and {each['num_different']} different pairs, {each['num_clips']} clips"
        if joint is None:
            yield f"{name} pair AUC: not measured, the held-out clips have no pairs of both kinds ({of})"
        elif alone is None:
            yield f"{name} pair AUC {joint:.4f} ({of}); a single task was trained, so there is no joint embedding"
        else:
            winner = "joint is better" if joint > alone else "single-task is better" if alone > joint else "equal"
            yield f"{name} pair AUC: joint {joint:.4f}, single-task {alone:.4f} ({joint - alone:+.4f}: {winner}; {of})"
