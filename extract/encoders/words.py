"""What is said: words with their times from a speech recogniser, as a track of a text encoder's embeddings."""

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
from extract.networks.frozen import Combine, Layers, Precision, frozen, inference, layers
from extract.networks.hub import configs_hash, load_model, load_processor, snapshot, weights_hash
from extract.networks.speech import Recogniser, Word

FACTS = {"modality": "text", "dim": None, "built_in": False, "licence": "the models' own", "size_mb": None}

PIECE_ROWS = 1024  # rows of a piece of the track
MOST_TOKENS = 512  # of a window of words, where the text encoder sets no bound: its cost grows with the square


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
    settings = {
        "model": model, "text": text, "revision": revision, "text_revision": text_revision, "language": language,
        "hop_s": hop_s, "layer": str(layer), "combine": combine, "precision": precision, "chunk_s": chunk_s,
        "overlap_s": overlap_s, "trust_remote_code": trust_remote_code,
    }  # fmt: skip
    if hop_s <= 0:
        raise InputError(f"words: hop_s is {hop_s}, expected seconds above 0")
    recogniser = Recogniser(
        snapshot(model, revision=revision, download=download),
        language=language,
        chunk_s=chunk_s,
        overlap_s=overlap_s,
        precision=precision,
        trust_remote_code=trust_remote_code,
        device=device,
    )
    folder = snapshot(text, revision=text_revision, download=download)
    chosen = layers(layer, combine)
    return Words(recogniser, TextEncoder(folder, chosen, precision, trust_remote_code, device), settings)


class Words(SoundEncoder):
    """A row each ``hop_s``: the embedding of the word that fills most of this time, unobserved where none is spoken.

    An embedding is the mean of the word's sub-tokens in the text encoder's hidden layer, in the context of the words
    around it, as many as the text encoder can take. What is all in capitals is written small before.
    """

    modality = "text"

    def __init__(self, recogniser: Recogniser, text: TextEncoder, settings: dict[str, Any]) -> None:
        self._recogniser, self._text, self._settings = recogniser, text, settings
        self.rate_hz, self.dim = recogniser.rate_hz, text.dim

    def recipe(self) -> dict[str, Any]:
        weights = {"model": self._recogniser.weights, "text": self._text.weights}
        found_at = ["model", "text", "revision", "text_revision"]
        made_of = {"weights": weights, "found_at": found_at}
        return {"encoder": "words", "settings": self._settings, **made_of, "version": 1}

    def hear(self, sound: Sound) -> list[Word]:
        """The words of a sound, in order, in container time."""
        at_s = sound.start_s
        return [Word(word.text, at_s + word.start_s, at_s + word.stop_s) for word in self._hear(sound)]

    def encode(self, sound: Sound) -> Iterator[Track]:
        hop_s, said = self._settings["hop_s"], self._hear(sound)
        num, done = int(len(sound.samples) / sound.rate_hz / hop_s + 1e-6), 0
        spoken = _spoken([(word.start_s, word.stop_s) for word in said], num, hop_s)
        for first, rows in self._text.embeddings([word.text for word in said]):
            later = np.flatnonzero(spoken >= first + len(rows))
            stop = int(later[0]) if len(later) else num
            yield from self._tracks(sound.start_s, done, spoken[done:stop] - first, rows)
            done = stop

    def _hear(self, sound: Sound) -> list[Word]:
        """In seconds from the first sample. ValueError where the sound has another rate than the recogniser takes."""
        if sound.rate_hz != self.rate_hz:
            raise InputError(f"the sound has {sound.rate_hz} Hz, words takes {self.rate_hz}: decode it at that")
        return self._recogniser.hear(sound.samples)

    def _tracks(self, start_s: float, first: int, places: np.ndarray, rows: np.ndarray) -> Iterator[Track]:
        """The track from row ``first`` on; ``places``: which of the embeddings, negative where no word is spoken."""
        for begin in range(0, len(places), PIECE_ROWS):
            part = places[begin : begin + PIECE_ROWS]
            values, observed = np.zeros((len(part), self.dim), np.float32), part >= 0
            values[observed] = rows[part[observed]]
            times_s = start_s + (first + begin + np.arange(len(part)) + 0.5) * self._settings["hop_s"]
            yield Track(values, times_s, observed)


