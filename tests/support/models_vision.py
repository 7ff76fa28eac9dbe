"""Tiny picture models at random weights, saved as a user's copies would lie, and the settings to test them with."""

import json
from pathlib import Path

# encoder -> settings; a value "@NAME" is the path of a model that ``make`` wrote
VARIANTS = {
    "hf_vision": [
        {"model": "@vit", "crop_px": 32},
        {"model": "@vit", "crop_px": 32, "layer": "-2..-1", "combine": "sum", "pool": "mean"},
        {"model": "@vit", "crop_px": 40, "pool": "pooler", "precision": "bf16"},
        {"model": "@clip", "crop_px": 32},
        {"model": "@clip", "crop_px": 32, "pool": "projected"},
        {"model": "@siglip", "crop_px": 32, "pool": "pooler"},
        {"model": "@siglip2_naflex", "crop_px": 40, "pool": "mean"},
        {"model": "@resnet", "pool": "mean", "crop": "none"},
        {"model": "@dinov2", "pool": "mean", "crop_px": 32},
        {"model": "@dinov3", "pool": "mean", "crop_px": 32},
        {"model": "@vit_mae", "crop_px": 32},
        {"model": "@videomae", "crop_px": 32, "pool": "mean"},
        {"model": "@vjepa2", "crop_px": 32, "pool": "mean", "stride": 1},
    ],
    "timm": [
        {"model": "@timm_vit", "crop_px": 32},
        {"model": "@timm_vit", "crop_px": 32, "pool": "mean", "layer": "1+2"},
        {"model": "@timm_eva02", "crop_px": 32},
        {"model": "@timm_eva_clip", "crop_px": 32, "pool": "cls"},
        {"model": "mobilenetv3_small_050", "weights": "@mobilenetv3.safetensors", "crop": "none"},
    ],
    "torchvision": [
        {"model": "resnet18", "weights": "@resnet18.pth", "crop_px": 64},
        {"model": "mobilenet_v3_small", "weights": "@mobilenet_v3_small.safetensors", "crop": "none"},
    ],
}
SQUARE = {"size": {"height": 32, "width": 32}}
EDGE = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}


def make(folder: Path) -> dict[str, Path]:
    """Write every model into ``folder``; their paths by name."""
    return make_transformers(folder) | make_timm(folder) | make_torchvision(folder)


def make_transformers(folder: Path) -> dict[str, Path]:
    """Folders of models with their processors, as ``save_pretrained`` writes them."""
    import torch

    made = {}
    for name, (build, processor) in _transformers().items():
        made[name] = folder / name
        torch.manual_seed(0)
        model = build()
        for parameter in model.parameters():  # class tokens, say: at zero they would hide mistakes
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.02)
        model.save_pretrained(made[name])
        processor.save_pretrained(made[name])
    return made


