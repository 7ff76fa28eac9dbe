"""The encoder timm against timm's own documented calls, on small models with random weights."""

import json
import shutil
import sys

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.networks.hub import MissingWeights
from extract.networks.tiny import TinyWeights
from extract.networks.tiny.vision import TIMM_MODELS, timm_model, write_timm_weights


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made = {name: timm_model(name).path_in(folder) for name in TIMM_MODELS}
    weights = TinyWeights("mobilenetv3.safetensors", write_timm_weights)
    return made | {weights.name: weights.path_in(folder)}


def build(model, **settings):
    return ENCODERS.build("timm", model=str(model), **{"crop_px": 32, **settings})


def pictures(num, height=32, width=32):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(num)]


def rows(encoder, given):
    return encoder.forward(encoder.prepare(given))


def documented(net, given, what="__call__", px=None, **more):
    """The call documented on timm's page of a model, on the same pictures."""
    import timm
    import torch
    from PIL import Image

    net = net.eval()
    config = timm.data.resolve_model_data_config(net, args={"input_size": (3, px, px)} if px else None)
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        return getattr(net, what)(torch.stack([transform(Image.fromarray(picture)) for picture in given]), **more)


def of_folder(folder):
    import timm

    return timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)


def saved(folder, name, **how):
    """A file of a timm model's random weights, with its classifier, and the model without."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = timm.create_model(name, pretrained=False, **how)
    save_file(net.state_dict(), folder / "weights.safetensors")
    net.reset_classifier(0)
    return folder / "weights.safetensors", net


@pytest.mark.parametrize("size", [(32, 32), (41, 57)], ids=["crops", "whole"])
@pytest.mark.parametrize("model", ["timm_vit", "timm_eva02", "timm_eva_clip"])
def test_features_of_a_folder_equal_those_of_timms_documented_call(models, model, size):
    given = pictures(3, *size)
    encoder = build(models[model], crop="face" if size == (32, 32) else "none")
    expected = documented(of_folder(models[model]), given).numpy()
    found = rows(encoder, given)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (3, encoder.dim)
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(expected - expected.mean(0)).max() > 1e-2  # else nothing was shown


NAMES = [
    "mobilenetv3_small_050",
    "tf_efficientnetv2_b0.in1k",
    "regnetx_002",
    "test_efficientnet",
    "test_convnext",
    "test_vit",
    "test_vit3",
]


@pytest.mark.parametrize("name", NAMES)
def test_features_of_a_name_and_a_file_equal_those_of_timms_documented_call(name, tmp_path):
    how = {"img_size": 64} if "vit" in name else {}
    file, net = saved(tmp_path, name, num_classes=8, **how)
    given = pictures(2, 80, 64)
    found = rows(build(name, weights=str(file), img_px=64, crop="none"), given)
    expected = documented(net, given, px=64).numpy()
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(expected - expected.mean(0)).max() > 0


def test_pools_and_hidden_layers_equal_timms(models):
    given = pictures(2)
    for model in ("timm_vit", "timm_eva02"):
        net = of_folder(models[model])
        tokens = documented(net, given, "forward_features")
        assert np.abs(rows(build(models[model], pool="cls"), given) - tokens[:, 0].numpy()).max() <= 1e-5
        assert np.abs(rows(build(models[model], pool="mean"), given) - tokens[:, 1:].mean(1).numpy()).max() <= 1e-5
        first = documented(net, given, "forward_intermediates", intermediates_only=True)[0]
        mean = [first.mean((2, 3)).numpy(), tokens[:, 1:].mean(1).numpy()]
        assert np.abs(rows(build(models[model], pool="mean", layer=1), given) - mean[0]).max() <= 1e-5
        assert np.abs(rows(build(models[model], pool="mean", layer=-2), given) - mean[0]).max() <= 1e-5
        both = rows(build(models[model], pool="mean", layer="-2..-1"), given)
        assert np.abs(both - (mean[0] + mean[1]) / 2).max() <= 1e-5
        thrice = rows(build(models[model], pool="mean", layer="2+1+2", combine="sum"), given)
        assert np.abs(thrice - (mean[0] + 2 * mean[1])).max() <= 1e-5
        assert np.abs(rows(build(models[model], pool="mean", layer=2), given) - mean[1]).max() <= 1e-5
        assert np.abs(rows(build(models[model], pool="cls", layer=1), given) - mean[0]).max() > 1e-4
        definitions = [build(models[model], pool="mean", layer=layer).recipe().get("layers") for layer in (-1, 1, 2)]
        assert definitions == [None, None, 2]


def test_register_tokens_are_not_patches(tmp_path):
    how = {"img_size": 64, "embed_dim": 24, "depth": 1, "num_heads": 2, "reg_tokens": 3}
    for class_token in (True, False):
        how |= {"class_token": class_token, "global_pool": "token" if class_token else "avg"}
        file, _ = saved(tmp_path, "vit_tiny_patch16_224", **how)
        _as_folder(tmp_path, file, "vit_tiny_patch16_224", how)
        net = of_folder(tmp_path)
        tokens = documented(net, pictures(2, 64, 64), "forward_features")[:, 3 + class_token :]
        found = rows(build(tmp_path, crop_px=64, pool="mean"), pictures(2, 64, 64))
        assert np.abs(found - tokens.mean(1).numpy()).max() <= 1e-5
    with pytest.raises(ValueError, match="has no class token: give pool=own or pool=mean"):
        build(tmp_path, crop_px=64, pool="cls")


def test_maps_are_averaged_over_space_for_either_channel_order(models, tmp_path):
    given = pictures(2, 64, 64)
    file = str(models["mobilenetv3.safetensors"])
    net = build("mobilenetv3_small_050", weights=file)._net
    how = {"weights": file, "pool": "mean", "crop_px": 64, "img_px": 64}
    found = rows(build("mobilenetv3_small_050", **how), given)
    expected = documented(net, given, "forward_features", px=64).mean((2, 3)).numpy()
    assert np.abs(found - expected).max() <= 1e-5
    stages = documented(net, given, "forward_intermediates", px=64, intermediates_only=True)
    found = rows(build("mobilenetv3_small_050", **how, layer=2), given)
    assert np.abs(found - stages[1].mean((2, 3)).numpy()).max() <= 1e-5
    assert np.abs(rows(build("mobilenetv3_small_050", **how, layer=5), given) - expected).max() <= 1e-5
    with pytest.raises(
        ValueError, match=r"have the widths \[\d+, \d+\]: only layers of the same width can be combined"
    ):
        build("mobilenetv3_small_050", **how, layer="1+5")
    with pytest.raises(ValueError, match="has no class token: give pool=own or pool=mean"):
        build("mobilenetv3_small_050", **how | {"pool": "cls"})
    swin, _ = saved(tmp_path, "swin_tiny_patch4_window7_224", img_size=64, embed_dim=12, depths=(1, 1, 1, 1))
    _as_folder(
        tmp_path, swin, "swin_tiny_patch4_window7_224", {"img_size": 64, "embed_dim": 12, "depths": [1, 1, 1, 1]}
    )
    found = rows(build(tmp_path, pool="mean", crop_px=64), given)
    assert np.abs(found - documented(of_folder(tmp_path), given, "forward_features").mean((1, 2)).numpy()).max() <= 1e-5


def _as_folder(folder, file, architecture, kwargs):
    cfg = {"input_size": [3, 64, 64], "fixed_input_size": True, "crop_pct": 1.0, "num_classes": 1000}
    cfg |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "classifier": "head.fc"}
    config = {"architecture": architecture, "num_classes": 1000, "model_args": kwargs, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    file.rename(folder / "model.safetensors")


def test_batch_size_and_mixed_sizes_do_not_change_the_rows(models):
    given = [*pictures(2, 41, 57), *pictures(2, 100, 60), *pictures(1)]
    encoder = build(models["timm_vit"], crop="none")
    single = np.concatenate([rows(encoder, [picture]) for picture in given])
    assert np.abs(rows(encoder, given) - single).max() <= 1e-5


def test_pictures_are_transferred_as_uint8(models):
    batch = build(models["timm_vit"], crop_px=40).prepare(pictures(2, 40, 40))
    assert batch.dtype == np.uint8
    assert batch.shape == (2, 3, 32, 32)


def test_a_name_finds_its_weights_in_the_hubs_cache(tmp_path, monkeypatch):
    import huggingface_hub
    import timm
    from safetensors.torch import save_file

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"no model 'timm/mobilenetv3_small_050\.lamb_in1k' on this machine"):
        build("mobilenetv3_small_050.lamb_in1k")
    repository = tmp_path / "models--timm--mobilenetv3_small_050.lamb_in1k"
    folder = repository / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    net = timm.create_model("mobilenetv3_small_050", pretrained=False)
    save_file(net.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "mobilenetv3_small_050"}))
    net.reset_classifier(0)
    expected = documented(net, pictures(1, 64, 64)).numpy()
    for name in ("mobilenetv3_small_050.lamb_in1k", "hf-hub:timm/mobilenetv3_small_050.lamb_in1k"):
        assert np.abs(rows(build(name, crop="none"), pictures(1, 64, 64)) - expected).max() <= 1e-5


def test_half_precision_is_close_and_has_another_recipe(models):
    for precision in ("bf16", "fp16"):
        exact, half = build(models["timm_vit"]), build(models["timm_vit"], precision=precision)
        found, expected = rows(half, pictures(3)), rows(exact, pictures(3))
        assert found.dtype == np.float32
        assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
        assert half.recipe() != exact.recipe()


def test_compile_is_torchs_and_not_part_of_the_recipe(models, monkeypatch):
    import torch

    compiled = []
    monkeypatch.setattr(torch, "compile", lambda run: compiled.append(run) or run)
    encoder = build(models["timm_vit"], compile=True, pool="mean", layer=1)
    rows(encoder, pictures(1))
    assert compiled == [encoder._run]
    assert encoder.recipe() == build(models["timm_vit"], pool="mean", layer=1, batch_size=5).recipe()


def test_the_recipe_is_json_and_rebuilds_the_encoder(models):
    for model, settings in (("timm_vit", {}), ("mobilenetv3.safetensors", {"name": "mobilenetv3_small_050"})):
        path = str(models[model])
        encoder = build(settings["name"], weights=path) if settings else build(path)
        recipe = json.loads(json.dumps(encoder.recipe()))
        assert ENCODERS.build(recipe["encoder"], **recipe["settings"]).recipe() == recipe
        assert recipe["data"]["interpolation"] == "bicubic"
    assert build(models["timm_vit"]).recipe()["weights"].keys() == {"model.safetensors", "config.json"}


def cut(models, tmp_path, change):
    """The folder of the ViT with its tensors changed."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(models["timm_vit"], tmp_path, dirs_exist_ok=True)
    save_file(change(load_file(tmp_path / "model.safetensors")), tmp_path / "model.safetensors")
    return tmp_path


