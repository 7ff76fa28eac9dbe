"""Batches, devices, threads and precision change no row beyond rounding."""

import numpy as np
import pytest

from extract.encoders.hf_vision import HfVision
from extract.networks.frozen import parse_layers
from tests.support.extract.hf_vision import build, pictures, rows


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
