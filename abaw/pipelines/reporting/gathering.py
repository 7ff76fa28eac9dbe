"""Reads what a report shows of runs and prediction folders besides their tables."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from abaw.configs.sections import Config
from abaw.errors import AbawError, InputError
from abaw.evaluation.labelled_tables import LabelledPredictions, run_of
from abaw.files import visible
from abaw.files.text import read_text
from abaw.files.yaml import dump_yaml
from abaw.numbers import parse_number
from abaw.results.runs import CURVES, Run
from abaw.views.report.facts import Columns, LossFacts, TrainingFacts

MAX_HEADER_BYTES = 100_000_000  # of a safetensors file, as that library has it


def open_run(folder: Path) -> Run | None:
    """The run of a folder; None where it is a folder of predictions. Raises InputError for one that is not complete."""
    if not (folder / "run.json").is_file():
        return None
    run = Run(folder)
    run.finished()
    run.config()
    return run


def read_training(run: Run) -> tuple[TrainingFacts, list[str]]:
    """What a run records of its training, and what is wrong with its weights or curves, which a report can do without."""
    remarks = list[str]()
    try:
        run.check_weights()
    except (AbawError, OSError) as error:
        remarks.append(str(error))
    found = {}
    for name, path in (("curves", run.folder / CURVES), ("inner", run.inner / CURVES)):
        try:
            found[name] = read_curves(path) if path.is_file() else None
        except InputError as error:
            remarks.append(str(error))
    config: Config = run.config()
    values = config.model_dump(mode="json")
    weights = visible(run.folder / "weights", "*.safetensors")
    num_parameters = _sum(map(count_parameters, weights))
    facts = TrainingFacts(
        run.document(),
        values,
        dump_yaml(values),
        num_parameters=num_parameters,
        weights_bytes=sum(path.stat().st_size for path in weights) if weights else None,
        **found,
    )
    return facts, remarks


def read_curves(path: Path) -> Columns:
    """The columns of a curves.csv: a number for each epoch, None where it was not logged.

    Raises InputError with file and line for what is no number.
    """
    rows = list(csv.reader(io.StringIO(read_text(path, advice="delete it, or restore it"))))
    if not rows:
        return {}
    head, columns = rows[0], dict[str, list[float | None]]()
    for i, name in enumerate(head):
        columns[name] = [_curve_value(row, i, f"{path}:{line}") for line, row in enumerate(rows[1:], 2)]
    return columns


def _curve_value(row: list[str], i: int, place: str) -> float | None:
    text = row[i] if i < len(row) else ""
    if text in ("", "nan", "inf", "-inf"):  # a training that diverged
        return None
    try:
        return parse_number(text)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def count_parameters(path: Path) -> int | None:
    """The number of stored values of a safetensors file, from its header; None where it cannot be read."""
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

    made_by = run or run_of(labelled.folder)
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
    return LossFacts({name: str(each) for name, each in lost.items()}, {name: each.share for name, each in lost.items()})


def _sum(numbers: Iterable[int | None]) -> int | None:
    found = list(numbers)
    return sum(each for each in found if each is not None) if found and None not in found else None


def as_mapping(value: Any) -> Mapping[str, Any]:
    """A value of a JSON document that should be an object; {} where it is none."""
    return value if isinstance(value, dict) else {}
