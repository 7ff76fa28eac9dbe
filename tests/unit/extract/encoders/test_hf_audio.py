"""Hugging Face sound models: the library's values at true times, without seams between chunks."""

import json
import shutil
import tracemalloc

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks.chunks import pieces
from extract.networks.tiny.sound import SIZES, SOUND_MODELS, WHISPER_S, sound_model, whisper_config
from extract.synthetic.voice import draw_voice, synthesize_voice

RATE_HZ = 16000
WAVES = ("wav2vec2", "wav2vec2_large", "hubert", "wavlm", "data2vec", "unispeech", "sew", "audeering")
ALL = (*WAVES, "wav2vec2_bert", "whisper")
SHORT = {"chunk_s": 1.0, "overlap_s": 0.2}
WHOLE = {"whisper": SHORT}  # the settings with which a second goes in one pass


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: sound_model(name).path_in(folder) for name in SOUND_MODELS}


def voice(seconds=1.0, start_s=0.0, seed=0):
    """A voice that becomes louder and softer, with faint noise."""
    rng, num = np.random.default_rng(seed), round(seconds * RATE_HZ)
    arousal = np.sin(np.arange(num) * (2 * np.pi / 5 / RATE_HZ))
    return Sound(synthesize_voice(draw_voice(rng), arousal, np.zeros(num), RATE_HZ, rng), RATE_HZ, start_s)


def noise(num, start_s=0.0):
    return Sound((0.1 * np.random.default_rng(0).normal(size=num)).astype(np.float32), RATE_HZ, start_s)


def build(models, name, **settings):
    return ENCODERS.build("hf_audio", model=str(models[name]), **settings)


def track(encoder, sound):
    return joined(encoder.encode(sound), encoder.dim)


def library(models, name, samples, states=False):
    """The result of transformers' own documented call."""
    import torch
    import transformers as tf

    extractor = tf.AutoFeatureExtractor.from_pretrained(models[name])
    model = tf.AutoModel.from_pretrained(models[name]).eval()
    model = model.encoder if name == "whisper" else model
    with torch.inference_mode():
        inputs = extractor(samples, sampling_rate=RATE_HZ, return_tensors="pt")
        made = model(**inputs, output_hidden_states=states)
    return [each[0].numpy() for each in made.hidden_states] if states else made.last_hidden_state[0].numpy()


# rows


@pytest.mark.parametrize("name", ALL)
def test_sound_up_to_a_chunk_gives_exactly_the_librarys_output(models, name):
    sound = voice(0.97)
    made, expected = (
        track(build(models, name, **WHOLE.get(name, {})), sound).values,
        library(models, name, sound.samples),
    )
    num = {"wav2vec2_bert": 47, "whisper": 49}.get(name, 48)
    assert len(made) == num
    assert np.array_equal(made, expected[:num])


def test_the_head_of_a_regression_network_is_not_used(models):
    sound = voice(0.5)
    assert np.array_equal(
        track(build(models, "audeering"), sound).values, track(build(models, "wav2vec2"), sound).values
    )


def test_layers_are_the_librarys_hidden_states(models):
    sound = voice(0.5)
    for name in ("wavlm", "wav2vec2_large", "wav2vec2_bert", "whisper"):
        states = library(models, name, sound.samples, states=True)
        plain = WHOLE.get(name, {})
        made = track(build(models, name, layer=1, **plain), sound).values
        assert np.allclose(made, states[1][: len(made)], atol=1e-6)
        total = track(build(models, name, layer="0..2", combine="sum", **plain), sound).values
        assert np.allclose(total, sum(states)[: len(made)], atol=1e-5)
        mean = track(build(models, name, layer="0+2", **plain), sound).values
        assert np.allclose(mean, (states[0] + states[2])[: len(made)] / 2, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "first", "second"), [("wav2vec2", 400, 720), ("wav2vec2_bert", 560, 880), ("whisper", 160, 480)]
)
def test_the_number_of_rows_follows_from_the_strides_at_every_boundary(models, name, first, second):
    encoder = build(models, name, **SHORT)
    lengths = {0: 0, 1: 0, first - 1: 0, first: 1, second - 1: 1, second: 2, second + 1: 2}
    hops = (10, 48, 49, 50, 51, 77, 120)
    lengths |= {first + 320 * hop + more: 1 + hop + (more > 319) for hop in hops for more in (0, 1, 159, 319, 320)}
    for num, rows in lengths.items():
        made = track(encoder, noise(num))
        assert len(made) == rows, num
        assert np.isfinite(made.values).all()


