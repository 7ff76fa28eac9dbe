"""Spoken words as a track: words and times equal the recogniser's, embeddings the text encoder's."""

import itertools
import json
import shutil

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks.tiny.text import write_bert, write_ctc, write_whisper


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    return {
        "ctc": write_ctc(folder / "ctc"),
        "bert": write_bert(folder / "bert"),
        "wide": write_bert(folder / "wide", max_tokens=400),
        "whisper": write_whisper(folder / "whisper"),
    }


def build(models, model="ctc", text="bert", **settings):
    return ENCODERS.build("words", model=str(models[model]), text=str(models[text]), **settings)


def voice(seconds, start_s=0.0, seed=0):
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * 16000)) / 16000
    return Sound(
        (0.3 * np.sin(2 * np.pi * 150 * t) + 0.01 * rng.normal(size=len(t))).astype(np.float32), 16000, start_s
    )


def library(models, samples, **asked):
    """The words of the library's own pipeline."""
    import transformers as tf

    pipeline = tf.pipeline("automatic-speech-recognition", model=str(models["ctc"]))
    return pipeline({"raw": samples.copy(), "sampling_rate": 16000}, return_timestamps="word", **asked)["chunks"]


def test_the_words_and_their_times_are_those_of_the_librarys_pipeline_in_container_time(models):
    sound = voice(2.0, start_s=7.25)
    expected = library(models, sound.samples)
    found = build(models).transcribe(sound)
    assert len(found) > 5
    assert [word.text for word in found] == [each["text"] for each in expected]
    times = [(word.start_s - 7.25, word.stop_s - 7.25) for word in found]
    assert np.allclose(times, [each["timestamp"] for each in expected])


def test_a_row_is_the_mean_of_its_words_tokens_in_the_whole_text(models):
    import torch
    import transformers as tf

    sound = voice(2.0)
    encoder = build(models, text="wide", hop_s=0.02)
    words = encoder.transcribe(sound)
    track = joined(encoder.encode(sound), encoder.dim)
    tokenizer, model = tf.AutoTokenizer.from_pretrained(models["wide"]), tf.AutoModel.from_pretrained(models["wide"])
    with torch.inference_mode():
        made = tokenizer([word.text.lower() for word in words], is_split_into_words=True, return_tensors="pt")
        state = model.eval()(**made).last_hidden_state[0].numpy()
    for place, word in enumerate(words):
        mine = [token for token, of in enumerate(made.word_ids()) if of == place]
        row = int(word.middle_s / 0.02)
        assert track.observed[row]
        assert np.allclose(track.values[row], state[mine].mean(0), atol=1e-5)


def test_rows_are_evenly_spaced_and_observed_only_while_a_word_is_spoken(models):
    encoder = build(models, hop_s=0.02)
    sound = voice(2.0, start_s=3.0)
    track = joined(encoder.encode(sound), encoder.dim)
    assert np.allclose(track.times_s, 3.0 + 0.02 * (np.arange(100) + 0.5))
    words = encoder.transcribe(sound)
    spoken = [any(word.start_s < at < word.stop_s for word in words) for at in track.times_s]
    assert np.array_equal(track.observed, spoken)
    assert 0 < track.observed.mean() < 1
    assert not track.values[~track.observed].any()


def test_each_row_has_the_word_that_fills_most_of_it():
    from extract.encoders.words import _word_of_rows

    assert _word_of_rows([(0.05, 0.14), (0.15, 0.2), (0.43, 0.44)], 5, 0.1).tolist() == [0, 1, -1, -1, 2]
    assert _word_of_rows([(0.16, 0.3)], 3, 0.1).tolist() == [-1, 0, 0]
    assert _word_of_rows([], 2, 0.1).tolist() == [-1, -1]
    assert _word_of_rows([(0.1, 9.0)], 3, 0.1).tolist() == [-1, 0, 0]


def test_words_of_a_long_sound_come_once_and_in_order(models):
    sound = voice(4.0)
    encoder = build(models, chunk_s=1.5, overlap_s=0.5)
    words = encoder.transcribe(sound)
    assert all(a.stop_s <= b.start_s + 1e-9 for a, b in itertools.pairwise(words))
    assert words[0].start_s < 0.2
    assert words[-1].stop_s > 3.8
    # up to the middle of the overlap the first pass gives the library's words
    first = [each for each in library(models, sound.samples[:24000]) if sum(each["timestamp"]) / 2 < 1.25]
    assert [word.text for word in words[: len(first)]] == [each["text"] for each in first]
    assert sum(word.middle_s < 1.25 for word in words) <= len(first) + 1


def test_one_pass_is_read_at_a_time(models):
    class OnDisk(np.ndarray):
        most = 0

        def __getitem__(self, place):
            part = np.asarray(self)[place]
            OnDisk.most = max(OnDisk.most, len(part))
            return part

    sound = voice(6.0)
    object.__setattr__(sound, "samples", sound.samples.view(OnDisk))
    pieces = list(build(models, chunk_s=1.0, overlap_s=0.2).encode(sound))
    assert OnDisk.most <= 16000
    assert sum(map(len, pieces)) == 60


@pytest.mark.parametrize("num", [0, 1, 400, 1599])
def test_a_sound_shorter_than_a_hop_gives_no_rows(models, num):
    encoder = build(models)
    track = joined(encoder.encode(Sound(np.full(num, 0.1, np.float32), 16000, 0.0)), encoder.dim)
    assert track.values.shape == (0, 16)


