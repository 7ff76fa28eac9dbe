"""Extraction of many clips: batches, threads, processes, machines, and continuing after a kill."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from abaw.dataset.layout import open_dataset
from extract import media
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.faces.detectors import FaceDetector
from extract.faces.geometry import Box, Crop, Face
from extract.faces.target import TargetConfig
from extract.media import Sound
from extract.store.store import FeatureStore, read_failures
from extract.synthetic.write_clip import write_clip

FPS = 25


class Corner(FaceDetector):
    """A test detector: a face at the same place in every picture that is not black."""

    def detect(self, picture):
        return [Face(Box(10, 10, 40, 40))] if picture.max() > 60 else []

    def recipe(self):
        return {"finder": "corner", "settings": {}, "version": 1}


class Brightness(PictureEncoder):
    """A test encoder: the mean brightness of the pictures of a row; it records its batches."""

    def __init__(self, crop=None, batch_size=8, span=1, stride=1):
        self.crop, self.batch_size, self.span, self.stride, self.dim = crop, batch_size, span, stride, 2
        self.batches = []

    def recipe(self):
        return {"encoder": "brightness", "settings": {"span": self.span, "stride": self.stride}, "version": 1}

    def prepare(self, pictures):
        light = np.array([picture.mean() for picture in pictures], np.float32).reshape(-1, self.span)
        return np.stack([light.mean(axis=1), light[:, 0]], axis=1)

    def forward(self, batch):
        self.batches.append(len(batch))
        return batch


def target():
    return TargetConfig(Corner(), detect_every=1)


def grey(light):
    return np.full((64, 80, 3), light, np.uint8)


def write(path, lights, seconds_of_sound=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds_of_sound * 16000)) / 16000
    sound = Sound((0.3 * np.sin(2 * np.pi * 200 * t)).astype(np.float32), 16000, 0.0) if len(t) else None
    write_clip(path, [grey(light) for light in lights], np.arange(len(lights)) / FPS, sound)


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """Six clips of 10, 11 ... 15 pictures, each with its own brightness."""
    folder = tmp_path_factory.mktemp("six")
    for i in range(6):
        write(folder / f"c{i}.mp4", [80 + 20 * i] * (10 + i), 0.6)
    return folder


def store_of(encoder, data, folder, **options):
    store = FeatureStore(folder)
    report = extract(open_dataset(data), store, [EncoderSpec("light", encoder, "float32")], target(), **options)
    return store, report


def light(store, clip_id):
    return store.get(store.find("light"), clip_id)


def files_of(folder):
    """Path -> content of every file, hidden ones included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_batches_fill_across_clips_and_only_the_last_is_short(six, tmp_path):
    encoder = Brightness(batch_size=8)
    store, report = store_of(encoder, six, tmp_path)
    assert sorted(report.made) == [f"c{i}" for i in range(6)]
    assert sorted(encoder.batches, reverse=True) == [8] * 9 + [3]  # 75 pictures
    for i in range(6):
        values = light(store, f"c{i}").values
        assert len(values) == 10 + i
        assert np.abs(values - (80 + 20 * i)).max() < 4


def test_batch_size_readers_and_order_change_nothing(six, tmp_path):
    whole, _ = store_of(Brightness(), six, tmp_path / "a")
    for name, encoder, options in (
        ("b", Brightness(batch_size=1), {}),
        ("c", Brightness(batch_size=1000), {"num_readers": 4}),
        ("d", Brightness(), {"clip_ids": ["c5", "c0", "c3", "c1", "c4", "c2"], "num_readers": 3}),
    ):
        store_of(encoder, six, tmp_path / name, **options)
        assert files_of(tmp_path / name) == files_of(whole.root)


def test_pictures_and_sound_are_decoded_once_for_all_encoders(six, tmp_path, monkeypatch):
    opened = []
    real = media._decode

    def counted(container, stream, counts):
        opened.append((Path(container.name).name, stream.type))
        return real(container, stream, counts)

    monkeypatch.setattr(media, "_decode", counted)
    encoders = [
        EncoderSpec("a", Brightness()),
        EncoderSpec("b", Brightness(Crop(16), span=2)),
        EncoderSpec("c", Brightness(Crop(32))),
    ]
    sounds = [EncoderSpec("voice", ENCODERS.build("voice_mel"))]
    extract(open_dataset(six / "c0.mp4"), FeatureStore(tmp_path), encoders + sounds, target())
    assert sorted(opened) == [("c0.mp4", "audio"), ("c0.mp4", "video")]