def test_ten_and_a_half_seconds_give_524_rows_and_not_998(models):
    for settings in ({}, {"chunk_s": 2.0, "overlap_s": 0.5}):
        made = track(build(models, "wav2vec2", **settings), voice(10.5))
        assert len(made) == 524
        assert made.times_s[-1] == pytest.approx((523 * 320 + 199.5) / RATE_HZ)


def test_rows_that_sew_or_wav2vec2_bert_would_pad_are_not_kept(models):
    assert not library(models, "sew", noise(720 + 320).samples)[-1].any()  # the third of three rows
    assert len(track(build(models, "sew"), noise(720 + 320))) == 2
    assert (
        len(library(models, "wav2vec2_bert", noise(720).samples)) == 2
    )  # three frames of the spectrum and a padded one
    assert len(track(build(models, "wav2vec2_bert"), noise(720))) == 1


@pytest.mark.parametrize("name", ["wav2vec2_large", "wav2vec2_bert", "whisper"])
def test_the_time_of_a_row_is_the_centre_of_its_receptive_field(models, name):
    """Samples are changed one by one: those that change a row lie around its time.

    Layer 0 of wav2vec2_bert and Whisper is the input of the first block. In wav2vec 2.0 it depends on other rows, so
    its convolutions are tested alone.
    """
    import torch

    encoder = build(models, name, **({} if name == "wav2vec2_large" else {"layer": 0}), **WHOLE.get(name, {}))
    sound = noise(15000, start_s=1.0)
    times_s = track(encoder, sound).times_s

    def front(samples):
        if name != "wav2vec2_large":
            return track(encoder, Sound(samples, RATE_HZ, 1.0)).values
        with torch.inference_mode():
            return encoder._model.feature_extractor(torch.from_numpy(samples)[None])[0].T.numpy()

    plain = front(sound.samples)
    for row in (20, 30):
        changed = np.arange(row * 320 - 800, row * 320 + 900, 20)
        changes = []
        for sample in changed:
            other = sound.samples.copy()
            other[sample] += 0.05
            changes.append(np.abs(front(other)[row] - plain[row]).max())
        least = max(changes) / (8 if name == "wav2vec2_bert" else 50)  # the norm of its bands depends on all samples
        at = changed[np.array(changes) > least]
        assert times_s[row] == pytest.approx(1.0 + (at[0] + at[-1]) / 2 / RATE_HZ, abs=30 / RATE_HZ)


def test_whispers_rows_are_those_of_its_encoder_and_end_with_the_sound(models):
    encoder = build(models, "whisper", **SHORT)
    made = track(encoder, voice(0.5, start_s=2.0))
    assert made.values.shape == (25, 16)
    assert made.times_s[[0, 1, -1]] == pytest.approx([2.0, 2.02, 2.48])
    assert len(track(encoder, voice(3.3))) == 165


# chunks


def test_a_track_in_chunks_is_close_to_one_pass_and_closer_with_more_overlap(models):
    sound = voice(8.0)
    for name, near in (
        ("wav2vec2", 0.02),
        ("hubert", 0.02),
        ("wavlm", 0.02),
        ("data2vec", 0.01),
        ("wav2vec2_bert", 0.2),
    ):
        whole, away = track(build(models, name), sound), []
        for overlap_s in (0.0, 0.8):
            cut = track(build(models, name, chunk_s=2.0, overlap_s=overlap_s), sound)
            assert np.array_equal(cut.times_s, whole.times_s)
            away.append(np.abs(cut.values - whole.values).mean() / (whole.values - whole.values.mean(0)).std())
        assert 0 < away[1] < min(near, away[0]), name


