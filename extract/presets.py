"""Presets: encoders by the names of their models, with settings, dimension, size, licence and source.

Sizes are of the downloaded weights file, in MB. The revision is the hub's main branch unless a setting names another;
the recipe of a track records the hash of the weights that were loaded. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError
from abaw.registry import Part, nearest
from extract.encoders import ENCODERS
from extract.networks.hub import MissingWeights

if TYPE_CHECKING:
    from extract.encoders.base import Encoder


@dataclass(frozen=True)
class Preset:
    """Settings of an encoder under a name of their own.

    ``family``: the encoder. ``names``: its settings that hold names of models at the hub. ``needs``: a setting that the
    user must give, a file that no hub offers; ``note`` then says where to get it. ``size_mb`` and ``licence``: None
    where they are not known for certain.
    """

    family: str
    settings: Mapping[str, Any]
    dim: int
    size_mb: int | None
    licence: str | None
    source: str
    note: str = ""
    needs: str | None = None
    names: tuple[str, ...] = field(default=("model",), repr=False)

    @property
    def hub(self) -> str | None:
        """The names of its models at the hub, joined by " + "; None where the user gives the weights."""
        if self.needs:
            return None
        owner = "timm/" if self.family == "timm" else ""
        return " + ".join(owner + self.settings[name] for name in self.names)

    @property
    def layer(self) -> Any:
        """The hidden layer used by default, -1 for the last; of an ONNX file the name of the tensor."""
        default = self.settings.get("output", self.settings.get("node"))
        return self.settings.get("layer", -1 if default is None else default)


CLIP = "Radford et al. 2021, Learning transferable visual models from natural language supervision"
WAVLM = "Chen et al. 2022, WavLM"
WAVLM_LICENCE = "the card points to microsoft/UniSpeech (CC BY-SA 3.0), microsoft/unilm says MIT"
LAST_FOUR = "Wen et al. 2024 sum the last four hidden layers: layer=-4..-1,combine=sum"
WHISPER = "Radford et al. 2023, Robust speech recognition via large-scale weak supervision"

PRESETS: dict[str, Preset] = {
    # images, one row each
    "clip_vit_l14": Preset(
        "hf_vision", {"model": "openai/clip-vit-large-patch14", "pool": "projected"}, 768, 1710,
        "MIT (the authors' repository)", CLIP, "the features that CLIP compares with text; pool=cls gives 1024 values",
    ),
    "clip_vit_b32": Preset(
        "hf_vision", {"model": "openai/clip-vit-base-patch32", "pool": "projected"}, 512, 605,
        "MIT (the authors' repository)", CLIP,
    ),
    "siglip2_so400m": Preset(
        "hf_vision", {"model": "google/siglip2-so400m-patch14-384", "pool": "pooler", "crop_px": 384}, 1152, 4544,
        "Apache-2.0", "Tschannen et al. 2025, SigLIP 2",
    ),
    "dino_vitb8": Preset(
        "hf_vision", {"model": "facebook/dino-vitb8"}, 768, 343, "Apache-2.0",
        "Caron et al. 2021, Emerging properties in self-supervised vision transformers",
    ),
    "dinov2_l": Preset(
        "hf_vision", {"model": "facebook/dinov2-large"}, 1024, 1217, "Apache-2.0", "Oquab et al. 2023, DINOv2",
    ),
    "dinov3_l": Preset(
        "hf_vision", {"model": "facebook/dinov3-vitl16-pretrain-lvd1689m"}, 1024, 1213, "DINOv3 License",
        "Simeoni et al. 2025, DINOv3", "available to those who accept the licence on the model's page",
    ),
    "data2vec_vision_b": Preset(
        "hf_vision", {"model": "facebook/data2vec-vision-base", "pool": "mean"}, 768, None, "Apache-2.0",
        "Baevski et al. 2022, data2vec",
    ),
    "eva02_b14": Preset(
        "timm", {"model": "eva02_base_patch14_224.mim_in22k"}, 768, 343, "MIT", "Fang et al. 2023, EVA-02",
    ),
    "mobilenetv3_l": Preset(
        "timm", {"model": "mobilenetv3_large_100.ra_in1k"}, 1280, 22, "Apache-2.0",
        "Howard et al. 2019, Searching for MobileNetV3", "trained on ImageNet; a baseline, or to be fine-tuned",
    ),
    "efficientnetv2_t": Preset(
        "timm", {"model": "efficientnetv2_rw_t.ra2_in1k"}, 1024, 55, "Apache-2.0",
        "Tan and Le 2021, EfficientNetV2", "trained on ImageNet",
    ),
    "regnety_016": Preset(
        "timm", {"model": "regnety_016.tv2_in1k"}, 888, 45, "BSD-3-Clause",
        "Radosavovic et al. 2020, Designing network design spaces", "trained on ImageNet",
    ),
    "mae_face": Preset(
        "timm", {"model": "vit_base_patch16_224.mae", "pool": "mean"}, 768, None, None,
        "Ma et al. 2022, Facial action unit detection and intensity estimation from self-supervised representation",
        "a ViT-B/16 pretrained as a masked autoencoder on faces; the weights are linked in the authors' repository "
        "FuxiVirtualHuman/MAE-Face, no hub offers them", needs="weights",
    ),
    "resnet50_face": Preset(
        "torchvision", {"model": "resnet50"}, 2048, None, None,
        "Cao et al. 2018, VGGFace2", "a ResNet-50 trained on faces (VGGFace2, FER+, AffectNet) from a trusted source, "
        "with torchvision's tensor names; set transforms if it was not trained with ImageNet's mean and std",
        needs="weights",
    ),
    "emotieffnet_b0": Preset(
        "onnx", {"output": "hidden", "crop_px": 224}, 1280, None, "Apache-2.0 (the library's)",
        "Savchenko 2022, Video-based frame-level facial analysis of affective behavior on mobile devices",
        "enet_b0_8_best_vgaf.onnx or another EfficientNet-B0 from the repository sb-ai-lab/EmotiEffLib; "
        "output=0 gives its logits", needs="file",
    ),
    # video, one row for several pictures
    "videomae_b": Preset(
        "hf_vision", {"model": "MCG-NJU/videomae-base", "pool": "mean"}, 768, 377, "CC BY-NC 4.0",
        "Tong et al. 2022, VideoMAE", "one row for every 16 pictures",
    ),
    # audio
    "wav2vec2_base": Preset(
        "hf_audio", {"model": "facebook/wav2vec2-base"}, 768, 380, "Apache-2.0", "Baevski et al. 2020, wav2vec 2.0",
    ),
    "wav2vec2_large_robust_emotion": Preset(
        "hf_audio", {"model": "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim"}, 1024, 661, "CC BY-NC-SA 4.0",
        "Wagner et al. 2023, Dawn of the transformer era in speech emotion recognition",
        "trained on arousal, dominance and valence of MSP-Podcast",
    ),
    "hubert_large": Preset(
        "hf_audio", {"model": "facebook/hubert-large-ll60k"}, 1024, 1262, "Apache-2.0", "Hsu et al. 2021, HuBERT",
    ),
    "wavlm_large": Preset(
        "hf_audio", {"model": "microsoft/wavlm-large"}, 1024, 1262, WAVLM_LICENCE, WAVLM, LAST_FOUR,
    ),
    "wavlm_base_plus": Preset(
        "hf_audio", {"model": "microsoft/wavlm-base-plus"}, 768, 378, WAVLM_LICENCE, WAVLM, LAST_FOUR,
    ),
    "data2vec_audio_base": Preset(
        "hf_audio", {"model": "facebook/data2vec-audio-base"}, 768, 373, "Apache-2.0", "Baevski et al. 2022, data2vec",
    ),
    "whisper_large_v3": Preset(
        "hf_audio", {"model": "openai/whisper-large-v3"}, 1280, 3087, "Apache-2.0", WHISPER, "states of its encoder",
    ),
    "whisper_base": Preset(
        "hf_audio", {"model": "openai/whisper-base"}, 512, 290, "Apache-2.0", WHISPER, "states of its encoder",
    ),
    # text
    "whisper_roberta": Preset(
        "words", {"model": "openai/whisper-base", "text": "FacebookAI/roberta-base"}, 768, 789, "Apache-2.0 and MIT",
        f"{WHISPER}; Liu et al. 2019, RoBERTa", "transcribed words, each when it is spoken", names=("model", "text"),
    ),
}  # fmt: skip


def resolve(name: str, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The encoder and its settings for the name of an encoder or preset; ``settings`` override the preset's.

    Raises InputError where neither has that name, MissingWeights where the preset needs a file that is not given.

    >>> resolve("dinov2_l", {"batch_size": 8})
    ('hf_vision', {'model': 'facebook/dinov2-large', 'batch_size': 8})
    """
    if name not in PRESETS:
        names = ENCODERS.names()
        if name not in names:
            raise InputError(
                f"no encoder named {name!r}{nearest(name, [*names, *PRESETS])} known: {', '.join(names)}; "
                f"presets: {', '.join(PRESETS)}"
            )
        return name, dict(settings)
    preset = PRESETS[name]
    if preset.needs and preset.needs not in settings:
        raise MissingWeights(
            f"{name} needs a file of your own: give {name}:{preset.needs}=PATH ({facts_of(preset)}): {preset.note}"
        )
    return preset.family, {**preset.settings, **settings}