def test_a_stored_clock_is_not_decoded_again_for_a_sound_encoder(six, tmp_path, monkeypatch):
    store, _ = store_of(Brightness(), six, tmp_path)
    monkeypatch.setattr(media, "pictures", lambda *_: pytest.fail("pictures were decoded"))
    before = files_of(tmp_path / "clock")
    report = extract(open_dataset(six), store, [EncoderSpec("voice", ENCODERS.build("voice_mel"))], target())
    assert len(report.made) == 6
    assert files_of(tmp_path / "clock") == before
    assert len(store.get(store.find("voice"), "c0")) > 50


def test_a_clip_that_an_encoder_refuses_affects_no_other_in_its_batch(six, tmp_path):
    class Picky(Brightness):
        def forward(self, batch):
            if (np.abs(batch[:, 0] - 120) < 5).any():
                raise RuntimeError("not this one")
            return super().forward(batch)

    store, report = store_of(Picky(batch_size=64), six, tmp_path)
    assert [(each.clip, each.stage) for each in report.failed] == [
        ("c2", f"encode {store.folder(store.find('light')).name}")
    ]
    assert sorted(report.made) == ["c0", "c1", "c3", "c4", "c5"]
    assert np.abs(light(store, "c3").values - 140).max() < 4


def test_a_value_of_nan_is_an_error_with_its_row_and_column(six, tmp_path):
    class Broken(Brightness):
        def forward(self, batch):
            rows = batch.copy()
            rows[np.abs(batch[:, 0] - 120) < 5, 1] = np.nan
            return rows

    store, report = store_of(Broken(batch_size=64), six, tmp_path)
    (failure,) = report.failed
    assert failure.clip == "c2"
    assert re.search(r"the encoder light gave nan \(row 0, column 1\), expected finite numbers", failure.reason)
    assert not list(store.root.glob("light-*/c2*"))


def test_a_row_of_nan_of_an_encoder_that_may_miss_is_unobserved(six, tmp_path):
    class Shy(Brightness):
        may_miss = True
        num = 0

        def forward(self, batch):
            rows = batch.copy()
            rows[(np.arange(len(batch)) + self.num) % 3 == 0] = np.nan
            self.num += len(batch)
            return rows

    store, _ = store_of(Shy(batch_size=4), six / "c1.mp4", tmp_path)
    track = light(store, "c1")
    assert track.observed.tolist() == [row % 3 != 0 for row in range(11)]
    assert not track.values[~track.observed].any()


def test_a_row_of_several_pictures_is_at_their_middle_and_observed_if_all_of_them_are(tmp_path):
    lights = [80, 90, 100, 110, 20, 120, 130, 140, 150, 160]  # the fifth has no face
    write(tmp_path / "a.mp4", lights)
    store, _ = store_of(Brightness(Crop(16), span=3, stride=2), tmp_path / "a.mp4", tmp_path / "store")
    track = light(store, "a")
    assert track.times_s == pytest.approx(np.array([1, 3, 5, 7]) / FPS, abs=1e-4)
    assert track.observed.tolist() == [True, False, False, True]
    assert track.values[0] == pytest.approx([90, 80], abs=4)
    assert track.values[3] == pytest.approx([140, 130], abs=4)


def test_a_clip_shorter_than_a_row_has_a_track_without_rows(tmp_path):
    write(tmp_path / "a.mp4", [80, 90])
    store, report = store_of(Brightness(span=3), tmp_path / "a.mp4", tmp_path / "store")
    assert report.made == ["a"]
    assert light(store, "a").values.shape == (0, 2)


