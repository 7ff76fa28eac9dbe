"""Features equal those of the library's own documented calls, on tiny models with random weights."""

import numpy as np
import pytest

from tests.support.extract.hf_vision import build, documented, pictures, rows


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
