"""Features out to npy folders and in from them: nothing is lost on the way, nothing is assumed in silence."""

import json

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.tracks import Clock, Track
from extract.store import export as exporting
from extract.store import import_ as importing
from extract.store.export import export
from extract.store.import_ import RowTimes, import_folder
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore

RECIPE = {"name": "mel", "encoder": "voice_mel", "settings": {}, "version": 1}


def clock(num=10, step_s=0.1, start_s=0.0, beyond=0):
    return Clock(np.arange(1, num + 1), start_s + np.arange(num) * step_s, np.arange(num) < num - beyond)


def track(num=21, dim=3, step_s=0.05, seed=0):
    values = np.random.default_rng(seed).normal(size=(num, dim)).astype(np.float16).astype(np.float32)
    observed = np.arange(num) % 5 != 3
    return Track(np.where(observed[:, None], values, 0), np.arange(num) * step_s, observed)


@pytest.fixture
def store(tmp_path):
    store = FeatureStore(tmp_path / "store")
    for seed, clip_id in enumerate(("a", "b.left")):
        store.put_clock(clip_id, clock(), {"source": f"of {clip_id}"})
        store.put(RECIPE, clip_id, track(seed=seed), {"source": f"of {clip_id}"})
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


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.npy")}


# out


def test_an_export_holds_every_row_and_what_made_it(store, tmp_path):
    report = export(store, tmp_path / "out", "mel")
    assert (report.made, report.present, report.failed) == (["a", "b.left"], [], {})
    values = np.load(tmp_path / "out/mel/a.npy")
    assert values.dtype == np.float32
    assert np.array_equal(values, track().values)
    assert np.array_equal(np.load(tmp_path / "out/mel.about/times/a.npy"), track().times_s)
    assert np.array_equal(np.load(tmp_path / "out/mel.about/observed/a.npy"), track().observed)
    assert sorted(path.name for path in (tmp_path / "out/mel").iterdir()) == ["a.npy", "b.left.npy"]
    about = json.loads((tmp_path / "out/mel.about/about.json").read_text())
    assert (about["recipe"], about["rows"]) == (RECIPE, "the track's own")


def test_an_aligned_export_is_what_a_model_would_read(store, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "BLOCK_STEPS", 3)  # several blocks are one whole
    how = FeatureConfig(align="window_mean", max_gap_s=0.2)
    export(store, tmp_path / "out", "mel", aligned=how)
    read = AlignedSource(store, {"mel": how}).read("mel", "a", 0.0, 1.0)
    assert np.array_equal(np.load(tmp_path / "out/mel/a.npy"), read.values)
    assert np.array_equal(np.load(tmp_path / "out/mel.about/times/a.npy"), clock().times_s)
    assert np.array_equal(np.load(tmp_path / "out/mel.about/observed/a.npy"), read.observed)
    about = json.loads((tmp_path / "out/mel.about/about.json").read_text())
    assert about["align"] == {"align": "window_mean", "max_gap_s": 0.2}


def test_a_clip_without_rows_is_an_array_without_rows(store, tmp_path):
    store.put(RECIPE, "a", Track(np.zeros((0, 3), np.float32), np.zeros(0), np.zeros(0, bool)), {"source": "of a"})
    export(store, tmp_path / "out", "mel")
    assert np.load(tmp_path / "out/mel/a.npy").shape == (0, 3)
    export(store, tmp_path / "aligned", "mel", aligned=FeatureConfig())
    assert not np.load(tmp_path / "aligned/mel.about/observed/a.npy").any()
    assert np.load(tmp_path / "aligned/mel/a.npy").shape == (10, 3)