def test_rows_of_several_images_do_not_span_a_missing_image(tmp_path):
    import cv2

    write(tmp_path / "videos/v.mp4", [200] * 9)
    (tmp_path / "cropped/v").mkdir(parents=True)
    for number in (1, 2, 3, 5, 6, 7, 8):
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), grey(10 * number))
    store, _ = store_of(Brightness(Crop(16), span=3), tmp_path, tmp_path / "store")
    track = light(store, "v")
    assert track.times_s == pytest.approx(np.array([1, 5, 6]) / FPS, abs=1e-4)
    assert track.values[:, 0] == pytest.approx([20, 60, 70], abs=4)


def test_frames_without_a_face_image_can_be_filled_from_the_video_and_are_marked(tmp_path):
    import cv2

    write(tmp_path / "videos/v.mp4", [200, 200, 200, 20, 200])
    (tmp_path / "cropped/v").mkdir(parents=True)
    for number in (1, 3, 7):
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), grey(100))
    plain, _ = store_of(Brightness(Crop(16)), tmp_path, tmp_path / "plain")
    assert len(light(plain, "v")) == 3
    store, _ = store_of(Brightness(Crop(16)), tmp_path, tmp_path / "filled", fill=True)
    track = light(store, "v")
    assert track.times_s == pytest.approx(np.array([0, 1, 2, 4, 6]) / FPS, abs=1e-4)  # the fourth shows no face
    assert track.values[:, 0] == pytest.approx([100, 200, 100, 200, 100], abs=4)
    assert store.find("light")["fill_missing_faces"] is True
    assert store.folder(store.find("light")).name != plain.folder(plain.find("light")).name
    with safe_open(store.folder(store.find("light")) / "v.safetensors", framework="numpy") as file:
        assert file.get_tensor("filled").tolist() == [False, True, False, True, False]
        assert file.metadata()["crops"] == "organisers and filled"


def test_two_encoders_of_one_name_are_an_error_on_the_command_line():
    from abaw.pipelines.extraction import build

    with pytest.raises(ValueError, match="two encoders are named 'face_hog': give one of them another name with as="):
        build(["face_hog", "face_hog:margin=0.3"], "haar", "largest", 5, "cpu", False)


def test_an_unknown_clip_and_zero_readers_are_errors(six, tmp_path):
    with pytest.raises(ValueError, match="has no clip 'x': `abaw check` lists its clips"):
        store_of(Brightness(), six, tmp_path, clip_ids=["x"])
    with pytest.raises(ValueError, match="--readers is 0, expected 1 or more"):
        store_of(Brightness(), six, tmp_path, num_readers=0)


@pytest.mark.parametrize("num_before", [0, 1, 3])
def test_a_crash_of_a_reader_is_raised_and_leaves_no_lease(six, tmp_path, monkeypatch, num_before):
    prepare, calls = Brightness.prepare, []

    def crash(self, pictures):
        calls.append(len(pictures))
        if len(calls) > num_before:
            raise KeyboardInterrupt
        return prepare(self, pictures)

    monkeypatch.setattr(Brightness, "prepare", crash)
    monkeypatch.setattr("extract.engine.streams.MAX_ROWS_PER_MESSAGE", 4)
    with pytest.raises(KeyboardInterrupt):
        store_of(Brightness(), six, tmp_path)
    assert not (tmp_path / ".leases").exists()


def test_decoded_frames_that_differ_from_the_stored_clock_are_an_error(six, tmp_path, monkeypatch):
    store, _ = store_of(Brightness(), six / "c0.mp4", tmp_path)
    real = media.pictures
    monkeypatch.setattr(media, "pictures", lambda *words: list(real(*words))[1:])
    specs = [EncoderSpec("other", Brightness(span=2), "float32")]
    (failure,) = extract(open_dataset(six / "c0.mp4"), store, specs, target()).failed
    assert failure.stage == "clock"
    assert "9 frames were decoded, but the stored clock has 10 or other times" in failure.reason
    (tmp_path / "clock/c0.safetensors").unlink()  # as it advises: then all of the clip is made anew
    specs += [EncoderSpec("light", Brightness(), "float32")]
    assert extract(open_dataset(six / "c0.mp4"), store, specs, target()).made == ["c0"]
    assert len(light(store, "c0")) == len(store.clock("c0")) == 9


