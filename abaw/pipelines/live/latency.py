"""How long the rows of a live analysis took: from the arrival of a frame to its row, and in which part."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from abaw.numbers import format_count

MAX_KEPT = 200_000  # frames, more than two hours at 25 a second, whose times are kept for the percentiles


@dataclass(frozen=True)
class LatencySummary:
    """What a live analysis took and lost.

    ``median_s`` and ``p95_s``: of the seconds from the arrival of a frame to its row, over the frames that were not
    dropped; nan without any. ``parts_s``: part -> median and 95th percentile of the seconds that it took for a frame.
    ``num_without_sound``: frames that were answered before their sound had arrived. Without ``real_time`` frames were
    read as fast as they could be analysed: latency says nothing then.
    """

    num_frames: int
    num_dropped: int
    num_unobserved: int
    num_undecodable: int
    num_without_sound: int
    median_s: float
    p95_s: float
    seconds: float
    parts_s: Mapping[str, tuple[float, float]]
    notes: tuple[str, ...] = ()
    real_time: bool = True

    def document(self) -> dict[str, Any]:
        """The summary as JSON, without its notes."""
        numbers = {key: value for key, value in asdict(self).items() if key != "notes"}
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in numbers.items()
        }

    def __str__(self) -> str:
        frames, duration = format_count(self.num_frames, "frame"), f"{self.seconds:.1f} s"
        lines = [f"{frames} in {duration}, {self.num_dropped} dropped because they came too late"]
        if self.num_undecodable:
            lines.append(f"{format_count(self.num_undecodable, 'frame')} could not be decoded")
        if self.num_without_sound:
            lines.append(f"{format_count(self.num_without_sound, 'frame')} answered before the sound had arrived")
        if self.num_unobserved:
            lines.append(f"{format_count(self.num_unobserved, 'frame')} without anything to predict from")
        if not self.real_time:
            lines.append("read as fast as it could be analysed, so that there is no latency to speak of")
        elif np.isfinite(self.median_s):
            lines.append(
                f"latency from the arrival of a frame to its row: median {1000 * self.median_s:.0f} ms, 95th "
                f"percentile {1000 * self.p95_s:.0f} ms"
            )
        if self.parts_s:
            shares = [f"{name} {1000 * p95_s:.0f}" for name, (_, p95_s) in self.parts_s.items()]
            lines.append(f"95th percentile of each part, in ms: {', '.join(shares)}")
        return "\n".join([*lines, *self.notes])


@dataclass
class LatencyMeter:
    """Collects what each frame took. Of very long sessions the last ``MAX_KEPT`` frames count."""

    num_frames: int = 0
    num_dropped: int = 0
    num_unobserved: int = 0
    num_undecodable: int = 0
    _total_s: list[float] = field(default_factory=list)
    _parts_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, latency_s: float, parts_s: Mapping[str, float]) -> None:
        """Add a frame that was not dropped."""
        self._total_s.append(latency_s)
        for name, seconds in parts_s.items():
            self._parts_s[name].append(seconds)
        if len(self._total_s) > 2 * MAX_KEPT:
            for kept in (self._total_s, *self._parts_s.values()):
                del kept[:-MAX_KEPT]

    @property
    def last_s(self) -> float:
        """The latency of the last frame; nan before the first."""
        return self._total_s[-1] if self._total_s else float("nan")

    def summary(
        self, seconds: float, num_without_sound: int, notes: tuple[str, ...], real_time: bool
    ) -> LatencySummary:
        """What was collected so far."""
        median_s, p95_s = _percentiles(self._total_s)
        parts_s = {name: _percentiles(each) for name, each in self._parts_s.items()}
        return LatencySummary(
            self.num_frames,
            self.num_dropped,
            self.num_unobserved,
            self.num_undecodable,
            num_without_sound,
            median_s,
            p95_s,
            seconds,
            parts_s,
            notes,
            real_time,
        )


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    if not seconds:
        return float("nan"), float("nan")
    median_s, p95_s = np.percentile(seconds, [50, 95])
    return float(median_s), float(p95_s)
