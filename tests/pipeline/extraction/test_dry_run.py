"""A dry run reports the remaining work and writes nothing."""

import re

import pytest

from abaw.dataset.layout import open_dataset
from extract.encoders import ENCODERS
from extract.engine.plan import EncoderSpec
from tests.support.extract.many_clips import Brightness, abaw, store_of, target


def test_a_dry_run_reports_the_remaining_work_and_writes_nothing(six, tmp_path):
    words = ("extract", six, "--store", tmp_path / "store", "--encoder", "face_hog", "--encoder", "voice_mel")
    process = abaw(*words, "--dry-run")
    said, _ = process.communicate()
    assert process.returncode == 0
    assert not (tmp_path / "store").exists()
    assert re.search(r"face_hog-\w+: 75 rows, about \d:\d\d:\d\d of encoding", said)
    assert re.search(
        r"6 clips to extract, 0 done before, 0 unreadable; 75 frames, 0\.00 GB, about \d:\d\d:\d\d\n$", said
    )


def test_a_dry_run_counts_finished_and_unreadable_clips(six, tmp_path):
    from extract.engine.estimate import estimate
    from extract.engine.plan import ExtractionPlan

    data = tmp_path / "data"
    data.mkdir()
    for path in six.iterdir():
        (data / path.name).symlink_to(path)
    store, _ = store_of(Brightness(), data, tmp_path / "store", clip_ids=["c0", "c1"])
    (data / "bad.mp4").write_text("no film")
    plan = ExtractionPlan(open_dataset(data), store, target())
    plan.add_encoders(
        [EncoderSpec("light", Brightness(), "float32"), EncoderSpec("voice", ENCODERS.build("voice_mel"))]
    )
    found = estimate(plan, plan.dataset.clips, 1)
    assert (found.num_clips, found.num_present, found.unreadable) == (6, 0, ["bad"])
    light_rows, voice_rows = found.num_rows.values()
    assert light_rows == 12 + 13 + 14 + 15  # c0 and c1 have their light already
    assert voice_rows == pytest.approx(6 * 0.6 * 100, rel=0.2)
    assert found.num_bytes == pytest.approx(light_rows * (2 * 4 + 9) + voice_rows * (49 * 2 + 9))
    assert found.total_s == max(found.read_s, sum(found.seconds.values())) > 0
