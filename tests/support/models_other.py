"""Tiny networks with random weights for onnx, onnx_sound and words, as files and folders a user would have.

In ``VARIANTS`` a value "@name" stands for the path of that name in what ``make`` gives. ``landmarks`` has no variant:
it finds nothing in pictures of noise, and its package lives in an environment of its own.
"""

import json
from pathlib import Path

import numpy as np

VARIANTS: dict[str, list[dict]] = {
    "onnx": [
        {"file": "@face_net"},
        {"file": "@face_net", "output": "hidden"},
        {"file": "@face_net", "output": "map", "channels": "bgr", "mean": 0.5, "std": 0.5},
        {"file": "@face_net_nhwc", "crop": "none", "crop_px": 16},
        {"file": "@one_face_net"},
    ],
    "onnx_sound": [
        {"file": "@wave_net", "field": 400, "hop": 320},
        {"file": "@wave_net", "field": 400, "hop": 320, "chunk_s": 0.3, "overlap_s": 0.1, "normalize": True},
        {"file": "@window_net", "field": 1600, "hop": 800},
    ],
    "landmarks": [],
    "words": [
        {"model": "@ctc", "text": "@bert"},
        {"model": "@ctc", "text": "@bert", "layer": "0+1", "chunk_s": 0.5, "overlap_s": 0.1},
    ],
}

LETTERS = "abcdefghijklmnopqrst"


