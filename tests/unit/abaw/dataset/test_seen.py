"""What was seen is found again by group, by video and by clip, also where only one of two data sets names groups."""

import numpy as np
import pytest

from abaw.dataset.annotations import Labels
from abaw.dataset.seen import Seen


def labels(group=""):
    return Labels(np.zeros((1, 1), np.float32), np.ones(1, bool), group)


GROUPED = Seen.in_labels({"take_1_left": labels("ann"), "take_2": labels("bob")})
UNGROUPED = Seen.in_labels({"7_left": labels(), "8": labels()})


def test_a_clip_of_a_group_is_recorded_with_its_own_name():
    assert Seen(("take_1_left", "take_2"), ("ann", "bob")) == GROUPED
    assert Seen(("7", "8")) == UNGROUPED


@pytest.mark.parametrize(
    ("seen", "clip", "group", "found"),
    [
        (GROUPED, "take_3", "ann", "group 'ann'"),
        (GROUPED, "take_3", "cid", None),
        (GROUPED, "take_1_right", "cid", None),  # the data set says that it is somebody else's
        (GROUPED, "take_2", "robert", "video 'take_2'"),  # the group has another name now
        (GROUPED, "take_1_right", "", "video 'take_1'"),  # nobody says whose it is
        (GROUPED, "take_3", "", None),
        (UNGROUPED, "7_right", "", "video '7'"),
        (UNGROUPED, "7_right", "ann", "video '7_right'"),
        (UNGROUPED, "9", "8", None),  # a group is no video
    ],
)
def test_what_was_seen_is_found(seen, clip, group, found):
    assert seen.find({clip: group}) == ({clip: found} if found else {})


def test_two_are_joined():
    assert Seen(("7", "8", "take_1_left", "take_2"), ("ann", "bob")) == GROUPED | UNGROUPED
