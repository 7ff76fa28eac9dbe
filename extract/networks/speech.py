"""Speech recognition with the time of each word, by networks of transformers: CTC and Whisper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from extract.networks.chunks import check_chunks, pieces
from extract.networks.frozen import Precision, freeze
from extract.networks.hub import configs_hash, load_model, load_processor, quiet, weights_hash

MIN_SOUND_S = 0.1  # no word is shorter, and a recogniser's convolutions need some samples
MIN_WORD_S = 0.02  # the length of a word to which a recogniser gives none
TOLERANCE_S = 0.25  # two passes may differ by this about the time of a word at their cut


@dataclass(frozen=True)
class Word:
    """A recognised word and when it is spoken, in seconds."""

    text: str
    start_s: float
    stop_s: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.stop_s) / 2


class SpeechRecogniser:
    """Transcribes sound of up to ``chunk_s`` in one pass of the library's pipeline, longer sound in overlapping passes.

    From two overlapping passes, the first gives the words whose middle lies before the middle of the overlap, the
    second the others. ``language`` is for Whisper only, which detects the language where it is None. Whisper takes at
    most 30 s at a time and needs ``alignment_heads`` in its generation_config.json to time words. Raises InputError
    where the folder's model cannot time words or the settings do not fit it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        language: str | None = None,
        chunk_s: float = 30.0,
        overlap_s: float = 6.0,
        precision: Precision = "fp32",
        trust_remote_code: bool = False,
        device: str = "cpu",
    ) -> None:
        import transformers

        check_chunks("words", chunk_s, overlap_s)
        auto, self._is_whisper = _auto(folder, trust_remote_code)
        if language is not None and not self._is_whisper:
            raise InputError(
                f"words: language is {language!r}, but {folder} recognises a fixed language: only Whisper takes this "
                "setting"
            )
        model = freeze(load_model(folder, trust_remote_code=trust_remote_code, auto=auto), device, precision)
        if self._is_whisper and not hasattr(model.generation_config, "alignment_heads"):
            raise InputError(
                f"{folder} cannot time words: its generation_config.json has no alignment_heads; copy that file from "
                "the page of the Whisper model it was made from"
            )
        extractor, tokenizer = (
            load_processor(kind, folder, trust_remote_code=trust_remote_code)
            for kind in ("AutoFeatureExtractor", "AutoTokenizer")
        )
        if self._is_whisper:
            check_chunks("words", chunk_s, overlap_s, extractor.chunk_length)
        self._pipeline: Any = transformers.pipeline(
            "automatic-speech-recognition", model=model, feature_extractor=extractor, tokenizer=tokenizer, device=device
        )
        self._generate = {"language": language, "task": "transcribe"} if language else {}
        self.rate_hz = int(extractor.sampling_rate)
        self._chunk, self._margin = round(chunk_s * self.rate_hz), round(overlap_s * self.rate_hz / 2)
        self.weights = weights_hash(folder) | configs_hash(folder, text=True)

    def transcribe(self, samples: np.ndarray) -> list[Word]:
        """The words in order, without overlaps, in seconds from the first sample; one pass is in memory at a time."""
        words: list[Word] = []
        for first, keep, until, stop in pieces(len(samples), self._chunk, self._margin):
            found = self._pass(np.array(samples[first:stop], np.float32), first / self.rate_hz)
            since_s, until_s = (keep / self.rate_hz - TOLERANCE_S if keep else -np.inf), until / self.rate_hz
            since_s = max(since_s, words[-1].stop_s) if words else since_s
            for word in found:
                if word.middle_s > since_s and (word.middle_s < until_s or stop == len(samples)):
                    words.append(word)
        return _without_overlaps(words)

    def _pass(self, samples: np.ndarray, at_s: float) -> list[Word]:
        """The words of one pass, whose first sample lies at ``at_s``."""
        stop_s = len(samples) / self.rate_hz
        if stop_s < MIN_SOUND_S:
            return []
        with quiet():
            found = self._pipeline(
                {"raw": samples, "sampling_rate": self.rate_hz},
                return_timestamps="word",
                generate_kwargs=self._generate,
            )
        words = []
        for each in found["chunks"]:
            start_s, end_s = each["timestamp"]
            if each["text"].strip() and start_s is not None and start_s < stop_s:
                end_s = min(stop_s, max(start_s + MIN_WORD_S, stop_s if end_s is None else end_s))
                words.append(Word(each["text"].strip(), float(at_s + start_s), float(at_s + end_s)))
        return words


def _auto(folder: Path, trust_remote_code: bool) -> tuple[str, bool]:
    """The auto class of a recogniser, and whether it is Whisper. Raises InputError where it cannot time words."""
    import transformers

    config = load_processor("AutoConfig", folder, trust_remote_code=trust_remote_code)
    if config.model_type == "whisper":
        return "AutoModelForSpeechSeq2Seq", True
    if type(config) in transformers.MODEL_FOR_CTC_MAPPING:
        return "AutoModelForCTC", False
    raise InputError(
        f"{folder} is a {config.model_type!r} model, expected Whisper or a CTC speech recogniser (wav2vec2, hubert, "
        "wavlm, ... fine-tuned for speech recognition), which can time words"
    )


def _without_overlaps(words: Sequence[Word]) -> list[Word]:
    """The words, each ended where the next begins."""
    ends = [*(word.start_s for word in words[1:]), np.inf][: len(words)]
    return [Word(word.text, word.start_s, min(word.stop_s, end)) for word, end in zip(words, ends, strict=True)]