def test_weights_that_lack_a_tensor_are_refused(models, tmp_path):
    folder = cut(models, tmp_path, lambda each: {key: each[key] for key in each if key != "blocks.1.mlp.fc1.bias"})
    with pytest.raises(
        ValueError, match=r"lack 1 tensors, the first is 'blocks.1.mlp.fc1.bias': use a complete checkpoint"
    ):
        build(folder)


def test_weights_of_a_larger_model_are_refused(models, tmp_path):
    folder = cut(
        models, tmp_path, lambda each: {**each, "blocks.2.norm1.weight": each["blocks.1.norm1.weight"].clone()}
    )
    with pytest.raises(
        ValueError, match=r"belong to a larger model: 1 tensors too many, the first is 'blocks.2.norm1.weight'"
    ):
        build(folder)


def test_weights_of_another_width_are_refused(models, tmp_path):
    folder = cut(models, tmp_path, lambda each: {**each, "norm.weight": each["norm.weight"][:5].clone()})
    with pytest.raises(ValueError, match=r"belong to another model: .*norm.weight"):
        build(folder)
    with pytest.raises(ValueError, match="lack .* tensors, the first is 'stem.conv.weight'"):
        build("regnetx_002", weights=str(models["mobilenetv3.safetensors"]))


def test_an_extra_decoder_in_the_weights_is_ignored(models, tmp_path):
    folder = cut(models, tmp_path, lambda each: {**each, "decoder_blocks.0.weight": each["norm.weight"].clone()})
    assert np.array_equal(rows(build(folder), pictures(1)), rows(build(models["timm_vit"]), pictures(1)))


