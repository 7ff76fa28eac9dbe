"""`abaw store import`: every row gets its time, what is assumed is recorded, and what does not fit is refused."""

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.tracks import Track
from extract.store.import_ import RowTimes, import_folder
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
from tests.support.stores import make_clock, make_track

RECIPE = {"name": "mel", "encoder": "voice_mel", "settings": {}, "version": 1}


def voice(num=21, seed=0):
    return make_track(num, 3, 0.05, seed)


@pytest.fixture
def store(tmp_path):
    store = FeatureStore(tmp_path / "store")
    for seed, clip_id in enumerate(("a", "b.left")):
        store.put_clock(clip_id, make_clock(), {"source": f"of {clip_id}"})
        store.put(RECIPE, clip_id, voice(seed=seed), {"source": f"of {clip_id}"})
    return store


@pytest.fixture
def folder(tmp_path):
    """A folder of features made elsewhere, ten rows for each of two clips."""
    folder = tmp_path / "made_elsewhere"
    folder.mkdir()
    for value, clip_id in ((1, "a"), (2, "b.left")):
        np.save(folder / f"{clip_id}.npy", value * np.arange(1, 21, dtype=np.float64).reshape(10, 2))
    return folder


def imported(store, name="theirs", clip_id="a"):
    return store.get(store.find(name), clip_id)


def test_a_row_a_frame_gets_the_times_of_the_clock(store, folder):
    store.put_clock("a", make_clock(start_s=3.0), {"source": "of a"})
    report = import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert (report.written, report.num_rows, report.num_unobserved) == (["a", "b.left"], 20, 0)
    got = imported(store)
    assert np.array_equal(got.times_s, make_clock(start_s=3.0).times_s)
    assert np.array_equal(got.values, np.load(folder / "a.npy"))
    assert got.observed.all()


def test_what_was_assumed_is_recorded(store, folder):
    import_folder(store, folder, "theirs", RowTimes(fps=10.0), modality="audio")
    recipe = store.find("theirs")
    assert recipe["encoder"] == "import"
    assert recipe["assumed_clock"] == {"fps": 10.0, "first_s": "the clip's first frame", "first_frame": 1}
    assert recipe["modality"] == "audio"
    assert len(recipe["weights"]) == 64
    assert RowTimes(clock=True).recipe() == {"clock": "a row a frame", "first_frame": 1}
    assert RowTimes(hop_s=0.02, first_s=0.0125).recipe()["hop_s"] == 0.02
    assert RowTimes(times=folder).recipe() == {"times": "as given"}


def test_an_imported_track_is_read_as_any_other(store, folder):
    import_folder(store, folder, "theirs", RowTimes(clock=True))
    source = AlignedSource(store, {"theirs": FeatureConfig(), "mel": FeatureConfig()})
    assert source.dim("theirs") == 2
    assert np.array_equal(source.read("theirs", "b.left", 0.0, 1.0).values, np.load(folder / "b.left.npy"))


@pytest.mark.parametrize(
    ("times", "expected_s"),
    [
        (RowTimes(fps=10.0), 2.0 + np.arange(10) / 10),
        (RowTimes(fps=10.0, first_s=2.05), 2.05 + np.arange(10) / 10),
        (RowTimes(hop_s=0.09, first_s=2.01), 2.01 + np.arange(10) * 0.09),
    ],
)
def test_assumed_rates_give_the_expected_times(store, folder, times, expected_s):
    for clip_id in ("a", "b.left"):
        store.put_clock(clip_id, make_clock(start_s=2.0), {"source": "s"})
    import_folder(store, folder, "theirs", times)
    assert np.allclose(imported(store).times_s, expected_s, rtol=0, atol=1e-12)


