"""`abaw store` on the command line, on a small data set made and extracted by the real commands."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.store.store import FeatureStore
from tests.support.abaw.commands import abaw
from tests.support.stores import make_store

ROOT = Path(__file__).resolve().parents[2]
NUM = 14  # the fewest that hold every planted case


def document(*words, cwd, code=0):
    """The command's JSON: standard output holds one document and nothing else."""
    return json.loads(abaw("store", *words, "--json", cwd=cwd, code=code).stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a data set and a store of their faces and voices."""
    cwd = tmp_path_factory.mktemp("made")
    abaw("synth", "data", "--clips", NUM, "--seconds", 2, cwd=cwd)
    abaw("extract", "data", "--store", "store", "--encoder", "face_hog", "--encoder", "voice_mel", cwd=cwd)
    return cwd


@pytest.fixture
def job(made, tmp_path):
    """The same, to be changed."""
    shutil.copytree(made / "store", tmp_path / "store")
    (tmp_path / "data").symlink_to(made / "data")
    return tmp_path


def test_info_describes_an_extraction(made):
    found = document("info", "store", "--data", "data", cwd=made)
    assert found["clocks"]["num_clips"] == NUM
    features = {each["name"]: each for each in found["features"]}
    assert features["face_hog"]["dim"] == 763
    assert features["face_hog"]["num_clips"] == features["voice_mel"]["num_clips"] == NUM
    assert (features["face_hog"]["modality"], features["voice_mel"]["modality"]) == ("vision", "audio")
    assert found["coverage"]
    assert all(row["missing"] == [] for row in found["coverage"])
    text = abaw("store", "info", "store", cwd=made).stdout
    assert text.splitlines()[-1].startswith("store: ")


def test_verify_finds_nothing_wrong_with_an_extraction(made):
    report = document("verify", "store", "--data", "data", cwd=made)
    assert (report["faults"], report["num_clocks"], report["num_unchecked"]) == ([], NUM, 0)
    assert report["num_tracks"] >= 2 * NUM
    assert "no faults" in abaw("store", "verify", "store", cwd=made).stdout.splitlines()[-1]


def test_verify_exits_1_and_names_the_file_that_was_damaged(job):
    path = next(job.glob("store/face_hog-*/*.safetensors"))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    (fault,) = document("verify", "store", cwd=job, code=1)["faults"]
    assert fault["file"] == f"{path.parent.name}/{path.name}"
    assert fault["file"] in abaw("store", "verify", "store", cwd=job, code=1).stdout


def test_diff_exits_1_only_if_stores_differ(made, job):
    assert document("diff", "store", made / "store", cwd=job)["equal"]
    next(job.glob("store/voice_mel-*/*.safetensors")).unlink()
    found = document("diff", "store", made / "store", cwd=job, code=1)
    (folder,) = [folder for folder in found["folders"] if folder["only_b"]]
    assert folder["a"].startswith("voice_mel-")
    assert abaw("store", "diff", "store", made / "store", cwd=job, code=1).stdout.splitlines()[-1].endswith("differ")


def test_exported_features_can_be_imported_again(job):
    words = ["store", "export", "store", "out", "--encoder", "voice_mel", "--encoder", "face_hog", "--aligned"]
    text = abaw(*words, cwd=job).stdout.splitlines()
    assert text[-1].startswith(f"out/face_hog: {NUM} clips written, 0 done before, 0 failed")
    assert f"0 clips written, {NUM} done before" in abaw(*words, cwd=job).stdout
    text = abaw(
        "store", "import", "store", "out/voice_mel", "--name", "theirs", "--clock", "--modality", "audio", cwd=job
    )
    assert text.stdout.splitlines()[-1].endswith(f"{NUM} clips imported, 0 done before")
    store = FeatureStore(job / "store")
    for clip_id in open_dataset(job / "data").clips:
        values = np.load(job / f"out/voice_mel/{clip_id}.npy")
        assert np.array_equal(store.get(store.find("theirs"), clip_id).values, values.astype(np.float16))
    assert document("verify", "store", "--data", "data", cwd=job)["faults"] == []


def test_an_import_makes_missing_clocks_from_the_media(made, job):
    (job / "npy").mkdir()
    clip_id = next(iter(open_dataset(job / "data").clips))
    clock = FeatureStore(made / "store").clock(clip_id)
    np.save(job / f"npy/{clip_id}.npy", np.ones((len(clock), 2)))
    words = ["store", "import", "fresh", "npy", "--name", "theirs", "--clock"]
    assert "give --data DATA" in abaw(*words, cwd=job, code=2).stderr
    abaw(*words, "--data", "data", cwd=job)
    fresh = FeatureStore(job / "fresh")
    assert np.array_equal(fresh.clock(clip_id).times_s, clock.times_s)
    assert len(fresh.get(fresh.find("theirs"), clip_id)) == len(clock)


def test_prune_removes_nothing_without_yes(job):
    before = sorted(job.glob("store/*/*"))
    text = abaw("store", "prune", "store", "--encoder", "voice_mel", "--data", "data", cwd=job).stdout
    assert text.splitlines()[-1].partition(": ")[2].startswith("--yes would remove 15 files")
    assert sorted(job.glob("store/*/*")) == before
    pruned = document("prune", "store", "--encoder", "voice_mel", "--yes", cwd=job)
    assert pruned["removed"]
    assert not list(job.glob("store/voice_mel-*"))
    assert len(list(job.glob("store/face_hog-*/*.safetensors"))) == NUM


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["info", "nowhere"], "no store at nowhere: run abaw extract"),
        (["export", "store", "out", "--encoder", "face_hog", "--format", "csv"], "--format is 'csv', expected npy"),
        (
            ["export", "store", "out", "--encoder", "face_hog", "--max-gap-s", "0"],
            "--max-gap-s is 0.0, expected seconds",
        ),
        (["import", "store", "out", "--name", "x"], "give exactly one of --times FOLDER"),
    ],
)
def test_wrong_use_is_one_message_and_exit_code_2(made, words, text):
    done = abaw("store", *words, cwd=made, code=2)
    assert done.stdout == ""
    assert text in done.stderr


@pytest.mark.parametrize("words", [["store", "--help"], ["store", "info", "--help"], ["store", "import", "--help"]])
def test_help_of_the_store_imports_nothing_heavy(words):
    code = (
        "import sys, atexit\n"
        "heavy = ('torch', 'numpy', 'cv2', 'av', 'safetensors')\n"
        "atexit.register(lambda: print([m for m in heavy if m in sys.modules], file=sys.stderr))\n"
        f"from abaw.cli import app\napp({words!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_moments_are_printed_as_text_csv_or_json_and_bad_input_ends_with_code_2(tmp_path):
    make_store(tmp_path / "store", ("a", "b", "c"))
    given = ("similar", "a@0.2", "--store", "store", "--features", "hog")
    lines = abaw(*given, "--csv", cwd=tmp_path).stdout.splitlines()
    assert lines[0] == "rank,clip,time_s,frame,similarity"
    assert lines[1].startswith("1,b,0.200000,3,1.0000")  # the tracks of all clips are the same
    found = json.loads(abaw(*given, "--json", "--num", 1, cwd=tmp_path).stdout)
    assert [each["clip"] for each in found["moments"]] == ["b"]
    both = abaw(*given, "--csv", "--json", cwd=tmp_path, code=2)
    assert "give one of them" in both.stderr
    unobserved = abaw("similar", "a@0.3", "--store", "store", "--features", "hog", cwd=tmp_path, code=2)
    assert "nothing was observed in the clip 'a' at 0.300 s" in unobserved.stderr
    assert "choose a moment near it that is: 0.200 s or 0.400 s" in unobserved.stderr
