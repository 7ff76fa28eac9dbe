from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.ensembling.combining import CombineOptions, weights_of

if TYPE_CHECKING:
    from abaw.ensembling.weights import EnsembleWeights


def combine(
    folders: Annotated[list[Path], typer.Argument(help="folders of prediction tables, made here or elsewhere")],
    out: Annotated[Path, typer.Option(help="the folder of tables; a folder for each task is made in it")],
    how: Annotated[
        str | None, typer.Option(help="mean (default), weighted (needs --fit), or centred (for va, without labels)")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="the weights of this ensemble, first for first: as for held-out, so for test")
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="fit weights on the labels of these held-out tables")] = False,
    data: Annotated[Path | None, typer.Option(help="the data set to fit on; default: the first run's")] = None,
    exclude_split: Annotated[
        str | None, typer.Option(help="validation: leave it out of the fit, so that it may be judged")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="tables that do not say so are held out all the same")] = False,
    post_processing: Annotated[Path | None, typer.Option(help="what abaw fit wrote, kept with the tables")] = None,
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folders have tables of")] = None,
) -> None:
    """An ensemble of prediction folders, of the raw tables; members' own post-processing are left out."""
    from abaw import predictions
    from abaw.ensembling import combining
    from abaw.evaluation import labelled_tables
    from abaw.postprocessing import read_post_processing

    asked = CombineOptions(how, like, fit, data, exclude_split, trust)
    asked.check()
    names = [task] if task else list(dict.fromkeys(name for each in folders for name in predictions.tasks_in(each)))
    wheres = {name: [predictions.resolve(folder, name) for folder in folders] for name in names}
    tasks = {name: labelled_tables.task_of(wheres[name][0], name) for name in names}
    post_processings = read_post_processing(post_processing, tasks) if post_processing else {}
    for name in names:
        weighed = predictions.resolve(like, name) if like else None
        combining.check_members(wheres[name], out / name, tasks[name], weighed)
    mixtures = {name: weights_of(wheres[name], tasks[name], asked) for name in names}
    count = 0
    for name, mixture in mixtures.items():
        _tell(name, mixture, wheres[name])
        count += combining.write(wheres[name], out / name, tasks[name], mixture, post_processings.get(name))
    print(f"{out}: {count} tables")


def _tell(name: str, mixture: "EnsembleWeights", wheres: Sequence[Path]) -> None:
    for where, weights in zip(wheres, mixture.weights, strict=True):
        print(f"{name} {mixture.how} {', '.join(f'{weight:.3f}' for weight in weights)} {where}")
