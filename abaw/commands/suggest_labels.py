from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import Device, command
from abaw.progress import Progress


@command("suggest-labels", order=92)
def suggest_labels(
    run: Annotated[Path, typer.Argument(help="a run that predicts values, such as valence and arousal")],
    num: Annotated[int, typer.Option(help="number of frames to label")],
    out: Annotated[Path, typer.Option(help="CSV file to write, in which a person fills in the labels")],
    split: Annotated[str | None, typer.Option(help="only clips of train, validation or test")] = None,
    clips: Annotated[list[str] | None, typer.Option(help="only these clips; may be given several times")] = None,
    explore: Annotated[
        float,
        typer.Option(
            help="share of frames whose labels would reduce the uncertainty most (explore); the others have the most "
            "extreme values (exploit)"
        ),
    ] = 1.0,
    min_gap: Annotated[float, typer.Option(help="seconds between two frames of a clip, at least")] = 1.0,
    labelled: Annotated[
        bool, typer.Option("--labelled", help="also frames without a label of clips that have labels")
    ] = False,
    test_clips: Annotated[bool, typer.Option("--test-clips", help="also clips of the test set")] = False,
    for_split: Annotated[
        str | None,
        typer.Option(
            help="train, validation or test: whose predictions are to become better; default: the clips chosen from"
        ),
    ] = None,
    for_clips: Annotated[
        list[str] | None, typer.Option(help="clips whose predictions are to become better; may be given several times")
    ] = None,
    task: Annotated[str | None, typer.Option(help="the task, where the run predicts values of several")] = None,
    seed: Annotated[int, typer.Option(help="seed of the draws that choose extreme values")] = 0,
    data: Annotated[Path | None, typer.Option(help="data set; default: the run's")] = None,
    store: Annotated[Path | None, typer.Option(help="store of features; default: the run's")] = None,
    device: Device = "cpu",
    trust: Annotated[bool, typer.Option("--trust", help="run the plug-ins that the run names")] = False,
) -> None:
    """Choose the frames that a human should label next, by the uncertainty of a run's last layer."""
    from abaw.pipelines.members.suggesting import suggest_labels as suggest

    with Progress("suggest-labels") as progress:
        found = suggest(
            run,
            out,
            num=num,
            split=split,
            clips=clips,
            explore=explore,
            min_gap_s=min_gap,
            labelled=labelled,
            test_clips=test_clips,
            for_split=for_split,
            for_clips=for_clips,
            task=task,
            seed=seed,
            data=data,
            store=store,
            device=device,
            trust=trust,
            progress=progress,
        )
    print(found)
