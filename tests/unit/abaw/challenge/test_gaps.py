"""Rows that hold or fill in values: reported in the summary, refused where they are many, allowed by an option."""

import numpy as np
import pytest

from abaw.challenge import submission
from abaw.challenge.gaps import GapLimits
from abaw.challenge.verification import verify
from abaw.errors import InputError
from abaw.results import predictions
from abaw.results.predictions import Table
from tests.support.abaw.submissions import VA, template


def predicted(folder, **observed):
    """A prediction folder with clips whose frames are observed as given."""
    for clip, flags in observed.items():
        num = len(flags)
        values = np.linspace([0, 0], [0.5, -0.5], num).astype(np.float32)
        table = Table(np.arange(1, num + 1), np.arange(num) / 25, np.array(flags, bool), values, VA.columns)
        predictions.write_table(folder / "va", clip, table, VA)
    predictions.write_metadata(folder / "va", {"task": "va"})
    return folder


def rows(**num):
    return [f"{clip}/{frame:05d}.jpg" for clip, frames in num.items() for frame in range(1, frames + 1)]


def test_a_table_cut_to_one_row_is_not_repeated_over_the_clip_unless_that_is_allowed(tmp_path):
    sample, where = template(tmp_path, rows(a=254, b=77)), predicted(tmp_path / "p", a=[1], b=[1] * 77)
    with pytest.raises(
        InputError,
        match=r"p/va for .*va_sample\.txt: 253 rows of 1 clip \('a' 253 of 254\) are beyond the clip's last predict",
    ):
        submission.submit(where, sample, tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()
    with pytest.raises(InputError, match="more than the allowed 0.9 of the rows: .* allow it with --max-held"):
        submission.submit(where, sample, tmp_path / "out.txt", max_held=0.9)
    summary = submission.submit(where, sample, tmp_path / "out.txt", max_held=1)
    assert str(summary).splitlines()[:2] == [
        "va: 331 rows of 2 clips: 78 observed, 0 between observed frames, 253 beyond the clip's end (last value held)",
        "last value held: 253 rows of 1 clip ('a' 253 of 254)",
    ]
    assert verify(tmp_path / "out.txt", sample) == []


def test_a_table_that_is_much_longer_than_the_template_asks_for_is_reported(tmp_path):
    sample, where = template(tmp_path, rows(a=20, b=20)), predicted(tmp_path / "p", a=[1] * 25, b=[1] * 60)
    lines = str(submission.submit(where, sample, tmp_path / "out.txt")).splitlines()
    words = "predicted, but not asked for: 40 frames of 1 clip ('b' 40 of 60) after the template's last row of the clip"
    assert lines[1] == words


@pytest.mark.parametrize(
    ("num_rows", "num_frames", "max_held", "is_allowed"),
    [
        (100, 99, 0.01, True),
        (100, 95, 0.01, True),  # five rows always are
        (100, 94, 0.01, False),
        (1000, 990, 0.01, True),
        (1000, 989, 0.01, False),
        (100, 99, 0, False),
        (100, 100, 0, True),
        (100, 90, 0.1, True),
        (100, 89, 0.1, False),
        (100, 1, 1, True),
    ],
)
def test_one_percent_of_a_clip_or_five_rows_may_be_after_its_last_frame(
    tmp_path, num_rows, num_frames, max_held, is_allowed
):
    sample, where = template(tmp_path, rows(a=num_rows)), predicted(tmp_path / "p", a=[1] * num_frames)
    if not is_allowed:
        with pytest.raises(InputError, match="--max-held"):
            submission.submit(where, sample, tmp_path / "out.txt", max_held=max_held)
    else:
        submission.submit(where, sample, tmp_path / "out.txt", max_held=max_held)
        assert len((tmp_path / "out.txt").read_text().splitlines()) == 1 + num_rows


def test_many_short_clips_that_hold_a_few_rows_each_are_too_many_together(tmp_path):
    names = [f"c{i}" for i in range(10)]
    where = predicted(tmp_path / "p", **{name: [1] * 20 for name in names})
    sample = template(tmp_path, rows(**dict.fromkeys(names, 24)))
    with pytest.raises(InputError, match=r"40 rows of 10 clips \('c0' 4 of 24, .* and 5 more\)"):
        submission.submit(where, sample, tmp_path / "out.txt")


def test_a_clip_that_is_mostly_unobserved_is_refused_and_named(tmp_path):
    sample = template(tmp_path, rows(a=10, b=10))
    where = predicted(tmp_path / "p", a=[1] * 10, b=[1] * 5 + [0] * 5)
    summary = submission.submit(where, sample, tmp_path / "out.txt")
    assert str(summary).splitlines()[1] == "nothing observed: 5 rows of 1 clip ('b' 5 of 10)"
    where = predicted(tmp_path / "p", a=[1] * 10, b=[1] * 4 + [0] * 6)
    with pytest.raises(InputError, match=r"6 rows of 1 clip \('b' 6 of 10\) are of frames in which nothing was obs"):
        submission.submit(where, sample, tmp_path / "out.txt")
    with pytest.raises(InputError, match="allowed 0.1 of the rows: .*--max-filled"):
        submission.submit(where, sample, tmp_path / "out.txt", max_filled=0.1)
    submission.submit(where, sample, tmp_path / "out.txt", max_filled=0.6)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), "0.1", True])
def test_a_share_is_a_number_from_0_to_1(share):
    with pytest.raises(InputError, match="max_held is .*, expected a share of the rows from 0 to 1"):
        GapLimits(max_held=share)
    with pytest.raises(InputError, match="max_filled is"):
        GapLimits(max_filled=share)
