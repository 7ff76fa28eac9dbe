"""hf_vision against the library's own documented calls, on tiny models of every architecture with random weights."""

import logging
import shutil

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.encoders.hf_vision import HfVision
from extract.networks.frozen import parse_layers
from extract.networks.hub import MissingWeights
from extract.networks.tiny.vision import hf_model, hf_models


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: hf_model(name).path_in(folder) for name in hf_models()}


def build(model, **settings):
    return ENCODERS.build("hf_vision", model=str(model), **{"crop_px": 32, **settings})


def pictures(num, height=32, width=32, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(num)]


def rows(encoder, given):
    return encoder.forward(encoder.prepare(given))


def documented(folder, given, auto="AutoModel", **more):
    """The call documented on the library's page of the model, on the same pictures."""
    import torch
    import transformers as tf

    processor = tf.AutoImageProcessor.from_pretrained(folder)
    model = getattr(tf, auto).from_pretrained(folder).eval()
    model = getattr(model, "vision_model", model) if auto == "AutoModel" else model
    with torch.inference_mode():
        return model(**processor(images=list(given), return_tensors="pt"), **more)


def tokens(out, first=0):
    return out.last_hidden_state[:, first:].mean(1).numpy()


FINAL = {  # model, pool -> its row from the library's output; the number is of the tokens before the patches
    ("vit", "cls"): lambda out: out.last_hidden_state[:, 0].numpy(),
    ("vit", "mean"): lambda out: tokens(out, 1),
    ("vit", "pooler"): lambda out: out.pooler_output.numpy(),
    ("dino", "cls"): lambda out: out.last_hidden_state[:, 0].numpy(),
    ("dinov2", "cls"): lambda out: out.last_hidden_state[:, 0].numpy(),
    ("dinov2", "mean"): lambda out: tokens(out, 1),
    ("dinov2_registers", "cls"): lambda out: out.last_hidden_state[:, 0].numpy(),
    ("dinov2_registers", "mean"): lambda out: tokens(out, 4),
    ("dinov3", "pooler"): lambda out: out.pooler_output.numpy(),
    ("dinov3", "mean"): lambda out: tokens(out, 5),
    ("dinov3_convnext", "cls"): lambda out: out.pooler_output.numpy(),
    ("dinov3_convnext", "mean"): lambda out: tokens(out, 1),
    ("clip", "cls"): lambda out: out.last_hidden_state[:, 0].numpy(),
    ("clip", "mean"): lambda out: tokens(out, 1),
    ("clip", "pooler"): lambda out: out.pooler_output.numpy(),
    ("siglip", "mean"): lambda out: tokens(out),
    ("siglip", "pooler"): lambda out: out.pooler_output.numpy(),
    ("siglip2_naflex", "pooler"): lambda out: out.pooler_output.numpy(),
    ("data2vec", "mean"): lambda out: tokens(out, 1),
    ("data2vec", "cls"): lambda out: out.last_hidden_state[:, 0].numpy(),
    ("beit", "mean"): lambda out: tokens(out, 1),
    ("convnext", "mean"): lambda out: out.last_hidden_state.mean((2, 3)).numpy(),
    ("convnext", "pooler"): lambda out: out.pooler_output.numpy(),
    ("resnet", "mean"): lambda out: out.pooler_output.flatten(1).numpy(),
}


@pytest.mark.parametrize(("model", "pool"), FINAL, ids="-".join)
@pytest.mark.parametrize("size", [(32, 32), (41, 57)], ids=["crops", "whole"])
def test_features_equal_those_of_the_librarys_documented_call(models, model, pool, size):
    given = pictures(3, *size)
    encoder = build(models[model], pool=pool, crop="face" if size == (32, 32) else "none")
    expected = FINAL[model, pool](documented(models[model], given))
    found = rows(encoder, given)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (3, encoder.dim)
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(expected - expected.mean(0)).max() > 1e-4  # else nothing was shown


def test_projected_features_equal_clips_image_features(models):
    import torch
    import transformers as tf

    given = pictures(3)
    processor = tf.AutoImageProcessor.from_pretrained(models["clip"])
    with torch.inference_mode():
        whole = tf.CLIPModel.from_pretrained(models["clip"]).eval()
        expected = whole.get_image_features(**processor(given, return_tensors="pt")).pooler_output.numpy()
    assert np.abs(rows(build(models["clip"], pool="projected"), given) - expected).max() <= 1e-5
    tower = documented(models["clip_tower"], given, auto="CLIPVisionModelWithProjection").image_embeds.numpy()
    assert np.abs(rows(build(models["clip_tower"], pool="projected"), given) - tower).max() <= 1e-5


def test_siglip_2_in_the_shape_of_a_picture_averages_only_real_patches(models):
    given = pictures(2, 24, 72)
    out = documented(models["siglip2_naflex"], given)
    num_patches = 2 * 6  # of the 20 places
    expected = out.last_hidden_state[:, :num_patches].mean(1).numpy()
    found = rows(build(models["siglip2_naflex"], pool="mean", crop="none"), given)
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(found - tokens(out)).max() > 1e-3


