"""Recipes of vision models, and the models, weights and settings that are refused."""

import logging
import shutil

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.networks.hub import MissingWeights
from tests.support.extract.hf_vision import build, pictures, rows


def test_the_recipe_holds_everything_that_can_change_a_value(models, tmp_path):
    plain = build(models["vit"]).recipe()
    assert ENCODERS.build(plain["encoder"], **plain["settings"]).recipe() == plain
    assert plain["settings"]["layer"] == "-1"
    assert plain["weights"].keys() == {"model.safetensors"}
    shutil.copytree(models["vit"], tmp_path, dirs_exist_ok=True)
    settings = tmp_path / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace('"resample": 2', '"resample": 3'))
    other = build(tmp_path).recipe()
    assert other["weights"] == plain["weights"]
    assert other["configs"] != plain["configs"]


def test_pools_that_a_network_does_not_have_are_refused(models):
    for model, num in (("siglip", 16), ("videomae", 32)):
        with pytest.raises(ValueError, match=f"has no class token, its {num} tokens are patches: give pool=mean"):
            build(models[model])
    with pytest.raises(ValueError, match="gives maps, which have no class token: give pool=mean"):
        build(models["resnet"])
    with pytest.raises(ValueError, match="has no pooled output: give pool=cls or pool=mean"):
        build(models["data2vec"], pool="pooler")
    with pytest.raises(ValueError, match=r"has no visual projection \(CLIP has one\): give another pool"):
        build(models["siglip"], pool="projected")
    with pytest.raises(ValueError, match="pool=pooler needs the final layer: omit layer"):
        build(models["clip"], pool="pooler", layer=1)


def test_a_pooler_missing_from_the_checkpoint_is_not_initialised_at_random(models):
    assert build(models["dino"]).dim == 16
    with pytest.raises(ValueError, match="lack the pooler: give pool=cls or pool=mean"):
        build(models["dino"], pool="pooler")


def test_tokens_of_an_unknown_kind_are_refused():
    import torch

    from extract.networks.tokens import Tokens

    class Config:
        patch_size = 8

    with pytest.raises(ValueError, match="net has 100 tokens besides its 16 patches, which no known network has"):
        Tokens("net", Config()).pooled("mean", torch.zeros(1, 116, 4), torch.zeros(1, 3, 32, 32), None, None)


def test_a_model_of_another_kind_is_refused(tmp_path):
    import transformers as tf

    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    tf.BertModel(tf.BertConfig(**tiny, vocab_size=20)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a 'bert' model, which takes no pictures"):
        build(tmp_path)


def test_truncated_weights_are_refused(models, tmp_path):
    shutil.copytree(models["vit"], tmp_path, dirs_exist_ok=True)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="damaged or truncated"):
        build(tmp_path)


def as_bin(folder, tmp_path, weights=None):
    """A copy with its weights as a pickle, the format before safetensors."""
    import torch
    from safetensors.torch import load_file

    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    torch.save(weights or load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()


def test_a_bin_file_loads_as_tensors_with_a_warning(models, tmp_path, caplog):
    as_bin(models["vit"], tmp_path)
    with caplog.at_level(logging.WARNING, logger="abaw"):
        encoder = build(tmp_path, pool="pooler")
    assert "safetensors would be safer" in caplog.text
    assert np.array_equal(rows(encoder, pictures(2)), rows(build(models["vit"], pool="pooler"), pictures(2)))


class Code:
    ran = False

    def __reduce__(self):
        return setattr, (Code, "ran", True)


def test_a_pickle_with_code_is_refused_and_not_run(models, tmp_path):
    as_bin(models["vit"], tmp_path, {"x": Code()})
    with pytest.raises(ValueError, match="if you trust it, convert it to safetensors"):
        build(tmp_path)
    assert not Code.ran


def test_code_that_comes_with_a_model_is_not_run_by_default(models, tmp_path):
    import json

    shutil.copytree(models["vit"], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ValueError, match="trust_remote_code"):
        build(tmp_path)


def test_missing_models_and_wrong_settings_are_refused(models, tmp_path):
    with pytest.raises(MissingWeights, match=r"no model 'nobody/nothing' on this machine"):
        build("nobody/nothing")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(models["vit"] / name, tmp_path)
    with pytest.raises(ValueError, match=r"has no AutoImageProcessor \("):
        build(tmp_path)
    with pytest.raises(ValueError, match="hf_vision: batch_size is 0, expected 1 or more"):
        build(models["vit"], batch_size=0)
    with pytest.raises(ValueError, match="no device 'nonsense' on this machine"):
        build(models["vit"], device="nonsense")
    with pytest.raises(ValueError, match="layer is 'last', expected a number"):
        build(models["vit"], layer="last")


def test_pictures_of_different_sizes_in_a_batch_are_refused(models, tmp_path):
    shutil.copytree(models["convnext"], tmp_path, dirs_exist_ok=True)
    settings = tmp_path / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace('"do_resize": true', '"do_resize": false'))
    encoder = build(tmp_path, pool="mean", crop="none")
    with pytest.raises(ValueError, match=r"cannot take pictures of sizes \[\(32, 32\), \(64, 64\)\]"):
        encoder.prepare([*pictures(1), *pictures(1, 64, 64)])
