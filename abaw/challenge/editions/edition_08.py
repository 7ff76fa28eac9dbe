"""The 8th ABAW challenge."""

from abaw.challenge.edition import Edition, frame_task, mimicry, single_tasks

MEETING = "CVPR 2025"
SAMPLE = "CVPR_6th_ABAW_{}_test_set_example.txt"  # the 6th edition's files were given out again
SAMPLES = {"va": SAMPLE.format("VA"), "expr": SAMPLE.format("Expr"), "au": SAMPLE.format("AU")}
EDITIONS = (
    *single_tasks(8, MEETING, SAMPLES),
    frame_task(8, MEETING, "ce", remarks=("the whole format, taken from the 6th and 7th editions",)),
    mimicry(8, MEETING),
    Edition(
        8,
        MEETING,
        "ah",
        None,
        "<path of the video>/frame-<number from 0>.jpg",
        "<0 or 1>",
        "labels",
        rows=169_479,
        clips=280,
        called="trial-1.txt, ...",
    ),
)
