"""Extraction of a data set with a manifest: parts of files, rates of its own, still pictures."""

import wave

import cv2
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.encoders import ENCODERS
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.faces.geometry import Crop
from extract.store.store import FeatureStore
from tests.support.abaw.manifests import write_manifest
from tests.support.extract.many_clips import Brightness, grey, light, store_of, target, write

LIGHTS = [80, 90, 100, 110, 120, 130, 140, 150, 160, 170]


def write_set(folder, table, keys=""):
    write(folder / "a.mp4", LIGHTS, 0.4)
    with wave.open(str(folder / "b.wav"), "wb") as out:
        out.setparams((1, 2, 16000, 16000, "NONE", ""))
        out.writeframes((9000 * np.sin(np.arange(16000) / 10)).astype("<i2").tobytes())
    return write_manifest(folder, table, keys)


def extract_sound(path, folder, **options):
    store = FeatureStore(folder)
    specs = [EncoderSpec("mel", ENCODERS.build("voice_mel"), "float32")]
    return store, extract(open_dataset(path), store, specs, target(), **options)


def test_parts_of_a_file_are_clips_at_the_times_of_the_file(tmp_path):
    path = write_set(tmp_path, "path,start_s,stop_s\na.mp4,0.1,0.22\na.mp4,0.22,\n")
    store, report = store_of(Brightness(), path, tmp_path / "store")
    assert sorted(report.made) == ["a_0.1-0.22", "a_0.22-end"]
    assert light(store, "a_0.1-0.22").times_s == pytest.approx([0.12, 0.16, 0.2], abs=1e-4)
    assert light(store, "a_0.1-0.22").values[:, 0] == pytest.approx(LIGHTS[3:6], abs=4)
    assert len(store.clock("a_0.22-end")) == 4
    assert store.clock_metadata("a_0.1-0.22")["source"].endswith("from 0.1 s to 0.22 s")
    _, again = store_of(Brightness(), path, tmp_path / "store")
    assert len(again.present) == 2


def test_another_part_is_extracted_again(tmp_path):
    path = write_set(tmp_path, "path,clip,start_s\na.mp4,x,0.1\n")
    store_of(Brightness(), path, tmp_path / "store")
    write_manifest(tmp_path, "path,clip,start_s\na.mp4,x,0.2\n", "")
    store, report = store_of(Brightness(), path, tmp_path / "store")
    assert report.made == ["x"]
    assert light(store, "x").times_s[0] == pytest.approx(0.2, abs=1e-4)


def test_a_part_after_the_end_fails_alone(tmp_path):
    path = write_set(tmp_path, "path,start_s\na.mp4,0.1\na.mp4,5\n")
    _, report = store_of(Brightness(), path, tmp_path / "store")
    assert len(report.made) == 1
    assert "no picture of" in report.failed[0].reason
    assert "last one is at 0.360 s" in report.failed[0].reason


def test_sound_of_a_part_starts_and_ends_with_it(tmp_path):
    path = write_set(tmp_path, "path,start_s,stop_s\nb.wav,0.25,0.75\n")
    store, report = extract_sound(path, tmp_path / "store")
    times_s = store.get(store.find("mel"), "b_0.25-0.75").times_s
    assert report.made
    assert times_s[0] >= 0.25
    assert times_s[-1] <= 0.75
    clock = store.clock("b_0.25-0.75").times_s
    assert clock[0] == 0.25
    assert len(clock) == 13  # half a second at 25 a second


def test_sound_without_labels_of_frames_needs_no_rate_and_its_rate_is_said(tmp_path, caplog):
    path = write_set(tmp_path, "path,fps\nb.wav,\n")
    store, _ = extract_sound(path, tmp_path / "store")
    assert len(store.clock("b")) == 25
    assert "1 clip of sound alone without a frame rate: 25 rows a second" in caplog.text
    write_manifest(tmp_path, "path,fps\nb.wav,4\n", "")
    store, report = extract_sound(path, tmp_path / "store", assume_fps=10)  # the manifest knows each clip's rate
    assert report.made == ["b"]
    assert len(store.clock("b")) == 4


@pytest.mark.parametrize(
    ("row", "frame", "message"),
    [
        ("b.wav,", 3, "its frame rate is unknown"),
        ("b.wav,4", 40, "has a label for frame 40, but the last frame"),
        ("a.mp4,", 40, "has a label for frame 40, but the last frame of the clip is 10"),
    ],
)
def test_labels_of_frames_need_a_rate_and_end_with_the_clip(tmp_path, row, frame, message):
    (tmp_path / "labels.csv").write_text(f"frame,pain\n1,0.5\n{frame},1\n")
    path = write_set(tmp_path, f"path,fps,labels\n{row},labels.csv\n", "values: {columns: [pain], range: [0, 1]}\n")
    _, report = extract_sound(path, tmp_path / "store")
    assert message in report.failed[0].reason


def test_still_pictures_are_clips_of_one_frame_in_which_faces_are_found(tmp_path):
    for name, brightness in (("one.jpg", 200), ("two.PNG", 150), ("dark.png", 20)):
        cv2.imwrite(str(tmp_path / name), grey(brightness))
    (tmp_path / "cut.png").write_bytes((tmp_path / "dark.png").read_bytes()[:60])
    path = write_manifest(tmp_path, "path\none.jpg\ntwo.PNG\ndark.png\ncut.png\n", "")
    store, report = store_of(Brightness(Crop(16)), path, tmp_path / "store")
    assert sorted(report.made) == ["dark", "one", "two"]
    assert "cut off, damaged or no picture" in report.failed[0].reason
    assert [light(store, clip).observed.tolist() for clip in ("one", "two", "dark")] == [[True], [True], [False]]
    assert light(store, "two").values[0, 0] == pytest.approx(150, abs=2)
    assert len(store.clock("one")) == 1


@pytest.mark.parametrize("given", ["photo.jpg", "."])
def test_one_photo_and_a_folder_of_photos_are_data_sets(tmp_path, given):
    cv2.imwrite(str(tmp_path / "photo.jpg"), grey(200))
    store, report = store_of(Brightness(), tmp_path / given, tmp_path / "store")
    assert report.made == ["photo"]
    assert np.isclose(light(store, "photo").values[0, 0], 200, atol=2)


def test_still_pictures_take_no_file_each_and_changed_ones_are_extracted_again(tmp_path):
    names = [f"photo {i}.png" for i in range(5)]
    for i, name in enumerate(names):
        cv2.imwrite(str(tmp_path / name), grey(100 + 20 * i))
    path = write_manifest(tmp_path, "path\n" + "\n".join(names) + "\n", "")
    store, report = store_of(Brightness(Crop(16)), path, tmp_path / "store")
    assert len(report.made) == 5
    files = [each for each in store.root.rglob("*") if each.is_file()]
    assert len(files) == 5  # of clocks, faces and features a pack, and two recipes
    _, again = store_of(Brightness(Crop(16)), path, tmp_path / "store")
    assert len(again.present) == 5
    cv2.imwrite(str(tmp_path / names[2]), grey(240))
    _, changed = store_of(Brightness(Crop(16)), path, tmp_path / "store")
    assert changed.made == ["photo 2"]
    assert [round(float(light(store, name[:-4]).values[0, 0])) for name in names] == [100, 120, 240, 160, 180]
    assert not list((store.root / "clock").glob("*.safetensors"))
