"""The 7th ABAW challenge."""

from abaw.challenge.edition import frame_task, multitask

EDITIONS = (
    multitask(7, "ECCV 2024"),
    frame_task(7, "ECCV 2024", "ce", rows=26_145, clips=56),
)