def _transformers():
    """Builders of models with their processors."""
    import transformers as tf

    tf.logging.set_verbosity_error()
    tf.utils.logging.disable_progress_bar()
    tiny = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    eye = {**tiny, "image_size": 32, "patch_size": 8}
    text = {**tiny, "vocab_size": 20, "bos_token_id": 0, "eos_token_id": 1, "max_position_embeddings": 8}
    maps = {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1]}
    jepa = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2.0}
    jepa |= {"crop_size": 32, "patch_size": 8, "frames_per_clip": 4, "pred_hidden_size": 24}
    jepa |= {"pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    mae = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    mae |= {"decoder_intermediate_size": 32}
    square, edge = tf.ViTImageProcessor(**SQUARE), tf.BitImageProcessor(**EDGE)
    siglip_text = {**text, "pad_token_id": 1, "projection_size": 16}
    naflex = {**tiny, "num_patches": 16, "patch_size": 8}
    return {
        "vit": (lambda: tf.ViTModel(tf.ViTConfig(**eye)), square),
        "clip": (
            lambda: tf.CLIPModel(tf.CLIPConfig(text_config=text, vision_config=eye, projection_dim=8)),
            tf.CLIPImageProcessor(**EDGE),
        ),
        "resnet": (
            lambda: tf.ResNetModel(tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
            square,
        ),
        "dinov2": (lambda: tf.Dinov2Model(tf.Dinov2Config(**eye)), square),
        "clip_tower": (
            lambda: tf.CLIPVisionModelWithProjection(tf.CLIPVisionConfig(**eye, projection_dim=8)),
            tf.CLIPImageProcessor(**EDGE),
        ),
        "siglip": (
            lambda: tf.SiglipModel(tf.SiglipConfig(text_config=siglip_text, vision_config=eye)),
            tf.SiglipImageProcessor(**SQUARE),
        ),
        "siglip2_naflex": (
            lambda: tf.Siglip2VisionModel(tf.Siglip2VisionConfig(**naflex)),
            tf.Siglip2ImageProcessor(patch_size=8, max_num_patches=20),
        ),
        "dino": (lambda: tf.ViTModel(tf.ViTConfig(**eye), add_pooling_layer=False), square),
        "dinov2_registers": (
            lambda: tf.Dinov2WithRegistersModel(tf.Dinov2WithRegistersConfig(**eye, num_register_tokens=3)),
            edge,
        ),
        "dinov3": (
            lambda: tf.DINOv3ViTModel(tf.DINOv3ViTConfig(**eye, num_register_tokens=4)),
            tf.DINOv3ViTImageProcessor(**SQUARE),
        ),
        "dinov3_convnext": (
            lambda: tf.DINOv3ConvNextModel(tf.DINOv3ConvNextConfig(**maps)),
            tf.DINOv3ViTImageProcessor(**SQUARE),
        ),
        "vit_mae": (lambda: tf.ViTMAEForPreTraining(tf.ViTMAEConfig(**eye, **mae)), square),
        "data2vec": (lambda: tf.Data2VecVisionModel(tf.Data2VecVisionConfig(**eye)), tf.BeitImageProcessor(**SQUARE)),
        "beit": (lambda: tf.BeitModel(tf.BeitConfig(**eye)), tf.BeitImageProcessor(**SQUARE)),
        "convnext": (
            lambda: tf.ConvNextModel(tf.ConvNextConfig(**maps)),
            tf.ConvNextImageProcessor(size={"shortest_edge": 32}),
        ),
        "videomae": (
            lambda: tf.VideoMAEModel(tf.VideoMAEConfig(**eye, num_frames=4, use_mean_pooling=False)),
            tf.VideoMAEImageProcessor(**EDGE),
        ),
        "timesformer": (
            lambda: tf.TimesformerModel(tf.TimesformerConfig(**eye, num_frames=4)),
            tf.VideoMAEImageProcessor(**EDGE),
        ),
        "vivit": (
            lambda: tf.VivitModel(tf.VivitConfig(**tiny, image_size=32, num_frames=4, tubelet_size=[2, 8, 8])),
            tf.VivitVideoProcessor(**EDGE),
        ),
        "vjepa2": (lambda: tf.VJEPA2Model(tf.VJEPA2Config(**jepa)), tf.VJEPA2VideoProcessor(crop_size=32)),
    }


def make_timm(folder: Path) -> dict[str, Path]:
    """Folders as timm's hub holds them (config.json with the architecture), and a file of weights."""
    import timm
    import torch
    from safetensors.torch import save_file

    small = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    cfg = {"input_size": [3, 32, 32], "fixed_input_size": True, "crop_pct": 1.0, "num_classes": 7}
    cfg |= {
        "classifier": "head",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "crop_mode": "center",
    }
    made = {}
    for name, architecture in (
        ("timm_vit", "vit_tiny_patch16_224"),
        ("timm_eva02", "eva02_tiny_patch14_224"),
        ("timm_eva_clip", "eva02_base_patch16_clip_224"),
    ):
        torch.manual_seed(0)
        model = timm.create_model(architecture, pretrained=False, num_classes=7, **small)
        made[name] = folder / name
        made[name].mkdir()
        save_file(model.state_dict(), made[name] / "model.safetensors")
        config = {"architecture": architecture, "num_classes": 7, "model_args": small, "pretrained_cfg": cfg}
        (made[name] / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    made["mobilenetv3.safetensors"] = folder / "mobilenetv3.safetensors"
    net = timm.create_model("mobilenetv3_small_050", pretrained=False, num_classes=8)
    save_file(_lively(net).state_dict(), made["mobilenetv3.safetensors"])
    return made


def make_torchvision(folder: Path) -> dict[str, Path]:
    """Files of weights, with a head of eight classes as a network trained on expressions has."""
    import torch
    import torchvision
    from safetensors.torch import save_file

    made = {"resnet18.pth": folder / "resnet18.pth"}
    torch.manual_seed(0)
    torch.save(_lively(torchvision.models.resnet18(num_classes=8)).state_dict(), made["resnet18.pth"])
    made["mobilenet_v3_small.safetensors"] = folder / "mobilenet_v3_small.safetensors"
    net = torchvision.models.mobilenet_v3_small(num_classes=8)
    save_file(_lively(net).state_dict(), made["mobilenet_v3_small.safetensors"])
    return made


def _lively(net):
    """With statistics of what flows through it: at its first ones a deep network gives all pictures the same row."""
    import torch

    norms = [part for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.nn.functional.interpolate(torch.randn(8, 3, 24, 24), size=128, mode="bicubic"))
    return net.eval()
