"""Reads what a report shows of runs and prediction folders besides their tables."""

import json
import math
from pathlib import Path

from abaw.errors import AbawError, InputError
from abaw.evaluation.labelled_tables import LabelledPredictions, run_of
from abaw.files.yaml import dump_yaml
from abaw.results import predictions
from abaw.results.curves import read_curves
from abaw.results.runs import CURVES, Run
from abaw.views.report.facts import Columns, LossFacts, TrainingFacts

MAX_HEADER_BYTES = 100_000_000  # of a safetensors file, as that library has it
WEIGHTS = "model.safetensors"


def open_run(folder: Path) -> Run | None:
    """The run of a folder; None where it is a folder of predictions. Raises InputError for one that is not complete."""
    if not (folder / "run.json").is_file():
        return None
    run = Run(folder)
    run.finished()
    run.config()
    return run


def read_training(run: Run) -> tuple[TrainingFacts, list[str]]:
    """What a run records of its training, and what is wrong with its weights or curves, which a report can lack."""
    remarks = list[str]()
    try:
        run.check_weights()
    except (AbawError, OSError) as error:
        remarks.append(str(error))
    curves = dict[str, Columns]()
    for name, folder in (("curves", run.folder), ("inner", run.inner)):
        try:
            if (folder / CURVES).is_file():
                curves[name] = read_curves(folder)
        except InputError as error:
            remarks.append(str(error))
    values = run.config().model_dump(mode="json")
    weights = run.folder / "weights" / WEIGHTS
    facts = TrainingFacts(
        run.document(),
        values,
        dump_yaml(values),
        num_stored=count_stored(weights),
        weights_bytes=weights.stat().st_size if weights.is_file() else None,
        **curves,
    )
    return facts, remarks


def count_stored(path: Path) -> int | None:
    """How many numbers a safetensors file holds, from its header; None where it is missing or damaged."""
    try:
        with path.open("rb") as file:
            num_bytes = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(num_bytes)) if num_bytes <= MAX_HEADER_BYTES else {}
        return sum(math.prod(each["shape"]) for name, each in header.items() if name != "__metadata__")
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def read_losses(labelled: LabelledPredictions, run: Run | None) -> LossFacts:
    """What was lost of the clips when their features were extracted, from the store that the run was trained on."""
    from extract.store.store import FeatureStore

    made_by = run or run_of(predictions.resolve(labelled.folder, labelled.task.name))
    if made_by is None:
        return LossFacts(unknown="the run that made the tables is not known, or not there")
    place = Path(made_by.config().store)
    if not place.is_dir():
        return LossFacts(unknown=f"the store {place}, from which {made_by.folder} was trained, is not in {Path.cwd()}")
    store = FeatureStore(place)
    try:
        found = {clip_id: store.losses(clip_id) for clip_id in labelled.tables}
    except (AbawError, OSError) as error:
        return LossFacts(unknown=str(error))
    lost = {clip_id: each for clip_id, each in found.items() if str(each)}
    return LossFacts(
        {name: str(each) for name, each in lost.items()}, {name: each.share for name, each in lost.items()}
    )
