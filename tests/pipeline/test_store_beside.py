"""Several commands on one store at a time, and a store that can only be read."""

import errno
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from abaw.dataset.layout import open_dataset
from abaw.errors import InputError
from abaw.pipelines import extraction
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.store import prune as pruning
from extract.store.store import FeatureStore
from extract.store.verify import verify
from tests.support.extract.many_clips import Brightness, files_of, light, store_of, target, write


def can(*options):
    """Whether namespaces of this kind can be made here."""
    unshare = shutil.which("unshare")
    return bool(unshare) and subprocess.run([unshare, *options, "true"], check=False).returncode == 0


def write_clips(folder, lights=range(20, 220, 20)):
    for name in "abcdef":
        write(folder / f"{name}.mp4", lights, 0.5)
    return folder


def tracks_of(store):
    """Name -> content of every file but what the store remembers about the media."""
    return {name: content for name, content in files_of(Path(store)).items() if not name.startswith("media/")}


def run_both(*commands):
    """The numbers of clips that each of two processes made."""
    both = [
        subprocess.Popen(
            [*before, sys.executable, "-m", "abaw", "-q", *map(str, words)], stdout=subprocess.PIPE, text=True
        )
        for before, words in commands
    ]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    return [int(output.split(": ")[1].split(" ")[0]) for output in outputs]


@pytest.mark.skipif(not can("--pid", "--fork"), reason="no namespace of processes can be made here")
def test_processes_of_two_namespaces_extract_each_clip_once(tmp_path):
    data = write_clips(tmp_path / "data")
    command = ["extract", data, "--store", tmp_path / "store", "--encoder", "voice_mel"]
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    assert sum(run_both((unshare, command), (unshare, command))) == 6
    extraction.extract(data, tmp_path / "alone", "voice_mel")
    assert tracks_of(tmp_path / "store") == tracks_of(tmp_path / "alone")


def test_extractions_of_different_features_share_the_clocks_and_mix_nothing(tmp_path):
    data = write_clips(tmp_path / "data")
    command = ["extract", data, "--store", tmp_path / "store", "--encoder"]
    assert run_both(([], [*command, "voice_mel"]), ([], [*command, "voice_mel:stored_dtype=float32,as=wide"])) == [6, 6]
    store = FeatureStore(tmp_path / "store")
    assert verify(store, open_dataset(data)).faults == []
    assert sorted(path.name.split("-")[0] for path in store.root.iterdir()) == ["clock", "media", "voice_mel", "wide"]


def test_pruning_beside_an_extraction_removes_nothing_that_it_makes(tmp_path):
    data = write_clips(tmp_path / "data")
    store, _ = store_of(Brightness(), data, tmp_path / "store")
    write_clips(data, range(200, 0, -20))  # all that the store holds is outdated now
    ended = threading.Event()

    def prune_again_and_again():
        while not ended.is_set():
            pruning.prune(store, yes=True)

    pruner = threading.Thread(target=prune_again_and_again)
    pruner.start()
    try:
        _, report = store_of(Brightness(), data, tmp_path / "store")
    finally:
        ended.set()
        pruner.join()
    assert (sorted(report.made), report.failed) == (list("abcdef"), [])
    assert all(light(store, name).values[0, 0] > 150 for name in "abcdef")
    assert verify(store, open_dataset(data)).faults == []
    assert not list(store.root.rglob(".*"))


@pytest.fixture
def sealed(tmp_path, monkeypatch):
    """A data set of which a store, in which nothing can be written any more, has the features."""
    data = write_clips(tmp_path / "data")
    store_of(Brightness(), data, tmp_path / "store")
    (tmp_path / "data/a.mp4").touch()  # so that there is something to remember

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    mkdir = Path.mkdir
    monkeypatch.setattr(
        Path, "mkdir", lambda path, *a, **k: (refuse if tmp_path / "store" in path.parents else mkdir)(path, *a, **k)
    )
    return data


def test_a_store_that_can_only_be_read_serves_an_extraction_with_nothing_to_do(sealed):
    before = files_of(sealed.parent / "store")
    _, report = store_of(Brightness(), sealed, sealed.parent / "store")
    assert sorted(report.present) == list("abcdef")
    assert files_of(sealed.parent / "store") == before


def test_a_store_that_can_only_be_read_and_lacks_features_is_an_error_that_says_so(sealed):
    spec = EncoderSpec("other", Brightness(span=2), "float32")
    with pytest.raises(
        InputError, match=r"store can only be read, and it lacks tracks of clip '\w': give another --store"
    ):
        extract(open_dataset(sealed), FeatureStore(sealed.parent / "store"), [spec], target())


@pytest.mark.skipif(not can("--mount"), reason="no file system can be mounted here")
def test_commands_read_a_store_on_a_file_system_that_can_only_be_read(tmp_path):
    data, store = write_clips(tmp_path / "data"), tmp_path / "store"
    words = ["extract", data, "--store", store, "--encoder", "voice_mel"]
    extraction.extract(data, store, "voice_mel")
    command = " ".join(map(str, [sys.executable, "-m", "abaw", *words]))
    script = f"mount --bind {store} {store} && mount -o remount,ro,bind {store} && {command}"
    found = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=True)
    assert "0 clips extracted, 6 done before, 0 failed" in found.stdout
