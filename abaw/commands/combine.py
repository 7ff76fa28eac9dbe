from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command, show
from abaw.progress import Progress


@command("combine", order=110)
def combine(
    folders: Annotated[list[Path], typer.Argument(help="folders of prediction tables, made here or elsewhere")],
    out: Annotated[Path, typer.Option(help="folder for the tables; it gets a folder for each task")],
    how: Annotated[
        str | None, typer.Option(help="mean (default), weighted (needs --fit), or centred (for va, without labels)")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="use the weights of this ensemble, whose members come in the same order")
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="fit weights on the labels of these held-out tables")] = False,
    drop_useless: Annotated[
        bool,
        typer.Option(
            "--drop-useless", help="leave out members without which the ensemble scores no lower on these labels"
        ),
    ] = False,
    data: Annotated[Path | None, typer.Option(help="data set with the labels; default: the first run's")] = None,
    exclude_split: Annotated[
        str | None,
        typer.Option(
            help="split to exclude from the fit and from dropping (usually validation), to score the result on it"
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="fit or drop by tables that do not say whether they are held out")
    ] = False,
    post_processing: Annotated[Path | None, typer.Option(help="file written by abaw fit, kept with the tables")] = None,
    task: Annotated[str | None, typer.Option(help="one task; default: every task the folders have tables of")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Combine prediction folders into an ensemble of their raw tables; the members' own post-processing is left out.

    Says what each member scores, where there are labels, and how their outputs and errors correlate.
    """
    from abaw.ensembling import combining

    with Progress("combine") as progress:
        found = combining.combine(
            folders,
            out,
            how=how,
            like=like,
            fit=fit,
            drop_useless=drop_useless,
            data=data,
            exclude_split=exclude_split,
            trust=trust,
            post_processing=post_processing,
            task=task,
            progress=progress,
        )
    show(found, as_json)
