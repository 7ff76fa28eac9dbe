"""Presets: each fits its encoder, and the list and the errors say what it loads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from extract.encoders import ENCODERS
from extract.networks.hub import MissingWeights
from extract.networks.tiny.onnx import write_face_net
from extract.presets import PRESETS, build, resolve

ROOT = Path(__file__).parents[2]
WANTED = (
    "clip_vit_l14 eva02_b14 dino_vitb8 dinov2_l siglip2_so400m mobilenetv3_l efficientnetv2_t mae_face resnet50_face "
    "emotieffnet_b0 wavlm_large hubert_large wav2vec2_large_robust_emotion whisper_large_v3 data2vec_audio_base"
)


def test_the_common_model_names_are_presets_and_none_is_also_an_encoder():
    assert set(WANTED.split()) <= PRESETS.keys()
    assert not PRESETS.keys() & set(ENCODERS.names())


@pytest.mark.parametrize("name", PRESETS)
def test_the_settings_of_every_preset_fit_its_encoder(name):
    preset = PRESETS[name]
    needed = {preset.needs: "FILE"} if preset.needs else {}
    family, settings = resolve(name, needed)
    assert ENCODERS.check(family, settings) == settings
    assert preset.source
    assert preset.hub or preset.note
    assert preset.needs is None or preset.needs not in preset.settings


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.family == "timm"])
def test_timm_knows_the_models_and_widths_of_its_presets(name):
    import timm
    import torch

    model = PRESETS[name].settings["model"]
    assert model in timm.list_pretrained()
    with torch.device("meta"):
        net = timm.create_model(model, num_classes=0)
    assert (getattr(net, "head_hidden_size", None) or net.num_features) == PRESETS[name].dim
    if PRESETS[name].size_mb:
        assert 4e-6 * sum(each.numel() for each in net.parameters()) == pytest.approx(PRESETS[name].size_mb, rel=0.3)


def test_settings_of_the_user_override_those_of_the_preset():
    family, settings = resolve("clip_vit_l14", {"pool": "cls", "batch_size": 8})
    assert family == "hf_vision"
    assert settings == {"model": "openai/clip-vit-large-patch14", "pool": "cls", "batch_size": 8}
    assert PRESETS["clip_vit_l14"].settings["pool"] == "projected"
    assert resolve("face_hog", {"margin": 0.2}) == ("face_hog", {"margin": 0.2})


def test_an_unknown_name_is_an_error_with_the_nearest_encoder_or_preset():
    with pytest.raises(
        ValueError, match=r"no encoder named 'wavlm_lage'; did you mean 'wavlm_large'. known: .*face_hog"
    ):
        build("wavlm_lage")
    with pytest.raises(
        ValueError, match=r"no encoder named 'facehog'; did you mean 'face_hog'.*presets: .*clip_vit_l14"
    ):
        build("facehog")


def test_an_unknown_setting_of_a_preset_is_an_error():
    with pytest.raises(ValueError, match="encoder 'hf_vision' has no setting 'marginn'; did you mean 'margin'"):
        build("dinov2_l", marginn=0.2)


def test_the_error_for_missing_weights_states_size_licence_and_how_to_download_them(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    wanted = r"wavlm_large \(1262 MB, licence: .*\): no model 'microsoft/wavlm-large' on this machine.*--download"
    with pytest.raises(MissingWeights, match=wanted):
        build("wavlm_large")
    with pytest.raises(MissingWeights, match=r"whisper_roberta \(789 MB, licence: Apache-2.0 and MIT\): no model"):
        build("whisper_roberta")
    assert not list(tmp_path.iterdir())


def test_the_error_for_missing_weights_of_a_plain_encoder_is_unchanged():
    with pytest.raises(MissingWeights, match="^no model 'nobody/nothing' on this machine"):
        build("hf_audio", model="nobody/nothing")


def test_a_preset_without_weights_at_a_hub_says_where_to_get_them():
    with pytest.raises(MissingWeights, match="mae_face needs a file of your own: .*:weights=PATH .*MAE-Face"):
        build("mae_face")
    with pytest.raises(MissingWeights, match="emotieffnet_b0 .*: no ONNX file at nowhere.onnx.*EmotiEffLib"):
        build("emotieffnet_b0", file="nowhere.onnx")


def test_a_preset_builds_its_encoder_with_the_recipe_of_that_encoder(tmp_path):
    file = write_face_net(tmp_path / "enet.onnx", px="side")
    encoder = build("emotieffnet_b0", file=str(file), device="cpu", download=True)
    assert encoder.dim == 6  # what goes into the last linear layer of this tiny network
    assert encoder.crop.size_px == 224
    recipe = encoder.recipe()
    assert recipe["encoder"] == "onnx"
    assert build(recipe["encoder"], **recipe["settings"]).recipe() == recipe


def test_the_device_is_passed_only_to_encoders_that_take_one():
    assert build("face_hog", device="cuda").recipe()["encoder"] == "face_hog"


def listed(*words):
    done = subprocess.run(
        [sys.executable, "-m", "abaw", "list", *words], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stdout


def test_the_list_has_name_revision_layer_size_and_licence_of_each_preset():
    rows = {row["name"]: row for row in json.loads(listed("encoders", "--json"))}
    assert rows.keys() == PRESETS.keys() | set(ENCODERS.names())
    for name, preset in PRESETS.items():
        row = rows[name]
        assert row["kind"] == "encoders"
        assert {"hub", "revision", "layer", "size_mb", "licence", "dim", "modality"} <= row.keys()
        assert row["preset_of"] == preset.family
        assert (row["hub"] is None) == (preset.needs is not None)
    clip, eva = rows["clip_vit_l14"], rows["eva02_b14"]
    assert (clip["hub"], clip["revision"], clip["layer"]) == ("openai/clip-vit-large-patch14", "main", -1)
    assert (clip["size_mb"], clip["licence"]) == (1710, "MIT (the authors' repository)")
    assert eva["hub"] == "timm/eva02_base_patch14_224.mim_in22k"
    assert rows["emotieffnet_b0"]["layer"] == "hidden"


def test_the_list_as_text_contains_presets():
    text = listed("encoders")
    assert "wavlm_large" in text
    assert "is hf_audio:model=microsoft/wavlm-large, 1262 MB" in text
    assert "is onnx:output=hidden,crop_px=224, needs file=PATH" in text
