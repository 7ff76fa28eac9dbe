"""An extraction distributed over a Ray cluster whose machines share the path of the store.

Each worker is a process that extracts a few clips at a time, as ``extract.engine.run`` does on one machine. The store
records what is done, so a lost worker costs at most the clips it was working on, and another worker repeats those.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from abaw.optional import import_optional
from abaw.progress import ProgressCallback, silent
from extract.engine.plan import EncoderSpec
from extract.engine.run import ExtractionReport, extract
from extract.faces.target import TargetConfig
from extract.store.store import FeatureStore

CLIPS_PER_TASK = 4  # enough to fill batches across clips, few enough to lose and to balance
WARN_AFTER_S = 60.0  # without any answer from the workers

LOG = logging.getLogger("abaw")

BuildParts = Callable[[], tuple[list[EncoderSpec], TargetConfig]]


class _Worker:
    """A process that loads the encoders once and extracts many clips."""

    def __init__(self, dataset: Dataset, store: FeatureStore, build: BuildParts, settings: dict[str, Any]) -> None:
        self._dataset, self._store, self._settings = dataset, store, settings
        self._specs, self._target = build()

    def extract(self, clip_ids: list[str]) -> ExtractionReport:
        return extract(
            self._dataset, self._store, self._specs, self._target, clip_ids=clip_ids, num_readers=1, **self._settings
        )


def extract_on_ray(
    dataset: Dataset,
    store: FeatureStore,
    build: BuildParts,
    clip_ids: Iterable[str],
    *,
    address: str | None = None,
    num_workers: int | None = None,
    num_gpus: float = 0,
    progress: ProgressCallback = silent,
    **settings: Any,
) -> ExtractionReport:
    """As ``extract.engine.run.extract``, by the workers of a Ray cluster.

    ``build`` makes the encoders and the target on each worker; it is pickled, so it must be a function of a module.
    ``address``: of a running cluster, "auto" for the one of this machine; None: a new one on this machine alone, which
    no other machine can reach.
    ``num_workers``: by default the cluster's GPUs divided by ``num_gpus``, or half of its cores. Raises InputError
    where no cluster answers, workers are lost repeatedly, or Ray is not installed.
    """
    if num_workers is not None and num_workers < 1:
        raise InputError(f"--ray-workers is {num_workers}, expected 1 or more")
    ray = _import_ray(address)
    _connect(ray, address)
    total = ray.cluster_resources()
    num_workers = num_workers or max(1, int(total.get("GPU", 0) / num_gpus if num_gpus else total.get("CPU", 2) / 2))
    worker = ray.remote(num_cpus=1, num_gpus=num_gpus)(_Worker)
    clips = list(clip_ids)
    tasks = deque(clips[i : i + CLIPS_PER_TASK] for i in range(0, len(clips), CLIPS_PER_TASK))
    scheduler = _Scheduler(ray, lambda: worker.remote(dataset, store, build, settings), tasks)
    return scheduler.run(min(num_workers, len(tasks)), progress)


class _Scheduler:
    """Distributes ``tasks`` (lists of clips) to workers until all are done; a lost worker's task is given out again.

    A worker gets its first task only after it has answered once: the cluster may not have room for it yet.
    """

    def __init__(self, ray: Any, start_worker: Callable[[], Any], tasks: deque[list[str]]) -> None:
        self._ray, self._start_worker, self._tasks = ray, start_worker, tasks
        self._running: dict[Any, tuple[Any, list[str]]] = {}  # Ray's reference of a call -> its worker and clips
        self._report = ExtractionReport()

    def run(self, num_workers: int, progress: ProgressCallback) -> ExtractionReport:
        num_clips, num_lost, errors = sum(map(len, self._tasks)), 0, self._ray.exceptions
        for _ in range(num_workers):
            self._add_worker()
        while self._running and (self._tasks or any(clip_ids for _, clip_ids in self._running.values())):
            finished = self._wait()
            worker, clip_ids = self._running.pop(finished)
            try:
                self._merge(self._ray.get(finished))
            except (errors.RayActorError, errors.NodeDiedError, errors.OutOfMemoryError) as error:
                num_lost += 1
                if num_lost > 2 * num_workers:
                    raise InputError(
                        f"{num_lost} Ray workers were lost, the last one with: {error}: give workers more memory, or "
                        "run without --engine ray"
                    ) from error
                if clip_ids:
                    self._tasks.appendleft(clip_ids)
                self._add_worker()
                continue
            if clip_ids:
                progress(clip_ids[-1], self._report.num_clips, num_clips)
            if self._tasks:
                clip_ids = self._tasks.popleft()
                self._running[worker.extract.remote(clip_ids)] = worker, clip_ids
        return self._report

    def _wait(self) -> Any:
        """The next call that ends. Warns where no worker has started for ``WARN_AFTER_S``."""
        while True:
            finished, _ = self._ray.wait(list(self._running), num_returns=1, timeout=WARN_AFTER_S)
            if finished:
                return finished[0]
            if not any(clip_ids for _, clip_ids in self._running.values()):
                LOG.warning("no Ray worker has started yet: the cluster has %s free", self._ray.available_resources())

    def _add_worker(self) -> None:
        worker = self._start_worker()
        self._running[worker.extract.remote([])] = worker, []

    def _merge(self, part: ExtractionReport) -> None:
        self._report.made += part.made
        self._report.present += part.present
        self._report.failed += part.failed
        self._report.losses |= part.losses


def _connect(ray: Any, address: str | None) -> None:
    """Connect to the cluster at ``address``; without it start one on this machine alone, which no other can reach."""
    settings: dict[str, Any] = {"ignore_reinit_error": True, "log_to_driver": False, "configure_logging": False}
    if not address:  # not None or "auto": Ray would join what RAY_ADDRESS or a file in /tmp names
        settings |= {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
    try:
        ray.init(address=address or "local", **settings)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if not address:
            raise InputError(f"Ray does not start on this machine ({error}): run without --engine ray") from error
        raise InputError(
            f"no Ray cluster answers at {address} ({error}): start one with `ray start --head`, or give another "
            "--ray-address"
        ) from error


def _import_ray(address: str | None) -> Any:
    if not address:  # read when Ray is imported: without it even a machine's own cluster listens to all others
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    return import_optional("ray", needed_by="--engine ray", extra="ray")
