"""The 9th ABAW challenge: three tasks, which participants name; the organisers' list of them was not found."""

from abaw.challenge.edition import frame_task, single_tasks, violence

MEETING = "ICCV 2025"
SAMPLES = {"va": "ICCV_9th_ABAW_VA_test_set_sample.txt", "expr": None, "au": None}
EDITIONS = (
    *single_tasks(9, MEETING, SAMPLES, remarks=("rows and clips as in the 6th edition",))[:1],
    frame_task(9, MEETING, "ce", remarks=("the whole format, taken from the 6th and 7th editions",)),
    violence(9, MEETING, "that this edition had the task, and its format, taken from the 10th"),
)
