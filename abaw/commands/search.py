from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import GOES_ON, command
from abaw.progress import Progress


@command("search", order=60, stopped=f"{GOES_ON}, after the last complete epoch of the unfinished trial")
def search(
    config: Annotated[Path, typer.Argument(help="a YAML file, or the name of a config of the package")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value applied over the file, the same for all trials")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="key=LOW:HIGH, key=log:LOW:HIGH or key=[A, B, ...]; may be given several times"),
    ] = None,
    space: Annotated[Path | None, typer.Option(help="YAML file of such keys and values")] = None,
    trials: Annotated[int, typer.Option(min=1, help="how many in all; a stopped search continues")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="seed of the values drawn; training has its own")] = 0,
    runs: Annotated[Path, typer.Option(help="folder in which the search's folder is created")] = Path("runs"),
    trust: Annotated[bool, typer.Option("--trust", help="run the plug-ins that the config of a run names")] = False,
) -> None:
    """Search settings that score best on the validation split, with Optuna; every trial is a run."""
    from abaw.tuning.run import search as run_search

    with Progress("search", "") as progress:
        found = run_search(
            config,
            settings or [],
            vary=vary or [],
            space=space,
            trials=trials,
            seed=seed,
            runs=runs,
            trust=trust,
            progress=progress,
        )
    print("\n".join(found.table()))
    print(
        f"the best of {len(found.trials)} trials scores higher on the validation split than it would elsewhere, "
        "because that split chose it: confirm it with other seeds or folds"
    )
    print(found.last_line())
