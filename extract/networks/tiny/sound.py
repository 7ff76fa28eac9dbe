"""Tiny sound models, in folders as transformers saves them, and bundles of torchaudio."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from extract.networks.tiny import TinyWeights

SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WAV2VEC2: dict[str, Any] = {
    **SIZES,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
CLASSES: dict[str, Any] = {"id2label": {0: "neutral", 1: "happy"}, "label2id": {"neutral": 0, "happy": 1}}
WHISPER_S = 1  # the window of Whisper's encoder, 30 s in the real one


Model = tuple[Callable[[], Any], tuple[Any, dict[str, Any]]]  # what builds it; its extractor's class and arguments


def sound_model(name: str) -> TinyWeights:
    """The model of that name in ``SOUND_MODELS``."""
    return TinyWeights(name, partial(write_sound_model, name))


def bundle(kind: str) -> TinyWeights:
    """The weights of the bundle ``TINY_<kind>`` of torchaudio, kind "wav2vec2", "wav2vec2_large" or "wavlm"."""
    return TinyWeights(f"TINY_{kind.upper()}.pth", partial(write_bundle, kind))


SOUND_MODELS = (
    "wav2vec2", "wav2vec2_large", "hubert", "wavlm", "data2vec", "unispeech", "sew", "wav2vec2_bert", "whisper",
    "audeering", "wav2vec2_classifier", "whisper_classifier", "ast_classifier",
)  # fmt: skip


def _models() -> dict[str, Model]:
    import transformers as tf

    waves = (tf.Wav2Vec2FeatureExtractor, {"do_normalize": True})
    masked = (tf.Wav2Vec2FeatureExtractor, {"do_normalize": True, "return_attention_mask": True})
    large: dict[str, Any] = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    data2vec: dict[str, Any] = {
        **WAV2VEC2,
        "conv_pos_kernel_size": 5,
        "num_conv_pos_embedding_groups": 4,
        "num_conv_pos_embeddings": 2,
    }
    sew: dict[str, Any] = {
        **WAV2VEC2, "squeeze_factor": 2, "conv_dim": (8,) * 7, "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
        "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    }  # fmt: skip
    bert: dict[str, Any] = {
        **SIZES,
        "feature_projection_input_dim": 160,
        "conv_depthwise_kernel_size": 3,
        "output_hidden_size": 16,
    }
    return {
        "wav2vec2": (lambda: tf.Wav2Vec2Model(tf.Wav2Vec2Config(**WAV2VEC2)), waves),
        "wav2vec2_large": (lambda: tf.Wav2Vec2Model(tf.Wav2Vec2Config(**WAV2VEC2, **large)), masked),
        "hubert": (lambda: tf.HubertModel(tf.HubertConfig(**WAV2VEC2)), waves),
        "wavlm": (lambda: tf.WavLMModel(tf.WavLMConfig(**WAV2VEC2)), waves),
        "data2vec": (lambda: tf.Data2VecAudioModel(tf.Data2VecAudioConfig(**data2vec)), waves),
        "unispeech": (lambda: tf.UniSpeechModel(tf.UniSpeechConfig(**WAV2VEC2)), waves),
        "sew": (lambda: tf.SEWModel(tf.SEWConfig(**sew)), waves),
        "wav2vec2_bert": (lambda: tf.Wav2Vec2BertModel(tf.Wav2Vec2BertConfig(**bert)), (
            tf.SeamlessM4TFeatureExtractor, {"feature_size": 80, "num_mel_bins": 80, "padding_value": 1.0},
        )),
        "wav2vec2_classifier": (
            lambda: tf.Wav2Vec2ForSequenceClassification(tf.Wav2Vec2Config(**WAV2VEC2, **CLASSES)), waves,
        ),
        "whisper_classifier": (lambda: tf.WhisperForAudioClassification(whisper_config(**CLASSES)), (
            tf.WhisperFeatureExtractor, {"feature_size": 20, "chunk_length": WHISPER_S},
        )),
        "ast_classifier": (
            lambda: tf.ASTForAudioClassification(tf.ASTConfig(**SIZES, **CLASSES, max_length=64, num_mel_bins=16)),
            (tf.ASTFeatureExtractor, {"num_mel_bins": 16, "max_length": 64}),
        ),
        "whisper": (lambda: tf.WhisperModel(whisper_config()), (
            tf.WhisperFeatureExtractor, {"feature_size": 20, "chunk_length": WHISPER_S},
        )),
    }  # fmt: skip


def whisper_config(**more: Any) -> Any:
    """A Whisper for windows of ``WHISPER_S``."""
    import transformers as tf

    return tf.WhisperConfig(
        d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=20, num_mel_bins=20, max_source_positions=50 * WHISPER_S,
        max_target_positions=8, pad_token_id=0, bos_token_id=0, eos_token_id=1, decoder_start_token_id=0, **more,
    )  # fmt: skip


def write_sound_model(name: str, folder: Path) -> Path:
    """The model and its feature extractor, as ``save_pretrained`` writes them."""
    import torch
    import transformers as tf

    if name == "audeering":
        return _with_head(write_sound_model("wav2vec2", folder))
    tf.utils.logging.disable_progress_bar()
    build, (extractor, arguments) = _models()[name]
    torch.manual_seed(0)
    build().eval().save_pretrained(folder)
    extractor(**arguments).save_pretrained(folder)
    return folder


def _with_head(folder: Path) -> Path:
    """Turns a wav2vec 2.0 into a checkpoint of audEERING's dimensional model: ``wav2vec2.`` and ``classifier.``."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {f"wav2vec2.{key}": value for key, value in load_file(folder / "model.safetensors").items()}
    made = torch.Generator().manual_seed(1)
    for name, num in (("dense", 16), ("out_proj", 3)):
        tensors[f"classifier.{name}.weight"] = torch.randn(num, 16, generator=made) / 16
        tensors[f"classifier.{name}.bias"] = torch.rand(num, generator=made)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["Wav2Vec2ForSpeechClassification"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_bundle(kind: str, path: Path) -> Path:
    """Weights of a bundle, which is added to ``torchaudio.pipelines`` under the file's name."""
    import torch
    from torchaudio import pipelines

    model_type, normalizes = ("WavLM", False) if kind == "wavlm" else ("Wav2Vec2", True)
    sizes = bundle_sizes(kind)
    setattr(pipelines, path.stem, pipelines.Wav2Vec2Bundle(path.name, sizes, 16000, normalizes, model_type))
    torch.manual_seed(0)
    torch.save(pipelines._wav2vec2.utils._get_model(model_type, sizes).state_dict(), path)
    return path


def bundle_sizes(kind: str) -> dict[str, Any]:
    """The arguments of torchaudio's model factories."""
    sizes: dict[str, Any] = {
        "extractor_mode": "group_norm", "extractor_conv_bias": False,
        "extractor_conv_layer_config": [(8, 10, 5), *[(8, 3, 2)] * 4, *[(8, 2, 2)] * 2],
        "encoder_embed_dim": 16, "encoder_projection_dropout": 0.1, "encoder_pos_conv_kernel": 16,
        "encoder_pos_conv_groups": 4, "encoder_num_layers": 2, "encoder_num_heads": 2, "encoder_attention_dropout": 0.1,
        "encoder_ff_interm_features": 32, "encoder_ff_interm_dropout": 0.0, "encoder_dropout": 0.1,
        "encoder_layer_norm_first": False, "encoder_layer_drop": 0.05, "aux_num_out": None,
    }  # fmt: skip
    if kind == "wav2vec2_large":
        sizes |= {"extractor_mode": "layer_norm", "encoder_layer_norm_first": True}
    return sizes | {"encoder_num_buckets": 32, "encoder_max_distance": 80} if kind == "wavlm" else sizes
