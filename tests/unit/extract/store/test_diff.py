"""`abaw store diff`: recipes, clips, times and values of two stores."""

import numpy as np
import pytest

from abaw.tracks import Track
from extract.store.diff import diff, float16_steps
from extract.store.store import FeatureStore
from tests.support.stores import FACE, VOICE, make_clock, make_store, make_track, rewrite


def test_a_store_equals_its_copy(tmp_path):
    found = diff(make_store(tmp_path / "one"), make_store(tmp_path / "two"))
    assert found.equal
    assert [(folder.num_clips, folder.different, folder.max_difference) for folder in found.folders] == [
        (2, [], 0.0)
    ] * 2
    assert found.folders[0].min_cosine == pytest.approx(1)
    assert str(found).endswith("are equal")


def test_the_largest_difference_is_reported_with_its_place(tmp_path):
    one, two = make_store(tmp_path / "one"), make_store(tmp_path / "two")
    other = make_track()
    other.values[6, 2] = np.nextafter(np.float16(other.values[6, 2]), np.float16(99))
    two.put(FACE, "b", other, {"source": "of b"})
    found = diff(one, two)
    assert not found.equal
    face, voice = found.folders
    (clip,) = face.different
    assert (clip.clip, clip.position, clip.max_float16_steps) == ("b", (6, 2), 1)
    assert clip.max_difference == pytest.approx(abs(float(other.values[6, 2]) - float(make_track().values[6, 2])))
    assert face.max_difference == clip.max_difference
    assert 0 < 1 - face.min_cosine < 1e-5
    assert face.min_cosine < face.mean_cosine < 1
    assert voice.different == []


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [(1.0, 1.0, 0), (1.0, 1.0009765625, 1), (0.0, -0.0, 0), (-6e-8, 6e-8, 2), (65504, 1e6, 1), (2.0, 4.0, 1024)],
)
def test_float16_steps_count_the_numbers_between(a, b, steps):
    assert float16_steps(np.array([a], np.float32), np.array([b], np.float32)) == steps


def test_rows_that_only_one_store_observed_are_counted_and_not_compared(tmp_path):
    one, two = make_store(tmp_path / "one", ["a"]), make_store(tmp_path / "two", ["a"])
    same = make_track()
    two.put(FACE, "a", Track(same.values, same.times_s, np.ones(10, bool)), {"source": "of a"})
    (clip,) = diff(one, two).folders[0].different
    assert (clip.num_observed, clip.num_compared, clip.max_difference) == (2, 8, 0.0)


def test_tracks_of_other_lengths_are_matched_by_time(tmp_path):
    one, two = make_store(tmp_path / "one", ["a"]), make_store(tmp_path / "two", ["a"])
    whole, kept = make_track(), np.arange(10) != 0
    two.put(FACE, "a", Track(whole.values[kept], whole.times_s[kept], whole.observed[kept]), {"source": "of a"})
    (clip,) = diff(one, two).folders[0].different
    assert (clip.num_rows, clip.num_compared, clip.max_difference) == ((10, 9), 7, 0.0)


def test_times_that_differ_are_reported(tmp_path):
    one, two = make_store(tmp_path / "one", ["a"]), make_store(tmp_path / "two", ["a"])
    two.put(FACE, "a", make_track(start_s=0.04), {"source": "of a"})
    found = diff(one, two)
    assert found.folders[0].max_time_difference_s == pytest.approx(0.04)
    assert not found.equal


def test_a_track_that_cannot_be_read_is_a_difference(tmp_path):
    one, two = make_store(tmp_path / "one", ["a"]), make_store(tmp_path / "two", ["a"])
    two.track_path(FACE, "a").write_bytes(b"cut")
    values = make_track(40, 4).values
    values[0] = np.nan
    rewrite(two.track_path(VOICE, "a"), values=values)
    found = diff(one, two)
    assert not found.equal
    assert "damaged" in found.folders[0].unreadable["a"]
    assert found.folders[1].unreadable["a"] == "row 0 is observed, but not finite"


def test_recipes_of_one_name_are_compared_key_by_key(tmp_path):
    one, two = make_store(tmp_path / "one", ["a"]), FeatureStore(tmp_path / "two")
    two.put_clock("a", make_clock(), {"source": "of a", "num_frames": "10"})
    base = {**FACE, "weights": {"model.safetensors": "abc"}}
    half = {**base, "settings": {"crop_px": 112, "precision": "bf16"}}
    one = FeatureStore(tmp_path / "three")
    one.put_clock("a", make_clock(), {"source": "of a", "num_frames": "10"})
    one.put(base, "a", make_track(), {"source": "of a"})
    two.put(half, "a", make_track(), {"source": "of a"})
    found = diff(one, two)
    (folder,) = found.folders
    assert folder.keys == {"settings.precision": (None, "bf16")}
    assert folder.note == "the weights' hashes agree"
    assert folder.different == []
    assert not found.equal  # same numbers, but not the same recipe
    assert "settings.precision: None and 'bf16'" in str(found)


