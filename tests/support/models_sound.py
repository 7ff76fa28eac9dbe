"""Tiny sound models with random weights, saved as a user's own copies would be, and the settings to test with.

In ``VARIANTS`` a value "@name" stands for the path of that name in what ``make`` gives.
"""

from pathlib import Path

import numpy as np

VARIANTS: dict[str, list[dict]] = {
    "voice_mel": [{}],
    "egemaps": [{}],
    "vad": [{"file": "@vad"}],
    "torchaudio": [
        {"bundle": "TINY_WAV2VEC2", "weights": "@torchaudio_wav2vec2"},
        {"bundle": "TINY_WAVLM", "weights": "@torchaudio_wavlm", "layer": "1..2"},
    ],
    "hf_audio": [
        {"model": "@wav2vec2"},
        {"model": "@hubert", "chunk_s": 1.0, "overlap_s": 0.2},
        {"model": "@wavlm", "layer": "0+2", "combine": "sum"},
        {"model": "@data2vec"},
        {"model": "@unispeech", "precision": "bf16"},
        {"model": "@sew"},
        {"model": "@wav2vec2_bert"},
        {"model": "@whisper", "chunk_s": 1.0, "overlap_s": 0.2},
        {"model": "@audeering"},
    ],
}

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
EAR = {**SIZES, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
WHISPER_S = 1  # a Whisper that hears one second instead of thirty


def make(folder: Path) -> dict[str, Path]:
    """Every tiny model by name: a folder for hf_audio, a file for the others."""
    made = {name: _save(folder / name, build, extractor) for name, (build, extractor) in _models().items()}
    made["audeering"] = _with_head(made["wav2vec2"], folder / "audeering")
    made["vad"] = vad_network(folder / "vad.onnx")
    return made | make_bundles(folder)


def _models():
    """Name -> what builds the model, and its feature extractor's arguments."""
    import transformers as tf

    waves = (tf.Wav2Vec2FeatureExtractor, {"do_normalize": True})
    masked = (tf.Wav2Vec2FeatureExtractor, {"do_normalize": True, "return_attention_mask": True})
    large = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    data2vec = {**EAR, "conv_pos_kernel_size": 5, "num_conv_pos_embedding_groups": 4, "num_conv_pos_embeddings": 2}
    sew = {
        **EAR, "squeeze_factor": 2, "conv_dim": (8,) * 7, "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
        "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    }  # fmt: skip
    bert = {**SIZES, "feature_projection_input_dim": 160, "conv_depthwise_kernel_size": 3, "output_hidden_size": 16}
    return {
        "wav2vec2": (lambda: tf.Wav2Vec2Model(tf.Wav2Vec2Config(**EAR)), waves),
        "wav2vec2_large": (lambda: tf.Wav2Vec2Model(tf.Wav2Vec2Config(**EAR, **large)), masked),
        "hubert": (lambda: tf.HubertModel(tf.HubertConfig(**EAR)), waves),
        "wavlm": (lambda: tf.WavLMModel(tf.WavLMConfig(**EAR)), waves),
        "data2vec": (lambda: tf.Data2VecAudioModel(tf.Data2VecAudioConfig(**data2vec)), waves),
        "unispeech": (lambda: tf.UniSpeechModel(tf.UniSpeechConfig(**EAR)), waves),
        "sew": (lambda: tf.SEWModel(tf.SEWConfig(**sew)), waves),
        "wav2vec2_bert": (lambda: tf.Wav2Vec2BertModel(tf.Wav2Vec2BertConfig(**bert)), (
            tf.SeamlessM4TFeatureExtractor, {"feature_size": 80, "num_mel_bins": 80, "padding_value": 1.0},
        )),
        "whisper": (lambda: tf.WhisperModel(whisper_config()), (
            tf.WhisperFeatureExtractor, {"feature_size": 20, "chunk_length": WHISPER_S},
        )),
    }  # fmt: skip


def whisper_config():
    import transformers as tf

    return tf.WhisperConfig(
        d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=20, num_mel_bins=20, max_source_positions=50 * WHISPER_S,
        max_target_positions=8, pad_token_id=0, bos_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip


def _save(folder, build, extractor):
    import torch
    import transformers as tf

    tf.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    build().eval().save_pretrained(folder)
    kind, arguments = extractor
    kind(**arguments).save_pretrained(folder)
    return folder


def _with_head(source, folder):
    """A checkpoint as audEERING saves its dimensional network: ``wav2vec2.`` and a head, ``classifier.``."""
    import json
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, folder)
    tensors = {f"wav2vec2.{key}": value for key, value in load_file(source / "model.safetensors").items()}
    tensors |= {"classifier.dense.weight": torch.zeros(16, 16), "classifier.out_proj.bias": torch.zeros(3)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["Wav2Vec2ForSpeechClassification"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def make_bundles(folder):
    """Two bundles of torchaudio, put where its own lie, and their weights."""
    import torch
    from torchaudio import pipelines

    made = {}
    for kind, normalize in (("Wav2Vec2", True), ("WavLM", False)):
        name = f"TINY_{kind.upper()}"
        bundle = pipelines.Wav2Vec2Bundle(f"{name}.pth", bundle_sizes(kind), 16000, normalize, kind)
        setattr(pipelines, name, bundle)
        made[f"torchaudio_{kind.lower()}"] = path = folder / f"{name}.pth"
        torch.manual_seed(0)
        torch.save(pipelines._wav2vec2.utils._get_model(kind, bundle_sizes(kind)).state_dict(), path)
    return made


def bundle_sizes(kind):
    """The arguments of torchaudio's model factories."""
    sizes = {
        "extractor_mode": "group_norm", "extractor_conv_bias": False,
        "extractor_conv_layer_config": [(8, 10, 5), *[(8, 3, 2)] * 4, *[(8, 2, 2)] * 2],
        "encoder_embed_dim": 16, "encoder_projection_dropout": 0.1, "encoder_pos_conv_kernel": 16,
        "encoder_pos_conv_groups": 4, "encoder_num_layers": 2, "encoder_num_heads": 2, "encoder_attention_dropout": 0.1,
        "encoder_ff_interm_features": 32, "encoder_ff_interm_dropout": 0.0, "encoder_dropout": 0.1,
        "encoder_layer_norm_first": False, "encoder_layer_drop": 0.05, "aux_num_out": None,
    }  # fmt: skip
    return sizes | {"encoder_num_buckets": 32, "encoder_max_distance": 80} if kind == "WavLM" else sizes


def vad_network(path):
    """An ONNX network of silero's signature: the loudness of 512 samples, their context and what was before."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    parts = [
        helper.make_node("Abs", ["input"], ["size"]),
        helper.make_node("ReduceMean", ["size", "axis"], ["loudness"], keepdims=1),
        helper.make_node("Identity", ["state"], ["before"]),
        helper.make_node("ReduceMean", ["before", "axes"], ["memory"], keepdims=0),
        helper.make_node("Unsqueeze", ["memory", "axis"], ["column"]),
        helper.make_node("Add", ["loudness", "column"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["output"]),
        helper.make_node("Mul", ["state", "half"], ["faded"]),
        helper.make_node("Add", ["faded", "sum"], ["stateN"]),
    ]
    axes = numpy_helper.from_array(np.array([0, 2], np.int64), "axes")
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    given = [
        helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", "sequence"]),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, "batch", 128]),
        helper.make_tensor_value_info("sr", TensorProto.INT64, []),
    ]
    outputs = [
        helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1]),
        helper.make_tensor_value_info("stateN", TensorProto.FLOAT, [2, "batch", 128]),
    ]
    graph = helper.make_graph(parts, "tiny", given, outputs, [axis, axes, half])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    save(model, path)
    return path
