"""What the stages of a recipe cost on this machine, measured for a few seconds each; nothing is kept."""

import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.batches import windows
from abaw.errors import AbawError
from abaw.pipelines.extraction import parse_part
from abaw.pipelines.preparing.selecting import VALIDATION, find_selection
from abaw.pipelines.trials.random_store import TrackShape, write_random_store

if TYPE_CHECKING:
    from abaw.configs.sections import Config
    from abaw.dataset.annotations import Labels
    from abaw.dataset.layout import Dataset
    from abaw.tasks.base import Task
    from fusion.trials.sizes import ClockSource, RunSize
    from fusion.trials.timing import TrialResult

    LabelsBySplit = Mapping[str, Mapping[str, Mapping[str, Labels]]]

LOG = logging.getLogger("abaw")
SOUND_HZ = 50.0  # rows a second of a sound encoder that is not here
NUM_CHECKED = 4  # clips of the trial of the check
IMPORTS = "import abaw.competition.recipe, extract.engine.run, fusion.train, tensorboard"


@dataclass(frozen=True)
class Unextracted:
    """What is known of clips and features that are not extracted: the frames of each clip, the shape of each track."""

    frames: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, TrackShape] = field(default_factory=dict)


@dataclass(frozen=True)
class RunForecast:
    """The seconds of a run of one fold, at least and at most, with the predictions for the clips it holds out."""

    min_s: float
    max_s: float
    num_batches: float
    min_epochs: float
    max_epochs: float


def time_start() -> float:
    """The seconds that a new process takes to load the libraries."""
    start_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=False, capture_output=True)
    return time.perf_counter() - start_s


def time_check(dataset: "Dataset") -> float:
    """The seconds that the check of a data set takes, from a few of its clips."""
    from extract.dataset_check.check import check

    every = list(dataset.clips.values())
    taken = every[:: max(1, len(every) // NUM_CHECKED)]
    start_s = time.perf_counter()
    check(replace(dataset, clips={}))
    between_s = time.perf_counter()
    check(replace(dataset, clips={clip.clip_id: clip for clip in taken}))
    labels_s, both_s = between_s - start_s, time.perf_counter() - between_s
    return labels_s + max(0.0, both_s - labels_s) * len(every) / max(1, len(taken))


def find_shapes(
    encoders: Iterable[str], store: Path, features: Iterable[str], estimated: Unextracted
) -> dict[str, TrackShape]:
    """The shapes of those features that the store has, that were estimated, or that are known of encoders not here."""
    from extract.encoders import ENCODERS
    from extract.presets import PRESETS
    from extract.store.store import FeatureStore

    found: dict[str, TrackShape] = {}
    for text in encoders:
        name, settings = parse_part(text)
        preset = PRESETS.get(name)
        facts = ENCODERS.part(preset.family if preset else name).facts
        if isinstance(dim := preset.dim if preset else facts.get("dim"), int):
            found[str(settings.get("as", name))] = TrackShape(dim, SOUND_HZ if facts.get("modality") == "audio" else 0)
    found |= estimated.shapes
    for feature in features if store.is_dir() else ():
        if shape := _shape_in(FeatureStore(store), feature):
            found[feature] = shape
    return {feature: found[feature] for feature in features if feature in found}


def find_lengths(dataset: "Dataset", store: Path, estimated: Unextracted) -> dict[str, int]:
    """The number of frames of the clips that the store has, or that were found by their packets."""
    from extract.store.store import FeatureStore

    found, opened = dict(estimated.frames), FeatureStore(store)
    for clip_id in dataset.clips if store.is_dir() else ():
        try:
            found[clip_id] = len(opened.clock(clip_id))
        except AbawError:  # not extracted, or damaged: the extraction makes it again
            continue
    return found


def size_source(config: "Config", shapes: Mapping[str, TrackShape], num_frames: Mapping[str, int]) -> "ClockSource":
    """What windows are counted with: the frames of clips, without their features."""
    from fusion.trials.sizes import ClockSource

    return ClockSource(config, {name: shapes[name].dim for name in config.features}, num_frames)


def count_batches(config: "Config", num_frames: Iterable[int]) -> float:
    """The batches of windows that clips with so many frames have."""
    window = config.window
    return sum(len(windows(num, window.length, window.stride)) for num in num_frames) / config.training.batch_size


def try_training(
    config: "Config",
    tasks: "Mapping[str, Task]",
    labels: "LabelsBySplit",
    shapes: Mapping[str, TrackShape],
    num_frames: Mapping[str, int],
    for_s: float,
) -> "TrialResult":
    """Train for about ``for_s`` seconds with random features of these shapes, read from a store of their own."""
    from extract.store.source import AlignedSource
    from fusion.trials.timing import select_trial, time_training

    few, lengths = select_trial(config, tasks, labels, num_frames)
    with tempfile.TemporaryDirectory(prefix="abaw-trial-") as folder, _silent():
        store = write_random_store(Path(folder), {name: shapes[name] for name in config.features}, lengths)
        return time_training(config, tasks, few, AlignedSource(store, config.features), for_s)


def forecast_run(
    config: "Config",
    dataset: "Dataset",
    tasks: "Mapping[str, Task]",
    labels: "LabelsBySplit",
    source: "ClockSource",
    trial: "TrialResult",
) -> RunForecast:
    """What a run on these labels of a fold costs, by the measurements of a trial.

    With ``training.select_on: inner`` it is trained twice, the second time for one epoch at least.
    """
    from fusion.trials.sizes import size_run
    from fusion.trials.timing import count_workers

    with _silent():
        select_on, inner = find_selection(config, dataset, tasks, labels)  # type: ignore[arg-type]
    held_out = size_run(config, tasks, labels, source)
    last = replace(held_out, num_validation=0, min_epochs=held_out.max_epochs)
    passes: list[RunSize] = [held_out] if select_on == VALIDATION else [last]
    if inner is not None:
        passes = [size_run(config, tasks, inner, source), replace(last, min_epochs=1)]
    min_s = max_s = trial.prediction_s(held_out.num_validation)
    for each in passes:
        workers = count_workers(config, each)
        min_s += trial.run_s(each, each.min_epochs, workers)
        max_s += trial.run_s(each, each.max_epochs, workers)
    return RunForecast(min_s, max_s, held_out.num_train, passes[0].min_epochs, passes[0].max_epochs)


def _shape_in(store: Any, feature: str) -> TrackShape | None:
    """The shape of a feature's first track in a store; None where it has none."""
    from extract.store.listing import track_paths
    from extract.store.track_file import TrackFile

    try:
        path = next(iter(track_paths(store.folder(store.find(feature))).values()), None)
        track = None if path is None else TrackFile(path)
    except AbawError:
        return None
    if track is None:
        return None
    span_s = track.times_s[-1] - track.times_s[0] if len(track.times_s) > 1 else 0.0
    return TrackShape(track.dim, float((len(track.times_s) - 1) / span_s) if span_s else 0.0)


@contextmanager
def _silent() -> Iterator[None]:
    """Log errors only: what a trial says of its epochs and features would be taken for the real training's."""
    level = LOG.level
    LOG.setLevel(logging.ERROR)
    try:
        yield
    finally:
        LOG.setLevel(level)
