"""Live analysis of files: the numbers of an analysis of the same file, rows on disk, and what a session says."""

import csv
import json
import wave

import numpy as np
import pytest

import abaw
from abaw.cli import main
from abaw.errors import InputError
from abaw.pipelines.live.running import LiveSession
from abaw.pipelines.live.showing import LivePicture
from tests.support.abaw.live_runs import write_random_run

CLIPS = ("clips/lrwp9a.mpg", "nasty/vfr_gaps_CREMAD_HAP.mp4")
# the last window of both clips begins at a multiple of the stride, as if it was not moved to end with the clip
WINDOW = (200, 200)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model = {"name": "tcn", "hidden_dim": 16, "causal": True}
    folder = tmp_path_factory.mktemp("runs") / "causal"
    return write_random_run(folder, ["face_hog", "voice_mel:means=past"], model, window=WINDOW).folder


@pytest.fixture(scope="module")
def analysis(media, run, tmp_path_factory):
    return abaw.analyze([media / name for name in CLIPS], run, tmp_path_factory.mktemp("analysis") / "out")


@pytest.fixture(scope="module")
def sessions(media, run, tmp_path_factory):
    """Clip -> its rows, the session, and the file of the rows."""
    found, out = {}, tmp_path_factory.mktemp("live")
    for name, suffix in zip(CLIPS, (".csv", ".jsonl"), strict=True):
        clip = name.partition("/")[2].partition(".")[0]
        with abaw.live(media / name, run, out=out / f"{clip}{suffix}", real_time=False) as session:
            found[clip] = list(session), session, out / f"{clip}{suffix}"
    return found


def numbers(values):
    return np.array([np.nan if value is None else value for value in values], float)


def test_the_numbers_are_those_of_an_analysis_of_the_file(analysis, sessions):
    for clip, (rows, _, _) in sessions.items():
        offline = analysis.table(clip).to_numpy()
        assert list(rows[0].columns) == list(offline)
        assert [row.columns["frame"] for row in rows] == offline["frame"].tolist()
        for name in offline.keys() - {"voice_heard", "observed", "other_persons"}:
            live, known = [row.columns[name] for row in rows], offline[name].tolist()
            if isinstance(live[0], str):
                same = [a == b for a, b in zip(live, known, strict=True) if a is not None and b is not None]
                assert all(same)
                continue
            one, other = numbers(live), numbers(known)
            both = np.isfinite(one) & np.isfinite(other)
            assert both.sum() > 30, (clip, name)
            np.testing.assert_allclose(one[both], other[both], atol=1e-5, err_msg=f"{clip} {name}")
            if name.startswith("face_") or name == "person":  # the same pixels
                np.testing.assert_array_equal(one, other)
        for name in ("valence", "p_Happiness"):
            assert len({row.columns[name] for row in rows}) > 30, (clip, name)


def test_a_voice_is_heard_from_its_own_second_on(sessions):
    rows, _, _ = sessions["lrwp9a"]  # its words are spoken from 0.5 to 2.2 s
    heard = np.array([row.columns["voice_heard"] for row in rows])
    times_s = np.array([row.time_s for row in rows])
    assert not heard[times_s < 0.3].any()
    assert heard[(times_s > 1.0) & (times_s < 2.2)].all()


def test_every_row_is_in_the_file_and_the_columns_are_explained(sessions):
    for rows, session, path in sessions.values():
        text = path.read_text()
        if path.suffix == ".csv":
            found = list(csv.DictReader(text.splitlines()))
            assert [float(each["time_s"]) for each in found] == [row.time_s for row in rows]
        else:
            found = [json.loads(line) for line in text.splitlines()]
            assert found == [dict(row.columns) for row in rows]
        assert list(found[0]) == list(rows[0].columns)
        document = json.loads(path.with_name(f"{path.name}.json").read_text())
        assert document["columns"].keys() == rows[0].columns.keys()
        assert document["latency"]["num_frames"] == len(rows) == session.summary.num_frames
        assert document["sources"] == list(session.sources)


