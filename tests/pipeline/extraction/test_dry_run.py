"""A dry run reports the remaining work and writes nothing."""

import re
from types import SimpleNamespace

import pytest
import typer

from abaw.commands.extract import extract as command
from abaw.dataset.layout import open_dataset
from extract.encoders import ENCODERS
from extract.engine.estimate import estimate
from extract.engine.plan import EncoderSpec, ExtractionPlan
from extract.engine.run import extract
from extract.store.store import FeatureStore
from extract.synthetic.write_clip import write_clip
from tests.support.extract.drawn_clips import tone, write_images
from tests.support.extract.many_clips import Brightness, abaw, store_of, target, write


def test_a_dry_run_reports_the_remaining_work_and_writes_nothing(six, tmp_path):
    words = ("extract", six, "--store", tmp_path / "store", "--encoder", "face_hog", "--encoder", "voice_mel")
    process = abaw(*words, "--dry-run")
    said, _ = process.communicate()
    assert process.returncode == 0
    assert not (tmp_path / "store").exists()
    assert re.search(r"face_hog-\w+: 75 rows, about \d:\d\d:\d\d of encoding", said)
    assert re.search(
        r"6 clips to extract, 0 done before, 0 would fail; 75 frames, 0\.00 GB, about \d:\d\d:\d\d\n$", said
    )


def test_a_dry_run_counts_finished_and_unreadable_clips(six, tmp_path):
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
    assert (found.num_clips, found.num_present, list(found.failing)) == (6, 0, ["bad"])
    light_rows, voice_rows = found.num_rows.values()
    assert light_rows == 12 + 13 + 14 + 15  # c0 and c1 have their light already
    assert voice_rows == pytest.approx(6 * 0.6 * 100, rel=0.2)
    assert found.num_bytes == pytest.approx(light_rows * (2 * 4 + 9) + voice_rows * (49 * 2 + 9))
    assert found.total_s == found.read_s + sum(found.seconds.values()) > 0  # both on the CPU
    found.shares_cores = False
    assert found.total_s == max(found.read_s, sum(found.seconds.values()))


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory):
    """A data set in which two of four clips fail, and the last of these only without --assume-fps."""
    data = tmp_path_factory.mktemp("doubtful")
    write(data / "videos/whole.mp4", [90] * 10, 0.6)
    write_clip(data / "videos/sound.mkv", [], [], tone(0.6))
    (data / "videos/text.mp4").write_text("no film")
    write_images(data / "crops/images", [1, 2])
    labels = data / "VA_Estimation_Challenge/Train_Set/nothing.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("valence,arousal\n0,0\n")
    return data


@pytest.mark.parametrize("assume_fps", [None, 25.0])
def test_a_dry_run_says_of_every_clip_what_the_extraction_then_does(doubtful, tmp_path, assume_fps, monkeypatch):
    monkeypatch.setattr("extract.engine.estimate.TRIAL_S", 0.01)
    spec = EncoderSpec("voice", ENCODERS.build("voice_mel"))
    plan = ExtractionPlan(open_dataset(doubtful), FeatureStore(tmp_path / "store"), target(), assume_fps)
    plan.add_encoders([spec])
    found = estimate(plan, plan.dataset.clips, 1)
    report = extract(plan.dataset, plan.store, [spec], target(), assume_fps=assume_fps, num_readers=1)
    assert found.failing == {failure.clip: failure.reason for failure in report.failed}
    assert found.failing.keys() == {"nothing", "text"} | ({"sound", "images"} if assume_fps is None else set())
    assert not found.is_feasible
    if assume_fps is not None:
        clocks = [len(plan.store.clock(clip_id)) for clip_id in report.made]
        assert found.num_frames == sum(clocks) == 10 + 2 + len(plan.store.clock("sound"))


def test_a_dry_run_fails_where_clips_would_fail_or_the_store_cannot_be_written(
    doubtful, six, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("extract.engine.estimate.TRIAL_S", 0.01)
    with pytest.raises(typer.Exit) as stopped:
        command(doubtful, tmp_path / "store", ["voice_mel"], dry_run=True)
    assert stopped.value.exit_code == 1
    said = capsys.readouterr().out
    assert "would fail: sound: the clip has sound only, so its frame rate is unknown: give --assume-fps FPS\n" in said
    (tmp_path / "file").touch()
    plan = ExtractionPlan(open_dataset(six), FeatureStore(tmp_path / "file" / "store"), target())
    with pytest.raises(NotADirectoryError, match="file is a file: give another folder"):
        estimate(plan, ["c0"], 1)


def test_a_dry_run_compares_the_features_with_the_free_space(six, tmp_path, monkeypatch):
    monkeypatch.setattr("extract.engine.estimate.TRIAL_S", 0.01)
    monkeypatch.setattr("abaw.files.disks.shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    plan = ExtractionPlan(open_dataset(six), FeatureStore(tmp_path / "store"), target())
    plan.add_encoders([EncoderSpec("light", Brightness(), "float32")])
    found = estimate(plan, ["c0"], 1)
    assert not found.is_feasible
    assert "would fail: 0.00 GB, but 0.00 GB are free" in str(found)
