"""The encoder torchvision against torchvision's own documented calls, with random weights."""

import json

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.encoders.torchvision import Torchvision
from extract.networks.hub import MissingWeights
from extract.networks.tiny import TinyWeights
from extract.networks.tiny.vision import write_torchvision_weights


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    names = ("resnet18.pth", "mobilenet_v3_small.safetensors")
    return {name: TinyWeights(name, write_torchvision_weights).path_in(folder) for name in names}


def build(model, weights, **settings):
    return ENCODERS.build("torchvision", model=model, weights=str(weights), **{"crop_px": 64, **settings})


def pictures(num, height=64, width=64):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(num)]


def rows(encoder, given):
    return encoder.forward(encoder.prepare(given))


def documented(net, given, node, transforms):
    """torchvision's documented calls: the weights' transforms on tensors, and the feature extractor."""
    import torch
    from torchvision.models.feature_extraction import create_feature_extractor

    extractor = create_feature_extractor(net.eval(), [node], suppress_diff_warning=True)
    batch = torch.stack([transforms(torch.from_numpy(picture.transpose(2, 0, 1).copy())) for picture in given])
    with torch.inference_mode():
        return extractor(batch)[node]


def saved(folder, name, **how):
    """A file of a network's random weights, and the network."""
    import torch
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None, **how)
    save_file(net.state_dict(), folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors", net


def usual(name):
    import torchvision

    return torchvision.models.get_model_weights(name).DEFAULT.transforms()


NODES = {  # the node into the last linear layer
    "resnet18": "flatten",
    "mobilenet_v3_small": "classifier.2",
    "shufflenet_v2_x0_5": "mean",
    "regnet_y_400mf": "flatten",
}


@pytest.mark.parametrize("name", NODES)
def test_features_equal_those_of_torchvisions_documented_call(name, tmp_path):
    file, net = saved(tmp_path, name, num_classes=8)
    given = pictures(2, 70, 90)
    encoder = build(name, file, crop="none")
    expected = documented(net, given, NODES[name], usual(name)).numpy()
    found = rows(encoder, given)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (2, encoder.dim)
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(expected - expected.mean(0)).max() > 0


def test_pictures_are_prepared_by_the_transforms_of_the_named_weights(tmp_path):
    import torchvision

    file, net = saved(tmp_path, "mobilenet_v3_large")
    named = torchvision.models.MobileNet_V3_Large_Weights
    for name in ("IMAGENET1K_V1", "IMAGENET1K_V2"):  # they resize to 256 and to 232
        expected = documented(net, pictures(2), "classifier.2", named[name].transforms()).numpy()
        found = rows(build("mobilenet_v3_large", file, transforms=name), pictures(2))
        assert np.abs(found - expected).max() <= 1e-5
        assert found.tobytes() != rows(build("mobilenet_v3_large", file), pictures(2)).tobytes() or name.endswith("2")


def test_any_node_can_be_read_and_several_combined(models):
    import torch
    import torchvision

    net = torchvision.models.resnet18(num_classes=8)
    net.load_state_dict(torch.load(models["resnet18.pth"], weights_only=True))
    maps = [documented(net, pictures(2), node, usual("resnet18")).mean((2, 3)) for node in ("layer4.0", "layer4.1")]
    first = rows(build("resnet18", models["resnet18.pth"], node="layer4.0"), pictures(2))
    assert np.abs(first - maps[0].numpy()).max() <= 1e-5
    both = rows(build("resnet18", models["resnet18.pth"], node="layer4.0+layer4.1"), pictures(2))
    assert np.abs(both - (maps[0] + maps[1]).numpy() / 2).max() <= 1e-5
    added = rows(build("resnet18", models["resnet18.pth"], node="layer4.0+layer4.1", combine="sum"), pictures(2))
    assert np.abs(added - 2 * both).max() <= 1e-5
    with pytest.raises(
        ValueError, match=r"the nodes of resnet18 have the widths \[64, 128\]: only nodes of the same width"
    ):
        build("resnet18", models["resnet18.pth"], node="layer1+layer2")


def test_the_tokens_of_a_vit_are_a_class_token_and_patches(tmp_path, monkeypatch):
    file, net = _tiny(tmp_path, monkeypatch, "vit_b_16", _vit)
    tokens = documented(net, pictures(2), "encoder.ln", usual("vit_b_16"))
    default = rows(build("vit_b_16", file), pictures(2))
    assert np.abs(default - tokens[:, 0].numpy()).max() <= 1e-5
    found = rows(build("vit_b_16", file, node="encoder.ln", pool="cls"), pictures(2))
    assert np.abs(found - tokens[:, 0].numpy()).max() <= 1e-5
    found = rows(build("vit_b_16", file, node="encoder.ln"), pictures(2))
    assert np.abs(found - tokens[:, 1:].mean(1).numpy()).max() <= 1e-5


def test_maps_of_a_swin_have_their_channels_last(tmp_path, monkeypatch):
    file, net = _tiny(tmp_path, monkeypatch, "swin_t", _swin)
    expected = documented(net, pictures(2), "norm", usual("swin_t")).mean((1, 2)).numpy()
    assert np.abs(rows(build("swin_t", file, node="norm"), pictures(2)) - expected).max() <= 1e-5
    assert np.abs(rows(build("swin_t", file), pictures(2)) - expected).max() <= 1e-5


def _vit(num_classes):
    from torchvision.models.vision_transformer import VisionTransformer

    return VisionTransformer(224, 32, 2, 2, 16, 32, num_classes=num_classes)


def _swin(num_classes):
    from torchvision.models.swin_transformer import SwinTransformer

    return SwinTransformer([4, 4], 12, [1, 1], [2, 2], [7, 7], num_classes=num_classes)


def _tiny(folder, monkeypatch, name, make):
    """A small network in the place of one of torchvision's, and a file of its weights."""
    import torch
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = make(1000)
    save_file(net.state_dict(), folder / "tiny.safetensors")
    real = torchvision.models.get_model_builder
    small = {name: lambda weights, num_classes=1000: make(num_classes)}
    monkeypatch.setattr(torchvision.models, "get_model_builder", lambda asked: small.get(asked) or real(asked))
    return folder / "tiny.safetensors", net


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of torch's hub."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


def test_named_weights_are_those_in_torchs_cache(cache):
    import torch
    import torchvision

    with pytest.raises(MissingWeights, match=r"no weights ResNet18_Weights\S+ on this machine \(45 MB\): get them"):
        build("resnet18", "DEFAULT")
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), cache / "resnet18-f37072fd.pth")
    net = torchvision.models.get_model("resnet18", weights="DEFAULT")
    expected = documented(net, pictures(2), "flatten", usual("resnet18")).numpy()
    for name in ("DEFAULT", "IMAGENET1K_V1"):
        assert np.abs(rows(build("resnet18", name), pictures(2)) - expected).max() <= 1e-5
    logits = documented(net, pictures(2), "fc", usual("resnet18")).numpy()
    assert np.abs(rows(build("resnet18", "DEFAULT", node="fc"), pictures(2)) - logits).max() <= 1e-5


