"""From clips to tracks in the store, resumable and shared by any number of processes.

Reading threads decode clips, detect faces and prepare pictures; the main thread encodes what they send through a
bounded queue. A clip is leased before it is read and files are written atomically, so a stopped run continues when it
is started again, and a second process beside it takes the other clips.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from abaw.files import locked, remove_stale_files
from abaw.numbers import format_count
from abaw.processes import count_cores
from abaw.progress import ProgressCallback, silent
from extract.engine.batching import Batcher, OpenClip
from extract.engine.plan import DEFAULT_ROWS_HZ, EncoderSpec, ExtractionPlan
from extract.engine.readers import Message, Readers
from extract.engine.requests import ReadResult
from extract.faces.target import TargetConfig
from extract.losses import ClipLosses, summarize
from extract.store.leases import Leases
from extract.store.store import FAILED_LOCK, Failure, FeatureStore

PICTURES_PER_REPORT = 250  # of a clip, between two calls of the progress callback
MAX_PER_PACK = 256  # still pictures; each has a lease, an open file, until it is packed

LOG = logging.getLogger("abaw")


@dataclass
class ExtractionReport:
    """The clips that an extraction made, those whose tracks were in the store already, and those that failed.

    ``losses``: of the clips made or present those of which anything was lost, and what.
    """

    made: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    losses: dict[str, ClipLosses] = field(default_factory=dict)

    @property
    def num_clips(self) -> int:
        """How many clips there were."""
        return len(self.made) + len(self.present) + len(self.failed)

    def loss_lines(self, more: str = "") -> list[str]:
        """How many of the clips in the store have losses, and the worst of them; ``more``: what lists all."""
        return summarize(self.losses, len(self.made) + len(self.present), more)

    def __str__(self) -> str:
        return f"{len(self.made)} clips extracted, {len(self.present)} done before, {len(self.failed)} failed"


def extract(
    dataset: Dataset,
    store: FeatureStore,
    specs: Iterable[EncoderSpec],
    target: TargetConfig,
    *,
    assume_fps: float | None = None,
    fill: bool = False,
    rows_hz: float | None = None,
    clip_ids: Iterable[str] | None = None,
    num_readers: int | None = None,
    progress: ProgressCallback = silent,
) -> ExtractionReport:
    """Write the clock and the missing tracks of every clip, or of ``clip_ids``.

    A clip that fails is in the report and leaves no partial file; the others continue. A clip leased by another process
    is waited for. ``fill``: frames without a face image take the face detected in the video. ``rows_hz``: as in
    ``ExtractionPlan``; the caller says so, and nothing is logged. ``progress`` is called after each clip, and in a clip
    after every ``PICTURES_PER_REPORT`` pictures. Raises InputError for an unknown clip, an encoder given twice, a
    senseless ``assume_fps`` or ``num_readers``, a data set of labels alone, or a store that lacks tracks and can only
    be read; MissingWeights where the face detector needs weights that are not here; OSError where the store cannot be
    written to.
    """
    plan = ExtractionPlan(dataset, store, target, assume_fps, fill, rows_hz)
    plan.add_encoders(specs)
    chosen = list(dataset.clips) if clip_ids is None else list(clip_ids)
    if unknown := [clip_id for clip_id in chosen if clip_id not in dataset.clips]:
        raise InputError(f"{dataset.root} has no clip {unknown[0]!r}: `abaw check` lists its clips")
    if chosen:
        plan.check_media()
    plan.check_detector(chosen)
    num_readers = default_readers() if num_readers is None else num_readers
    if num_readers < 1:
        raise InputError(f"--readers is {num_readers}, expected 1 or more")
    report, num_clips = ExtractionReport(), len(chosen)
    for clip_id in [each for each in chosen if dataset.clips[each].problem]:  # not even a lease can have their names
        report.failed.append(plan.reject(dataset.clips[clip_id]))
        chosen.remove(clip_id)
    with Leases(store.root / ".leases") as leases:
        for folder in store.root.glob("*/"):
            if not folder.is_symlink():
                remove_stale_files(folder)
        leases.remove_stale()
        if (store.root / FAILED_LOCK).exists() and not leases.is_read_only:
            with locked(store.root / FAILED_LOCK):  # a process that was killed left it: it is removed
                pass
        if not leases.is_read_only:
            plan.restore_recipes()
        with Readers(plan, leases, chosen, num_readers) as readers:
            waiting: list[str] = []  # to be packed before their leases end

            def report_pictures(clip_id: str, num: int) -> None:
                progress(f"{clip_id}, {num} pictures", report.num_clips, num_clips)

            for clip_id, outcome in _encode(plan, readers, report_pictures):
                if isinstance(outcome, Failure):
                    report.failed.append(outcome)
                else:
                    _add(report, store, clip_id, is_new=outcome)
                waiting.append(clip_id)
                if not plan.is_packed(clip_id) or len(waiting) >= MAX_PER_PACK:
                    _release(plan, leases, waiting)
                progress(clip_id, report.num_clips, num_clips)
            _release(plan, leases, waiting)
    if plan.with_default_rate and rows_hz is None:
        LOG.warning(
            "%s of sound alone without a frame rate: %g rows a second; give a column fps in the manifest, or "
            "--assume-fps, for another rate",
            format_count(len(plan.with_default_rate), "clip"),
            DEFAULT_ROWS_HZ,
        )
    if plan.sources.of_earlier_versions:
        LOG.warning(
            "%d clips were extracted by an earlier version, which recorded only parts of their media and images; these "
            "are the same, so the clips are not extracted again%s",
            len(plan.sources.of_earlier_versions),
            "" if leases.is_read_only else ". From now on every change is noticed",
        )
    return report


def _release(plan: ExtractionPlan, leases: Leases, waiting: list[str]) -> None:
    """Pack the still pictures among these clips, and end the leases on all of them."""
    stills = [clip_id for clip_id in waiting if plan.is_packed(clip_id)]
    if stills and not leases.is_read_only:
        plan.pack(stills)
    for clip_id in waiting:
        leases.release(clip_id)
    waiting.clear()


def _add(report: ExtractionReport, store: FeatureStore, clip_id: str, *, is_new: bool) -> None:
    """Add a clip to the report, with its losses as they are in the store."""
    try:
        losses = store.losses(clip_id)
    except InputError as error:
        report.failed.append(Failure(clip_id, "losses", str(error)))
        return
    (report.made if is_new else report.present).append(clip_id)
    if losses:
        report.losses[clip_id] = losses


def _encode(
    plan: ExtractionPlan, readers: Readers, report_pictures: Callable[[str, int], None]
) -> Iterator[tuple[str, bool | Failure]]:
    """Encode what the readers send; yields each finished clip with True (made), False (in the store) or its failure."""
    batcher = Batcher(plan.encoders)
    num_read: Counter[tuple[str, str]] = Counter()
    opened: dict[str, OpenClip] = {}
    try:
        while not readers.are_done() or opened:  # call are_done first: it raises the error of a crashed reader
            message = readers.next()
            if message is None:  # nothing came for a while: finish fully read clips although they fill no batch
                served = batcher.flush() if all(clip.is_read for clip in opened.values()) else []
            elif message.clip is None:
                yield message.clip_id, plan.record(message.clip_id, list(plan.recipes), message.error)
                continue
            else:
                clip = opened.setdefault(message.clip_id, message.clip)
                served = _process(batcher, clip, message)
                if isinstance(message.load, np.ndarray):
                    before = num_read[message.clip_id, message.name]
                    num_read[message.clip_id, message.name] = num = before + len(message.load)
                    if num // PICTURES_PER_REPORT > before // PICTURES_PER_REPORT:
                        report_pictures(message.clip_id, num)
            for clip in served:
                if opened.get(clip.clip_id) is clip and clip.is_done:
                    del opened[clip.clip_id]
                    if clip.is_repeated:
                        clip.close()
                        continue
                    yield clip.clip_id, plan.close_clip(clip)
    finally:
        for clip in opened.values():
            clip.close()


def _process(batcher: Batcher, clip: OpenClip, message: Message) -> list[OpenClip]:
    """Process a message; returns the clips that got rows, and the message's own."""
    if message.error is not None:
        clip.fail(message.error)
        clip.is_read, clip.is_repeated = True, message.is_repeated
    elif isinstance(message.load, ReadResult):
        clip.read, clip.is_read = message.load, True
    elif message.load is not None:
        return [*batcher.add(clip, message.name, message.load), clip]
    return [clip]


def default_readers() -> int:
    """Half of the cores that this process may use, at most 8: the other half encodes."""
    return max(1, min(8, count_cores() // 2))
