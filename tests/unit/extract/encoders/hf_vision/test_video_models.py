"""Video models: a row depends on the pictures of its own tube only."""

import shutil

import numpy as np
import pytest

from tests.support.extract.hf_vision import build, pictures, rows

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
