"""An extraction spread over a Ray cluster whose machines share the store's path.

Each worker is a process of its own that extracts a few clips at a time, as ``extract.engine.run`` does on one machine. The
store says what is done, so a worker that is lost loses no more than the clips in its hands: they go to another.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from extract.engine.plan import EncoderSpec
from extract.engine.run import ExtractionReport, extract
from extract.faces.target import TargetConfig
from extract.store.store import FeatureStore

CLIPS_AT_A_TIME = 4  # enough to fill batches across clips, few enough to lose and to share out

PATIENCE_S = 60.0
LOG = logging.getLogger("abaw")

Crew = Callable[[], tuple[list[EncoderSpec], TargetConfig]]


class _Hand:
    """A worker: encoders loaded once, for many clips."""

    def __init__(self, dataset: Dataset, store: FeatureStore, crew: Crew, settings: dict[str, Any]) -> None:
        self._dataset, self._store, self._settings = dataset, store, settings
        self._asked, self._watch = crew()

    def work(self, clip_ids: list[str]) -> ExtractionReport:
        return extract(
            self._dataset, self._store, self._asked, self._watch, clip_ids=clip_ids, num_readers=1, **self._settings
        )


def extract_on_ray(
    dataset: Dataset,
    store: FeatureStore,
    crew: Crew,
    clip_ids: Iterable[str],
    *,
    address: str | None = None,
    num_workers: int | None = None,
    num_gpus: float = 0,
    progress: Callable[[str, int, int], None] = lambda clip_id, done, total: None,
    **settings: Any,
) -> ExtractionReport:
    """As ``extract.engine.run.extract``, by the workers of a cluster.

    ``crew`` builds encoders and watch on a worker (it is sent there: a function of a module, no lambda). ``address``:
    a running cluster; None: the one this machine belongs to, or a new one of this machine alone. ``num_workers``
    defaults to the cluster's GPUs over ``num_gpus``, or half its cores. Raises ValueError where no cluster answers or
    every worker is lost, ImportError where Ray is not installed.
    """
    if num_workers is not None and num_workers < 1:
        raise InputError(f"--ray-workers is {num_workers}, expected 1 or more")
    ray = _ray()
    _join(ray, address)
    whole = ray.cluster_resources()
    num_workers = num_workers or max(1, int(whole.get("GPU", 0) / num_gpus if num_gpus else whole.get("CPU", 2) / 2))
    hand = ray.remote(num_cpus=1, num_gpus=num_gpus)(_Hand)
    clips = list(clip_ids)
    waiting = deque(clips[i : i + CLIPS_AT_A_TIME] for i in range(0, len(clips), CLIPS_AT_A_TIME))
    shift = _Shift(ray, lambda: hand.remote(dataset, store, crew, settings), waiting)
    return shift.run(min(num_workers, len(waiting)), progress)


class _Shift:
    """Clips given out to workers until all are done; what a lost worker held is given out again.

    A worker gets clips when it has answered for the first time: the cluster may not have room for it yet.
    """

    def __init__(self, ray: Any, hire: Callable[[], Any], waiting: deque[list[str]]) -> None:
        self._ray, self._hire, self._waiting = ray, hire, waiting
        self._busy: dict[Any, tuple[Any, list[str]]] = {}  # what will end, the worker at it, its clips
        self._report = ExtractionReport()

    def run(self, num: int, progress: Callable[[str, int, int], None]) -> ExtractionReport:
        total, num_lost, errors = sum(map(len, self._waiting)), 0, self._ray.exceptions
        for _ in range(num):
            self._engage()
        while self._busy and (self._waiting or any(clip_ids for _, clip_ids in self._busy.values())):
            ended = self._next()
            hand, clip_ids = self._busy.pop(ended)
            try:
                self._add(self._ray.get(ended))
            except (errors.RayActorError, errors.NodeDiedError, errors.OutOfMemoryError) as error:
                num_lost += 1
                if num_lost > 2 * num:
                    raise InputError(f"workers are lost again and again, the last one so: {error}") from error
                if clip_ids:
                    self._waiting.appendleft(clip_ids)
                self._engage()
                continue
            if clip_ids:
                done = len(self._report.made) + len(self._report.present) + len(self._report.failed)
                progress(clip_ids[-1], done, total)
            if self._waiting:
                clip_ids = self._waiting.popleft()
                self._busy[hand.work.remote(clip_ids)] = hand, clip_ids
        return self._report

    def _next(self) -> Any:
        """What ends next; where nothing does for long, it is said why that may be."""
        while True:
            ended, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=PATIENCE_S)
            if ended:
                return ended[0]
            if not any(clip_ids for _, clip_ids in self._busy.values()):
                LOG.warning("no worker has begun: the cluster has %s free", self._ray.available_resources())

    def _engage(self) -> None:
        hand = self._hire()
        self._busy[hand.work.remote([])] = hand, []

    def _add(self, part: ExtractionReport) -> None:
        self._report.made += part.made
        self._report.present += part.present
        self._report.failed += part.failed


def _join(ray: Any, address: str | None) -> None:
    """Connect to the cluster at ``address``; without one to this machine's, or to a new one of this machine alone."""
    problem: Exception | None = None
    for each in [address] if address else ["auto", "local"]:
        try:
            ray.init(address=each, ignore_reinit_error=True, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            problem = error
        else:
            return
    raise InputError(f"no Ray cluster at {address!r} ({problem}): start one with `ray start --head`") from problem


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise InputError("--engine ray needs the package ray: pip install 'abaw[ray]'") from error
    return ray