def build(name: str, *, device: str = "cpu", download: bool = False, **settings: Any) -> Encoder:
    """Build the encoder or preset of that name. An encoder without a ``device`` argument runs on the CPU.

    ``download``: fetch weights that are not on this machine. Raises InputError for an unknown name or setting, and
    MissingWeights, which for a preset states the size and licence of its weights.
    """
    family, chosen = resolve(name, settings)
    given = {key: value for key, value in (("device", device), ("download", download)) if key in _part(family).given}
    try:
        encoder: Encoder = ENCODERS.build(family, **chosen, **given)
    except MissingWeights as error:
        if name not in PRESETS:
            raise
        preset = PRESETS[name]
        note = f"; {preset.note}" if preset.needs else ""
        raise MissingWeights(f"{name} ({facts_of(preset)}): {error}{note}") from error
    return encoder


def rows() -> list[dict[str, Any]]:
    """The presets as JSON objects for ``abaw list``."""
    return [
        {
            "name": name, "preset_of": preset.family, "modality": _part(preset.family).facts["modality"],
            "dim": preset.dim, "built_in": False, "licence": preset.licence, "size_mb": preset.size_mb,
            "hub": preset.hub, "revision": None if preset.needs else preset.settings.get("revision", "main"),
            "layer": preset.layer, "needs": preset.needs, "settings": dict(preset.settings), "summary": preset.source,
            "note": preset.note,
        }
        for name, preset in PRESETS.items()
    ]  # fmt: skip


def _part(family: str) -> Part:
    return ENCODERS.part(family)


def facts_of(preset: Preset) -> str:
    """Size and licence of a preset's weights, in words."""
    size = "size unknown" if preset.size_mb is None else f"{preset.size_mb} MB"
    return f"{size}, licence: {preset.licence or 'see the source of the file'}"