def test_frames_a_file_are_taken_by_number_and_not_as_text(store, tmp_path):
    folder = tmp_path / "frames"
    (folder / "a").mkdir(parents=True)
    for number in (1, 2, 3, 5, 9, 10):  # as text 10 comes before 2; 4, 6, 7 and 8 had no face
        np.save(folder / "a" / f"{number}.npy", np.array([[number, -number]], np.float32))
    import_folder(store, folder, "theirs", RowTimes(clock=True))
    got = imported(store)
    assert got.values[:, 0].tolist() == [1, 2, 3, 5, 9, 10]
    assert np.allclose(got.times_s, [0, 0.1, 0.2, 0.4, 0.8, 0.9])


def test_frames_counted_from_0_need_the_option(store, tmp_path):
    folder = tmp_path / "frames"
    (folder / "a").mkdir(parents=True)
    for number in range(10):
        np.save(folder / "a" / f"{number:05d}.npy", np.full(2, number, np.float32))
    with pytest.raises(ValueError, match=r"00000.npy is frame 0, but frames are counted from 1: give --first-frame 0"):
        import_folder(store, folder, "theirs", RowTimes(clock=True))
    import_folder(store, folder, "theirs", RowTimes(clock=True, first_frame=0))
    assert np.array_equal(imported(store).times_s, make_clock().times_s)
    np.save(folder / "a" / "3.npy", np.zeros(2))
    with pytest.raises(ValueError, match=r"two files for one frame"):
        import_folder(store, folder, "theirs", RowTimes(clock=True, first_frame=0))


def test_rows_that_are_not_as_many_as_frames_are_refused_with_how_many(store, folder):
    store.put_clock("a", make_clock(12), {"source": "of a"})
    store.put_clock("b.left", make_clock(9), {"source": "of b"})
    with pytest.raises(
        ValueError,
        match=r"2 of 2 clips do not fit: a: 10 rows, 12 frames on its clock, 2 missing, 0 too many; b.left: 10 rows, "
        r"9 frames on its clock, 0 missing, 1 too many: if that is right, give --allow-short 2 --allow-long 1;",
    ):
        import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert [path.name for path in store.root.iterdir() if path.name.startswith("theirs")] == []
    with pytest.raises(ValueError, match=r"1 of 2 clips do not fit: b.left"):
        import_folder(store, folder, "theirs", RowTimes(clock=True, allow_short=2))
    report = import_folder(store, folder, "theirs", RowTimes(clock=True, allow_short=2, allow_long=1))
    assert (report.num_rows, report.num_cut_rows) == (19, 1)
    assert np.array_equal(imported(store).times_s, make_clock(12).times_s[:10])
    assert np.array_equal(imported(store, clip_id="b.left").values, np.load(folder / "b.left.npy")[:9])
    assert "1 rows beyond the ends of their clips were left out" in str(report)


def test_rows_for_the_decoded_frames_fit_where_labels_go_on(store, folder):
    for clip_id in ("a", "b.left"):
        store.put_clock(clip_id, make_clock(13, num_undecoded=3), {"source": "s"})
    import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert np.array_equal(imported(store).times_s, make_clock(13).times_s[:10])


@pytest.mark.parametrize(("fps", "fits"), [(10.0, True), (11.0, True), (20.0, False), (5.0, False)])
def test_a_rate_that_is_not_the_clips_is_refused(store, folder, fps, fits):
    if fits:  # one row more or less is rounding
        import_folder(store, folder, "theirs", RowTimes(fps=fps))
        return
    with pytest.raises(ValueError, match=r"2 of 2 clips do not fit: a: 10 rows, 10 frames on its clock, .*--allow-"):
        import_folder(store, folder, "theirs", RowTimes(fps=fps))


