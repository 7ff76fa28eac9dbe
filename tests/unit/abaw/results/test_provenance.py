"""The provenance of an ensemble is that of all its members."""

import pytest

from abaw.challenge import rules
from abaw.evaluation import leaks
from abaw.results import provenance
from tests.support.abaw.ensembles import recorded


def test_provenance_of_members_is_merged():
    other = recorded(run=["s"], commit="d", seeds=[1], label_tasks_seen=["expr", "va"], videos_seen=["2"])
    other |= {"subject_adapted": True, "held_out": False, "made_by": {"x": "s0", "y": "s1"}}
    assert provenance.merged([recorded(), other]) == {
        "run": ["r", "s"],
        "commit": "c, d",
        "seeds": [0, 1],
        "label_tasks_seen": ["expr", "va"],
        "videos_seen": ["1", "2"],
        "subject_adapted": True,
        "held_out": False,
        "made_by": {"x": "r0 + s0", "y": "r1 + s1"},
        "incomplete": [],
    }
    assert provenance.merged([recorded()]) == recorded(incomplete=[])


@pytest.mark.parametrize(
    "key", ["run", "commit", "seeds", "label_tasks_seen", "videos_seen", "subject_adapted", "held_out"]
)
def test_what_one_member_does_not_record_is_incomplete_and_what_the_others_record_still_counts(key):
    for unknown in (recorded(**{key: None}), {name: value for name, value in recorded().items() if name != key}):
        about = provenance.merged([recorded(), unknown])
        assert about["incomplete"] == [key]
        assert about[key] == (None if key in ("subject_adapted", "held_out") else recorded()[key])
        assert provenance.merged([recorded(), about])["incomplete"] == [key], "once lost it stays so"


def test_a_member_of_unknown_origin_does_not_hide_what_another_has_seen(tmp_path):
    about = provenance.merged([recorded(held_out=False, label_tasks_seen=["expr", "va"]), {}])
    with pytest.raises(ValueError, match="a leak: the training .* has seen video '1'"):
        leaks.check_unseen(tmp_path, "validation", {"1_left": ""}, about, None)
    assert "are not recorded" in leaks.check_unseen(tmp_path, "validation", {"2": ""}, about, None)[0]
    lines = rules.provenance(about, "va")
    assert "does not say commit, label_tasks_seen" in lines[0].replace("run, ", "")
    assert any("uni-task rule" in line for line in lines)
