from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abaw.commands import GOES_ON, command
from abaw.progress import Progress

if TYPE_CHECKING:
    from abaw.results.runs import Run


@command("train", order=50, stopped=f"{GOES_ON}, after the last complete epoch")
def train(
    config: Annotated[Path, typer.Argument(help="a YAML file, or the name of a config of the package")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="key=value applied over the config: trainer.max_epochs=2 sets one value, "
            '"model={name: concat}" replaces a whole section, features.NAME=null removes a feature'
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="folder in which the run's folder is created")] = Path("runs"),
    folds: Annotated[
        bool, typer.Option("--folds", help="train a run for every fold, NAME-fold0, NAME-fold1, ...")
    ] = False,
    parent: Annotated[
        Path | None,
        typer.Option(
            "--continue",
            metavar="RUN",
            help="start from the weights of this complete run and stay near them (continuing.run=RUN): for new clips",
        ),
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="run the plug-ins that the config of a run names")] = False,
) -> None:
    """Train a run. One that was stopped continues; one that is complete is left as it is."""
    from abaw.configs.file import as_setting
    from abaw.evaluation.wording import summary
    from abaw.pipelines import training
    from abaw.pipelines.embedding.pair_scores import PAIRS, describe_pairs
    from abaw.results.selection import to_ending, words_of_run

    given = [*(settings or []), *([] if parent is None else [as_setting("continuing.run", str(parent))])]
    with Progress("train", "") as progress:
        each: dict[str, Any] = {"runs": runs, "trust": trust, "progress": progress}
        trained = training.train_folds(config, given, **each) if folds else [training.train(config, given, **each)]
    if not training.is_first_process():
        return
    for run in trained:
        of, document = f"{run.folder.name} " if folds else "", run.finished()
        words = to_ending(words_of_run(document))
        for task, scores in document["scores"].items():
            print(f"{of}{task} validation {summary(scores)}{words}")
        for line in describe_pairs(document.get(PAIRS, {})):
            print(f"{of}{line}{words}")
    for line in _over_folds(trained) if folds else ():
        print(line)
    print(" ".join(str(run.folder) for run in trained))


def _over_folds(trained: Sequence["Run"]) -> Iterator[str]:
    """For each task the mean of the folds' ranking scores and their spread."""
    from abaw.results.selection import to_ending, words_of_each, words_of_run

    scores = [run.finished()["scores"] for run in trained]
    words = to_ending(words_of_each({run.folder.name: words_of_run(run.finished()) for run in trained}))
    for task, first in scores[0].items():
        key = next(iter(first))
        values = [each[task][key] for each in scores]
        mean = sum(values) / len(values)
        yield (
            f"{task} {key} over {len(values)} folds: mean {mean:.4f}, from {min(values):.4f} to {max(values):.4f}"
            f"{words}"
        )