def test_without_a_video_encoders_of_whole_pictures_take_the_face_images(tmp_path):
    import cv2

    (tmp_path / "videos").mkdir()
    tone = Sound((0.3 * np.sin(np.arange(16000) / 10)).astype(np.float32), 16000, 0.0)
    write_clip(tmp_path / "videos/v.mkv", [], [], tone)
    (tmp_path / "cropped/v").mkdir(parents=True)
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), grey(100))
    store, _ = store_of(Brightness(), tmp_path, tmp_path / "store", assume_fps=25)
    assert len(light(store, "v")) == 3
    _, again = store_of(Brightness(), tmp_path, tmp_path / "store", assume_fps=25)
    assert again.present == ["v"]


def test_the_source_of_the_faces_does_not_depend_on_which_other_tracks_were_missing(tmp_path):
    import cv2

    write(tmp_path / "videos/v.mp4", [200] * 4, 0.2)
    (tmp_path / "cropped/v").mkdir(parents=True)
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), grey(100))
    encoders = [
        EncoderSpec("face", Brightness(Crop(16))),
        EncoderSpec("scene", Brightness()),
        EncoderSpec("voice", ENCODERS.build("voice_mel")),
    ]
    whole, parts = FeatureStore(tmp_path / "whole"), FeatureStore(tmp_path / "parts")
    extract(open_dataset(tmp_path), whole, encoders, target())
    for each in encoders:
        extract(open_dataset(tmp_path), parts, [each], target())
    assert files_of(parts.root) == files_of(whole.root)
    crops = {}
    for name in ("face", "scene"):
        with safe_open(whole.folder(whole.find(name)) / "v.safetensors", framework="numpy") as file:
            crops[name] = file.metadata().get("crops")
    assert crops == {"face": "organisers", "scene": None}


def test_a_read_error_of_one_clip_does_not_stop_the_others(six, tmp_path, monkeypatch):
    import errno

    from extract.engine import plan

    real = plan.fingerprint

    def broken(clip, numbers):
        if clip.clip_id == "c0":
            raise OSError(errno.EIO, "Input/output error")
        return real(clip, numbers)

    monkeypatch.setattr(plan, "fingerprint", broken)
    _, report = store_of(Brightness(), six, tmp_path)
    assert [failure.clip for failure in report.failed] == ["c0"]
    assert len(report.made) == 5