def make(folder: Path) -> dict[str, Path]:
    """Every tiny network by name: a file for onnx and onnx_sound, a folder for words."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        name: folder / f"{name}.onnx"
        for name in ("face_net", "face_net_nhwc", "one_face_net", "wave_net", "window_net")
    }
    face_net(made["face_net"])
    face_net(made["face_net_nhwc"], is_nhwc=True)
    face_net(made["one_face_net"], batch=1)
    wave_net(made["wave_net"])
    wave_net(made["window_net"], is_pooled=True)
    return made | {
        "ctc": ctc(folder / "ctc"),
        "bert": bert(folder / "bert"),
        "whisper_words": whisper(folder / "whisper_words"),
    }


def face_net(path: Path, *, batch: int | str = "batch", px: int | str = 16, is_nhwc: bool = False) -> Path:
    """Pictures -> convolution (tensor "map") -> mean over space ("features") -> linear (output "logits")."""
    from onnx import TensorProto, helper

    rng = np.random.default_rng(0)
    weights = {"kernel": rng.normal(size=(6, 3, 4, 4)), "linear": rng.normal(size=(6, 8)), "bias": rng.normal(size=8)}
    if is_nhwc:
        px = "px"
    nodes = [
        helper.make_node("Conv", ["chw" if is_nhwc else "pictures", "kernel"], ["filtered"], strides=[4, 4]),
        helper.make_node("Relu", ["filtered"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "linear", "bias"], ["scores"]),
        helper.make_node("Identity", ["scores"], ["logits"]),
    ]
    if is_nhwc:
        nodes.insert(0, helper.make_node("Transpose", ["pictures"], ["chw"], perm=[0, 3, 1, 2]))
    shape = [batch, px, px, 3] if is_nhwc else [batch, 3, px, px]
    inputs = [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 8])]
    return _save(path, nodes, inputs, outputs, weights)


def wave_net(path: Path, *, is_pooled: bool = False) -> Path:
    """A waveform (1, samples) -> rows that see 400 samples each 320 (1, rows, 5), or their mean (1, 5)."""
    from onnx import TensorProto, helper

    weights = {"kernel": np.random.default_rng(1).normal(size=(5, 1, 400))}
    nodes = [
        helper.make_node("Unsqueeze", ["wave", "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernel"], ["filtered"], strides=[320]),
        helper.make_node("Tanh", ["filtered"], ["bounded"]),
        helper.make_node("Transpose", ["bounded"], ["rows"], perm=[0, 2, 1]),
    ]
    if is_pooled:
        nodes.append(helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[1], keepdims=0))
    inputs = [helper.make_tensor_value_info("wave", TensorProto.FLOAT, [1, "samples"])]
    name, shape = ("mean", [1, 5]) if is_pooled else ("rows", [1, "rows", 5])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
    return _save(path, nodes, inputs, outputs, weights)


def ctc(folder: Path) -> Path:
    """A wav2vec 2.0 that hears words of random letters."""
    import torch
    import transformers as tf

    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4} | {
        c.upper(): 5 + i for i, c in enumerate(LETTERS)
    }
    config = tf.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, vocab_size=len(vocabulary), pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(3)
    model = tf.Wav2Vec2ForCTC(config)
    tone = 0.3 * torch.sin(2 * torch.pi * 150 * torch.arange(16000) / 16000)
    tone = tone + 0.01 * torch.randn(16000)
    with torch.no_grad():  # as it is made it would hear one letter all the time: only what differs from a tone counts
        model.lm_head.weight.normal_()
        model.lm_head.weight[4] *= 2  # words are short
        hidden = model.eval().wav2vec2(((tone - tone.mean()) / tone.std())[None]).last_hidden_state[0].mean(0)
        model.lm_head.bias.copy_(-model.lm_head.weight @ hidden)
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tf.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    tf.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return _save_model(model, folder)


def bert(folder: Path, max_tokens: int = 12) -> Path:
    """A BERT whose tokens are single letters, of at most so many of them."""
    import torch
    import transformers as tf

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    config = tf.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=len(vocabulary),
        max_position_embeddings=max_tokens,
    )  # fmt: skip
    torch.manual_seed(0)
    folder.mkdir()
    tokenizer = tf.BertTokenizerFast(vocab={token: place for place, token in enumerate(vocabulary)})
    tokenizer.save_pretrained(folder)
    return _save_model(tf.BertModel(config), folder)


def whisper(folder: Path, *, has_heads: bool = True) -> Path:
    """A Whisper that takes one second and says letters of its own, whatever it hears, in English or German."""
    import torch
    import transformers as tf

    named = ["endoftext", "startoftranscript", "en", "de", "translate", "transcribe", "startoflm", "startofprev"]
    special = [f"<|{name}|>" for name in [*named, "nospeech", "notimestamps"]]
    plain = [*LETTERS, *(f"Ġ{letter}" for letter in LETTERS), "Ġ"]
    tokenizer = tf.WhisperTokenizer(
        vocab={token: place for place, token in enumerate(plain)}, merges=[("Ġ", letter) for letter in LETTERS]
    )
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.add_tokens([tf.AddedToken(f"<|{place * 0.02:.2f}|>", special=False) for place in range(51)])
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in [*named, "notimestamps"]}
    ends = {
        "bos_token_id": ids["endoftext"], "eos_token_id": ids["endoftext"], "pad_token_id": ids["endoftext"],
        "decoder_start_token_id": ids["startoftranscript"],
    }  # fmt: skip
    config = tf.WhisperConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=len(tokenizer), num_mel_bins=20, max_source_positions=50,
        max_target_positions=32, **ends,
    )  # fmt: skip
    torch.manual_seed(0)
    model = tf.WhisperForConditionalGeneration(config)
    with torch.no_grad():  # as it is made it would say one letter all the time
        model.model.decoder.embed_tokens.weight.normal_()
        model.model.decoder.embed_positions.weight.normal_()
    model.generation_config = tf.GenerationConfig(
        **ends, no_timestamps_token_id=ids["notimestamps"], prev_sot_token_id=ids["startofprev"], is_multilingual=True,
        lang_to_id={f"<|{name}|>": ids[name] for name in ("en", "de")}, max_initial_timestamp_index=50, max_length=32,
        task_to_id={name: ids[name] for name in ("transcribe", "translate")}, begin_suppress_tokens=[ids["endoftext"]],
        **({"alignment_heads": [[0, 0], [0, 1]]} if has_heads else {}),
    )  # fmt: skip
    folder.mkdir()
    tokenizer.save_pretrained(folder)
    tf.WhisperFeatureExtractor(feature_size=20, chunk_length=1).save_pretrained(folder)
    return _save_model(model, folder)


def _save(path, nodes, inputs, outputs, weights):
    import onnx
    from onnx import helper, numpy_helper

    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    stored.append(numpy_helper.from_array(np.array([1]), "axis"))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [each for each in stored if each.name in used])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return path


def _save_model(model, folder):
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model.save_pretrained(folder)
    return folder
