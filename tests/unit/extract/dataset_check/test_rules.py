"""The rules of `abaw check`: each begins where the facts beside it say."""

import pytest

from extract.dataset_check.check import check as _  # noqa: F401  all rules
from extract.dataset_check.facts import ClipFacts
from extract.dataset_check.rule import ORDINARY, RULES, apply_rules


def codes(**facts):
    return {finding.code for finding in apply_rules(ClipFacts(**facts))}


def test_an_ordinary_clip_has_no_findings():
    assert codes(**ORDINARY) == set()


@pytest.mark.parametrize("code", RULES)
def test_a_rule_begins_where_it_should(code):
    assert code not in codes(**(ORDINARY | RULES[code].fine))
    assert code in codes(**(ORDINARY | RULES[code].found))


def test_labels_of_a_clip_without_a_video_may_end_after_its_last_image_only():
    images = {"clip": "1", "images": "c", "last_image": 90}
    assert "label_rows" not in codes(**images, label_rows={"va": 95})
    assert "label_rows" in codes(**images, label_rows={"va": 89})


@pytest.mark.parametrize(("late_s", "is_found"), [(0.49, False), (0.51, True)])
def test_sound_may_be_half_a_second_late_or_short(late_s, is_found):
    assert ("sound_late" in codes(**ORDINARY, sound_late_s=late_s)) is is_found
    assert ("sound_short" in codes(**ORDINARY, sound_short_s=late_s)) is is_found


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"announced_s": 2.0, "readable_s": 1.5, "num_missing_bytes": 9},
            ["only 1.50 of 2.00 s that m.avi announces can be read"],
        ),
        ({"num_missing_bytes": 9}, ["the end of m.avi is missing (9 bytes or more)"]),
        (
            {"announced_s": 2.0, "readable_s": 2.1, "num_missing_bytes": 1},
            [
                "2.10 s of m.avi can be read, although it announces 2.00 s",
                "the end of m.avi is missing (1 byte or more)",
            ],
        ),
        ({"announced_s": 2.0, "readable_s": 2.0}, []),
    ],
)
def test_a_file_of_another_length_than_it_says_is_reported_once(facts, said):
    clip = ClipFacts(**{**ORDINARY, "media": "m.avi", **facts})
    assert list(RULES["cut_off"].check(clip)) == said