def test_a_training_checkpoint_of_several_gpus_loads(models, tmp_path):
    import torch
    from safetensors.torch import load_file

    tensors = load_file(models["mobilenetv3.safetensors"])
    torch.save({"model": {f"module.{key}": value for key, value in tensors.items()}}, tmp_path / "checkpoint.pth")
    found = build("mobilenetv3_small_050", weights=str(tmp_path / "checkpoint.pth"))
    usual = build("mobilenetv3_small_050", weights=str(models["mobilenetv3.safetensors"]))
    assert np.array_equal(rows(found, pictures(1)), rows(usual, pictures(1)))


class Code:
    def __reduce__(self):
        return print, ("ran",)


def test_a_pickle_with_code_and_a_truncated_file_are_refused(models, tmp_path, capsys):
    import torch

    torch.save({"x": Code()}, tmp_path / "code.pth")
    with pytest.raises(ValueError, match="convert it to safetensors"):
        build("mobilenetv3_small_050", weights=str(tmp_path / "code.pth"))
    assert "ran" not in capsys.readouterr().out
    short = tmp_path / "short.safetensors"
    short.write_bytes(models["mobilenetv3.safetensors"].read_bytes()[:-9])
    with pytest.raises(ValueError, match="damaged or truncated"):
        build("mobilenetv3_small_050", weights=str(short))
    with pytest.raises(MissingWeights, match="no weights file at"):
        build("mobilenetv3_small_050", weights=str(tmp_path / "nothing.pth"))


