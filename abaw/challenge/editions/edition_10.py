"""The 10th ABAW challenge."""

from abaw.challenge.edition import ambivalence, mimicry, single_tasks, violence

MEETING = "CVPR 2026"
SAMPLES = {"va": "ABAW_VA_test_set_sample.txt", "expr": "ABAW_Expr_test_set_sample.txt", "au": None}
EDITIONS = (
    *single_tasks(10, MEETING, SAMPLES, remarks=("rows and clips as in the 6th edition",)),
    violence(10, MEETING),
    mimicry(10, MEETING, "the whole format, taken from the 8th edition"),
    ambivalence(10, MEETING),
)
