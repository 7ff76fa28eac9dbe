from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command
from abaw.progress import Progress


@command("personalise", order=95)
def personalise(
    run: Annotated[Path, typer.Argument(help="a run of a model that adapts to persons: limaml")],
    labels: Annotated[
        Path,
        typer.Option(
            help="a few labels of the persons: a CSV with clip, frame or seconds, and the task's columns; a label file "
            "of Aff-Wild2; or a folder with such a file for each clip"
        ),
    ],
    clip: Annotated[
        list[str] | None,
        typer.Option(help="whose labels these are; may be given several times; default: all clips of the CSV"),
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="only these labelled frames of the clip, such as 3,250-260; default: all")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the vectors; default: RUN/subjects")] = None,
    data: Annotated[Path | None, typer.Option(help="data set; default: the run's")] = None,
    store: Annotated[Path | None, typer.Option(help="store of features; default: the run's")] = None,
    steps: Annotated[int | None, typer.Option(help="steps of gradient descent; default: the run's")] = None,
    rate: Annotated[float | None, typer.Option(help="rate of gradient descent; default: the run's")] = None,
    gap_s: Annotated[
        float | None,
        typer.Option("--gap", help="seconds around a labelled frame that a score leaves out; default: the run's"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1")] = "cpu",
    trust: Annotated[bool, typer.Option("--trust", help="run the plug-ins that the run names")] = False,
) -> None:
    """Turn a few labelled frames of a person into a small vector, with which `abaw predict --subjects` predicts them.

    A person is a clip, or a group of clips where the data set names groups. Scores of such predictions are a protocol
    of their own; no challenge file is made from them.
    """
    from abaw.pipelines.persons import personalising
    from abaw.pipelines.persons.label_file import parse_frames

    chosen = None if frames is None else parse_frames(frames)
    with Progress("personalise", "person") as progress:
        found = personalising.personalise(
            run,
            labels,
            clips=clip,
            frames=chosen,
            out=out,
            data=data,
            store=store,
            steps=steps,
            rate=rate,
            gap_s=gap_s,
            device=device,
            trust=trust,
            progress=progress,
        )
    print(found)
