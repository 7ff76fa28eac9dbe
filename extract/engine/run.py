"""From clips to tracks in the store: resumable, shared by any number of processes, and it says what failed.

Reading threads decode clips, find faces and prepare pictures; this process's main thread encodes what they send through
a bounded queue. A clip is claimed before it is read and each file is whole or absent, so a run that is stopped goes on
where it was, and a second one beside it does the other clips.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from abaw.files import remove_stale_files
from extract.engine.batching import Batcher, OpenClip
from extract.engine.plan import EncoderSpec, ExtractionPlan
from extract.engine.readers import Message, Readers
from extract.engine.streams import ReadResult
from extract.faces.target import TargetConfig
from extract.store.leases import Leases
from extract.store.store import Failure, FeatureStore


@dataclass
class ExtractionReport:
    """What an extraction did: clips made now, clips that were there already, clips that failed and why."""

    made: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{len(self.made)} clips extracted, {len(self.present)} done before, {len(self.failed)} failed"


def extract(
    dataset: Dataset,
    store: FeatureStore,
    asked: Iterable[EncoderSpec],
    watch: TargetConfig,
    *,
    assume_fps: float | None = None,
    fill: bool = False,
    clip_ids: Iterable[str] | None = None,
    num_readers: int | None = None,
    progress: Callable[[str, int, int], None] = lambda clip_id, done, total: None,
) -> ExtractionReport:
    """Write the clock and the missing tracks of every clip (or of ``clip_ids``).

    A clip that fails is reported and leaves no half-written file; the others go on. A clip that another process is
    working on is waited for. ``fill``: frames without a face image take the face of the video. ``progress(clip_id, done,
    total)`` is called when a clip is done. Raises ValueError where a recipe is asked for twice, ``assume_fps``
    is no frame rate or there are no ``num_readers``; OSError where the store cannot be written to.
    """
    work = ExtractionPlan(dataset, store, watch, assume_fps, fill)
    work.ask(asked)
    chosen = list(dataset.clips) if clip_ids is None else list(clip_ids)
    if unknown := [clip_id for clip_id in chosen if clip_id not in dataset.clips]:
        raise InputError(f"{dataset.root} has no clip {unknown[0]!r}: see `abaw check` for those it has")
    num_readers = default_readers() if num_readers is None else num_readers
    if num_readers < 1:
        raise InputError(f"--readers is {num_readers}, expected 1 or more")
    report = ExtractionReport()
    with Leases(store.root / ".leases") as leases:
        for folder in store.root.glob("*/"):
            remove_stale_files(folder)
        leases.remove_stale()
        with Readers(work, leases, chosen, num_readers) as readers:
            for clip_id, outcome in _encode(work, readers):
                if isinstance(outcome, Failure):
                    report.failed.append(outcome)
                else:
                    (report.made if outcome else report.present).append(clip_id)
                leases.release(clip_id)
                progress(clip_id, len(report.made) + len(report.present) + len(report.failed), len(chosen))
    return report


def _encode(work: ExtractionPlan, readers: Readers) -> Iterator[tuple[str, bool | Failure]]:
    """Encode what the readers send; each clip as it is done: True where it was made, False where it was there."""
    desk = Batcher(work.encoders)
    opened: dict[str, OpenClip] = {}
    try:
        while not readers.are_done() or opened:  # asked first: it raises what a reader ended with
            message = readers.next()
            if message is None:  # nothing came for a while: let what is read to its end go, though it fills no batch
                served = desk.flush() if all(clip.is_read for clip in opened.values()) else []
            elif message.clip is None:
                yield message.clip_id, work.settle(message.clip_id, list(work.recipes), message.error)
                continue
            else:
                clip = opened.setdefault(message.clip_id, message.clip)
                served = _take(desk, clip, message)
            for clip in served:
                if clip.clip_id in opened and clip.is_done:
                    del opened[clip.clip_id]
                    yield clip.clip_id, work.close(clip)
    finally:
        for clip in opened.values():
            clip.close()


def _take(desk: Batcher, clip: OpenClip, message: Message) -> list[OpenClip]:
    """What a message brings to the desk; the clips that got rows back, and the message's own."""
    if message.error is not None:
        clip.fail(message.error)
        clip.is_read = True
    elif isinstance(message.load, ReadResult):
        clip.read, clip.is_read = message.load, True
    elif message.load is not None:
        return [*desk.take(clip, message.name, message.load), clip]
    return [clip]


def default_readers() -> int:
    """Half of the cores, 8 at most: the other half encodes."""
    return max(1, min(8, (os.cpu_count() or 2) // 2))