def test_times_that_are_not_the_rows_or_not_seconds_are_refused(store, folder, tmp_path):
    times = tmp_path / "times"
    times.mkdir()
    with pytest.raises(ValueError, match=r"a: no a.npy in .*times: every clip needs one.*correct these"):
        import_folder(store, folder, "theirs", RowTimes(times=times))
    np.save(times / "b.left.npy", np.arange(10) / 10)
    for wrong, why in (
        (np.arange(9) / 10, r"a.npy has times of shape \(9,\), expected \(10,\)"),
        (np.arange(10)[::-1] / 10, r"the times in a.npy do not increase strictly"),
        (np.array([np.nan, *np.arange(1, 10)]), r"the times in a.npy do not increase strictly"),
        (
            np.arange(10) * 100.0,
            r"its times are 0 to 900, but the clip's frames are at 0 to 0.9 s: are",
        ),
    ):
        np.save(times / "a.npy", wrong)
        with pytest.raises(ValueError, match=why):
            import_folder(store, folder, "theirs", RowTimes(times=times))
    np.save(times / "a.npy", 0.03 + np.arange(10) / 11)
    import_folder(store, folder, "theirs", RowTimes(times=times))
    assert np.array_equal(imported(store).times_s, 0.03 + np.arange(10) / 11)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, r"give exactly one of --times FOLDER, --fps F, --clock .*; 0 were given"),
        ({"fps": 25.0, "clock": True}, r"; 2 were given"),
        ({"hop_s": 0.02}, r"--hop-s needs --first-s"),
        ({"clock": True, "first_s": 1.0}, r"--first-s can only be given with --hop-s or --fps"),
        ({"fps": 0.0}, r"--fps is 0.0, expected a number above 0"),
        ({"hop_s": float("nan"), "first_s": 0.0}, r"--hop-s is nan, expected a number above 0"),
        ({"clock": True, "allow_short": -1}, r"--allow-short is -1, expected a number of rows, 0 or more"),
    ],
)
def test_times_must_be_given_exactly_once_and_completely(given, why):
    with pytest.raises(ValueError, match=why):
        RowTimes(**given)


def test_a_row_all_nan_is_not_observed_and_any_other_nan_is_refused(store, folder, monkeypatch):
    monkeypatch.setattr("extract.store.import_.BLOCK_ROWS", 4)
    values = np.load(folder / "a.npy")
    values[5] = np.nan
    np.save(folder / "a.npy", values)
    report = import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert report.num_unobserved == 1
    assert np.flatnonzero(~imported(store).observed).tolist() == [5]
    assert imported(store).values[6].tolist() == [13, 14]
    for wrong in (np.nan, np.inf):
        values[6, 1] = wrong
        np.save(folder / "a.npy", values)
        with pytest.raises(
            ValueError, match=r"clip 'a': value (nan|inf) \(row 6, column 1\) is not finite: only rows that are all nan"
        ):
            import_folder(store, folder, "other", RowTimes(clock=True))


def test_rows_of_zeros_are_missing_only_with_the_option(store, folder):
    values = np.load(folder / "a.npy")
    values[2:4] = 0
    np.save(folder / "a.npy", values)
    report = import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert (report.num_zero_rows, report.num_unobserved) == (2, 0)
    assert "2 rows are all zero and count as observed: give --zeros-are-missing" in str(report)
    report = import_folder(store, folder, "missing", RowTimes(clock=True), zeros_are_missing=True)
    assert (report.num_zero_rows, report.num_unobserved) == (0, 2)
    assert np.flatnonzero(~imported(store, "missing").observed).tolist() == [2, 3]
    assert store.find("missing")["settings"] == {"zeros_are_missing": True}


def test_a_value_too_large_for_the_store_is_refused_and_float32_holds_it(store, folder):
    values = np.load(folder / "a.npy")
    values[1, 1] = 1e6
    np.save(folder / "a.npy", values)
    with pytest.raises(
        ValueError, match=r"clip 'a': value 1e\+06 \(row 1, column 1\) does not fit float16: give --stored"
    ):
        import_folder(store, folder, "theirs", RowTimes(clock=True))
    import_folder(store, folder, "wide", RowTimes(clock=True), stored_dtype="float32")
    assert imported(store, "wide").values[1, 1] == 1e6


