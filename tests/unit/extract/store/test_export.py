"""`abaw store export`: npy folders hold what the store does, or what a model would read."""

import json

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.tracks import Track
from extract.store.export import export, write_npy
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


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.npy")}


def test_an_export_holds_every_row_and_what_made_it(store, tmp_path):
    report = export(store, tmp_path / "out", "mel")
    assert (report.written, report.skipped, report.failed) == (["a", "b.left"], [], {})
    values = np.load(tmp_path / "out/mel/a.npy")
    assert values.dtype == np.float32
    assert np.array_equal(values, voice().values)
    assert np.array_equal(np.load(tmp_path / "out/mel.about/times/a.npy"), voice().times_s)
    assert np.array_equal(np.load(tmp_path / "out/mel.about/observed/a.npy"), voice().observed)
    assert sorted(path.name for path in (tmp_path / "out/mel").iterdir()) == ["a.npy", "b.left.npy"]
    about = json.loads((tmp_path / "out/mel.about/about.json").read_text())
    assert (about["recipe"], about["rows"]) == (RECIPE, "the track's own")


def test_an_aligned_export_is_what_a_model_would_read(store, tmp_path, monkeypatch):
    monkeypatch.setattr("extract.store.export.BLOCK_STEPS", 3)  # several blocks are one whole
    how = FeatureConfig(align="window_mean", max_gap_s=0.2)
    export(store, tmp_path / "out", "mel", aligned=how)
    read = AlignedSource(store, {"mel": how}).read("mel", "a", 0.0, 1.0)
    assert np.array_equal(np.load(tmp_path / "out/mel/a.npy"), read.values)
    assert np.array_equal(np.load(tmp_path / "out/mel.about/times/a.npy"), make_clock().times_s)
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


def test_an_export_that_was_stopped_is_continued(store, tmp_path, monkeypatch):
    written = []

    def stop(path, *rest):
        if path.name == "b.left.npy":
            raise KeyboardInterrupt
        write_npy(path, *rest)

    def record(path, *rest):
        written.append(path.name)
        write_npy(path, *rest)

    monkeypatch.setattr("extract.store.export.write_npy", stop)
    with pytest.raises(KeyboardInterrupt):
        export(store, tmp_path / "out", "mel")
    monkeypatch.setattr("extract.store.export.write_npy", record)
    report = export(store, tmp_path / "out", "mel")
    assert (report.written, report.skipped) == (["b.left"], ["a"])
    assert set(written) == {"b.left.npy"}
    assert export(store, tmp_path / "out", "mel").skipped == ["a", "b.left"]


def test_a_clip_that_was_extracted_again_is_exported_again(store, tmp_path):
    export(store, tmp_path / "out", "mel")
    store.put(RECIPE, "a", voice(seed=5), {"source": "of a"})
    assert export(store, tmp_path / "out", "mel").written == ["a"]
    assert np.array_equal(np.load(tmp_path / "out/mel/a.npy"), voice(seed=5).values)


def test_an_outdated_or_damaged_track_is_reported_and_the_others_are_exported(store, tmp_path):
    store.put_clock("a", make_clock(), {"source": "new"})
    report = export(store, tmp_path / "out", "mel")
    assert report.written == ["b.left"]
    assert "made from other media than its clip's clock: run abaw extract again" in report.failed["a"]
    (store.folder(RECIPE) / "a.safetensors").write_bytes(b"cut")
    assert "damaged" in export(store, tmp_path / "out", "mel").failed["a"]


def test_an_export_of_something_else_is_not_overwritten(store, tmp_path):
    export(store, tmp_path / "out", "mel")
    before = files(tmp_path / "out")
    with pytest.raises(ValueError, match=r"mel holds another export \(align, rows differ\): export to another"):
        export(store, tmp_path / "out", "mel", aligned=FeatureConfig())
    other = FeatureStore(tmp_path / "other")
    other.put_clock("a", make_clock(), {"source": "of a"})
    other.put(RECIPE, "a", voice(seed=9), {"source": "of a"})
    with pytest.raises(ValueError, match=r"mel holds another export \(store differ\)"):
        export(other, tmp_path / "out", "mel")
    assert files(tmp_path / "out") == before


def test_a_folder_of_unknown_origin_is_not_written_to(store, tmp_path):
    (tmp_path / "out/mel").mkdir(parents=True)
    np.save(tmp_path / "out/mel/z.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"mel is not empty and was not written by abaw store export: export to"):
        export(store, tmp_path / "out", "mel")


def test_the_error_says_why_features_cannot_be_exported(store, tmp_path):
    with pytest.raises(ValueError, match=r"no features named 'mol' in .*did you mean 'mel'"):
        export(store, tmp_path / "out", "mol")
    with pytest.raises(ValueError, match=r"dtype is 'int8', expected float32 or float16"):
        export(store, tmp_path / "out", "mel", dtype="int8")
    with pytest.raises(ValueError, match=r"no aligner named 'linar'; did you mean 'linear'"):
        export(store, tmp_path / "out", "mel", aligned=FeatureConfig(align="linar"))
    wide = {**RECIPE, "stored_dtype": "float32", "name": "wide"}
    store.put(wide, "a", Track(np.full((1, 1), 1e6, np.float32), np.zeros(1), np.ones(1, bool)), {"source": "of a"})
    report = export(store, tmp_path / "out", "wide", dtype="float16")
    assert "a has values that do not fit float16: export it with --dtype float32" in report.failed["a"]
    assert not list((tmp_path / "out/wide").glob("*.npy"))


def test_importing_an_export_gives_the_same_tracks(store, tmp_path):
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
        back, given = store.get(store.find("again"), clip_id), store.get(RECIPE, clip_id)
        assert np.array_equal(back.values, given.values)
        assert np.array_equal(back.times_s, given.times_s)
        assert np.array_equal(back.observed, given.observed)
