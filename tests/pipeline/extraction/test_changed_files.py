"""What "done before" means: every change of media and images is noticed, also while they are read."""

import os

import pytest

from abaw.dataset.layout import open_dataset
from extract.engine import readers, reading
from extract.store.origins import fingerprint, sources
from extract.store.origins.fingerprint import old_fingerprint
from extract.store.store import FeatureStore
from extract.store.verify import verify
from tests.support.extract.drawn_clips import write_images
from tests.support.extract.many_clips import Brightness, light, store_of, write


@pytest.fixture
def data(tmp_path):
    for name in "ab":
        write(tmp_path / f"data/videos/{name}.mp4", range(20, 220, 20))
        write_images(tmp_path / f"data/cropped/{name}", range(1, 11))
    return tmp_path / "data"


@pytest.fixture
def read_contents(monkeypatch):
    """The clips whose content was read because it may have changed."""
    found, real = [], sources.fingerprint
    monkeypatch.setattr(
        sources, "fingerprint", lambda clip, images: (found.append(clip.clip_id), real(clip, images))[1]
    )
    return found


def extract(data):
    store, report = store_of(Brightness(), data, data.parent / "store")
    assert report.failed == []
    return store, report


def zero_middle(path):
    """Zero some bytes of the pictures, between the first and the last MiB of a longer film."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(b"mdat") + 800)
        file.write(bytes(20))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_nothing_is_read_where_nothing_has_changed(data, read_contents):
    extract(data)
    assert sorted(read_contents) == ["a", "b"]
    read_contents.clear()
    assert sorted(extract(data)[1].present) == ["a", "b"]
    assert read_contents == []


def test_a_zeroed_middle_is_noticed_although_size_and_time_stay(data):
    extract(data)
    zero_middle(data / "videos/a.mp4")
    store, report = extract(data)
    assert (report.made, report.present) == (["a"], ["b"])
    assert verify(store, open_dataset(data)).faults == []
    assert extract(data)[1].present == ["a", "b"]


def test_five_replaced_crops_are_noticed(data):
    extract(data)
    for number in (3, 4, 5, 7, 8):
        path = data / f"cropped/b/{number:05d}.jpg"
        status = path.stat()
        path.write_bytes((data / "cropped/b/00010.jpg").read_bytes())
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert extract(data)[1].made == ["b"]


def test_a_clip_whose_files_only_look_new_is_not_made_again_and_not_read_twice(data, read_contents):
    extract(data)
    os.utime(data / "videos/a.mp4", (1, 1))
    (data / "cropped/a/Thumbs.db").touch()
    read_contents.clear()
    assert extract(data)[1].made == []
    assert extract(data)[1].made == []
    assert read_contents == ["a"]


def test_without_what_the_store_remembers_the_content_decides(data, read_contents):
    store, _ = extract(data)
    for path in (store.root / "media").iterdir():
        path.write_text("{" if path.stem == "a" else '{"stamp": 1}')
    zero_middle(data / "videos/b.mp4")
    assert extract(data)[1].made == ["b"]


@pytest.fixture
def of_earlier_version(data, monkeypatch):
    """The data set, extracted as earlier versions did: the clocks name a hash of parts of the files."""
    monkeypatch.setattr(fingerprint, "EDGE_BYTES", 10)
    with monkeypatch.context() as patch:
        patch.setattr(sources, "fingerprint", old_fingerprint)
        store, _ = extract(data)
    for path in (store.root / "media").iterdir():
        path.unlink()
    return data


def test_a_store_of_an_earlier_version_is_not_made_again_and_that_is_said_once(of_earlier_version, caplog):
    data = of_earlier_version
    report = verify(FeatureStore(data.parent / "store"), open_dataset(data))
    assert (report.faults, report.num_partly_compared) == ([], 2)
    assert "2 clips were extracted by an earlier version: only the size and parts" in str(report)
    assert extract(data)[1].present == ["a", "b"]
    assert caplog.messages == [
        "2 clips were extracted by an earlier version, which recorded only parts of their media and images; these are "
        "the same, so the clips are not extracted again. From now on every change is noticed"
    ]
    caplog.clear()
    assert extract(data)[1].present == ["a", "b"]
    assert caplog.messages == []
    zero_middle(data / "videos/a.mp4")  # of which the earlier version would have seen nothing
    assert extract(data)[1].made == ["a"]


def test_in_a_store_of_an_earlier_version_a_change_that_it_would_have_seen_is_noticed(of_earlier_version):
    (of_earlier_version / "cropped/a/00001.jpg").write_bytes(b"other")
    assert extract(of_earlier_version)[1].made == ["a"]


def change_while_reading(monkeypatch, path, num_times):
    """Replace the file at the end of each of the first ``num_times`` readings of clip a."""
    real, left = reading.read_clip, [num_times]

    def read(request, *others):
        result = real(request, *others)
        if request.clip.clip_id == "a" and left[0]:
            left[0] -= 1
            write(path, range(200 - left[0], 0, -20))
        return result

    monkeypatch.setattr(readers, "read_clip", read)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    for name in "ab":
        write(tmp_path / f"{name}.mp4", range(20, 220, 20))
    change_while_reading(monkeypatch, tmp_path / "a.mp4", 1)
    store, report = store_of(Brightness(), tmp_path, tmp_path / "store")
    assert (sorted(report.made), report.failed) == (["a", "b"], [])
    rows = light(store, "a").values[:, 0]
    assert rows[0] > 150 > rows[-1]  # of the new file, from bright to dark
    assert len(rows) == 10
    assert verify(store, open_dataset(tmp_path)).faults == []


def test_a_file_that_changes_again_and_again_fails_alone_and_is_made_when_it_is_complete(tmp_path, monkeypatch):
    for name in "ab":
        write(tmp_path / f"{name}.mp4", range(20, 220, 20))
    with monkeypatch.context() as patch:
        change_while_reading(patch, tmp_path / "a.mp4", 2)
        store, report = store_of(Brightness(), tmp_path, tmp_path / "store")
    assert report.made == ["b"]
    (failure,) = report.failed
    assert (failure.clip, failure.stage) == ("a", "read")
    assert "its files changed twice while they were read: wait until they are complete" in failure.reason
    assert not list(store.root.glob("*/a.*"))
    assert store_of(Brightness(), tmp_path, tmp_path / "store")[1].made == ["a"]


def test_images_that_change_while_they_are_read_are_read_again(data, monkeypatch):
    real, counts = reading.read_clip, []

    def read(request, *others):
        counts.append(request.clip.clip_id)
        result = real(request, *others)
        if counts.count("a") == 1 and counts[-1] == "a":
            (data / "cropped/a/00002.jpg").unlink()
        return result

    monkeypatch.setattr(readers, "read_clip", read)
    _, report = extract(data)
    assert sorted(report.made) == ["a", "b"]
    assert sorted(counts) == ["a", "a", "b"]