def test_a_sound_without_words_is_unobserved(models, monkeypatch):
    from extract.networks.speech import SpeechRecogniser

    monkeypatch.setattr(SpeechRecogniser, "transcribe", lambda self, samples: [])
    encoder = build(models)
    pieces = list(encoder.encode(voice(250.0)))
    assert max(map(len, pieces)) <= 1024
    track = joined(pieces, encoder.dim)
    assert len(track) == 2500
    assert not track.observed.any()


def test_pieces_of_a_long_text_tile_the_track(models):
    encoder = build(models)  # a window of ten tokens: some words at a time
    sound = voice(3.0)
    pieces = list(encoder.encode(sound))
    assert len(pieces) > 3
    assert len(joined(pieces, encoder.dim)) == 30


def test_windows_of_words_have_at_most_the_given_tokens_and_tile_the_text():
    from extract.encoders.words import windows

    rng = np.random.default_rng(0)
    for most in (4, 10, 50):
        lengths = rng.integers(1, 6, 200).tolist()
        found = list(windows(lengths, most))
        assert [word for _, keep, until, _ in found for word in range(keep, until)] == list(range(200))
        for first, keep, until, stop in found:
            assert first <= keep < until <= stop
            assert sum(lengths[first:stop]) <= most or stop == first + 1
    # context on both sides, where there is room for it
    first, keep, until, stop = list(windows([1] * 100, 20))[1]
    assert (keep - first, stop - until) == (5, 5)


def test_whisper_times_its_words_in_the_given_language(models):
    import transformers as tf

    sound = voice(1.0, start_s=2.0)
    pipeline = tf.pipeline("automatic-speech-recognition", model=str(models["whisper"]))
    spoken = pipeline(
        {"raw": sound.samples.copy(), "sampling_rate": 16000},
        return_timestamps="word",
        generate_kwargs={"language": "de", "task": "transcribe"},
    )["chunks"]
    encoder = build(models, model="whisper", chunk_s=1.0, overlap_s=0.2, language="de")
    found = encoder.transcribe(sound)
    expected = [each["text"].strip() for each in spoken if each["text"].strip() and each["timestamp"][0] < 1]
    assert [word.text for word in found] == expected
    assert len(found) > 1
    assert all(2.0 <= word.start_s <= word.stop_s <= 3.0 for word in found)


def test_whisper_gets_a_language_only_where_one_is_given(models):
    for language, expected in (("en", "en"), (None, None)):
        encoder = build(models, model="whisper", chunk_s=1.0, overlap_s=0.2, language=language)
        network, asked = encoder._recogniser._pipeline.model, []
        own = network.generate
        network.generate = lambda asked=asked, own=own, **given: (asked.append(given), own(**given))[1]
        encoder.transcribe(voice(1.0))
        assert asked[0].get("language") == expected
        assert asked[0].get("task") == ("transcribe" if expected else None)


def test_layers_are_chosen_and_change_the_rows(models):
    rows = [joined(build(models, layer=layer).encode(voice(1.0)), 16).values for layer in (-1, 0, "0+1")]
    assert not np.allclose(rows[0], rows[1])
    assert not np.allclose(rows[1], rows[2])
    with pytest.raises(ValueError, match="there is no layer 7: the network has hidden layers 0 to 2"):
        build(models, layer=7)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hop_s": 0.0}, r"hop_s is 0.0, expected more than 0 s"),
        ({"overlap_s": 20.0}, r"overlap_s is 20.0, expected 0 or more and less than half of chunk_s=30.0"),
        ({"language": "de"}, "language is 'de', but .* recognises a fixed language: only Whisper takes this setting"),
        ({"model": "whisper"}, "chunk_s is 30.0, this network takes at most 1 s at a time"),
        ({"model": "bert"}, "is a 'bert' model, expected Whisper or a CTC speech recogniser"),
    ],
)
def test_settings_that_do_not_fit_are_refused(models, settings, words):
    with pytest.raises(ValueError, match=words):
        build(models, **settings)


def test_a_whisper_that_cannot_time_words_is_refused(models, tmp_path):
    folder = write_whisper(tmp_path / "whisper", has_heads=False)
    with pytest.raises(ValueError, match="cannot time words: its generation_config.json has no alignment_heads"):
        build({**models, "whisper": folder}, model="whisper", chunk_s=1.0, overlap_s=0.2)


def test_a_text_encoder_without_a_fast_tokenizer_is_refused(models):
    with pytest.raises(ValueError, match="has no fast tokenizer"):
        build({**models, "bert": _with_slow_tokenizer(models)})


def _with_slow_tokenizer(models):
    folder = models["ctc"].parent / "slow"
    shutil.copytree(models["bert"], folder)
    for path in models["ctc"].glob("*token*"):
        shutil.copy(path, folder)
    (folder / "tokenizer.json").unlink()
    shutil.copy(models["ctc"] / "vocab.json", folder)
    return folder


def test_a_recogniser_without_its_head_is_refused(models, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "headless"
    shutil.copytree(models["ctc"], folder)
    tensors = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in tensors.items() if "lm_head" not in key}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="lack 2 tensors, the first is 'lm_head"):
        build({**models, "ctc": folder})


def test_sound_of_another_rate_is_refused(models):
    with pytest.raises(ValueError, match="the sound has 8000 Hz, the encoder takes 16000"):
        build(models).transcribe(Sound(np.zeros(8000, np.float32), 8000, 0.0))


def test_the_recipe_names_both_models_and_their_weights(models):
    encoder = build(models)
    recipe = json.loads(json.dumps(encoder.recipe()))
    assert set(recipe["weights"]) == {"model", "text"}
    assert ENCODERS.build(recipe["encoder"], **recipe["settings"]).recipe() == recipe
    assert "device" not in recipe["settings"]
    assert encoder.modality == ENCODERS.part("words").facts["modality"] == "text"
