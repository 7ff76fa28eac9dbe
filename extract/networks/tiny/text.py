"""Tiny speech recognisers and text encoders, in folders as transformers saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrst"


def write_ctc(folder: Path) -> Path:
    """A wav2vec 2.0 with a CTC head that recognises words of random letters."""
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
    with (
        torch.no_grad()
    ):  # at its initial weights it would give one letter all the time: score what differs from a tone
        model.lm_head.weight.normal_()
        model.lm_head.weight[4] *= 2  # short words: the separator is likely
        hidden = model.eval().wav2vec2(((tone - tone.mean()) / tone.std())[None]).last_hidden_state[0].mean(0)
        model.lm_head.bias.copy_(-model.lm_head.weight @ hidden)
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tf.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    tf.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return _save_model(model, folder)


def write_bert(folder: Path, max_tokens: int = 12) -> Path:
    """A BERT whose tokens are single letters; it takes at most ``max_tokens`` at a time."""
    import torch
    import transformers as tf

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    config = tf.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=len(vocabulary),
        max_position_embeddings=max_tokens,
    )  # fmt: skip
    torch.manual_seed(0)
    folder.mkdir()
    tokenizers: Any = tf  # one of its lazy names that type checkers do not know
    tokenizer = tokenizers.BertTokenizerFast(vocab={token: place for place, token in enumerate(vocabulary)})
    tokenizer.save_pretrained(folder)
    return _save_model(tf.BertModel(config), folder)


def write_whisper(folder: Path, *, has_heads: bool = True) -> Path:
    """A Whisper for windows of one second that transcribes anything as letters, in English or German."""
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
    ends: dict[str, Any] = {
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
    with torch.no_grad():  # at its initial weights it would give one letter all the time
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


def _save_model(model: Any, folder: Path) -> Path:
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model.save_pretrained(folder)
    return folder
