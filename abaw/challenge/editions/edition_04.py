"""The 4th ABAW challenge: MTL, and expressions learned from synthetic images."""

from abaw.challenge.edition import Edition, multitask

MEETING = "ECCV 2022"
EDITIONS = (
    multitask(
        4,
        MEETING,
        rows=None,
        annotations="training_set_annotations_22.txt, validation_set_annotations_22.txt",
        remarks=("the values of the sample",),
    ),
    Edition(
        4,
        MEETING,
        "synthetic",
        None,
        "<image>",
        "<class 0 .. 5>",
        "not known",
        is_written=False,
        remarks=("the whole format; public code shows only folders of images of six classes, train and val",),
    ),
)