def test_flags_of_another_shape_are_refused(store, folder, tmp_path):
    (tmp_path / "flags").mkdir()
    for clip_id in ("a", "b.left"):
        np.save(tmp_path / "flags" / f"{clip_id}.npy", np.ones(9, bool))
    with pytest.raises(ValueError, match=r"flags/a.npy has type bool and shape \(9,\), expected bool and \(10,\)"):
        import_folder(store, folder, "theirs", RowTimes(clock=True), observed=tmp_path / "flags")


def test_the_error_of_a_clip_without_a_clock_names_the_command(store, folder):
    np.save(folder / "c.npy", np.zeros((10, 2)))
    with pytest.raises(
        FileNotFoundError,
        match=r"1 of 3 clips in .* have no clock in .*: c: give --data DATA, or run abaw extract DATA",
    ):
        import_folder(store, folder, "theirs", RowTimes(clock=True))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"name": "a/b"}, r"--name 'a/b' cannot name a folder: use letters, digits"),
        ({"modality": "smell"}, r"--modality is 'smell', expected one of vision, audio, text"),
        ({"stored_dtype": "int4"}, r"--stored-dtype is 'int4', expected float16, float32 or int8"),
    ],
)
def test_settings_out_of_range_say_what_is_expected(store, folder, settings, why):
    with pytest.raises(ValueError, match=why):
        import_folder(store, folder, **{"name": "theirs", "times": RowTimes(clock=True), **settings})


def test_an_import_is_continued_and_other_content_is_another_recipe(store, folder):
    import_folder(store, folder, "theirs", RowTimes(clock=True))
    first = store.find("theirs")
    (store.folder(first) / "b.left.safetensors").unlink()
    report = import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert (report.written, report.skipped) == (["b.left"], ["a"])
    assert store.find("theirs") == first
    values = np.load(folder / "a.npy")
    values[0, 0] += 1
    np.save(folder / "a.npy", values)
    assert import_folder(store, folder, "theirs", RowTimes(clock=True)).written == ["a", "b.left"]
    with pytest.raises(ValueError, match="2 recipes named 'theirs'"):
        store.find("theirs")


def test_other_times_are_another_recipe(store, folder, tmp_path):
    for name, step_s in (("one", 0.1), ("two", 0.09)):
        (tmp_path / name).mkdir()
        for clip_id in ("a", "b.left"):
            np.save(tmp_path / name / f"{clip_id}.npy", np.arange(10) * step_s)
        assert import_folder(store, folder, "theirs", RowTimes(times=tmp_path / name)).written == ["a", "b.left"]
    assert len([name for name in store.recipes() if name.startswith("theirs-")]) == 2


def test_rows_past_the_clip_are_left_out_where_that_is_allowed(store, folder):
    report = import_folder(store, folder, "theirs", RowTimes(hop_s=0.2, first_s=0.0, allow_long=4))
    assert report.num_cut_rows == 8
    assert np.allclose(imported(store).times_s, np.arange(6) * 0.2)
    assert np.array_equal(imported(store).values, np.load(folder / "a.npy")[:6])


def test_a_moved_folder_is_the_same_import(store, folder, tmp_path):
    import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert import_folder(store, folder.rename(tmp_path / "moved"), "theirs", RowTimes(clock=True)).written == []


def test_imported_tracks_pass_verification(store, folder, tmp_path):
    from extract.store.verify import verify

    import_folder(store, folder, "clocked", RowTimes(clock=True))
    import_folder(store, folder, "rated", RowTimes(fps=10.5))
    import_folder(store, folder, "audio", RowTimes(hop_s=0.1, first_s=0.01), modality="audio")
    assert verify(store).faults == []
    late = {**store.find("rated"), "name": "late"}
    store.put(late, "a", Track(np.ones((2, 2), np.float32), np.array([0.0, 5.0]), np.ones(2, bool)), {"source": "of a"})
    (fault,) = verify(store).faults
    assert fault.message == "its rows are at 0.000 to 5.000 s, but the clip is from 0.000 to 0.900 s"
