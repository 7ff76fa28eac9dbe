from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from abaw.config import DecodingConfig
    from abaw.decoding import Decoding
    from abaw.fitted.fitting import HeldOut
    from abaw.tasks.base import Scored, Task

    Tried = Mapping[str, Scored]


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

    if out.is_dir():
        raise ValueError(f"{out} is a folder: --out is the JSON file to write")
    tables = Run(folder).predictions("validation") if (folder / "run.json").is_file() else folder
    names = [task] if task else predictions.tasks_in(tables)
    found = {name: fit_task(tables, name, data, config, exclude_split, trust=trust) for name in names}
    write_json(out, {name: decoding.document() for name, decoding in found.items()})
    print(out)


def fit_task(
    folder: Path, name: str, data: Path | None, config: Path | None, exclude_split: str | None, *, trust: bool = False
) -> "Decoding":
    """The decoding fitted on one task's tables; prints the score without it and, cross-fitted, with. What does not gain
    so is left out."""
    from abaw import predictions
    from abaw.fitted import fitting, heldout

    where = predictions.resolve(folder, name)
    task = heldout.task_of(where, name)
    labels = heldout.read_labels(heldout.data_of(where, data), task, exclude_split)
    clips = heldout.read_clips(where, task, labels, trust=trust)
    groups = fitting.groups_of(clips, predictions.read_metadata(where).get("made_by") or {})
    decoding, tried = fitting.choose(task, clips, _options(where, config), groups)
    _tell(task, clips, decoding, tried, len(set(groups.values())))
    weighted_on = (predictions.read_metadata(where).get("ensemble") or {}).get("fitted_on", ())
    if set(weighted_on) & set(decoding.fitted_on):
        print(f"{name} the ensemble's weights were fitted on these videos too: both scores are the better for it")
    return decoding


def _tell(
    task: "Task", clips: "Mapping[str, HeldOut]", decoding: "Decoding", tried: "Mapping[str, Tried]", num_groups: int
) -> None:
    from abaw.verbs.score import summary

    print(f"{task.name} fitted on {len(clips)} clips of {len(decoding.fitted_on)} videos: {_words(decoding)}")
    if not tried:
        print(f"{task.name} with: not judged, one video cannot be fitted on and judged")
        return
    print(f"{task.name} without {summary(task.score(tried['nothing']))}")
    for name, words in (("no bias", "filled and smoothed"), ("all", "and shifted")):
        if name in tried:
            print(
                f"{task.name} {words} {summary(task.score(tried[name]))} "
                f"(cross-fitted: {num_groups} groups, each decoded by what was fitted on the others)"
            )
    print(f"{task.name} what gained on clips that it was not fitted on is kept")


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
    from abaw.fitted import heldout
    from abaw.verbs.train import open_config

    if config is not None:
        return open_config(config, [])[1].decoding
    run = heldout.run_of(where)
    return run.config().decoding if run else DecodingConfig()
