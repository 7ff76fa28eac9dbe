"""analysis.json: what an analysis was made with, what its columns mean, and what it found."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.dataset.media_files import is_picture
from abaw.numbers import format_count
from abaw.pipelines.analysis.answers import SYNTHETIC, Answers, data_of
from abaw.pipelines.analysis.tables import SIDES, blocks_of
from abaw.results.runs import commit, versions
from abaw.tasks.ranges import deviation_name, label_ranges, spread_name

if TYPE_CHECKING:
    from abaw.dataset.clip import Clip
    from abaw.dataset.layout import Dataset
    from abaw.pipelines.analysis.presence import VoiceRule
    from abaw.pipelines.analysis.results import Analysis
    from abaw.results.runs import Run
    from abaw.tasks.base import Task
    from extract.faces.target import TargetConfig
    from extract.store.store import FeatureStore

Row = dict[str, Any]


def describe(
    analysis: "Analysis",
    dataset: "Dataset",
    answers: Answers,
    store: "FeatureStore",
    config: "TargetConfig",
    rule: "VoiceRule",
) -> Row:
    """The content of analysis.json. What it was trained on stands first."""
    return {
        "sources": list(analysis.sources),
        **describe_answers(answers, config, rule),
        "notes": list(analysis.notes),
        "clips": {clip_id: _clip(analysis, dataset, store, clip_id) for clip_id in analysis.clips},
        "failed": {failure.clip: f"{failure.stage}: {failure.reason}" for failure in analysis.extraction.failed},
        "commit": commit(),
        "versions": versions(),
    }


def describe_answers(answers: Answers, config: "TargetConfig", rule: "VoiceRule") -> Row:
    """What predicts, what it was trained on, and what the columns of its tables mean."""
    runs = [_run(run) for run, _, _ in answers.runs]
    recognisers = [
        {"tasks": list(member.columns), **member.about(next(iter(member.columns)))} for member in answers.recognisers
    ]
    return {
        "runs": runs,
        "recognisers": recognisers,
        "warnings": [f"{each['run']}: {SYNTHETIC}" for each in runs if each["data"]["kind"] == "synthetic"],
        "faces": config.recipe(),
        "columns": explain_columns(answers.tasks, rule, answers.deviating(), answers.spreading()),
        "blocks": describe_blocks(answers.tasks),
    }


def explain_columns(
    tasks: "Mapping[str, Task]", rule: "VoiceRule", deviating: Sequence[str] = (), spreading: Sequence[str] = ()
) -> dict[str, Row]:
    """Name -> unit, lowest and highest value (None: no limit) and meaning of the columns of a table.

    ``deviating``: the tasks whose values have standard deviations. ``spreading``: those that several members answer.
    """
    found = {
        "frame": _column("", 1, None, "number of the picture in the video, from 1"),
        "time_s": _column(
            "s", None, None, "the container's timestamp of the frame; how it was made is under clips, times"
        ),
        "observed": _column("", False, True, "a face or voice that a model takes is there; else predictions are empty"),
        "face_seen": _column("", False, True, "the person's face is found in the picture; empty: not looked for"),
        "voice_heard": _column("", False, True, f"{rule.meaning}; whose voice it is, is not known"),
        **{side: _column("px", None, None, f"{side[5:-3]} of the box of the face") for side in SIDES},
        "person": _column("", 0, None, "number of the person in the clip"),
        "other_persons": _column("", None, None, "numbers of the other persons in the picture"),
    }
    for name, task in tasks.items():
        for kind, columns in blocks_of(task):
            for column in columns:
                if kind == "values":
                    text = f"{column} ({name}), cut to the range of its labels"
                    low, high = _range_of(task, column)
                    found[column] = _column("", low, high, text)
                else:
                    what = "the class" if kind == "classes" else "the action unit"
                    text = f"probability of {what} {column.removeprefix('p_')} ({name})"
                    found[column] = _column("probability", 0, 1, text)
        for column in task.linear_columns if name in deviating else ():
            text = f"standard deviation of a label around {column}, by the last layer ({name})"
            found[deviation_name(column)] = _column("", 0, None, text)
        shown = [column for kind, columns in blocks_of(task) if kind != "units" for column in columns]
        for column in shown if name in spreading else ():
            text = (
                f"standard deviation of {column} over the members that predict the frame, before post-processing "
                f"({name}); empty with fewer than two"
            )
            found[spread_name(column)] = _column(found[column]["unit"], 0, None, text)
        for goal in task.goals if any(kind == "classes" for kind, _ in task.blocks) else ():
            found.setdefault(goal, _column("", None, None, f"the most probable class ({name})"))
    return found


def describe_blocks(tasks: "Mapping[str, Task]") -> list[Row]:
    """The columns that belong together: classes of one label, units, values. Views of a timeline read them."""
    found = []
    for name, task in tasks.items():
        goals = iter(task.names(np.zeros((1, len(task.columns)), np.float32)))
        for kind, each in blocks_of(task):
            columns = list(each)
            ranges = [_range_of(task, column) if kind == "values" else (0.0, 1.0) for column in columns]
            chosen = next(goals, None) if kind == "classes" else None
            found.append({"task": name, "kind": kind, "columns": columns, "ranges": ranges, "chosen": chosen})
    return found


def _range_of(task: "Task", column: str) -> tuple[float, float]:
    low, high = label_ranges(task)[task.columns.index(column)]
    return float(low), float(high)


def _column(unit: str, low: Any, high: Any, meaning: str) -> Row:
    return {"unit": unit, "min": low, "max": high, "meaning": meaning}


def _run(run: "Run") -> Row:
    document = run.document()
    return {
        "run": str(run.folder),
        "commit": document.get("commit"),
        "seed": document.get("seed"),
        "tasks": sorted(document.get("tasks", {})),
        "data": data_of(run),
        "label_tasks_seen": document.get("label_tasks_seen"),
        "encoders": {name: _licence(recipe) for name, recipe in document.get("recipes", {}).items()},
    }


def _licence(recipe: Mapping[str, Any]) -> Row:
    """The encoder of a recipe and the licence of its weights, as ``abaw list encoders`` states them."""
    from extract import presets
    from extract.encoders import ENCODERS

    name, model = str(recipe.get("encoder")), recipe.get("settings", {}).get("model")
    of_model = [row["licence"] for row in presets.rows() if model and row["settings"].get("model") == model]
    known = name in {part.name for part in ENCODERS.parts()}
    return {"encoder": name, "licence": (of_model or [ENCODERS.part(name).facts.get("licence") if known else None])[0]}


def note_counted(dataset: "Dataset", store: "FeatureStore", clip_ids: Sequence[str]) -> list[str]:
    """A note where the rows of clips of sound alone are counted at a rate, because the media have no frames."""
    alone = [clip_id for clip_id in clip_ids if dataset.clips[clip_id].images is None]
    rates = [known.get("assumed_fps") for known in map(store.clock_metadata, alone) if known.get("num_frames") == "0"]
    return [
        f"{format_count(num, 'clip')} of sound alone: {float(rate):g} rows a second; give --assume-fps for another rate"
        for rate, num in Counter(rate for rate in rates if rate is not None).items()
    ]


def _times(clip: "Clip", known: Mapping[str, str]) -> str:
    """How the times of a clip's rows were made."""
    rate = known.get("assumed_fps")
    if clip.media is not None and is_picture(clip.media):
        return "0 s: a still picture"
    if rate is None:
        return "timestamps of the pictures in the container"
    if int(known["num_frames"]):
        return f"timestamps of the pictures in the container, and {float(rate):g} frames a second after the last"
    if clip.images is not None:
        return f"{float(rate):g} frames a second: there is no video"
    return f"{float(rate):g} rows a second over the sound: there is no picture"


def _clip(analysis: "Analysis", dataset: "Dataset", store: "FeatureStore", clip_id: str) -> Row:
    clip = dataset.clips[clip_id]
    media: Path | None = clip.media or clip.images
    return {
        "media": None if media is None else str(media),
        "table": f"{clip_id}.parquet",
        "times": _times(clip, store.clock_metadata(clip_id)),
        "losses": str(analysis.extraction.losses.get(clip_id, "")),
        "no_prediction": analysis.unanswered.get(clip_id),
        "persons": [asdict(each) for each in analysis.summaries.get(clip_id, ())],
    }