def test_the_summary_says_what_was_lost_and_which_part_took_how_long(sessions):
    rows, session, _ = sessions["lrwp9a"]
    summary = session.summary
    assert summary.num_dropped == summary.num_undecodable == summary.num_without_sound == 0
    assert summary.num_unobserved == sum(not row.columns["observed"] for row in rows)
    assert {"faces", "face_hog", "voice_mel", "prediction"} <= summary.parts_s.keys()
    assert str(summary).startswith("75 frames in ")
    assert "as fast as" in str(summary)


def test_a_window_shows_the_picture_with_the_face_the_class_and_the_trail(sessions):
    rows, session, _ = sessions["lrwp9a"]
    drawing = LivePicture(session.blocks)
    row, drawn = rows[30], [drawing.draw(row) for row in rows[:31]]
    changed = (drawn[30] != row.shown.rgb).any(axis=2)
    box = row.shown.face.box
    assert changed[round(box.y) : round(box.y + box.height), round(box.x)].mean() > 0.9  # its left side
    height, width = changed.shape
    assert changed[height // 2 :, width // 2 :].sum() > 1000  # the circumplex
    assert not np.array_equal(drawn[30], LivePicture(session.blocks).draw(row))  # without rows before, no trail


def test_a_session_ends_after_so_many_seconds_and_its_table_is_complete(media, run, tmp_path):
    with abaw.live(media / CLIPS[0], run, out=tmp_path / "a.csv", real_time=False, max_s=0.2) as session:
        early = json.loads((tmp_path / "a.csv.json").read_text())  # all that is left where the process is killed
        assert [row.frame for row in session] == [1, 2, 3, 4, 5]
    late = json.loads((tmp_path / "a.csv.json").read_text())
    assert (early["latency"], early["columns"]) == (None, late["columns"])
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 6
    with pytest.raises(InputError, match="a.csv is there already, and a live analysis replaces nothing"):
        abaw.live(media / CLIPS[0], run, out=tmp_path / "a.csv")


def test_ctrl_c_completes_the_table_prints_the_summary_and_exits_with_130(media, run, tmp_path, monkeypatch, capsys):
    rows_of = LiveSession.__iter__

    def stopped(session):
        for row in rows_of(session):
            if row.frame == 4:
                raise KeyboardInterrupt
            yield row

    monkeypatch.setattr(LiveSession, "__iter__", stopped)
    words = ["live", str(media / CLIPS[0]), "--run", str(run), "--fast", "--out", str(tmp_path / "a.csv")]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 130
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith("va, expr by the run ")
    assert "4 frames in " in out
    assert "stopped: the rows up to here are complete" in out + err
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 5
    assert json.loads((tmp_path / "a.csv.json").read_text())["latency"]["num_frames"] == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--camera", "97"], "no camera /dev/video97 can be opened"),
        (["nasty/text_named.mp4"], "it is not a media file"),
        (["nasty/zero_length.mp4"], "is an empty file"),
        (["none.mp4"], "no video file"),
        (["clips/lrwp9a.mpg", "--camera", "0"], "and the camera 0 are given: give one of them"),
        (["clips/lrwp9a.mpg", "--microphone", "default"], "--microphone is for a camera"),
        (["clips/lrwp9a.mpg", "--out", "rows.txt"], "expected a name that ends with .csv or .jsonl"),
        (["clips/lrwp9a.mpg", "--show"], "--show needs a display"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, message, media, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    given = [str(media / word) if "/" in word else word for word in words]
    with pytest.raises(SystemExit) as end:
        main(["live", *given, "--run", str(run)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_sound_alone_is_sent_to_analyze(tmp_path, run):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    with pytest.raises(InputError, match=r"a.wav has no pictures, .*: give a video, or analyze the sound"):
        abaw.live(tmp_path / "a.wav", run)