def test_of_several_recipes_of_a_name_the_nearest_belong_together(tmp_path):
    one, two = FeatureStore(tmp_path / "one"), FeatureStore(tmp_path / "two")
    far = {**FACE, "settings": {"crop_px": 96}, "version": 3}
    for store, recipe in ((one, FACE), (one, far), (two, {**far, "version": 4}), (two, FACE)):
        store.put_clock("a", make_clock(), {"source": "s"})
        store.put(recipe, "a", make_track(), {"source": "s"})
    keys = {folder.a: folder.keys for folder in diff(one, two).folders}
    assert keys == {one.folder(FACE).name: {}, one.folder(far).name: {"version": (3, 4)}}


def test_a_folder_belongs_to_one_other_only(tmp_path):
    one, two = make_store(tmp_path / "one", ["a"]), make_store(tmp_path / "two", ["a"])
    newer = {**FACE, "version": 2}
    one.put(newer, "a", make_track(), {"source": "of a"})
    found = diff(one, two)
    assert found.only_a == [one.folder(newer).name]
    assert all(folder.keys == {} for folder in found.folders)


def test_one_more_clock_or_folder_is_a_difference(tmp_path):
    one = make_store(tmp_path / "one")
    two, three = make_store(tmp_path / "two"), make_store(tmp_path / "three")
    two.put_clock("c", make_clock(), {})
    three.put({**FACE, "name": "more", "version": 2}, "a", make_track(), {"source": "of a"})
    for other in (two, three):
        assert not diff(one, other).equal
        assert not diff(other, one).equal


def test_the_largest_difference_is_over_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("extract.store.diff.BLOCK_ROWS", 3)
    one, two = make_store(tmp_path / "one", ["a"]), make_store(tmp_path / "two", ["a"])
    other = make_track()
    other.values[4, 1] += 1
    other.values[6, 0] += 0.5
    two.put(FACE, "a", other, {"source": "of a"})
    (clip,) = diff(one, two).folders[0].different
    assert (clip.position, clip.num_compared) == ((4, 1), 8)
    assert clip.max_difference == pytest.approx(1, abs=2e-3)


def test_a_recipe_under_another_name_is_found(tmp_path):
    one, two = make_store(tmp_path / "one", ["a"]), FeatureStore(tmp_path / "two")
    two.put_clock("a", make_clock(), {"source": "of a", "num_frames": "10"})
    two.put({**FACE, "name": "mine"}, "a", make_track(), {"source": "of a"})
    found = diff(one, two)
    assert [folder.keys for folder in found.folders] == [{"name": ("hog", "mine")}]
    assert found.only_a == [one.folder(VOICE).name]


def test_clips_and_clocks_of_one_store_alone_are_reported(tmp_path):
    one, two = make_store(tmp_path / "one", ["a", "b"]), make_store(tmp_path / "two", ["b", "c"])
    two.put_clock("b", make_clock(11), {"source": "of b"})
    found = diff(one, two)
    assert (found.clocks_only_a, found.clocks_only_b) == (["a"], ["c"])
    assert found.clocks == {"b": "10 and 11 frames"}
    assert [(folder.only_a, folder.only_b) for folder in found.folders] == [(["a"], ["c"])] * 2


def test_some_clips_alone_can_be_compared(tmp_path):
    one, two = make_store(tmp_path / "one"), make_store(tmp_path / "two")
    two.put(FACE, "b", make_track(seed=1), {"source": "of b"})
    assert diff(one, two, ["a"]).equal
    assert not diff(one, two, ["b"]).equal
    with pytest.raises(ValueError, match=r"no clip 'z' in .*one or .*two; check its name"):
        diff(one, two, ["a", "z"])


def test_a_folders_difference_is_over_all_its_clips(tmp_path):
    one, two = make_store(tmp_path / "one"), make_store(tmp_path / "two")
    two.put(FACE, "a", make_track(seed=1), {"source": "of a"})
    folder = diff(one, two).folders[0]
    (clip,) = folder.different
    assert (folder.min_cosine, folder.max_difference) == (clip.min_cosine, clip.max_difference)
    assert folder.min_cosine < 0.9
    assert folder.mean_cosine == pytest.approx((clip.sum_cosines + 8) / 16)
