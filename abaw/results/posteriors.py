"""The posteriors of a run's last layers on disk: ``RUN/weights/posterior-<task>.safetensors``.

run.json holds the SHA-256 of the file, as of the weights beside it, and the file that of the weights it belongs to.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from abaw.errors import InputError, NotFoundError
from abaw.files import atomic_write, sha256
from abaw.results.run_document import POSTERIOR, write_run_document
from abaw.results.runs import Run
from abaw.uncertainty.last_layer import LastLayerPosterior
from abaw.uncertainty.posterior import LinearPosterior

MODEL = "model.safetensors"
ARRAYS = ("centre", "spread", "offset", "scale", "correlation")
OF_WEIGHTS = ("precision", "moment", "noise")


def posterior_path(run: Run, task: str) -> Path:
    """Where the posterior of a task is kept."""
    return run.folder / "weights" / f"{POSTERIOR}{task}.safetensors"


def has_posterior(run: Run, task: str) -> bool:
    """Whether a complete run has a posterior of the task: a file that run.json names."""
    path = posterior_path(run, task)
    return path.is_file() and path.name in run.finished().get("weights", {})


def write_posterior(run: Run, task: str, posterior: LastLayerPosterior) -> None:
    """Write the posterior of a complete run, whose folder the caller holds, and its SHA-256 into run.json."""
    document, path = run.finished(), posterior_path(run, task)
    arrays = {name: getattr(posterior, name) for name in ARRAYS}
    arrays |= {name: getattr(posterior.weights, name) for name in OF_WEIGHTS}
    about = {
        "task": task,
        "columns": list(posterior.columns),
        "num_clips": posterior.num_clips,
        "num_held_out": posterior.num_held_out,
        "model": sha256(run.folder / "weights" / MODEL),
    }
    with atomic_write(path) as temporary:
        content = {name: np.ascontiguousarray(each, np.float64) for name, each in arrays.items()}
        temporary.write_bytes(safetensors.numpy.save(content, {"posterior": json.dumps(about)}))
    hashes = {**document.get("weights", {}), path.name: sha256(path)}
    write_run_document(run.folder / "run.json", {**document, "weights": hashes})


def read_posterior(run: Run, task: str) -> LastLayerPosterior:
    """The stored posterior of a task.

    Raises NotFoundError where the run has none, InputError where the file is damaged, was put there by hand, or belongs
    to other weights.
    """
    path = posterior_path(run, task)
    if not has_posterior(run, task):
        found = f"{path} is not a file of this run" if path.is_file() else f"{run.folder} has no posterior of {task}"
        raise NotFoundError(f"{found}: fit one with abaw predict {run.folder} --deviation")
    run.check_weights()
    again = f"delete that file, and fit it again with abaw predict {run.folder} --deviation"
    if sha256(path) != run.document()["weights"][path.name]:
        raise InputError(f"{path} is damaged: its SHA-256 differs from the one in {run.folder / 'run.json'}: {again}")
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {})["posterior"])
            arrays: dict[str, Any] = {name: file.get_tensor(name) for name in (*ARRAYS, *OF_WEIGHTS)}
        num_clips, num_held_out = int(about["num_clips"]), int(about["num_held_out"])
        columns, model = tuple(about["columns"]), about["model"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} holds no posterior ({error}): {again}") from error
    if about["task"] != task or model != run.document()["weights"].get(MODEL):
        raise InputError(f"{path} belongs to another run or task: {again}")
    weights = LinearPosterior(*(arrays[name] for name in OF_WEIGHTS))
    centre, spread, offset, scale, correlation = (arrays[name] for name in ARRAYS)
    return LastLayerPosterior(columns, centre, spread, offset, scale, correlation, weights, num_clips, num_held_out)
