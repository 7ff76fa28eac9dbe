"""What a run costs: what run.json records, and what is measured now."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from abaw.evaluation.robustness import Cost
from abaw.processes import count_cores

if TYPE_CHECKING:
    from abaw.results.runs import Run
    from abaw.tracks import Clock
    from extract.store.source import AlignedSource
    from fusion.module import FusionModule


def measure_cost(
    run: "Run", module: "FusionModule", source: "AlignedSource", clip_ids: Sequence[str], predicting_s: float
) -> Cost:
    """``predicting_s``: how long these clips took to predict from the store."""
    recorded = run.document().get("cost", {})
    hours = sum(_length_s(source.clock(clip_id)) for clip_id in clip_ids) / 3600
    return Cost(
        num_parameters=sum(each.numel() for each in module.parameters()),
        training_s=recorded.get("training_s"),
        peak_memory_bytes=recorded.get("peak_memory_bytes"),
        peak_gpu_bytes=recorded.get("peak_gpu_bytes"),
        predicting_s_per_hour=predicting_s / hours if hours else None,
        device=str(module.device),
        num_cores=count_cores(),
        num_clips=len(clip_ids),
        clip_hours=hours,
        feature_bytes={name: source.num_bytes(name, clip_ids) for name in source.names()},
    )


def _length_s(clock: "Clock") -> float:
    """From the first frame to the end of the last one; 0 of a still picture, whose length is not known."""
    return float(clock.times_s[-1] - clock.times_s[0]) + clock.interval_s if len(clock) > 1 else 0.0
