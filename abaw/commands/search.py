import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.tuning.run import run_search

if TYPE_CHECKING:
    pass

LOG = logging.getLogger("abaw")


def search(
    config: Annotated[Path, typer.Argument(help="a YAML file, see configs/")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value laid over the file, the same for all trials")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="key=LOW:HIGH, key=log:LOW:HIGH or key=[A, B, ...]; may be given several times"),
    ] = None,
    space: Annotated[Path | None, typer.Option(help="a YAML file of such keys and values")] = None,
    trials: Annotated[int, typer.Option(min=1, help="how many in all; a stopped search goes on")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="of what is drawn; training has its own")] = 0,
    runs: Annotated[Path, typer.Option(help="where the search's folder is made")] = Path("runs"),
) -> None:
    """Settings that score best on the validation split, by Optuna; every trial is a run."""
    from abaw.tuning.space import read_space

    found = run_search(config, settings or [], read_space(space, vary or []), trials, runs, seed)
    print("\n".join(found.table()))
    print(
        f"the best of {len(found.trials)} trials on the validation split is better than it would be elsewhere, because "
        "that split chose it: confirm it with other seeds or folds "
        f"(abaw train {found.best_file} training.seed=1, or --folds)"
    )
    print(f"{found.best_file} score {found.ranked()[0].score:.4f}")
