from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import command, show
from abaw.progress import Progress


@command("probe", order=46)
def probe(
    data: Annotated[Path, typer.Argument(help="data set with labels: a folder, or a YAML file")],
    store: Annotated[Path, typer.Option(help="folder of the features")],
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="features to score, A+B for two side by side; repeat it; default: every one in the store"),
    ] = None,
    task: Annotated[str | None, typer.Option(help="one task; default: every task with labels")] = None,
    classifier: Annotated[
        str, typer.Option(help="linear, empirical_bayes (closed form, classes and action units only) or both")
    ] = "linear",
    normalise: Annotated[
        str, typer.Option(help="group: standardise within the clip's speaker or subject first, without labels")
    ] = "none",
    folds: Annotated[
        str | None,
        typer.Option(help="parts of whole groups that are held out, or groups: each on its own; default: six"),
    ] = None,
    draws: Annotated[int, typer.Option(help="random exchanges of groups, for p")] = 1000,
    seed: Annotated[int, typer.Option(help="seed of parts and draws")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="folder for prediction tables, every clip predicted by models of other groups")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Score a classifier of the pooled features of every encoder, on held-out speakers: which encoder is best."""
    from abaw.pipelines.probing import scoring

    num = int(folds) if folds is not None and folds.isdecimal() else folds
    with Progress("probe", "") as progress:
        found = scoring.probe(
            data,
            store,
            encoders=encoder,
            task=task,
            classifier=classifier,
            normalise=normalise,
            folds=num,
            draws=draws,
            seed=seed,
            out=out,
            progress=progress,
        )
    show(found, as_json)