def rank_of_seams(models, name, overlap_s):
    """The rank of a seam's step among its fifty neighbours, and the fraction of seams above 99 % of the other steps."""
    sound, encoder = voice(24.0, seed=5), build(models, name, chunk_s=1.0, overlap_s=overlap_s)
    values, plan = track(encoder, sound).values, encoder._chunks
    steps = np.linalg.norm(np.diff(values, axis=0), axis=1)
    seams = np.array([keep for _, keep, _, _ in pieces(len(values), plan.chunk, plan.margin)][1:]) - 1
    ranks = [(np.delete(steps[at - 25 : at + 26], 25) < steps[at]).mean() for at in seams if at < len(steps) - 25]
    return np.mean(ranks), (steps[seams] > np.quantile(np.delete(steps, seams), 0.99)).mean()


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "data2vec", "wav2vec2_bert", "whisper"])
def test_the_step_across_a_seam_is_not_larger_than_its_neighbours(models, name):
    rank, high = rank_of_seams(models, name, overlap_s=0.4)
    assert rank < 0.6
    assert high <= 0.05


@pytest.mark.parametrize("name", ["data2vec", "whisper"])
def test_without_overlap_the_same_measure_finds_the_seams(models, name):
    assert rank_of_seams(models, name, overlap_s=0.0)[0] > 0.75


def test_a_quiet_half_is_as_quiet_in_chunks_as_in_one_pass(models):
    """Normalised on its own, a quiet chunk would look like a loud one."""
    sound = voice(8.0)
    sound.samples[: 4 * RATE_HZ] *= 0.05
    for name in ("wav2vec2", "wav2vec2_large", "wavlm", "wav2vec2_bert"):
        whole = track(build(models, name), sound).values
        cut = track(build(models, name, chunk_s=2.0, overlap_s=0.8), sound).values
        away = np.abs(cut - whole).mean(1) / (whole - whole.mean(0)).std()
        assert away.mean() < (0.2 if name == "wav2vec2_bert" else 0.05), name


@pytest.mark.parametrize("name", ["wav2vec2", "wav2vec2_bert"])
def test_chunks_are_normalised_by_the_whole_sound(models, name):
    """The network's input for a chunk equals its input for the same samples in one pass."""
    sound, preprocessing = voice(6.0), build(models, name)._input
    sound.samples[: 3 * RATE_HZ] *= 0.05
    rows = (50, 99)
    samples, key = preprocessing.grid.samples(*rows), "input_values" if name == "wav2vec2" else "input_features"
    chunk, whole = preprocessing.for_chunks(sound.samples)(sound.samples[samples]), preprocessing.inputs(sound.samples)
    place = samples if name == "wav2vec2" else slice(*rows)
    assert np.allclose(chunk[key][0], whole[key][0][place], atol=2e-3)


def test_long_sound_on_disk_is_read_in_slices(models, tmp_path):
    """Sixteen minutes are 61 MB; only a few chunks are in memory at a time."""
    num = 16 * 60 * RATE_HZ
    samples = np.memmap(tmp_path / "sound", np.float32, "w+", shape=(num,))
    samples[:] = np.resize(voice(10.0).samples, num)
    encoder = build(models, "wav2vec2")
    tracemalloc.start()
    pieces_of = encoder.encode(Sound(samples, RATE_HZ, 0.0))
    rows = [len(next(pieces_of)) for _ in range(3)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == [1349, 1299, 1299]
    assert peak < 25e6


def test_silence_is_finite_in_one_pass_and_in_chunks(models):
    for name in ALL:
        for seconds in (0.9, 2.5):
            silent = Sound(np.zeros(round(seconds * RATE_HZ), np.float32), RATE_HZ, 0.0)
            made = track(build(models, name, **SHORT), silent)
            assert len(made)
            assert np.isfinite(made.values).all(), name


# settings


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "wav2vec2_bert", "whisper"])
def test_half_precision_is_close_and_part_of_the_recipe(models, name):
    sound = voice(1.5)
    full = build(models, name, **SHORT)
    values = track(full, sound).values
    for precision, near in (("bf16", 0.2), ("fp16", 0.05)):
        half = build(models, name, precision=precision, **SHORT)
        made = track(half, sound).values
        assert made.dtype == np.float32
        assert 0 < np.abs(made - values).max() < near
        assert half.recipe() != full.recipe()


def test_compiling_is_not_part_of_the_recipe_and_wraps_the_network(models, monkeypatch):
    import torch

    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    encoder = build(models, "wav2vec2", compile=True)
    assert len(compiled) == 1
    assert encoder.recipe() == build(models, "wav2vec2").recipe()


