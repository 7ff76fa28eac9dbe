"""Pictures for Hugging Face vision models, and the encoders that are tested on them."""

import numpy as np

from extract.encoders import ENCODERS


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