def test_an_export_goes_on_where_it_was_stopped(store, tmp_path, monkeypatch):
    write, written = export._write, []

    def stop(path, *rest):
        if path.name == "b.left.npy":
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, *rest)

    monkeypatch.setattr(exporting, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        export(store, tmp_path / "out", "mel")
    monkeypatch.setattr(exporting, "_write", lambda path, *rest: (written.append(path.name), write(path, *rest)))
    written.clear()
    report = export(store, tmp_path / "out", "mel")
    assert (report.made, report.present) == (["b.left"], ["a"])
    assert set(written) == {"b.left.npy"}
    assert export(store, tmp_path / "out", "mel").present == ["a", "b.left"]


def test_a_clip_that_was_extracted_again_is_exported_again(store, tmp_path):
    export(store, tmp_path / "out", "mel")
    store.put(RECIPE, "a", track(seed=5), {"source": "of a"})
    assert export(store, tmp_path / "out", "mel").made == ["a"]
    assert np.array_equal(np.load(tmp_path / "out/mel/a.npy"), track(seed=5).values)


def test_a_track_of_other_media_or_damaged_is_told_and_the_others_go_on(store, tmp_path):
    store.put_clock("a", clock(), {"source": "new"})
    report = export(store, tmp_path / "out", "mel")
    assert report.made == ["b.left"]
    assert "of other media than its clip's clock: run abaw extract again" in report.failed["a"]
    (store.folder(RECIPE) / "a.safetensors").write_bytes(b"cut")
    assert "damaged" in export(store, tmp_path / "out", "mel").failed["a"]


def test_an_export_of_something_else_is_not_overwritten(store, tmp_path):
    export(store, tmp_path / "out", "mel")
    before = files(tmp_path / "out")
    with pytest.raises(ValueError, match=r"mel holds another export \(its align, rows differ\): export to another"):
        export(store, tmp_path / "out", "mel", aligned=FeatureConfig())
    other = FeatureStore(tmp_path / "other")
    other.put_clock("a", clock(), {"source": "of a"})
    other.put(RECIPE, "a", track(seed=9), {"source": "of a"})
    with pytest.raises(ValueError, match=r"mel holds another export \(its store differ\)"):
        export(other, tmp_path / "out", "mel")
    assert files(tmp_path / "out") == before


def test_a_folder_of_somebody_elses_is_not_written_to(store, tmp_path):
    (tmp_path / "out/mel").mkdir(parents=True)
    np.save(tmp_path / "out/mel/z.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"mel is not empty and no export of ours: export to another folder"):
        export(store, tmp_path / "out", "mel")


def test_what_cannot_be_exported_says_why(store, tmp_path):
    with pytest.raises(ValueError, match=r"no features named 'mol' in .*did you mean 'mel'"):
        export(store, tmp_path / "out", "mol")
    with pytest.raises(ValueError, match=r"dtype is 'int8', expected float32 or float16"):
        export(store, tmp_path / "out", "mel", dtype="int8")
    with pytest.raises(ValueError, match=r"no aligner named 'linar'; did you mean 'linear'"):
        export(store, tmp_path / "out", "mel", aligned=FeatureConfig(align="linar"))
    wide = {**RECIPE, "stored_dtype": "float32", "name": "wide"}
    store.put(wide, "a", Track(np.full((1, 1), 1e6, np.float32), np.zeros(1), np.ones(1, bool)), {"source": "of a"})
    report = export(store, tmp_path / "out", "wide", dtype="float16")
    assert "a holds values that float16 cannot: export it with --dtype float32" in report.failed["a"]
    assert not list((tmp_path / "out/wide").glob("*.npy"))


# there and back


def test_what_is_exported_comes_back_the_same(store, tmp_path):
    export(store, tmp_path / "out", "mel")
    about = tmp_path / "out/mel.about"
    import_folder(
        store,
        tmp_path / "out/mel",
        "again",
        RowTimes(times=about / "times"),
        modality="audio",
        observed=about / "observed",
    )
    for clip_id in ("a", "b.left"):
        back, given = imported(store, "again", clip_id), store.get(RECIPE, clip_id)
        assert np.array_equal(back.values, given.values)
        assert np.array_equal(back.times_s, given.times_s)
        assert np.array_equal(back.observed, given.observed)


# in


def test_a_row_a_frame_gets_the_times_of_the_clock(store, folder):
    store.put_clock("a", clock(start_s=3.0), {"source": "of a"})
    report = import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert (report.made, report.rows, report.unobserved) == (["a", "b.left"], 20, 0)
    got = imported(store)
    assert np.array_equal(got.times_s, clock(start_s=3.0).times_s)
    assert np.array_equal(got.values, np.load(folder / "a.npy"))
    assert got.observed.all()


def test_what_was_assumed_is_on_the_record(store, folder):
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
def test_assumed_rates_give_the_times_they_say(store, folder, times, expected_s):
    for clip_id in ("a", "b.left"):
        store.put_clock(clip_id, clock(start_s=2.0), {"source": "s"})
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


def test_frames_that_count_from_0_must_be_said_to(store, tmp_path):
    folder = tmp_path / "frames"
    (folder / "a").mkdir(parents=True)
    for number in range(10):
        np.save(folder / "a" / f"{number:05d}.npy", np.full(2, number, np.float32))
    with pytest.raises(ValueError, match=r"00000.npy is frame 0, frames count from 1: give --first-frame 0"):
        import_folder(store, folder, "theirs", RowTimes(clock=True))
    import_folder(store, folder, "theirs", RowTimes(clock=True, first_frame=0))
    assert np.array_equal(imported(store).times_s, clock().times_s)
    np.save(folder / "a" / "3.npy", np.zeros(2))
    with pytest.raises(ValueError, match=r"two files of one frame"):
        import_folder(store, folder, "theirs", RowTimes(clock=True, first_frame=0))


def test_rows_that_are_not_as_many_as_frames_are_refused_with_how_many(store, folder):
    store.put_clock("a", clock(12), {"source": "of a"})
    store.put_clock("b.left", clock(9), {"source": "of b"})
    with pytest.raises(
        ValueError,
        match=r"2 of 2 clips do not fit: a: 10 rows, 12 frames on its clock, 2 short, 0 over; b.left: 10 rows, "
        r"9 frames on its clock, 0 short, 1 over: where that is right give --allow-short 2 --allow-long 1;",
    ):
        import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert [path.name for path in store.root.iterdir() if path.name.startswith("theirs")] == []
    with pytest.raises(ValueError, match=r"1 of 2 clips do not fit: b.left"):
        import_folder(store, folder, "theirs", RowTimes(clock=True, allow_short=2))
    report = import_folder(store, folder, "theirs", RowTimes(clock=True, allow_short=2, allow_long=1))
    assert (report.rows, report.cut) == (19, 1)
    assert np.array_equal(imported(store).times_s, clock(12).times_s[:10])
    assert np.array_equal(imported(store, clip_id="b.left").values, np.load(folder / "b.left.npy")[:9])
    assert "1 rows past the clips' ends were left out" in str(report)


def test_rows_for_the_decoded_frames_fit_where_labels_go_on(store, folder):
    for clip_id in ("a", "b.left"):
        store.put_clock(clip_id, clock(13, beyond=3), {"source": "s"})
    import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert np.array_equal(imported(store).times_s, clock(13).times_s[:10])


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
    with pytest.raises(ValueError, match=r"a: no a.npy in .*times: every clip needs one.*mend these"):
        import_folder(store, folder, "theirs", RowTimes(times=times))
    np.save(times / "b.left.npy", np.arange(10) / 10)
    for wrong, why in (
        (np.arange(9) / 10, r"a.npy has times of shape \(9,\), expected \(10,\)"),
        (np.arange(10)[::-1] / 10, r"the times in a.npy do not increase strictly"),
        (np.array([np.nan, *np.arange(1, 10)]), r"the times in a.npy do not increase strictly"),
        (np.arange(10) * 100.0, r"its times are 0 to 900, the clip's frames are of 0 to 0.9 s: are they seconds"),
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
        ({}, r"say exactly one of --times FOLDER, --fps F, --clock .*; 0 were given"),
        ({"fps": 25.0, "clock": True}, r"; 2 were given"),
        ({"hop_s": 0.02}, r"--hop-s needs --first-s"),
        ({"clock": True, "first_s": 1.0}, r"--first-s goes with --hop-s or --fps"),
        ({"fps": 0.0}, r"--fps is 0.0, expected a number above 0"),
        ({"hop_s": float("nan"), "first_s": 0.0}, r"--hop-s is nan, expected a number above 0"),
        ({"clock": True, "allow_short": -1}, r"--allow-short and --allow-long are numbers of rows, expected 0 or more"),
    ],
)
def test_times_must_be_said_once_and_whole(given, why):
    with pytest.raises(ValueError, match=why):
        RowTimes(**given)


def test_a_row_all_nan_is_not_observed_and_any_other_nan_is_refused(store, folder, monkeypatch):
    monkeypatch.setattr(importing, "BLOCK_ROWS", 4)
    values = np.load(folder / "a.npy")
    values[5] = np.nan
    np.save(folder / "a.npy", values)
    report = import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert report.unobserved == 1
    assert np.flatnonzero(~imported(store).observed).tolist() == [5]
    assert imported(store).values[6].tolist() == [13, 14]
    for wrong in (np.nan, np.inf):
        values[6, 1] = wrong
        np.save(folder / "a.npy", values)
        with pytest.raises(
            ValueError, match=r"clip 'a': value (nan|inf) \(row 6, column 1\) is not finite: only a row all"
        ):
            import_folder(store, folder, "other", RowTimes(clock=True))


def test_rows_all_zero_are_missing_only_where_that_is_said(store, folder):
    values = np.load(folder / "a.npy")
    values[2:4] = 0
    np.save(folder / "a.npy", values)
    report = import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert (report.zeros, report.unobserved) == (2, 0)
    assert "2 rows are all zero and were taken as observed: --zeros-are-missing" in str(report)
    report = import_folder(store, folder, "missing", RowTimes(clock=True), zeros_are_missing=True)
    assert (report.zeros, report.unobserved) == (0, 2)
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
    with pytest.raises(ValueError, match=r"flags/a.npy is bool of shape \(9,\), expected bool of shape \(10,\)"):
        import_folder(store, folder, "theirs", RowTimes(clock=True), observed=tmp_path / "flags")


def test_a_clip_without_a_clock_says_what_makes_one(store, folder):
    np.save(folder / "c.npy", np.zeros((10, 2)))
    with pytest.raises(
        FileNotFoundError,
        match=r"1 of 3 clips in .* have no clock in .*: c: give --data DATA, or run abaw extract DATA",
    ):
        import_folder(store, folder, "theirs", RowTimes(clock=True))


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros(8), r"a.npy has the shape \(8,\), expected \(time, dim\): one vector for the whole clip has no time"),
        (np.zeros((2, 3, 4)), r"a.npy has the shape \(2, 3, 4\), expected \(time, dim\)"),
        (np.zeros((10, 3)), r"several widths \(2 in b.left, 3 in a\): import one kind at a time"),
        (np.array([["x"]]), r"a.npy is no array of numbers: write it anew with numpy.save"),
        (np.array([[{}]], object), r"a.npy cannot be read as an array of numbers .*: write it anew with numpy.save"),
    ],
)
def test_a_file_that_is_no_track_is_named(store, folder, array, why):
    np.save(folder / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=why):
        import_folder(store, folder, "theirs", RowTimes(clock=True))


