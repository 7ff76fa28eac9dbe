"""The encoders of a recipe: those that its members need, and what is said where their weights are missing."""

import pytest

import abaw
from abaw.competition.encoders import used_encoders
from abaw.competition.recipe import plan_recipe, run_recipe
from abaw.pipelines.configuration import open_config
from tests.support.recipes import job

RECIPES = ("va", "expr", "au", "mtl")


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """A machine with neither a hub's cache nor files of weights."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("ABAW_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)


def places(data, tmp_path):
    return {"data": data, "runs": tmp_path / "runs", "work": tmp_path / "work"}


def test_encoders_whose_features_no_member_takes_are_left_out_and_named(caplog):
    given = ["face_hog", "wavlm_large:layer=24,as=voice", "voice_mel"]
    with caplog.at_level("INFO", "abaw"):
        assert used_encoders(given, ["voice", "face_hog-0123abcd"]) == given[:2]
    assert caplog.messages == ["not extracted, because no member takes their features: voice_mel"]


def test_a_feature_that_is_removed_is_not_extracted(data, tmp_path):
    both = job(data, tmp_path, "encoders=[face_hog, voice_mel]")
    assert both.config.encoders == ["face_hog", "voice_mel"]
    one = job(data, tmp_path, "encoders=[face_hog, voice_mel]", "features.voice_mel=null")
    assert one.config.encoders == ["face_hog"]
    assert one.stages[1].settings["encoders"] == ["face_hog"]


def test_missing_weights_are_named_before_any_work_with_how_to_get_them_and_how_to_run_without(data, tmp_path):
    arguments = places(data, tmp_path)
    said = plan_recipe("va", ["folds.num=3"], **arguments)
    assert len(said.missing) == 5
    for text in str(said).splitlines()[-6:-1]:
        assert text.startswith("missing weights: ")
    with pytest.raises(abaw.NotFoundError, match="weights of 5 encoders are missing; nothing was done yet") as raised:
        run_recipe("va", ["folds.num=3"], **arguments)
    assert not (tmp_path / "work").exists()
    assert not (tmp_path / "runs").exists()
    lines = str(raised.value).splitlines()[1:]
    assert [line.rpartition("; or run without it: ")[2] for line in lines] == [
        "features.clip_vit_l14=null",
        "features.dinov2_l=null",
        "features.emotieffnet_b0=null",
        'features.wavlm_large=null "members.reliability_gate.model.context=[]"',
        "features.wav2vec2_large_robust_emotion=null",
    ]
    assert "no file enet_b0_8_va_mtl.onnx" in lines[2]
    assert "repository sb-ai-lab/EmotiEffLib" in lines[2]


def test_with_download_only_the_file_that_no_hub_has_is_missing(data, tmp_path):
    plan = plan_recipe("va", ["folds.num=3"], **places(data, tmp_path), download=True)
    assert [each.partition(":")[0] for each in plan.missing] == ["emotieffnet_b0"]
    without = plan_recipe(
        "va", ["folds.num=3", "features.emotieffnet_b0=null"], **places(data, tmp_path), download=True
    )
    assert without.missing == {}


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_of_the_package_extracts_exactly_the_features_of_its_members(name):
    config = open_config(name)[1]
    assert used_encoders(config.encoders, config.features) == config.encoders
    assert len(config.encoders) == len(config.features)