def test_vit_mae_always_uses_the_whole_picture(models):
    import torch
    import transformers as tf

    given = pictures(2)
    for pool, first in (("cls", None), ("mean", 1)):
        found = rows(build(models["vit_mae"], pool=pool), given)
        assert np.array_equal(found, rows(build(models["vit_mae"], pool=pool), given))
        torch.manual_seed(3)  # the library's call, with nothing masked; its patches are shuffled still
        model = tf.ViTMAEModel.from_pretrained(models["vit_mae"], mask_ratio=0.0).eval()
        processor = tf.AutoImageProcessor.from_pretrained(models["vit_mae"])
        with torch.inference_mode():
            out = model(**processor(given, return_tensors="pt"))
        expected = out.last_hidden_state[:, 0].numpy() if first is None else tokens(out, first)
        assert np.abs(found - expected).max() <= 1e-5


VIDEO = {"videomae": ("mean", 0), "timesformer": ("mean", 1), "vivit": ("cls", None), "vjepa2": ("mean", 0)}


def documented_tube(folder, tube, first):
    import torch
    import transformers as tf

    processor = tf.AutoVideoProcessor.from_pretrained(folder)
    model = tf.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        out = model(**processor(np.stack(tube), return_tensors="pt", do_sample_frames=False))
    return (out.last_hidden_state[:, 0] if first is None else out.last_hidden_state[:, first:].mean(1))[0].numpy()


@pytest.mark.parametrize("model", VIDEO)
def test_a_row_of_a_video_model_depends_on_its_own_tube_only(models, model):
    pool, first = VIDEO[model]
    encoder = build(models[model], pool=pool, crop_px=40)
    assert (encoder.span, encoder.stride) == (4, 2)
    given = pictures(12, 40, 40)
    found = rows(encoder, given)
    assert found.shape == (3, encoder.dim)
    for row, start in zip(found, (0, 4, 8), strict=True):
        assert np.abs(row - documented_tube(models[model], given[start : start + 4], first)).max() <= 1e-5
    swapped = [*given[:4], given[5], given[4], *given[6:]]
    changed = np.abs(rows(encoder, swapped) - found).max(1)
    assert changed[1] > 1e-4  # the order within a tube matters
    assert changed[[0, 2]].max() == 0


def test_every_picture_of_a_tube_is_used_even_if_the_processor_would_sample(models, tmp_path):
    import json

    shutil.copytree(models["vjepa2"], tmp_path, dirs_exist_ok=True)
    file = tmp_path / "video_preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"do_sample_frames": True, "num_frames": 2}))
    given = pictures(8)
    found = rows(build(tmp_path, pool="mean"), given)
    assert np.array_equal(found, rows(build(models["vjepa2"], pool="mean"), given))


def test_vjepa2_runs_without_its_predictor(models, monkeypatch):
    encoder = build(models["vjepa2"], pool="mean")
    monkeypatch.setattr(encoder._model.predictor, "forward", lambda **given: pytest.fail("the predictor ran"))
    assert len(rows(encoder, pictures(4))) == 1


def test_videomae_is_preprocessed_as_by_its_former_image_processor(models):
    import transformers as tf

    given = pictures(4, 40, 40)
    old = tf.AutoImageProcessor.from_pretrained(models["videomae"])(given, return_tensors="pt").pixel_values.numpy()
    assert np.array_equal(build(models["videomae"], pool="mean", crop_px=40).prepare(given), old)


def test_span_and_stride_are_settings_of_video_models_only(models):
    encoder = build(models["vjepa2"], pool="mean", span=2, stride=1)
    assert (encoder.span, encoder.stride) == (2, 1)
    assert np.abs(rows(encoder, pictures(2))[0] - documented_tube(models["vjepa2"], pictures(2), 0)).max() <= 1e-5
    with pytest.raises(ValueError, match="is a model of single pictures: omit span and stride"):
        build(models["vit"], stride=2)
    with pytest.raises(ValueError, match="span is 4 and stride 0, expected 1 or more pictures"):
        build(models["videomae"], pool="mean", stride=0)
    with pytest.raises(ValueError, match="cannot run with span 3"):
        build(models["videomae"], pool="mean", span=3)
    with pytest.raises(ValueError, match=r"needs pictures of the same size in a tube, got .*give crop=face"):
        build(models["videomae"], pool="mean", crop="none").prepare([*pictures(2), *pictures(2, 40, 40)])


