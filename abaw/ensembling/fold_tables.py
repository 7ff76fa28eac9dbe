"""Tables of each fold beside their mean, and post-processing that is matched from the mean to them.

A prediction folder that averages runs of several folds has a prediction folder ``folds/<fold>`` for each, and names
the folds in its predictions.json.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from abaw.calibration.matching import LogitMoments, matched
from abaw.ensembling.weights import EnsembleWeights
from abaw.postprocessing import PostProcessing
from abaw.results import predictions, replacing
from abaw.results.runs import Run
from abaw.tasks.base import Task

FOLDS = "folds"


def runs_by_fold(runs: Sequence[Run]) -> dict[int, list[int]]:
    """Fold -> the positions of its runs, by number; {} where all runs are of one fold, or not all have one."""
    folds = [run.document().get("folds", {}).get("fold") for run in runs]
    if None in folds or len(set(folds)) < 2:
        return {}
    return {fold: [i for i, each in enumerate(folds) if each == fold] for fold in sorted(set(folds))}


def place(where: Path, fold: int) -> Path:
    """The prediction folder of one fold."""
    return where / FOLDS / str(fold)


@contextmanager
def replace_fold_tables(where: Path, folds: Iterable[int], clips: Sequence[str]) -> Iterator[None]:
    """``replacing.replace_tables`` for the folder of each fold; those of other folds lose their tables."""
    wanted = {place(where, fold) for fold in folds}
    old = {path for path in (where / FOLDS).iterdir() if path.is_dir()} if (where / FOLDS).is_dir() else set()
    with ExitStack() as held:
        for folder in sorted(wanted | old):
            held.enter_context(replacing.replace_tables(folder, clips if folder in wanted else ()))
        yield


def match_folds(
    wheres: Sequence[Path],
    folds: Sequence[Sequence[int]],
    task: Task,
    ensemble: EnsembleWeights,
    post_processing: PostProcessing | None,
) -> tuple[PostProcessing | None, tuple[str, ...]]:
    """The post-processing of an ensemble, matched to its single folds, and remarks.

    ``wheres``: the members' prediction folders; ``folds``: those that each is the mean of. Members without folds
    (predictions by single runs, on which it was fitted) need no matching, nor does smoothing alone.
    """
    if post_processing is None or not post_processing.is_fitted_to_logits or not any(folds):
        return post_processing, ()
    if len(set(map(tuple, folds))) > 1:
        texts = [f"{where}: {', '.join(map(str, each)) or 'none'}" for where, each in zip(wheres, folds, strict=True)]
        remark = (
            "note: scale and bias were fitted on predictions by single folds, and cannot be matched to this mean, "
            f"because the members have different folds ({'; '.join(texts)}): predict all of them with the same folds"
        )
        return post_processing, (remark,)
    single, averaged = (LogitMoments(task, post_processing) for _ in range(2))
    for clip_id in predictions.clip_ids(wheres[0]):
        table = ensemble.table([predictions.read_table(where, clip_id, task) for where in wheres])
        averaged.add(table.values, table.observed, table.times_s)
        for fold in folds[0]:
            table = ensemble.table([predictions.read_table(place(where, fold), clip_id, task) for where in wheres])
            single.add(table.values, table.observed, table.times_s)
    found = matched(post_processing, single, averaged)
    return found, (f"mean and spread of {len(folds[0])} folds' mean are matched to those of single folds",)


def folds_of(about: Mapping[str, object]) -> list[int]:
    """The folds that predictions.json names; [] for tables of single runs."""
    found = about.get(FOLDS)
    return [int(each) for each in found] if isinstance(found, list) else []
