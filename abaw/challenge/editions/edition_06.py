"""The 6th ABAW challenge."""

from abaw.challenge.edition import frame_task, mimicry, single_tasks

MEETING = "CVPR 2024"
SAMPLE = "CVPR_6th_ABAW_{}_test_set_example.txt"
SAMPLES = {"va": SAMPLE.format("VA"), "expr": SAMPLE.format("Expr"), "au": SAMPLE.format("AU")}
EDITIONS = (
    *single_tasks(6, MEETING, SAMPLES),
    frame_task(6, MEETING, "ce", rows=26_145, clips=56, sample=SAMPLE.format("CE")),
    mimicry(6, MEETING),
)
