"""`abaw check` finds what an extraction will lose, and says it in the line that the extraction says."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.dataset_check.check import check
from extract.media import Sound
from tests.support.extract.drawn_clips import picture, run, tone, write_images, write_video

FACE = picture((60, 40, 30))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("check") / "data"
    for name in ("empty", "cut", "silent", "from_0", "names", "odd"):
        sound = Sound(np.zeros(9600, np.float32), 16000, 0.0) if name == "silent" else tone(0.6)
        write_video(root / f"videos/{name}.mp4", [FACE] * 15, sound)
        write_images(root / f"crops/{name}", range(15) if name == "from_0" else range(1, 16))
    for number in range(1, 16):
        (root / f"crops/empty/{number:05d}.jpg").write_bytes(b"")
        path = root / f"crops/odd/{number:05d}.jpg"
        path.rename(path.with_name(f"OpenFace {number}.jpg"))
    for number in (2, 5):
        path = root / f"crops/cut/{number:05d}.jpg"
        path.write_bytes(path.read_bytes()[:-30])
    (root / "crops/names/00003.png").write_bytes((root / "crops/names/00003.jpg").read_bytes())
    (root / "crops/names/00004.jpg").unlink()
    (root / "plots").mkdir()
    (root / "plots/run-a.png").touch()
    return root


@pytest.fixture(scope="module")
def report(data):
    return check(open_dataset(data))


FINDINGS = {
    ("empty_images", "empty"): "15 of 15 face images hold 0 bytes",
    ("damaged_images", "cut"): "2 of 15 face images are cut off or no images",
    ("silent_sound", "silent"): "its sound is silent",
    ("numbered_from_0", "from_0"): "the face images in {data}/crops/from_0 are numbered from 0",
    ("unread_images", "names"): (
        "1 images in {data}/crops/names are not read, as 00003.png: their names give no frame, or one that has another "
        "image; 14 are read"
    ),
    ("unread_images", "odd"): (
        "15 images in {data}/crops/odd are not read, as OpenFace 1.jpg: their names give no frame, or one that has "
        "another image; 0 are read"
    ),
    ("unread_images", None): "{data}/plots holds 1 images whose names give no frame, and is named as no clip",
}
CODES = {code for code, _ in FINDINGS}


def test_each_loss_is_a_finding_with_its_numbers(data, report):
    found = {(each.code, each.clip): each.message for each in report.findings if each.code in CODES}
    assert found == {key: message.format(data=data) for key, message in FINDINGS.items()}


def test_the_line_is_that_of_the_extraction(data, report, tmp_path):
    lines = {facts.clip: str(facts.losses) for facts in report.clips if facts.losses}
    extracted = run(data, tmp_path / "store", num_readers=1)
    assert lines == {clip: str(lost) for clip, lost in extracted.losses.items() if clip != "odd"} | {
        "odd": "no face image in any of 15 frames; " + str(extracted.losses["odd"])
    }
    assert lines["empty"] == "no face image in any of 15 frames; 15 face images empty (0 bytes)"


def test_text_and_json_hold_the_losses(report):
    lines = str(report).splitlines()
    first = lines.index(next(line for line in lines if "clips have losses" in line))
    assert lines[first].startswith("6 of 6 clips have losses: ")
    assert lines[first + 1].startswith("  empty: no face image in any of 15 frames")
    document = json.loads(json.dumps(asdict(report), allow_nan=False))
    assert {clip["clip"]: clip["num_empty"] for clip in document["clips"]}["empty"] == 15
    assert next(clip for clip in document["clips"] if clip["clip"] == "silent")["losses"]["sound"]["state"] == "silent"


@pytest.mark.parametrize(
    ("name", "line"),
    [("nasty/silent_audio_track.mp4", "the sound is silent"), ("nasty/no_audio_track.mp4", "no sound"),
     ("clips/1001_DFA_HAP_XX.flv", "")],
)  # fmt: skip
def test_the_sound_of_real_clips_is_looked_at(media, name, line):
    (facts,) = check(open_dataset(media / name)).clips
    assert str(facts.losses) == line