def test_names_that_timm_does_not_know_are_refused(models, tmp_path):
    with pytest.raises(
        ValueError, match=r"timm has no model 'mobilenetv3_smal_050'; did you mean 'mobilenetv3_small_050"
    ):
        build("mobilenetv3_smal_050")
    with pytest.raises(ValueError, match=r"timm cannot create the model 'test_vit\.nothing'"):
        build("test_vit.nothing")
    with pytest.raises(ValueError, match=r"timm has no weights for 'regnetz_005': give its tag"):
        build("regnetz_005")
    shutil.copytree(models["timm_vit"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(
        ValueError, match=r"is not a timm model: it has no config.json with an architecture; try the encoder hf_vis"
    ):
        build(tmp_path)


def test_layers_and_pools_that_do_not_exist_are_refused(models):
    with pytest.raises(ValueError, match="pool=own applies to the final output only: omit layer, or give pool=cls"):
        build(models["timm_vit"], layer=1)
    for layer in (0, 3, -3):
        with pytest.raises(ValueError, match=f"there is no layer {layer}: .* has layers 1 to 2, or -1 to -2"):
            build(models["timm_vit"], layer=layer, pool="mean")
    with pytest.raises(ValueError, match="timm: batch_size is 0, expected 1 or more"):
        build(models["timm_vit"], batch_size=0)


def test_a_folder_with_two_files_of_weights_is_refused(models, tmp_path):
    shutil.copytree(models["timm_vit"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").rename(tmp_path / "a.safetensors")
    shutil.copy(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    with pytest.raises(
        ValueError, match=r"has several files of weights \(a.safetensors, b.safetensors\): give weights=FILE"
    ):
        build(tmp_path)
    assert build(tmp_path, weights=str(tmp_path / "b.safetensors")).dim == 24


def test_without_timm_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"needs the package timm: pip install 'timm>="):
        build("test_vit")
