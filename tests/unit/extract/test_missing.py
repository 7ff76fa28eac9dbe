"""Which weights an encoder lacks, before it is built."""

import pytest

from extract.missing import find_missing
from extract.networks.tiny.onnx import write_face_net
from extract.presets import build


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """A machine with neither a hub's cache nor weights of packages."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("ABAW_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_found_by_its_name_in_the_folder_of_weights(bare):
    given = {"file": "enet.onnx"}
    assert f"no file enet.onnx in the current folder, nor in {bare / 'weights'}" in find_missing(
        "emotieffnet_b0", given
    )
    (bare / "weights").mkdir()
    write_face_net(bare / "weights/enet.onnx", px="side")
    assert find_missing("emotieffnet_b0", given) is None
    made = build("emotieffnet_b0", **given).recipe()
    assert made["settings"]["file"] == "enet.onnx"
    assert made == {
        **build("emotieffnet_b0", file=str(bare / "weights/enet.onnx")).recipe(),
        "settings": made["settings"],
    }


def test_a_path_is_looked_for_nowhere_else(bare):
    write_face_net(bare / "enet.onnx", px="side")
    assert find_missing("onnx", {"file": "enet.onnx"}) is None
    assert (
        find_missing("onnx", {"file": "other/enet.onnx"}) == "onnx: no file other/enet.onnx: give the path of the file"
    )


def test_what_a_hub_or_a_package_has_is_missing_until_it_is_to_be_downloaded():
    model = "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim"
    for name, settings, said in (
        (
            "wav2vec2_large_robust_emotion",
            {},
            rf"(661 MB, licence: CC BY-NC-SA 4.0): no model '{model}' on this machine",
        ),
        ("audeering_dim", {}, f"no model '{model}' on this machine"),
        ("whisper_roberta", {}, "no model 'openai/whisper-base' on this machine"),
    ):
        assert said in find_missing(name, settings)
        assert find_missing(name, settings, download=True) is None


def test_a_preset_without_its_file_says_where_to_get_it_whether_or_not_others_are_downloaded():
    for download in (False, True):
        assert "from the repository sb-ai-lab/EmotiEffLib" in find_missing("emotieffnet_b0", {}, download=download)
        assert "sb-ai-lab/EmotiEffLib" in find_missing("emotieffnet_b0", {"file": "a.onnx"}, download=download)


def test_an_encoder_without_weights_lacks_none():
    assert find_missing("voice_mel", {}) is None
