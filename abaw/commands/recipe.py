import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.competition.actions import _is_done, run_recipe

if TYPE_CHECKING:
    from abaw.competition.job import Job
    from abaw.competition.stages import Stage

LOG = logging.getLogger("abaw")


def recipe(
    config: Annotated[Path, typer.Argument(help="a YAML file, see configs/va.yaml")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value laid over the file, for all members")] = None,
    data: Annotated[Path | None, typer.Option(help="the data set; default: the config's")] = None,
    runs: Annotated[Path, typer.Option(help="where the runs' folders are made")] = Path("runs"),
    work: Annotated[Path, typer.Option(help="where a folder of the config's name is made for all else")] = Path("work"),
    template: Annotated[
        list[Path] | None, typer.Option(help="a sample prediction file; default: those in the data set, of its tasks")
    ] = None,
    device: Annotated[
        str, typer.Option(help="of encoders and predictions: cpu, cuda, cuda:1; trainer.* for training")
    ] = "cpu",
    faces: Annotated[str, typer.Option(help="who finds faces where there are no face images, as for extract")] = "haar",
    download: Annotated[bool, typer.Option(help="fetch encoders' weights that are not on this machine")] = False,
    assume_fps: Annotated[float | None, typer.Option(help="frame rate of clips that have no video to tell it")] = None,
    dry_run: Annotated[
        bool, typer.Option(help="say which stages are done and which are to do, and do nothing")
    ] = False,
) -> None:
    """A whole competition, from videos to challenge files; every stage goes on where it was stopped."""
    from abaw.competition.job import open_job

    extraction = {"device": device, "faces": faces, "download": download, "assume_fps": assume_fps}
    job = open_job(config, settings or [], data, runs, work, template or [], extraction)
    if dry_run:
        _tell_plan(job)
        return
    run_recipe(job)
    _tell_end(job)


def _tell_end(job: "Job") -> None:
    """What each stage is worth, the challenge files, and last the folder with the scores of all of it together."""
    from abaw.competition import ablation

    found = ablation.read(job.places.work / "steps.json")
    for name, steps in found.items():
        print(*ablation.lines(name, steps), sep="\n")
    for stage in job.stages:
        if stage.kind == "submit":
            print(stage.outputs[0])
    ranks = [f"{name} {next(iter(steps[-1].scores))} {steps[-1].rank:.4f}" for name, steps in found.items()]
    print(f"{job.places.work} {', '.join(ranks)}")


def _tell_plan(job: "Job") -> None:
    """A line a stage; what reads from a stage that is to do is to do as well."""
    from abaw.competition.state import StageState, depends

    ledger = StageState(job.places.work)
    to_do: list[Stage] = []
    for stage in job.stages:
        if any(depends(stage, on) for on in to_do) or not _is_done(job, ledger, stage):
            to_do.append(stage)
        print(f"{'to do' if stage in to_do else 'done '}  {stage.name}: {stage.why}")
    print(f"{len(job.stages) - len(to_do)} of {len(job.stages)} stages are done")