class TextEncoder:
    """A frozen text model and its tokenizer; of an encoder with a decoder the encoder."""

    def __init__(
        self, folder: Path, chosen: Layers, precision: Precision, trust_remote_code: bool, device: str
    ) -> None:
        import torch

        model = load_model(folder, trust_remote_code=trust_remote_code)
        config, encoder = model.config, model.get_encoder() if model.config.is_encoder_decoder else model
        self._tokenizer = load_processor("AutoTokenizer", folder, trust_remote_code=trust_remote_code)
        if not getattr(self._tokenizer, "is_fast", False):
            raise InputError(
                f"{folder} has no fast tokenizer (tokenizer.json), which tells where in a text a token lies"
            )
        self._model, self._layers, self._device = frozen(encoder, device, precision), chosen, device
        chosen.of([torch.zeros(1)] * (config.num_hidden_layers + 1))
        own = getattr(config, "max_position_embeddings", None) or MOST_TOKENS
        special = self._tokenizer.num_special_tokens_to_add()
        self._most = min(self._tokenizer.model_max_length, own, MOST_TOKENS) - special
        if self._most < 1:
            raise InputError(f"{folder} takes {self._most + special} tokens at a time, of which {special} are its own")
        self.dim, self.weights = int(config.hidden_size), weights_hash(folder)
        self.weights |= configs_hash(folder, text=True)

    def embeddings(self, words: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """The number of the first word and the rows of it and those after, window by window; no words: one without."""
        if not words:
            yield 0, np.zeros((0, self.dim), np.float32)
            return
        if " ".join(words).isupper():
            words = [word.lower() for word in words]
        lengths = [max(1, len(self._tokenizer(f" {word}", add_special_tokens=False).input_ids)) for word in words]
        for first, keep, until, stop in windows(lengths, self._most):
            yield keep, self._window(words[first:stop])[keep - first : until - first]

    def _window(self, words: Sequence[str]) -> np.ndarray:
        """One row for each word; of a word without a token that of the whole window's mean."""

        made = self._tokenizer(
            " ".join(words),
            return_offsets_mapping=True,
            truncation=True,
            max_length=self._most + self._tokenizer.num_special_tokens_to_add(),
            return_tensors="pt",
        )
        spans = made.pop("offset_mapping")[0].numpy()
        inputs = {key: value.to(self._device) for key, value in made.items()}
        with inference():
            out = self._model(**inputs, output_hidden_states=not self._layers.is_final)
            state = out.last_hidden_state if self._layers.is_final else self._layers.of(out.hidden_states)
        tokens = state[0].float().cpu().numpy()
        stops = np.cumsum([len(word) + 1 for word in words]) - 1
        starts = stops - [len(word) for word in words]
        rows = []
        for start, stop in zip(starts, stops, strict=True):
            mine = (spans[:, 0] < stop) & (spans[:, 1] > start)
            rows.append(tokens[mine if mine.any() else slice(None)].mean(0))
        return np.stack(rows)


def windows(lengths: Sequence[int], most: int) -> Iterator[tuple[int, int, int, int]]:
    """First, keep, until and stop of overlapping windows of words, of at most ``most`` tokens, that tile the words.

    ``lengths``: the tokens of each word. A window's outer quarters are context, but at the ends of the text.
    """
    upto = np.concatenate([[0], np.cumsum(lengths)])
    num, keep, margin = len(lengths), 0, most // 4
    while keep < num:
        first = int(np.searchsorted(upto, upto[keep] - margin))
        stop = int(np.searchsorted(upto, upto[first] + most, side="right")) - 1
        if stop <= keep:  # a word longer than that goes alone, and cut
            first, stop = keep, keep + 1
        until = num if stop == num else max(keep + 1, int(np.searchsorted(upto, upto[stop] - margin, side="right")) - 1)
        yield first, keep, until, stop
        keep = until


def _spoken(spans: Sequence[tuple[float, float]], num: int, hop_s: float) -> np.ndarray:
    """For each of ``num`` rows of ``hop_s`` which word fills most of it; -1 where none is spoken."""
    places, most = np.full(num, -1), np.full(num, 1e-6)
    for place, (start_s, stop_s) in enumerate(spans):
        rows = np.arange(max(0, int(start_s // hop_s)), min(num, int(stop_s // hop_s) + 1))
        filled = np.minimum(stop_s, (rows + 1) * hop_s) - np.maximum(start_s, rows * hop_s)
        better = rows[filled > most[rows]]
        most[better], places[better] = filled[filled > most[rows]], place
    return places
