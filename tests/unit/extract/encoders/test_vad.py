"""Voice activity: silero's steps with their context and state, for sound of any length."""

import numpy as np
import pytest

from extract.encoders import ENCODERS, vad
from extract.encoders.base import joined
from extract.media import Sound, sound
from extract.networks.tiny.onnx import write_vad_net

RATE_HZ = 16000


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_vad_net(tmp_path_factory.mktemp("vad") / "vad.onnx")


def noise(num, start_s=0.0):
    return Sound((0.3 * np.random.default_rng(0).normal(size=num)).astype(np.float32), RATE_HZ, start_s)


def track(encoder, sound):
    return joined(encoder.encode(sound), 1)


def by_hand(samples):
    """The tiny network, step by step: the mean of 64 + 512 samples and of its state."""
    padded, state, found = np.concatenate([np.zeros(64), samples]), 0.0, []
    for first in range(0, len(samples) - 511, 512):
        loudness = np.abs(padded[first : first + 576]).mean()
        found.append(np.tanh(loudness + state))
        state = 0.5 * state + loudness
    return np.array(found)


def test_every_step_uses_its_context_and_the_state(network):
    recording = noise(16_300, start_s=2.0)
    made = track(ENCODERS.build("vad", file=str(network)), recording)
    assert len(made) == 31  # what is left is no whole step
    assert np.allclose(made.values[:, 0], by_hand(recording.samples), atol=1e-6)
    assert made.times_s[:2] == pytest.approx([2.0 + 255.5 / RATE_HZ, 2.032 + 255.5 / RATE_HZ])


def test_any_cut_into_pieces_gives_the_same_bytes(network, monkeypatch):
    encoder, recording = ENCODERS.build("vad", file=str(network)), noise(51_300)
    whole = track(encoder, recording)
    for piece in (1, 7, 99):
        monkeypatch.setattr(vad, "PIECE", piece)
        assert track(encoder, recording).values.tobytes() == whole.values.tobytes()


def test_sound_shorter_than_a_step_gives_no_rows_and_silence_is_finite(network):
    encoder = ENCODERS.build("vad", file=str(network))
    assert [len(track(encoder, noise(num))) for num in (0, 511, 512, 1023, 1024)] == [0, 0, 1, 1, 2]
    assert np.isfinite(track(encoder, Sound(np.zeros(9999, np.float32), RATE_HZ, 0.0)).values).all()


def test_the_real_network_finds_the_speech(media):
    encoder = ENCODERS.build("vad", file=str(media / "weights" / "silero_vad_16k_op15.onnx"))
    made = track(encoder, sound(media / "clips" / "id2_vcd_swwp2s.mpg"))
    speech = made.times_s[made.values[:, 0] > 0.5]
    assert speech[0] == pytest.approx(0.49, abs=0.1)  # the clip's alignment: 0.49 to 2.21 s
    assert speech[-1] == pytest.approx(2.21, abs=0.1)
    inside = (made.times_s > 0.6) & (made.times_s < 2.1)
    assert (made.values[inside] > 0.5).mean() > 0.95
    assert ((made.values >= 0) & (made.values <= 1)).all()


def test_without_a_file_that_of_the_package_is_used(network, monkeypatch, tmp_path):
    folder = tmp_path / "silero_vad"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "data" / "silero_vad.onnx").write_bytes(network.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    encoder = ENCODERS.build("vad")
    assert encoder.recipe()["settings"] == {}
    assert list(encoder.recipe()["weights"]) == ["silero_vad.onnx"]


def test_without_file_and_package_the_message_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setattr(vad, "find_spec", lambda name: None)
    monkeypatch.setenv("ABAW_WEIGHTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"vad needs silero_vad_16k_op15.onnx .*--download .*vad:file=PATH"):
        ENCODERS.build("vad")
    with pytest.raises(FileNotFoundError, match="no file nowhere.onnx for vad: check the path"):
        ENCODERS.build("vad", file="nowhere.onnx")


def test_a_file_of_another_kind_is_refused(tmp_path):
    from onnx import TensorProto, helper, save

    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(ValueError, match="text.onnx is not an ONNX network, or is damaged or truncated"):
        ENCODERS.build("vad", file=str(tmp_path / "text.onnx"))
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", info[:1], info[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="has the inputs x and the outputs y, expected silero's network"):
        ENCODERS.build("vad", file=str(tmp_path / "other.onnx"))


def test_sound_at_another_rate_is_refused(network):
    with pytest.raises(ValueError, match="the sound has 8000 Hz, the encoder takes 16000"):
        track(ENCODERS.build("vad", file=str(network)), Sound(np.zeros(8000, np.float32), 8000, 0.0))