def test_a_file_cut_short_is_named(store, folder):
    path = folder / "a.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"a.npy cannot be read as an array of numbers"):
        import_folder(store, folder, "theirs", RowTimes(clock=True))
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"a.npy cannot be read as an array of numbers"):
        import_folder(store, folder, "theirs", RowTimes(clock=True))


def test_a_folder_that_is_not_there_or_holds_nothing_is_named(store, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*none: give the folder of <clip>.npy"):
        import_folder(store, tmp_path / "none", "theirs", RowTimes(clock=True))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty holds neither <clip>.npy nor <clip>/<frame number>.npy"):
        import_folder(store, tmp_path / "empty", "theirs", RowTimes(clock=True))


def test_a_clip_that_is_there_as_file_and_folder_is_refused(store, folder):
    (folder / "a").mkdir()
    np.save(folder / "a" / "1.npy", np.zeros(2))
    with pytest.raises(ValueError, match=r"has both a.npy and a/: take one away"):
        import_folder(store, folder, "theirs", RowTimes(clock=True))


def test_a_frame_of_another_width_is_named(store, tmp_path):
    (tmp_path / "frames/a").mkdir(parents=True)
    for number in range(1, 11):
        np.save(tmp_path / f"frames/a/{number}.npy", np.zeros(3 if number == 7 else 2))
    with pytest.raises(ValueError, match=r"7.npy has 3 numbers, 1.npy has 2"):
        import_folder(store, tmp_path / "frames", "theirs", RowTimes(clock=True))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"name": "a/b"}, r"--name 'a/b' cannot name a folder: use letters, digits"),
        ({"modality": "smell"}, r"--modality is 'smell', expected one of vision, audio, text"),
        ({"stored_dtype": "int8"}, r"--stored-dtype is 'int8', expected float16 or float32"),
    ],
)
def test_settings_out_of_range_say_what_is_expected(store, folder, settings, why):
    with pytest.raises(ValueError, match=why):
        import_folder(store, folder, **{"name": "theirs", "times": RowTimes(clock=True), **settings})