def test_googlenet_transforms_pictures_as_with_torchvisions_own_weights(cache):
    import torch
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.googlenet(init_weights=False)
    torch.save(net.state_dict(), cache / "googlenet-1378be20.pth")
    official = torchvision.models.get_model("googlenet", weights="DEFAULT")
    assert official.transform_input
    expected = documented(official, pictures(1), "dropout", usual("googlenet")).numpy()
    assert np.abs(rows(build("googlenet", "DEFAULT"), pictures(1)) - expected).max() <= 1e-5


def test_weights_are_downloaded_only_on_request(cache, monkeypatch):
    import torch
    import torchvision

    asked = []

    def fetch(url, path, digest, progress):
        asked.append((url, digest))
        if len(asked) == 1:
            raise OSError("no network")
        torch.save(torchvision.models.resnet18().state_dict(), path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(MissingWeights):
        build("resnet18", "DEFAULT")
    assert asked == []
    with pytest.raises(MissingWeights, match="could not be downloaded from https.*no network"):
        build("resnet18", "DEFAULT", download=True)
    assert build("resnet18", "DEFAULT", download=True).dim == 512
    assert asked == [("https://download.pytorch.org/models/resnet18-f37072fd.pth", "f37072fd")] * 2


def test_batch_size_and_mixed_sizes_do_not_change_the_rows(models):
    given = [*pictures(2, 41, 57), *pictures(2, 100, 60), *pictures(1)]
    encoder = build("mobilenet_v3_small", models["mobilenet_v3_small.safetensors"], crop="none")
    single = np.concatenate([rows(encoder, [picture]) for picture in given])
    assert np.abs(rows(encoder, given) - single).max() <= 1e-5


def test_the_transforms_give_the_same_on_the_device_as_in_the_reading_threads(models):
    usual = build("mobilenet_v3_small", models["mobilenet_v3_small.safetensors"])
    moved = Torchvision(usual.recipe()["settings"], on_device=True)
    batch = moved.prepare(pictures(2))
    assert batch.dtype == np.uint8
    assert batch.shape == (2, 64, 64, 3)
    assert np.abs(moved.forward(batch) - rows(usual, pictures(2))).max() <= 1e-6


def test_half_precision_is_close_and_has_another_recipe(models):
    file = models["mobilenet_v3_small.safetensors"]
    exact = build("mobilenet_v3_small", file)
    for precision in ("bf16", "fp16"):
        half = build("mobilenet_v3_small", file, precision=precision)
        found, expected = rows(half, pictures(2)), rows(exact, pictures(2))
        assert found.dtype == np.float32
        assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
        assert half.recipe() != exact.recipe()


def test_compile_is_torchs_and_not_part_of_the_recipe(models, monkeypatch):
    import torch

    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    file = models["mobilenet_v3_small.safetensors"]
    encoder = build("mobilenet_v3_small", file, compile=True)
    assert compiled == [encoder._model]
    assert encoder.recipe() == build("mobilenet_v3_small", file, batch_size=5).recipe()


def test_the_recipe_is_json_and_rebuilds_the_encoder(models):
    recipe = json.loads(json.dumps(build("resnet18", models["resnet18.pth"]).recipe()))
    assert ENCODERS.build(recipe["encoder"], **recipe["settings"]).recipe() == recipe
    assert "resize_size=[256]" in recipe["prepared_by"]
    assert recipe["weights"].keys() == {"resnet18.pth"}


def test_weights_of_another_network_are_refused(models, tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = load_file(models["mobilenet_v3_small.safetensors"])
    file = tmp_path / "changed.safetensors"
    save_file({key: value for key, value in tensors.items() if key != "features.1.block.0.0.weight"}, file)
    with pytest.raises(ValueError, match=r"lack 1 tensors, the first is 'features.1.block.0.0.weight': use a complete"):
        build("mobilenet_v3_small", file)
    save_file({**tensors, "features.99.weight": tensors["classifier.0.bias"].clone()}, file)
    with pytest.raises(
        ValueError, match=r"belong to a larger model: 1 tensors too many, the first is 'features.99.weight'"
    ):
        build("mobilenet_v3_small", file)
    save_file({**tensors, "features.0.0.weight": tensors["features.0.0.weight"][:3].clone()}, file)
    with pytest.raises(ValueError, match=r"belong to another model: size mismatch for features.0.0.weight"):
        build("mobilenet_v3_small", file)
    save_file({f"module.{key}": value for key, value in tensors.items()}, file)
    assert build("mobilenet_v3_small", file).dim == 1024


class Code:
    def __reduce__(self):
        return print, ("ran",)


def test_a_pickle_with_code_and_a_truncated_file_are_refused(models, tmp_path, capsys):
    import torch

    torch.save({"x": Code()}, tmp_path / "code.pth")
    with pytest.raises(ValueError, match="convert it to safetensors"):
        build("resnet18", tmp_path / "code.pth")
    assert "ran" not in capsys.readouterr().out
    (tmp_path / "short.pth").write_bytes(models["resnet18.pth"].read_bytes()[:-1000])
    with pytest.raises(ValueError, match="truncated"):
        build("resnet18", tmp_path / "short.pth")
    with pytest.raises(MissingWeights, match="no weights file at"):
        build("resnet18", tmp_path / "nothing.pth")


def test_names_that_torchvision_does_not_know_are_refused(models, tmp_path):
    file = models["resnet18.pth"]
    with pytest.raises(
        ValueError, match=r"torchvision has no network 'resnet19' for pictures; did you mean 'resnet1\d+'"
    ):
        build("resnet19", file)
    with pytest.raises(ValueError, match="has no network 'r3d_18' for pictures"):
        build("r3d_18", file)
    with pytest.raises(
        ValueError, match="torchvision has no weights 'IMAGENET1K_V9' of resnet18: give one of IMAGENET1K_V1"
    ):
        build("resnet18", "IMAGENET1K_V9")
    with pytest.raises(ValueError, match="torchvision has no transforms 'V9' of resnet18: give one of IMAGENET1K_V1"):
        build("resnet18", file, transforms="V9")
    with pytest.raises(ValueError, match=r"resnet18 has no node 'layer5'; its last nodes are layer4"):
        build("resnet18", file, node="layer5")
    with pytest.raises(ValueError, match="pool=cls needs the tokens of a ViT"):
        build("resnet18", file, node="layer4", pool="cls")
    squeeze, _ = saved(tmp_path, "squeezenet1_1")
    with pytest.raises(
        ValueError, match="squeezenet1_1 does not end in a linear layer: give node=NAME; its last nodes are"
    ):
        build("squeezenet1_1", squeeze)
    with pytest.raises(ValueError, match="torchvision: batch_size is 0, expected 1 or more"):
        build("resnet18", file, batch_size=0)
