import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.pipelines.training import is_first_process, train_folds, train_run

if TYPE_CHECKING:
    from abaw.runs import Run

LOG = logging.getLogger("abaw")


def train(
    config: Annotated[Path, typer.Argument(help="a YAML file, see configs/")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value laid over the file, e.g. model.name=concat")
    ] = None,
    runs: Annotated[Path, typer.Option(help="where the run's folder is made")] = Path("runs"),
    folds: Annotated[bool, typer.Option("--folds", help="every fold of folds.num, as runs NAME-fold0 ...")] = False,
) -> None:
    """A Lightning run; one that was stopped goes on, one that is complete is left as it is."""
    from abaw.evaluation.report import summary

    trained = train_folds(config, settings or [], runs) if folds else [train_run(config, settings or [], runs)]
    if not is_first_process():
        return
    for run in trained:
        for task, scores in run.finished()["scores"].items():
            print(f"{f'{run.folder.name} ' if folds else ''}{task} validation {summary(scores)}")
    for line in _over_folds(trained) if folds else []:
        print(line)
    print(" ".join(str(run.folder) for run in trained))


def _over_folds(trained: "list[Run]") -> Iterator[str]:
    """Of each task: the mean of the folds' ranking scores and how far they spread."""
    scores = [run.finished()["scores"] for run in trained]
    for task, first in scores[0].items():
        key = next(iter(first))
        values = [each[task][key] for each in scores]
        mean = sum(values) / len(values)
        yield f"{task} {key} over {len(values)} folds: mean {mean:.4f}, from {min(values):.4f} to {max(values):.4f}"
