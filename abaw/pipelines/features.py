"""Features for Python code: a track from a store, aligned to times, and several as a batch of torch tensors."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

from abaw.errors import InputError
from abaw.files import as_list

if TYPE_CHECKING:
    import numpy as np

    from abaw.batches import Batch
    from abaw.configs.sections import FeatureConfig
    from abaw.tracks import Clock, Track
    from extract.store.store import FeatureStore


def load_track(store: "str | Path | FeatureStore", features: str, clip: str) -> "Track":
    """The features of one clip: ``values`` (time, dim), ``times_s`` (time) in seconds, ``observed`` (time).

    ``features``: a name in the store, with or without its hash. Raises NotFoundError where the clip has no such
    track, InputError where the name is unknown or stands for several recipes.
    """
    opened = _open(store)
    return opened.get(opened.find(features), clip)


def align(
    track: "Track",
    times: "Clock | np.ndarray | Sequence[float]",
    *,
    how: str = "linear",
    max_gap_s: float = 0.5,
    width_s: float | None = None,
) -> "Track":
    """The track at other times, usually a clip's frame timestamps: one row for each of ``times``.

    ``how``: nearest, linear, window_mean or hold_last (``abaw list aligners``). A row is observed only if all rows it
    is made from are observed and lie within ``max_gap_s``. Outside the track's times nearest holds the first and the
    last row and hold_last the last one, for ``max_gap_s``; linear gives nothing there. ``width_s``, of window_mean: the
    mean is over so many seconds around each time, half before and half after; by default it is over the time's own
    interval, from halfway after the previous time to halfway before the next. Raises InputError for an unknown aligner,
    for one without ``width_s`` where that is given, and for times that do not increase.
    """
    import numpy as np

    from abaw.tracks import Clock, Track
    from extract import ALIGNERS
    from extract.align import apply

    if not isinstance(track, Track):
        raise InputError(f"track is a {type(track).__name__}, expected a Track, as load_track returns")
    if isinstance(max_gap_s, str) or not isinstance(max_gap_s, SupportsFloat) or not float(max_gap_s) >= 0:
        raise InputError(f"max_gap_s is {max_gap_s!r}, expected seconds, 0 or more")
    settings = {} if width_s is None else {"width_s": width_s}
    ALIGNERS.check(how, settings)
    try:
        goal_s = times.times_s if isinstance(times, Clock) else np.asarray(times, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"times are {times!r}, expected a row of seconds") from error
    if goal_s.ndim != 1:
        raise InputError(f"times have the shape {goal_s.shape}, expected one row of seconds")
    given = {"times_s": track.times_s, "observed": track.observed, "goal_s": goal_s}
    plan = ALIGNERS.build(how, **given, max_gap_s=float(max_gap_s), **settings)
    return Track(apply(plan, track.values), goal_s, plan.observed)


def load_batch(
    store: "str | Path | FeatureStore",
    features: "Sequence[str] | Mapping[str, FeatureConfig | Mapping[str, Any]]",
    clips: Sequence[str],
) -> "Batch":
    """Whole clips as one batch of torch tensors, each track aligned to the clip's frame timestamps.

    ``features``: names in the store, or a mapping of names to how they are aligned (the keys of ``features:`` in a
    config). The batch has ``signals[name].values`` (batch, time, dim) and ``.observed`` (batch, time), ``times_s``
    (batch, time) and ``lengths`` (batch); clips are padded at the end. Raises NotFoundError where a clip lacks a
    track, InputError where no clip is named.
    """
    from abaw.batches import Window, collate
    from abaw.configs.file import parse_section
    from abaw.configs.sections import FeatureConfig
    from extract.store.source import AlignedSource

    named = as_list([] if clips is None else clips, "clips", "a list of clips")
    if not named:
        raise InputError("no clip to load: name one or several")
    given = features
    if not isinstance(given, Mapping):
        given = dict.fromkeys(as_list(features, "features", "names in the store"), FeatureConfig())
    if not given:
        raise InputError("no features to load: name one or several")
    configs = {
        name: each if isinstance(each, FeatureConfig) else parse_section(FeatureConfig, each, f"features {name!r}")
        for name, each in given.items()
    }
    source = AlignedSource(_open(store), configs)
    return collate([_window(source, clip, Window) for clip in named])


def _window(source: Any, clip: str, window: Any) -> Any:
    import torch

    times_s = source.clock(clip).times_s
    first, last = (times_s[0], times_s[-1]) if len(times_s) else (0.0, 0.0)
    signals = {name: source.read(name, clip, first, last) for name in source.names()}
    return window(clip, 0, torch.tensor(times_s), signals, {}, {})


def find_recipes(store: str | Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The recipe of each of ``names`` that the store has; {} where there is no store.

    Raises InputError where several recipes have one of the names.
    """
    from extract.store.store import FeatureStore

    opened = FeatureStore(store)
    stored = opened.recipes() if opened.root.is_dir() else {}
    known = {*stored, *(recipe["name"] for recipe in stored.values())}
    return {name: opened.find(name) for name in names if name in known}


def same_features(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two recipes give the same features: whether a store keeps them in one folder."""
    from extract.store.store import FeatureStore

    store = FeatureStore(Path())
    return store.folder(one) == store.folder(other)


def check_stored(path: str | Path) -> None:
    """Verify the checksums of a file of a store. Raises InputError, naming the file, where its content has changed."""
    from extract.store.tensor_file import TensorFile

    TensorFile(Path(path), "the same command again").check_content()


def _open(store: "str | Path | FeatureStore") -> "FeatureStore":
    from extract.store.store import FeatureStore

    return store if isinstance(store, FeatureStore) else FeatureStore(store)
