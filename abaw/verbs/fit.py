from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from abaw.config import DecodingConfig
    from abaw.decoding import Decoding
    from abaw.fitted.fitting import HeldOut
    from abaw.tasks.base import Task


def fit(
    folder: Annotated[Path, typer.Argument(help="held-out tables (abaw predict --held-out, abaw combine), or a run")],
    out: Annotated[Path, typer.Option(help="the JSON file to write, for --decoding; one that is there is replaced")],
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folder has tables of")] = None,
    data: Annotated[Path | None, typer.Option(help="the data set; default: the run's")] = None,
    config: Annotated[
        Path | None, typer.Option(help="its section 'decoding' says what is tried; default: the run's")
    ] = None,
    exclude_split: Annotated[
        str | None, typer.Option(help="validation: leave it out, so that it may be judged with what is fitted")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="tables that do not say so are held out all the same")] = False,
) -> None:
    """What makes of tables final predictions: gaps, smoothing, biases, thresholds; by the labels of held-out clips."""
    from abaw import predictions
    from abaw.files import write_json
    from abaw.runs import Run

    tables = Run(folder).predictions("validation") if (folder / "run.json").is_file() else folder
    names = [task] if task else predictions.tasks_in(tables)
    found = {name: fit_task(tables, name, data, config, exclude_split, trust=trust) for name in names}
    write_json(out, {name: decoding.document() for name, decoding in found.items()})
    print(out)


def fit_task(
    folder: Path, name: str, data: Path | None, config: Path | None, exclude_split: str | None, *, trust: bool = False
) -> "Decoding":
    """The decoding fitted on one task's tables; prints the score without it and, cross-fitted, with."""
    from abaw import predictions
    from abaw.fitted import fitting, heldout

    where = predictions.resolve(folder, name)
    task = heldout.task_of(where, name)
    labels = heldout.read_labels(heldout.data_of(where, data), task, exclude_split)
    clips = heldout.read_clips(where, task, labels, trust=trust)
    options = _options(where, config)
    decoding = fitting.fit(task, clips, options)
    groups = fitting.groups_of(clips, predictions.read_metadata(where).get("made_by") or {})
    _tell(task, clips, options, decoding, groups)
    weighted_on = (predictions.read_metadata(where).get("ensemble") or {}).get("fitted_on", ())
    if set(weighted_on) & set(decoding.fitted_on):
        print(f"{name} the ensemble's weights were fitted on these videos too: both scores are the better for it")
    return decoding


def _tell(
    task: "Task",
    clips: "Mapping[str, HeldOut]",
    options: "DecodingConfig",
    decoding: "Decoding",
    groups: "Mapping[str, int | str]",
) -> None:
    from abaw.decoding import Decoding
    from abaw.fitted import fitting
    from abaw.verbs.score import summary

    num = len(set(groups.values()))
    print(f"{task.name} fitted on {len(clips)} clips of {len(decoding.fitted_on)} videos: {_words(decoding)}")
    without = fitting.decoded(task, clips, Decoding())
    print(f"{task.name} without {summary(task.score(without))}")
    if num < 2:
        print(f"{task.name} with: not judged, one video cannot be fitted on and judged")
        return
    judged = fitting.cross_fit(task, clips, options, groups)
    print(
        f"{task.name} with    {summary(task.score(judged))} "
        f"(cross-fitted: {num} groups, each decoded by what was fitted on the others)"
    )
    if fitting.rank(task, judged) <= fitting.rank(task, without):
        print(
            f"{task.name} does not gain by it on clips that it was not fitted on: leave it out, or try less (--config)"
        )


def _words(decoding: "Decoding") -> str:
    """Its settings for a reader."""
    smoothed = f"{decoding.smoother} over {decoding.width} frames of {decoding.space}"
    parts = ["gaps filled" if decoding.fills else "", smoothed if decoding.smoother != "none" else "not smoothed"]
    for name, numbers in (("scale", decoding.scale), ("shift", decoding.shift)):
        parts.append(f"{name} {' '.join(f'{number:.3g}' for number in numbers)}" if numbers else "")
    return ", ".join(part for part in parts if part)


def _options(where: Path, config: Path | None) -> "DecodingConfig":
    """The section of the config given, else of the run that made the tables, else the defaults."""
    from abaw.config import DecodingConfig
    from abaw.config_file import read_config
    from abaw.fitted import heldout
    from abaw.tasks import TASKS
    from extract import ALIGNERS
    from fusion.models import FUSION_MODELS

    if config is not None:
        return read_config(config).config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS).decoding
    run = heldout.run_of(where)
    return run.config().decoding if run else DecodingConfig()