@pytest.mark.parametrize("model", ["vit", "clip", "siglip", "dinov2_registers", "dinov3", "data2vec", "vit_mae"])
def test_hidden_layers_equal_the_librarys(models, model):
    given = pictures(2)
    before = {"siglip": 0, "dinov2_registers": 4, "dinov3": 5}.get(model, 1)
    more = {}
    if model == "vit_mae":
        import torch

        more = {"noise": torch.arange(16.0).expand(2, -1)}
        shutil.copytree(models[model], folder := models[model].parent / "vit_mae_whole", dirs_exist_ok=True)
        text = (folder / "config.json").read_text().replace('"mask_ratio": 0.75', '"mask_ratio": 0.0')
        (folder / "config.json").write_text(text)
    else:
        folder = models[model]
    states = documented(folder, given, output_hidden_states=True, **more).hidden_states
    mean = [state[:, before:].mean(1).numpy() for state in states]
    assert np.abs(rows(build(models[model], pool="mean", layer=1), given) - mean[1]).max() <= 1e-5
    several = rows(build(models[model], pool="mean", layer="0+-1", combine="sum"), given)
    assert np.abs(several - (mean[0] + mean[-1])).max() <= 1e-5
    averaged = rows(build(models[model], pool="mean", layer="-2..-1"), given)
    assert np.abs(averaged - (mean[-2] + mean[-1]) / 2).max() <= 1e-5


def test_layers_of_a_convolutional_network_are_its_maps_and_combine_only_at_the_same_width(models):
    given = pictures(2)
    states = documented(models["convnext"], given, output_hidden_states=True).hidden_states
    found = rows(build(models["convnext"], pool="mean", layer="2+3"), given)
    expected = (states[2].mean((2, 3)) + states[3].mean((2, 3))) / 2
    assert np.abs(found - expected.numpy()).max() <= 1e-5
    with pytest.raises(
        ValueError, match=r"have the widths \[8, 8, 16, 16, 16\]: only layers of the same width can be combined"
    ):
        build(models["convnext"], pool="mean", layer="1+3")


def test_a_layer_that_does_not_exist_is_refused(models):
    with pytest.raises(ValueError, match="there is no layer 3: the network has hidden layers 0 to 2"):
        build(models["vit"], layer=3)


def test_batch_size_and_mixed_sizes_do_not_change_the_rows(models):
    given = [*pictures(3, 41, 57), *pictures(2, 100, 60), *pictures(2)]
    for model, pool in (("clip", "cls"), ("siglip2_naflex", "mean"), ("resnet", "mean")):
        encoder = build(models[model], pool=pool, crop="none")
        whole = rows(encoder, given)
        single = np.concatenate([rows(encoder, [picture]) for picture in given])
        assert np.abs(whole - single).max() <= 1e-5


def test_a_picture_three_pixels_high_or_wide_is_read_correctly(models):
    import transformers as tf

    for height, width in ((3, 40), (40, 3)):
        given = pictures(1, height, width)
        processor = tf.AutoImageProcessor.from_pretrained(models["vit"])
        expected = processor(given, return_tensors="np", input_data_format="channels_last")["pixel_values"]
        assert np.array_equal(build(models["vit"], crop="none").prepare(given), expected)


FORCED = [("vit", "cls"), ("dinov3", "cls"), ("siglip2_naflex", "mean"), ("videomae", "mean")]


@pytest.mark.parametrize(("model", "pool"), FORCED)
def test_the_processor_gives_the_same_on_the_device_as_in_the_reading_threads(models, model, pool):
    usual = build(models[model], pool=pool, crop_px=40)
    moved = HfVision(models[model], usual.recipe()["settings"], parse_layers(-1, "mean"), on_device=True)
    given = pictures(2 * usual.span, 40, 40)
    batch = moved.prepare(given)
    assert batch.dtype == np.uint8
    assert batch.shape == ((2, 4, 40, 40, 3) if model == "videomae" else (2, 40, 40, 3))
    assert np.abs(moved.forward(batch) - rows(usual, given)).max() <= 1e-6
    assert moved.recipe() == usual.recipe()


def test_crops_are_processed_on_another_device_unless_they_are_resized_in_fp32(models):
    def waits(precision="fp32", **settings):
        encoder = build(models["clip"], **settings)
        assert not encoder._on_device
        encoder._device = "cuda"
        return encoder._processes_on_device(precision)

    assert waits()
    assert waits("bf16", crop_px=40)
    assert not waits(crop_px=40)
    assert not waits("bf16", crop="none")


def test_several_threads_may_prepare_at_the_same_time(models):
    from concurrent.futures import ThreadPoolExecutor

    encoder = build(models["clip"], crop_px=40)
    portions = [pictures(4, 40, 40, seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(encoder.prepare, portions))
    assert all(np.array_equal(batch, encoder.prepare(given)) for batch, given in zip(found, portions, strict=True))


def test_the_fast_attention_is_used(models):
    assert build(models["vit"])._model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close_and_has_another_recipe(models, precision):
    given = pictures(3)
    for model, pool in (("vit", "mean"), ("clip", "projected"), ("siglip2_naflex", "mean"), ("vit_mae", "cls")):
        exact, half = build(models[model], pool=pool), build(models[model], pool=pool, precision=precision)
        found, expected = rows(half, given), rows(exact, given)
        assert found.dtype == np.float32
        assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
        assert half.recipe() != exact.recipe()


def test_compile_is_torchs_and_not_part_of_the_recipe(models, monkeypatch):
    import torch

    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    encoder = build(models["vit"], compile=True)
    assert compiled == [encoder._model]
    assert encoder.recipe() == build(models["vit"], batch_size=5).recipe()


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