def test_an_import_goes_on_and_other_content_is_another_recipe(store, folder):
    import_folder(store, folder, "theirs", RowTimes(clock=True))
    first = store.find("theirs")
    (store.folder(first) / "b.left.safetensors").unlink()
    report = import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert (report.made, report.present) == (["b.left"], ["a"])
    assert store.find("theirs") == first
    values = np.load(folder / "a.npy")
    values[0, 0] += 1
    np.save(folder / "a.npy", values)
    assert import_folder(store, folder, "theirs", RowTimes(clock=True)).made == ["a", "b.left"]
    with pytest.raises(ValueError, match="2 recipes named 'theirs'"):
        store.find("theirs")


def test_other_times_are_another_recipe(store, folder, tmp_path):
    for name, step_s in (("one", 0.1), ("two", 0.09)):
        (tmp_path / name).mkdir()
        for clip_id in ("a", "b.left"):
            np.save(tmp_path / name / f"{clip_id}.npy", np.arange(10) * step_s)
        assert import_folder(store, folder, "theirs", RowTimes(times=tmp_path / name)).made == ["a", "b.left"]
    assert len([name for name in store.recipes() if name.startswith("theirs-")]) == 2


def test_rows_past_the_clip_are_left_out_where_that_is_allowed(store, folder):
    report = import_folder(store, folder, "theirs", RowTimes(hop_s=0.2, first_s=0.0, allow_long=4))
    assert report.cut == 8
    assert np.allclose(imported(store).times_s, np.arange(6) * 0.2)
    assert np.array_equal(imported(store).values, np.load(folder / "a.npy")[:6])


def test_a_moved_folder_is_the_same_import(store, folder, tmp_path):
    import_folder(store, folder, "theirs", RowTimes(clock=True))
    assert import_folder(store, folder.rename(tmp_path / "moved"), "theirs", RowTimes(clock=True)).made == []


def test_imported_tracks_pass_the_audit(store, folder, tmp_path):
    from extract.store.verify import verify

    import_folder(store, folder, "clocked", RowTimes(clock=True))
    import_folder(store, folder, "rated", RowTimes(fps=10.5))
    import_folder(store, folder, "heard", RowTimes(hop_s=0.1, first_s=0.01), modality="audio")
    assert verify(store).faults == []
    late = {**store.find("rated"), "name": "late"}
    store.put(late, "a", Track(np.ones((2, 2), np.float32), np.array([0.0, 5.0]), np.ones(2, bool)), {"source": "of a"})
    (fault,) = verify(store).faults
    assert fault.what == "its rows are of 0.000 to 5.000 s, the clip of 0.000 to 0.900 s"
