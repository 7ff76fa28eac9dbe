"""The 3rd ABAW challenge: VA, EXPR and AU in a file for each video, MTL in one file.

From the public code of participants, which writes such files; the organisers' instructions are not public.
"""

from typing import Any

from abaw.challenge.edition import END, Edition, multitask
from abaw.dataset.names import ACTION_UNITS, EXPRESSIONS

MEETING = "CVPR 2022"


def _per_video(task: str, header: str, row: str, test_list: str, annotations: str) -> Edition:
    facts: dict[str, Any] = {"test_list": test_list + END, "annotations": annotations, "is_written": False}
    remarks = ("the whole format of a submission",)
    return Edition(
        3, MEETING, task, header, "", row, "not known", called="<clip>.txt for each clip", remarks=remarks, **facts
    )


EDITIONS = (
    _per_video(
        "va",
        "valence,arousal",
        "<valence>,<arousal>",
        "Valence_Arousal_Estimation_Challenge",
        "VA_Estimation_Challenge",
    ),
    _per_video(
        "expr",
        ",".join(EXPRESSIONS),
        "<class 0 .. 7>",
        "Expression_Classification_Challenge",
        "EXPR_Classification_Challenge",
    ),
    _per_video(
        "au", ",".join(ACTION_UNITS), "<12 times 0 or 1>", "Action_Unit_Detection_Challenge", "AU_Detection_Challenge"
    ),
    multitask(
        3,
        MEETING,
        rows=None,
        test_list="Multi_Task_Learning_Challenge" + END,
        annotations="MTL_Challenge/train_set.txt, MTL_Challenge/validation_set.txt",
        remarks=("the values of the sample",),
    ),
)
