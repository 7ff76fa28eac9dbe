"""Tiny picture models: in folders as transformers and timm's hub hold them, and files of weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from extract.networks.tiny import TinyWeights

SQUARE: dict[str, Any] = {"size": {"height": 32, "width": 32}}
EDGE: dict[str, Any] = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
CLASSES: dict[str, Any] = {
    "id2label": {0: "neutral", 1: "happy", 2: "sad"},
    "label2id": {"neutral": 0, "happy": 1, "sad": 2},
}

TIMM_MODELS = {  # name -> architecture
    "timm_vit": "vit_tiny_patch16_224",
    "timm_eva02": "eva02_tiny_patch14_224",
    "timm_eva_clip": "eva02_base_patch16_clip_224",
}


def hf_model(name: str) -> TinyWeights:
    """The model of that name in ``hf_models``: its folder, as ``save_pretrained`` writes it."""
    return TinyWeights(name, partial(_write_hf_model, name))


def timm_model(name: str) -> TinyWeights:
    """The model of that name in ``TIMM_MODELS``: its folder, as timm's hub holds it."""
    return TinyWeights(name, partial(_write_timm_model, name))


def _write_hf_model(name: str, folder: Path) -> Path:
    import torch

    build, processor = hf_models()[name]
    torch.manual_seed(0)
    model = build()
    for parameter in model.parameters():  # class tokens, say: zeros would hide mistakes
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def hf_models() -> dict[str, tuple[Callable[[], Any], Any]]:
    """What builds each model, and its processor, by name."""
    import transformers as tf

    tf.logging.set_verbosity_error()
    tf.utils.logging.disable_progress_bar()
    tiny: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    vit: dict[str, Any] = {**tiny, "image_size": 32, "patch_size": 8}
    text: dict[str, Any] = {
        **tiny,
        "vocab_size": 20,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "max_position_embeddings": 8,
    }
    maps: dict[str, Any] = {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1]}
    jepa: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2.0}
    jepa |= {"crop_size": 32, "patch_size": 8, "frames_per_clip": 4, "pred_hidden_size": 24}
    jepa |= {"pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    mae: dict[str, Any] = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    mae |= {"decoder_intermediate_size": 32}
    square, edge = tf.ViTImageProcessor(**SQUARE), tf.BitImageProcessor(**EDGE)
    siglip_text: dict[str, Any] = {**text, "pad_token_id": 1, "projection_size": 16}
    naflex: dict[str, Any] = {**tiny, "num_patches": 16, "patch_size": 8}
    return {
        "vit": (lambda: tf.ViTModel(tf.ViTConfig(**vit)), square),
        "clip": (
            lambda: tf.CLIPModel(tf.CLIPConfig(text_config=text, vision_config=vit, projection_dim=8)),
            tf.CLIPImageProcessor(**EDGE),
        ),
        "resnet": (
            lambda: tf.ResNetModel(tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
            square,
        ),
        "dinov2": (lambda: tf.Dinov2Model(tf.Dinov2Config(**vit)), square),
        "clip_tower": (
            lambda: tf.CLIPVisionModelWithProjection(tf.CLIPVisionConfig(**vit, projection_dim=8)),
            tf.CLIPImageProcessor(**EDGE),
        ),
        "siglip": (
            lambda: tf.SiglipModel(tf.SiglipConfig(text_config=siglip_text, vision_config=vit)),
            tf.SiglipImageProcessor(**SQUARE),
        ),
        "siglip2_naflex": (
            lambda: tf.Siglip2VisionModel(tf.Siglip2VisionConfig(**naflex)),
            tf.Siglip2ImageProcessor(patch_size=8, max_num_patches=20),
        ),
        "dino": (lambda: tf.ViTModel(tf.ViTConfig(**vit), add_pooling_layer=False), square),
        "dinov2_registers": (
            lambda: tf.Dinov2WithRegistersModel(tf.Dinov2WithRegistersConfig(**vit, num_register_tokens=3)),
            edge,
        ),
        "dinov3": (
            lambda: tf.DINOv3ViTModel(tf.DINOv3ViTConfig(**vit, num_register_tokens=4)),
            tf.DINOv3ViTImageProcessor(**SQUARE),
        ),
        "dinov3_convnext": (
            lambda: tf.DINOv3ConvNextModel(tf.DINOv3ConvNextConfig(**maps)),
            tf.DINOv3ViTImageProcessor(**SQUARE),
        ),
        "vit_mae": (lambda: tf.ViTMAEForPreTraining(tf.ViTMAEConfig(**vit, **mae)), square),
        "data2vec": (lambda: tf.Data2VecVisionModel(tf.Data2VecVisionConfig(**vit)), tf.BeitImageProcessor(**SQUARE)),
        "beit": (lambda: tf.BeitModel(tf.BeitConfig(**vit)), tf.BeitImageProcessor(**SQUARE)),
        "convnext": (
            lambda: tf.ConvNextModel(tf.ConvNextConfig(**maps)),
            tf.ConvNextImageProcessor(size={"shortest_edge": 32}),
        ),
        "videomae": (
            lambda: tf.VideoMAEModel(tf.VideoMAEConfig(**vit, num_frames=4, use_mean_pooling=False)),
            tf.VideoMAEImageProcessor(**EDGE),
        ),
        "timesformer": (
            lambda: tf.TimesformerModel(tf.TimesformerConfig(**vit, num_frames=4)),
            tf.VideoMAEImageProcessor(**EDGE),
        ),
        "vivit": (
            lambda: tf.VivitModel(tf.VivitConfig(**tiny, image_size=32, num_frames=4, tubelet_size=[2, 8, 8])),
            tf.VivitVideoProcessor(**EDGE),
        ),
        "vit_classifier": (lambda: tf.ViTForImageClassification(tf.ViTConfig(**vit, **CLASSES)), square),
        "videomae_classifier": (
            lambda: tf.VideoMAEForVideoClassification(tf.VideoMAEConfig(**vit, **CLASSES, num_frames=4)),
            tf.VideoMAEImageProcessor(**EDGE),
        ),
        "vjepa2": (lambda: tf.VJEPA2Model(tf.VJEPA2Config(**jepa)), tf.VJEPA2VideoProcessor(crop_size=32)),
    }


def _write_timm_model(name: str, folder: Path) -> Path:
    import timm
    import torch
    from safetensors.torch import save_file

    small: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    cfg = {
        "input_size": [3, 32, 32], "fixed_input_size": True, "crop_pct": 1.0, "num_classes": 7, "classifier": "head",
        "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop_mode": "center",
    }  # fmt: skip
    torch.manual_seed(0)
    model = timm.create_model(TIMM_MODELS[name], pretrained=False, num_classes=7, **small)
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"architecture": TIMM_MODELS[name], "num_classes": 7, "model_args": small, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_timm_weights(path: Path) -> Path:
    """Weights of timm's ``mobilenetv3_small_050`` with a head of eight classes."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = timm.create_model("mobilenetv3_small_050", pretrained=False, num_classes=8)
    save_file(_with_statistics(net).state_dict(), path)
    return path


def write_torchvision_weights(path: Path) -> Path:
    """Weights of the torchvision network that the file is named after, with a head of eight classes.

    ``tiny_vit`` is a ViT that is added to torchvision's networks.
    """
    import torch
    import torchvision
    from safetensors.torch import save_file

    if path.stem == "tiny_vit":
        _add_tiny_vit()
    torch.manual_seed(0)
    net = torchvision.models.get_model(path.stem, weights=None, num_classes=8)
    tensors = _with_statistics(net).state_dict() if path.stem != "tiny_vit" else net.state_dict()
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    return path


def _add_tiny_vit() -> None:
    from torchvision.models import VisionTransformer, ViT_B_32_Weights
    from torchvision.models._api import BUILTIN_MODELS

    def tiny_vit(*, weights: ViT_B_32_Weights | None = None, num_classes: int = 1000) -> VisionTransformer:
        sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32}
        return VisionTransformer(image_size=224, patch_size=32, num_classes=num_classes, **sizes)

    tiny_vit.__module__ = "torchvision.models.vision_transformer"  # where torchvision looks for its networks
    tiny_vit.__annotations__["weights"] = ViT_B_32_Weights | None
    BUILTIN_MODELS["tiny_vit"] = tiny_vit


def _with_statistics(net: Any) -> Any:
    """Sets the batch norms' statistics: with the initial ones a deep network gives the same row for every picture."""
    import torch

    norms = [part for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.nn.functional.interpolate(torch.randn(8, 3, 24, 24), size=128, mode="bicubic"))
    return net.eval()