def test_chunks_are_part_of_the_recipe(models):
    recipes = [
        build(models, "wav2vec2", **settings).recipe() for settings in ({}, {"chunk_s": 20.0}, {"overlap_s": 2.0})
    ]
    assert len({json.dumps(recipe) for recipe in recipes}) == 3


def test_the_encoder_of_a_whisper_classifier_is_used(models, tmp_path):
    import transformers as tf

    tf.WhisperForAudioClassification(whisper_config()).save_pretrained(tmp_path)
    shutil.copy(models["whisper"] / "preprocessor_config.json", tmp_path)
    encoder = ENCODERS.build("hf_audio", model=str(tmp_path), **SHORT)
    assert len(track(encoder, voice(0.5))) == 25


# errors


def test_whisper_takes_no_chunk_longer_than_its_window(models):
    with pytest.raises(ValueError, match=r"chunk_s is 30.0, this network takes at most 1 s at a time"):
        build(models, "whisper")


def test_a_whisper_with_the_preprocessor_of_another_is_refused(models, tmp_path):
    shutil.copytree(models["whisper"], tmp_path, dirs_exist_ok=True)
    import transformers as tf

    tf.WhisperFeatureExtractor(feature_size=20, chunk_length=2 * WHISPER_S).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"takes 100 frames, but its preprocessor_config.json gives 200: copy that file"
    ):
        ENCODERS.build("hf_audio", model=str(tmp_path), **SHORT)


def test_a_model_of_another_kind_is_refused(tmp_path):
    import transformers as tf

    tf.ViTModel(tf.ViTConfig(**SIZES, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"is a 'vit' model, which hf_audio does not support"):
        ENCODERS.build("hf_audio", model=str(tmp_path))


def test_an_adapter_is_refused(models, tmp_path):
    import transformers as tf

    config = tf.Wav2Vec2Config.from_pretrained(models["wav2vec2"])
    config.add_adapter = True
    tf.Wav2Vec2Model(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has an adapter, whose strides hf_audio does not know"):
        ENCODERS.build("hf_audio", model=str(tmp_path))


def test_layers_that_do_not_exist_or_have_another_rate_are_refused(models):
    with pytest.raises(ValueError, match="there is no layer 3: the network has hidden layers 0 to 2"):
        build(models, "wav2vec2", layer=3)
    with pytest.raises(
        ValueError, match=r"the hidden layers of .*sew have 1/2 of the rate of its output: give layer=-1"
    ):
        build(models, "sew", layer=1)


def test_chunks_that_do_not_fit_are_refused(models):
    with pytest.raises(ValueError, match=r"overlap_s is 20.0, expected 0 or more and less than half of chunk_s=30.0"):
        build(models, "wav2vec2", overlap_s=20)
    with pytest.raises(ValueError, match=r"chunk_s is 0.02, too short for a row of 0.025 s"):
        build(models, "wav2vec2", chunk_s=0.02, overlap_s=0)


def test_sound_at_another_rate_is_refused(models):
    with pytest.raises(ValueError, match="the sound has 8000 Hz, the encoder takes 16000: decode it at that rate"):
        track(build(models, "wav2vec2"), Sound(np.zeros(8000, np.float32), 8000, 0.0))


def test_a_folder_without_its_extractor_says_what_is_missing(models, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(models["wav2vec2"] / name, tmp_path)
    with pytest.raises(ValueError, match=r"has no AutoFeatureExtractor \(preprocessor_config\.json\)"):
        ENCODERS.build("hf_audio", model=str(tmp_path))


def test_preprocessing_is_part_of_the_recipe_and_the_folder_is_not(models, tmp_path):
    import json
    import shutil

    from extract.store.store import FeatureStore

    recipes = []
    for name, normalize in (("one", True), ("two", True), ("three", False)):
        shutil.copytree(models["wav2vec2"], tmp_path / name)
        path = tmp_path / name / "preprocessor_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "do_normalize": normalize}, indent=2) + "\n")
        (tmp_path / name / "tokenizer_config.json").write_text(name)  # not used by hf_audio
        recipes.append({"name": "x", **ENCODERS.build("hf_audio", model=str(tmp_path / name)).recipe()})
    folders = [FeatureStore(tmp_path).folder(recipe) for recipe in recipes]
    assert folders[0] == folders[1] != folders[2]