def test_a_failed_clip_with_a_name_that_is_not_utf8_is_recorded(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9\xc2\x85.mp4")).write_text("no film")
    write(tmp_path / "a.mp4", [80])
    store, report = store_of(Brightness(), tmp_path, tmp_path / "store")
    assert report.made == ["a"]
    failures = read_failures(store.folder(store.find("light")))
    assert [failure.clip for failure in failures] == [os.fsdecode(b"caf\xe9\xc2\x85")]
    assert len(store_of(Brightness(), tmp_path, tmp_path / "store")[1].failed) == 1


def test_the_folder_depends_on_the_content_of_weights_and_not_on_their_place(tmp_path):
    store = FeatureStore(tmp_path)
    recipe = {"name": "x", "encoder": "e", "settings": {"file": "a", "k": 1}, "weights": "1", "found_at": ["file"]}
    faces = {"finder": "f", "settings": {"file": "a"}, "weights": "1", "found_at": ["file"]}
    recipe["faces"] = faces
    moved = {**recipe, "settings": {"file": "b", "k": 1}, "faces": {**faces, "settings": {"file": "c"}}}
    assert store.folder(moved) == store.folder(recipe)
    for other in ({"weights": "2"}, {"settings": {"file": "a", "k": 2}}, {"faces": {**faces, "weights": "2"}}):
        assert store.folder({**recipe, **other}) != store.folder(recipe)


def test_a_full_disk_stops_the_run_at_every_stage(six, tmp_path, monkeypatch):
    import errno

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in ("extract.store.track_file.tempfile.TemporaryFile", "extract.store.track_file.atomic_write"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(OSError, match="No space left"):
                store_of(Brightness(), six, tmp_path)
        assert not list(tmp_path.glob("light-*/*.safetensors"))
    _, report = store_of(Brightness(), six, tmp_path)
    assert len(report.made) == 6


MEMORY = """
import sys, threading, time
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_scale import Brightness, Corner
from abaw.dataset.layout import open_dataset
from extract.encoders import ENCODERS
from extract.faces.target import TargetConfig
from extract.engine.run import extract
from extract.engine.plan import EncoderSpec
from extract.store.store import FeatureStore

class Wide(Brightness):
    def __init__(self):
        super().__init__()
        self.dim = 8192
    def forward(self, batch):
        return np.repeat(batch[:, :1], self.dim, axis=1)

def anonymous_mb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024

peak, ended = 0.0, threading.Event()
def look():
    global peak
    while not ended.wait(0.005):
        peak = max(peak, anonymous_mb())
encoders = [EncoderSpec("wide", Wide()), EncoderSpec("voice", ENCODERS.build("voice_mel"))]
target = TargetConfig(Corner(), detect_every=1)
extract(open_dataset(Path(sys.argv[2])), FeatureStore(Path(sys.argv[4])), encoders, target)  # warm up
thread = threading.Thread(target=look)
thread.start()
report = extract(open_dataset(Path(sys.argv[3])), FeatureStore(Path(sys.argv[4])), encoders, target)
ended.set()
thread.join()
assert len(report.made) == 1, report
print(peak)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is read from Linux's /proc")
def test_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path):
    peaks_mb = {}
    (tmp_path / "warm").mkdir()
    write(tmp_path / "warm/w.mp4", [80] * 50, 2.0)
    for name, seconds in (("short", 20), ("long", 300)):
        (tmp_path / name).mkdir()
        write(tmp_path / f"{name}/{name}.mp4", [80] * (seconds * FPS), float(seconds))
        words = [
            str(Path(__file__).parent),
            str(tmp_path / "warm"),
            str(tmp_path / name),
            str(tmp_path / f"store_{name}"),
        ]
        done = subprocess.run([sys.executable, "-c", MEMORY, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks_mb[name] = float(done.stdout)
    # held in memory, the rows alone would be 246 MB and the samples 19 MB
    assert peaks_mb["long"] - peaks_mb["short"] < 60


def abaw(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "abaw", "-q", *map(str, words)], stdout=subprocess.PIPE, text=True, **options
    )


def test_four_processes_on_one_store_extract_each_clip_once(six, tmp_path):
    words = ("extract", six, "--store", tmp_path / "store", "--encoder", "face_hog", "--encoder", "voice_mel")
    four = [abaw(*words) for _ in range(4)]
    said = [each.communicate()[0] for each in four]
    assert [each.returncode for each in four] == [0, 0, 0, 0]
    made, present = (
        sum(int(re.search(rf"(\d+) {what}", text)[1]) for text in said) for what in ("clips extracted", "done")
    )
    assert (made, present) == (6, 18)
    alone = abaw("extract", six, "--store", tmp_path / "alone", "--encoder", "face_hog", "--encoder", "voice_mel")
    assert alone.wait() == 0
    alone.stdout.close()
    assert files_of(tmp_path / "store") == files_of(tmp_path / "alone")


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
from abaw.dataset.layout import open_dataset
from extract.encoders import ENCODERS
from extract.faces.detectors import Haar
from extract.faces.target import TargetConfig
from extract.engine.run import extract
from extract.engine.plan import EncoderSpec
from extract.store.store import FeatureStore
import torch

data, root = Path(sys.argv[1]), Path(sys.argv[2])

def work():
    encoders = [EncoderSpec(name, ENCODERS.build(name)) for name in ("face_hog", "voice_mel")]
    return extract(open_dataset(data), FeatureStore(root), encoders, TargetConfig(Haar(4, 0.1)), num_readers=2)

def done():
    return {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors") if not path.name.startswith(".")}

rng, num_kills, again = random.Random(7), 0, 0
while num_kills < 20:
    before = done()
    pid = os.fork()  # everything is imported: the child is at work at once
    if pid == 0:
        work()
        os._exit(0)
    time.sleep(rng.uniform(0.02, 0.5))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    now = done()
    again += sum(now[path] != then for path, then in before.items())
    if os.WIFSIGNALED(status):
        num_kills += 1
    else:  # it was done before the kill: begin anew, for kills in the middle
        for path in now:
            path.unlink()
report = work()
print(num_kills, again, len(report.failed))
"""


def test_after_twenty_kills_the_store_is_identical_and_nothing_was_extracted_twice(tmp_path):
    for i in range(8):
        write(tmp_path / f"data/c{i}.mp4", [80 + 10 * i] * 60, 2.4)
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path / "data"), str(tmp_path / "store")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "20 0 0\n"
    words = ("extract", tmp_path / "data", "--store", tmp_path / "whole", "--encoder", "face_hog")
    with_cli = abaw(*words, "--encoder", "voice_mel")
    assert with_cli.wait() == 0
    with_cli.stdout.close()
    assert files_of(tmp_path / "store") == files_of(tmp_path / "whole")


def test_shards_are_disjoint_and_complete_and_keep_both_subjects_of_a_video_together(tmp_path):
    from abaw.pipelines.extraction import shard_of

    (tmp_path / "videos").mkdir()
    labels = tmp_path / "notes/VA_Estimation_Challenge/Train_Set"
    labels.mkdir(parents=True)
    for i in range(7):
        (tmp_path / f"videos/v{i}.mp4").touch()
        for side in ("_left", "_right") if i % 2 else ("",):
            (labels / f"v{i}{side}.txt").write_text("valence,arousal\n0,0\n")
    dataset = open_dataset(tmp_path)
    shards = [shard_of(dataset, f"{part}/3") for part in (1, 2, 3)]
    assert sorted(clip for shard in shards for clip in shard) == sorted(dataset.clips)
    assert all(shards)
    for shard in shards:
        assert all(clip.replace("_left", "_right") in shard for clip in shard if clip.endswith("_left"))
    assert shard_of(dataset, None) == list(dataset.clips)
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(ValueError, match="expected I/N with I from 1 to N, as 3/8"):
            shard_of(dataset, wrong)


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


def test_a_track_carries_the_checksum_of_its_content(six, tmp_path):

    store, _ = store_of(Brightness(), six, tmp_path)
    path = store.folder(store.find("light")) / "c3.safetensors"
    with safe_open(path, framework="numpy") as file:
        checksum = file.metadata()["sha256"]
    content = path.read_bytes()
    assert hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest() == checksum


RAY = """
import sys, threading, time
from functools import partial
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from abaw.dataset.layout import open_dataset
from abaw.pipelines.extraction import build
from extract.engine.ray import extract_on_ray
from extract.store.store import FeatureStore

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
killed = threading.Event()

def progress(clip_id, done, total):
    if not killed.is_set():  # the first clips are done: the other worker is in the middle of its own
        killed.set()
        cluster.remove_node(nodes[0], allow_graceful=False)

report = extract_on_ray(
    open_dataset(Path(sys.argv[1])), FeatureStore(Path(sys.argv[2])),
    partial(build, ["face_hog", "voice_mel"], "haar", "largest", 5, "cpu", False),
    list(open_dataset(Path(sys.argv[1])).clips), address=cluster.address, num_workers=2, progress=progress,
)
done = sorted({*report.made, *report.present})
print(killed.is_set(), done == sorted(open_dataset(Path(sys.argv[1])).clips), len(report.failed))
"""


@pytest.mark.timeout(600)
def test_no_clip_is_lost_when_a_ray_node_is_killed(six, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    data = tmp_path / "data"
    data.mkdir()
    for i in range(24):
        (data / f"c{i:02d}.mp4").symlink_to(six / f"c{i % 6}.mp4")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", RAY, str(data), str(tmp_path / "store")], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "True True 0" in done.stdout.splitlines(), done.stdout  # Ray may say more
    alone = abaw("extract", data, "--store", tmp_path / "alone", "--encoder", "face_hog", "--encoder", "voice_mel")
    assert alone.wait() == 0
    alone.stdout.close()
    store, whole = files_of(tmp_path / "store"), files_of(tmp_path / "alone")
    assert {name: content for name, content in store.items() if ".leases" not in name} == whole


def test_a_recipes_folder_does_not_depend_on_the_order_of_its_keys(six, tmp_path):
    store, _ = store_of(Brightness(), six / "c0.mp4", tmp_path)
    recipe = store.find("light")
    assert store.folder(json.loads(json.dumps(dict(reversed(recipe.items()))))) == store.folder(recipe)
