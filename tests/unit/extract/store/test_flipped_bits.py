"""One changed bit anywhere in a store's file is an error that names the file, never other numbers."""

import hashlib
import pickle
import time

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.errors import InputError
from extract.store import tensor_file
from extract.store.info import info
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
from extract.store.tensor_file import TensorFile, checked_files, trust_files
from extract.store.verify import verify
from tests.support.stores import FACE, VOICE, body, flip_bit, make_store, rewrite


@pytest.fixture(autouse=True)
def nothing_checked(monkeypatch):
    monkeypatch.setattr(tensor_file, "_CHECKED", set())


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store", clips=("a",))


def read_all(store):
    """Everything that training reads of clip a."""
    clock = store.clock("a")
    tracks = [store.get(recipe, "a") for recipe in (FACE, VOICE)]
    return [clock.times_s, clock.decoded, *(each for track in tracks for each in vars(track).values())]


def flips(size, num=100, seed=0):
    """Every bit of the first 8 bytes, and ``num`` others drawn at random over the whole file."""
    drawn = np.random.default_rng(seed).choice(8 * size, num, replace=False)
    return [*range(64), *(int(bit) for bit in drawn)]


@pytest.mark.parametrize("which", ["clock", "track"])
def test_every_flipped_bit_is_an_error_that_names_the_file(store, which):
    path = store.clock_path("a") if which == "clock" else store.track_path(FACE, "a")
    content = path.read_bytes()
    before = read_all(store)
    for bit in flips(len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(InputError) as caught:
            read_all(store)
        assert str(path) in str(caught.value), bit
    path.write_bytes(content)
    for old, new in zip(before, read_all(store), strict=True):
        np.testing.assert_array_equal(old, new)


def test_flipped_bits_of_a_header_are_seen_without_reading_the_content(store):
    path = store.track_path(FACE, "a")
    content = path.read_bytes()
    header_bytes = 8 + int.from_bytes(content[:8], "little")
    for bit in range(64, 8 * header_bytes, 7):  # 7: each of the 8 bits of a byte in turn
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(InputError, match="is damaged"):
            TensorFile(path)
        assert tensor_file.read_metadata(path) == {}, bit


def test_a_changed_recipe_is_an_error_that_names_it(store):
    path = store.folder(FACE) / "recipe.json"
    path.write_text(path.read_text().replace("112", "113", 1))
    with pytest.raises(InputError, match=r"recipe\.json is not the recipe of its folder"):
        store.find("hog")
    assert store.find("mel") == VOICE


def test_commands_that_read_values_refuse_a_flipped_bit(store, tmp_path):
    from extract.store.diff import diff

    other = make_store(tmp_path / "other", clips=("a",))
    flip_bit(store.track_path(FACE, "a"), 40)
    source = AlignedSource(store, {"hog": FeatureConfig()})
    with pytest.raises(InputError, match=r"a\.safetensors is damaged"):
        source.read("hog", "a", 0.0, 0.2)
    assert [each.damaged for each in info(store).features if each.name == "hog"] == [["a"]]
    assert "SHA-256 differs" in str(diff(store, other))
    assert {each.file for each in verify(store).faults} == {f"{store.folder(FACE).name}/a.safetensors"}


@pytest.mark.parametrize("where", [0, 5])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_times_that_are_not_finite_or_do_not_increase_are_an_error_without_a_checksum(store, where, value):
    path = store.track_path(FACE, "a")
    times_s = store.get(FACE, "a").times_s.copy()
    times_s[where] = value if where else -value if value == -1.0 else value
    rewrite(path, {"sha256": None}, times_s=times_s)
    with pytest.raises(InputError, match=r"a\.safetensors is damaged \(times do not increase strictly"):
        store.get(FACE, "a")


def test_shapes_that_do_not_fit_are_an_error_without_a_checksum(store):
    rewrite(store.track_path(FACE, "a"), {"sha256": None}, observed=np.ones(9, bool))
    with pytest.raises(InputError, match=r"a\.safetensors is damaged \(observed has the shape \(9,\)"):
        store.get(FACE, "a")
    rewrite(store.clock_path("a"), {"sha256": None}, times_s=np.ones((10, 1)))
    with pytest.raises(InputError, match=r"clock/a\.safetensors is damaged"):
        store.clock("a")


def test_files_of_earlier_versions_are_read_and_verify_says_that_they_have_no_checksum(store):
    before = store.get(FACE, "a")
    rewrite(store.track_path(FACE, "a"), {"sha256": None})
    np.testing.assert_array_equal(store.get(FACE, "a").values, before.values)
    report = verify(store)
    assert (report.faults, report.num_unchecked) == ([], 1)
    assert "no checksum recorded in 1 of 2 tracks" in str(report)
    path = store.track_path(VOICE, "a")
    rewrite(path, {"sha256": hashlib.sha256(body(path)).hexdigest()})
    report = verify(store)
    assert (report.faults, report.num_unchecked, report.num_unchecked_headers) == ([], 1, 1)
    assert "1 of 2 tracks were written by an earlier version: their content has a checksum, their header" in str(report)


def test_a_file_is_verified_once_in_a_process_and_again_when_it_changes(store, monkeypatch):
    path, hashed = store.track_path(FACE, "a"), []
    body_sha256 = TensorFile.body_sha256
    monkeypatch.setattr(TensorFile, "body_sha256", lambda file: (hashed.append(file.path), body_sha256(file))[1])
    now_s = time.time
    monkeypatch.setattr(time, "time", lambda: now_s() + 10)  # the file is no longer new
    for _ in range(3):
        store.open(FACE, "a")
    assert hashed == [path]
    flip_bit(path)
    with pytest.raises(InputError, match="is damaged"):
        store.open(FACE, "a")


def test_a_new_file_is_verified_again_because_a_change_may_leave_its_time(store, monkeypatch):
    store.open(FACE, "a")
    assert checked_files() == frozenset()


def test_processes_that_read_for_a_training_need_not_verify_again(store, monkeypatch):
    now_s = time.time
    monkeypatch.setattr(time, "time", lambda: now_s() + 10)
    source = AlignedSource(store, {"hog": FeatureConfig()})
    source.read("hog", "a", 0.0, 0.2)
    pickled, known = pickle.dumps(source), checked_files()
    monkeypatch.setattr(tensor_file, "_CHECKED", set())
    pickle.loads(pickled)
    assert checked_files() == known != frozenset()


def test_the_content_of_a_trusted_store_is_not_read_but_headers_are(store, monkeypatch):
    monkeypatch.setenv("ABAW_TRUST_STORE", "1")
    before = store.get(FACE, "a").values.copy()
    flip_bit(store.track_path(FACE, "a"), 80)
    assert not np.array_equal(store.get(FACE, "a").values, before)
    path = store.track_path(VOICE, "a")
    path.write_bytes(path.read_bytes().replace(b"of a", b"of b"))
    with pytest.raises(InputError, match=r"a\.safetensors is damaged \(its header"):
        FeatureStore(store.root).open(VOICE, "a")
    trust_files(())
