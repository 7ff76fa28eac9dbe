"""Spoken words as text embeddings: words with their times from a speech recogniser, embedded by a text encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import check_rate
from extract.networks.frozen import (
    Combine,
    Layers,
    Precision,
    freeze,
    hidden_states,
    inference,
    parse_layers,
    precision_on,
)
from extract.networks.hub import configs_hash, load_model, load_processor, snapshot, weights_hash
from extract.networks.speech import SpeechRecogniser, Word

FACTS = {"modality": "text", "dim": None, "built_in": False, "licence": "the models' own", "size_mb": None}

PIECE_ROWS = 1024  # rows of a piece of the track
MAX_TOKENS = 512  # of a window of words, where the text encoder has no limit: its cost grows with the square


@ENCODERS.register
def words(
    *,
    model: str,
    text: str,
    revision: str = "main",
    text_revision: str = "main",
    language: str | None = None,
    hop_s: float = 0.1,
    layer: int | str = -1,
    combine: Combine = "mean",
    precision: Precision = "fp32",
    chunk_s: float = 30.0,
    overlap_s: float = 6.0,
    trust_remote_code: bool = False,
    device: str = "cpu",
    download: bool = False,
) -> SoundEncoder:
    """Words recognised by model (CTC or Whisper), embedded by text (BERT, RoBERTa, ...), each while it is spoken."""
    precision = precision_on(device, precision)
    settings = {
        "model": model, "text": text, "revision": revision, "text_revision": text_revision, "language": language,
        "hop_s": hop_s, "layer": str(layer), "combine": combine, "precision": precision, "chunk_s": chunk_s,
        "overlap_s": overlap_s, "trust_remote_code": trust_remote_code,
    }  # fmt: skip
    if hop_s <= 0:
        raise InputError(f"words: hop_s is {hop_s}, expected more than 0 s")
    recogniser = SpeechRecogniser(
        snapshot(model, revision=revision, download=download),
        language=language,
        chunk_s=chunk_s,
        overlap_s=overlap_s,
        precision=precision,
        trust_remote_code=trust_remote_code,
        device=device,
    )
    folder = snapshot(text, revision=text_revision, download=download)
    chosen = parse_layers(layer, combine)
    return Words(recogniser, TextEncoder(folder, chosen, precision, trust_remote_code, device), settings)


class Words(SoundEncoder):
    """A row every ``hop_s``: the embedding of the word that fills most of this time; unobserved where none is spoken.

    An embedding is the mean over the word's tokens in the text encoder's hidden layer, in the context of the words
    around it, as many as the text encoder takes. A transcript in capitals is converted to lower case first.
    """

    modality = "text"

    def __init__(self, recogniser: SpeechRecogniser, text: TextEncoder, settings: dict[str, Any]) -> None:
        self._recogniser, self._text, self._settings = recogniser, text, settings
        self.rate_hz, self.dim = recogniser.rate_hz, text.dim

    def recipe(self) -> dict[str, Any]:
        weights = {"model": self._recogniser.weights, "text": self._text.weights}
        found_at = ["model", "text", "revision", "text_revision"]
        made_of = {"weights": weights, "found_at": found_at, **self._text.definition}
        return {"encoder": "words", "settings": self._settings, **made_of, "version": 1}

    def transcribe(self, sound: Sound) -> list[Word]:
        """The words of a sound, in order, in container time."""
        at_s = sound.start_s
        return [Word(word.text, at_s + word.start_s, at_s + word.stop_s) for word in self._transcribe(sound)]

    def encode(self, sound: Sound) -> Iterator[Track]:
        hop_s, transcript = self._settings["hop_s"], self._transcribe(sound)
        num, done = int(len(sound.samples) / sound.rate_hz / hop_s + 1e-6), 0
        spoken = _word_of_rows([(word.start_s, word.stop_s) for word in transcript], num, hop_s)
        for first, rows in self._text.embeddings([word.text for word in transcript]):
            later = np.flatnonzero(spoken >= first + len(rows))
            stop = int(later[0]) if len(later) else num
            yield from self._tracks(sound.start_s, done, spoken[done:stop] - first, rows)
            done = stop

    def _transcribe(self, sound: Sound) -> list[Word]:
        """The words, in seconds from the first sample."""
        check_rate(sound, self.rate_hz)
        return self._recogniser.transcribe(sound.samples)

    def _tracks(self, start_s: float, first: int, places: np.ndarray, rows: np.ndarray) -> Iterator[Track]:
        """The track from row ``first`` on; ``places`` are indices of embeddings, negative where no word is spoken."""
        for begin in range(0, len(places), PIECE_ROWS):
            part = places[begin : begin + PIECE_ROWS]
            values, observed = np.zeros((len(part), self.dim), np.float32), part >= 0
            values[observed] = rows[part[observed]]
            times_s = start_s + (first + begin + np.arange(len(part)) + 0.5) * self._settings["hop_s"]
            yield Track(values, times_s, observed)


class TextEncoder:
    """A frozen text model and its tokenizer; of an encoder-decoder model the encoder."""

    def __init__(
        self, folder: Path, chosen: Layers, precision: Precision, trust_remote_code: bool, device: str
    ) -> None:
        import torch

        model = load_model(folder, trust_remote_code=trust_remote_code)
        config, encoder = model.config, model.get_encoder() if model.config.is_encoder_decoder else model
        self._tokenizer = load_processor("AutoTokenizer", folder, trust_remote_code=trust_remote_code)
        if not getattr(self._tokenizer, "is_fast", False):
            raise InputError(
                f"{folder} has no fast tokenizer (tokenizer.json), which is needed for the positions of tokens: use a "
                "model that has one"
            )
        self._model, self._layers, self._device = freeze(encoder, device, precision), chosen, device
        num_states = config.num_hidden_layers + 1
        chosen.combined([torch.zeros(1)] * num_states)
        self.definition = chosen.recipe(num_states)
        own = getattr(config, "max_position_embeddings", None) or MAX_TOKENS
        special = self._tokenizer.num_special_tokens_to_add()
        self._max_tokens = min(self._tokenizer.model_max_length, own, MAX_TOKENS) - special
        if self._max_tokens < 1:
            raise InputError(
                f"{folder} takes {self._max_tokens + special} tokens at a time, of which {special} are special "
                "tokens: use another text model"
            )
        self.dim, self.weights = int(config.hidden_size), weights_hash(folder)
        self.weights |= configs_hash(folder, text=True)

    def embeddings(self, words: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """The index of the first word and the rows from it on, window by window; without words one empty window."""
        if not words:
            yield 0, np.zeros((0, self.dim), np.float32)
            return
        if " ".join(words).isupper():
            words = [word.lower() for word in words]
        lengths = [max(1, len(self._tokenizer(f" {word}", add_special_tokens=False).input_ids)) for word in words]
        for first, keep, until, stop in windows(lengths, self._max_tokens):
            yield keep, self._window(words[first:stop])[keep - first : until - first]

    def _window(self, words: Sequence[str]) -> np.ndarray:
        """One row for each word; for a word without a token the mean over the window."""
        made = self._tokenizer(
            " ".join(words),
            return_offsets_mapping=True,
            truncation=True,
            max_length=self._max_tokens + self._tokenizer.num_special_tokens_to_add(),
            return_tensors="pt",
        )
        spans = made.pop("offset_mapping")[0].numpy()
        inputs = {key: value.to(self._device) for key, value in made.items()}
        with inference():
            out = self._model(**inputs, output_hidden_states=not self._layers.is_final)
            state = out.last_hidden_state if self._layers.is_final else self._layers.combined(hidden_states(out))
        tokens = state[0].float().cpu().numpy()
        stops = np.cumsum([len(word) + 1 for word in words]) - 1
        starts = stops - [len(word) for word in words]
        rows = []
        for start, stop in zip(starts, stops, strict=True):
            own_tokens = (spans[:, 0] < stop) & (spans[:, 1] > start)
            rows.append(tokens[own_tokens if own_tokens.any() else slice(None)].mean(0))
        return np.stack(rows)


def windows(lengths: Sequence[int], max_tokens: int) -> Iterator[tuple[int, int, int, int]]:
    """(first, keep, until, stop) of overlapping windows of words, each of at most ``max_tokens`` tokens.

    ``lengths`` are the numbers of tokens of the words. A window computes words first to stop, of which words keep to
    until are used; these tile all words. The outer quarters of a window are context, except at the ends of the text.
    """
    upto = np.concatenate([[0], np.cumsum(lengths)])
    num, keep, margin = len(lengths), 0, max_tokens // 4
    while keep < num:
        first = int(np.searchsorted(upto, upto[keep] - margin))
        stop = int(np.searchsorted(upto, upto[first] + max_tokens, side="right")) - 1
        if stop <= keep:  # a longer word has a window of its own and is truncated
            first, stop = keep, keep + 1
        until = num if stop == num else max(keep + 1, int(np.searchsorted(upto, upto[stop] - margin, side="right")) - 1)
        yield first, keep, until, stop
        keep = until


def _word_of_rows(spans: Sequence[tuple[float, float]], num: int, hop_s: float) -> np.ndarray:
    """For each of ``num`` rows of ``hop_s`` the index of the word that fills most of it; -1 where none is spoken."""
    places, most = np.full(num, -1), np.full(num, 1e-6)
    for place, (start_s, stop_s) in enumerate(spans):
        rows = np.arange(max(0, int(start_s // hop_s)), min(num, int(stop_s // hop_s) + 1))
        filled = np.minimum(stop_s, (rows + 1) * hop_s) - np.maximum(start_s, rows * hop_s)
        better = rows[filled > most[rows]]
        most[better], places[better] = filled[filled > most[rows]], place
    return places


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.text import write_bert, write_ctc

    models = {"model": TinyWeights("ctc", write_ctc), "text": TinyWeights("bert", write_bert)}
    return [models, {**models, "layer": "0+1", "chunk_s": 0.5, "overlap_s": 0.1}]
