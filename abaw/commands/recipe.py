from pathlib import Path
from typing import Annotated, Any

import typer

from abaw.commands import GOES_ON, command
from abaw.progress import Progress


@command("recipe", order=150, stopped=f"{GOES_ON}; stages that are complete are not repeated")
def recipe(
    config: Annotated[Path, typer.Argument(help="a YAML file, or the name of a config of the package, such as va")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value applied over the file, for all members")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="data set; default: the config's")] = None,
    runs: Annotated[Path, typer.Option(help="folder in which the runs' folders are created")] = Path("runs"),
    work: Annotated[
        Path, typer.Option(help="folder in which a folder of the config's name is created for all other results")
    ] = Path("work"),
    template: Annotated[
        list[Path] | None,
        typer.Option(help="sample prediction file to fill; may be given several times; default: those in the data set"),
    ] = None,
    device: Annotated[
        str, typer.Option(help="for encoders and predictions: cpu, cuda, cuda:1 (trainer.* is for training)")
    ] = "cpu",
    faces: Annotated[str, typer.Option(help="face detector, as for extract")] = "centerface",
    download: Annotated[bool, typer.Option(help="fetch encoders' weights that are not on this machine")] = False,
    assume_fps: Annotated[
        float | None, typer.Option(help="frame rate of clips without a video, and of raw streams that state none")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="use plug-ins and code of models that the config and the runs name")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(help="only list the stages, which are done and to do, and forecast the hours and gigabytes"),
    ] = False,
    measure: Annotated[
        bool, typer.Option(help="with --dry-run: measure on this machine, for about a minute, what the forecast needs")
    ] = True,
) -> None:
    """Run a whole competition, from videos to challenge files. Run the same command again to continue."""
    from abaw.competition.recipe import plan_recipe, run_recipe

    chosen: dict[str, Any] = {
        "data": data,
        "runs": runs,
        "work": work,
        "templates": template or [],
        "device": device,
        "faces": faces,
        "download": download,
        "assume_fps": assume_fps,
        "trust": trust,
    }
    if dry_run:
        plan = plan_recipe(config, settings or [], **chosen, measure=measure)
        print(plan)
        if plan.forecast is not None and plan.forecast.shortages:
            raise typer.Exit(1)
        return
    with Progress("recipe", "") as progress:
        result = run_recipe(config, settings or [], **chosen, progress=progress)
    print(result)
