"""Outputs of the classification heads of Hugging Face vision models."""

import numpy as np
import pytest

from tests.support.extract.hf_vision import build, documented, pictures, rows


def test_logits_of_pictures_are_the_librarys_own(models):
    given = pictures(3, 40, 40)
    expected = documented(models["vit_classifier"], given, "AutoModelForImageClassification").logits.numpy()
    made = rows(build(models["vit_classifier"], output="logits", crop_px=40), given)
    assert made.shape == (3, 3)
    assert np.abs(made - expected).max() < 1e-5


def test_logits_of_a_video_model_are_the_librarys_own(models):
    import torch
    import transformers as tf

    folder, given = models["videomae_classifier"], pictures(4)
    model = tf.AutoModelForVideoClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        pixels = tf.VideoMAEImageProcessor.from_pretrained(folder)(given, return_tensors="pt")
        expected = model(**pixels).logits.numpy()
    assert np.abs(rows(build(folder, output="logits"), given) - expected).max() < 1e-5


def test_the_recipe_of_logits_names_the_classes_and_no_setting_of_features(models):
    logits, features = (build(models["vit_classifier"], output=output).recipe() for output in ("logits", "features"))
    assert logits["classes"] == ["neutral", "happy", "sad"]
    assert logits["settings"]["output"] == "logits"
    assert logits["settings"].keys() & {"layer", "combine", "pool"} == set()
    assert "classes" not in features
    assert "output" not in features["settings"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("vit", {}, r"lack 2 tensors, the first is 'classifier.*output=logits needs a checkpoint whose classification"),
        ("vit_classifier", {"layer": -2}, "layer is '-2', which output=logits does not use: omit it"),
        ("vit_classifier", {"pool": "mean"}, "pool is 'mean', which output=logits does not use: omit it"),
    ],
)
def test_settings_that_mean_nothing_and_models_without_a_head_are_refused(models, name, settings, message):
    with pytest.raises(ValueError, match=message):
        build(models[name], output="logits", **settings)
