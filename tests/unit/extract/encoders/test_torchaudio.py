"""The bundles of torchaudio: the library's values at true times, and weights that are read as data only."""

import logging

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks.tiny.sound import bundle, bundle_sizes
from extract.synthetic.voice import draw_voice, synthesize_voice

RATE_HZ = 16000


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return {kind: bundle(kind).path_in(folder) for kind in ("wav2vec2", "wav2vec2_large", "wavlm")}


def voice(seconds=1.0, start_s=0.0):
    rng, num = np.random.default_rng(0), round(seconds * RATE_HZ)
    return Sound(
        synthesize_voice(draw_voice(rng), np.sin(np.arange(num) / 8000), np.zeros(num), RATE_HZ, rng), RATE_HZ, start_s
    )


def build(weights, kind="wav2vec2", **settings):
    path = str(weights[kind])
    return ENCODERS.build("torchaudio", bundle=f"TINY_{kind.upper()}", weights=path, **settings)


def track(encoder, sound):
    return joined(encoder.encode(sound), encoder.dim)


def library(weights, kind, samples, monkeypatch):
    """The layers as the bundle's own documented call gives them."""
    import torch
    from torchaudio import pipelines

    bundle = getattr(pipelines, f"TINY_{kind.upper()}")
    tensors = torch.load(weights[kind], weights_only=True)
    monkeypatch.setattr(type(bundle), "_get_state_dict", lambda self, arguments: tensors)
    with torch.inference_mode():
        made, _ = bundle.get_model().extract_features(torch.from_numpy(samples)[None])
    return [each[0].numpy() for each in made]


@pytest.mark.parametrize("kind", ["wav2vec2", "wavlm"])
def test_sound_up_to_a_chunk_gives_exactly_the_bundles_output(weights, kind, monkeypatch):
    sound = voice(1.0, start_s=2.0)
    states = library(weights, kind, sound.samples, monkeypatch)
    made = track(build(weights, kind), sound)
    assert np.array_equal(made.values, states[-1])
    assert made.times_s[0] == pytest.approx(2.0 + 199.5 / RATE_HZ)
    assert np.diff(made.times_s) == pytest.approx(0.02)
    assert np.array_equal(track(build(weights, kind, layer=1), sound).values, states[0])
    assert np.allclose(
        track(build(weights, kind, layer="-2..-1"), sound).values, (states[0] + states[1]) / 2, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["wav2vec2", "wavlm", "wav2vec2_large"])
def test_the_last_layer_follows_the_final_norm_as_in_the_networks_own_output(weights, kind):
    import torch
    from torchaudio import pipelines

    sound, tensors = voice(0.5), torch.load(weights[kind], weights_only=True)
    for name in ("weight", "bias"):  # far from the identity
        tensors[f"encoder.transformer.layer_norm.{name}"] += torch.linspace(0, 1, 16)
    torch.save(tensors, file := weights[kind].with_name(f"other_{kind}.pth"))
    bundle = getattr(pipelines, f"TINY_{kind.upper()}")
    model = pipelines._wav2vec2.utils._get_model("WavLM" if kind == "wavlm" else "Wav2Vec2", bundle._params).eval()
    model.load_state_dict(tensors)
    with torch.inference_mode():
        waves = torch.from_numpy(sound.samples)[None]
        waves = torch.nn.functional.layer_norm(waves, waves.shape) if bundle._normalize_waveform else waves
        final = model(waves)[0][0].numpy()  # without a head, the output of the encoder
        first = model.extract_features(waves)[0][0][0].numpy()
    encoders = {layer: build({kind: file}, kind, layer=layer) for layer in (-1, 1, 2, "-2..-1")}
    values = {layer: track(encoder, sound).values for layer, encoder in encoders.items()}
    assert np.abs(values[-1] - final).max() <= 1e-5
    assert np.array_equal(values[2], values[-1])
    assert np.abs(values[1] - first).max() <= 1e-5
    assert np.abs(values["-2..-1"] - (first + final) / 2).max() <= 1e-5
    definitions = {layer: encoder.recipe().get("layers") for layer, encoder in encoders.items()}
    large = 2 if kind == "wav2vec2_large" else None
    assert definitions == {-1: large, 1: None, 2: large, "-2..-1": large}


@pytest.mark.parametrize("kind", ["wav2vec2", "wavlm"])
def test_long_sound_in_chunks_is_close_to_one_pass(weights, kind):
    sound = voice(8.0)
    sound.samples[: 4 * RATE_HZ] *= 0.05  # a chunk with a norm of its own would make this loud
    whole = track(build(weights, kind), sound)
    cut = track(build(weights, kind, chunk_s=2.0, overlap_s=0.8), sound)
    assert np.array_equal(cut.times_s, whole.times_s)
    away = np.abs(cut.values - whole.values).mean() / (whole.values - whole.values.mean(0)).std()
    assert 0 < away < 0.12  # with norms of their own 0.44 and 0.30


def test_the_number_of_rows_follows_from_the_strides(weights):
    encoder = build(weights, chunk_s=1.0, overlap_s=0.2)
    for num, rows in ((0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (168_000, 524)):
        assert len(track(encoder, Sound(np.zeros(num, np.float32), RATE_HZ, 0.0))) == rows


def test_the_recipe_has_the_hash_of_the_weights_the_chunks_and_the_precision(weights):
    recipe = build(weights).recipe()
    assert list(recipe["weights"]) == ["TINY_WAV2VEC2.pth"]
    others = [build(weights, **settings).recipe() for settings in ({"precision": "bf16"}, {"overlap_s": 2.0})]
    assert all(other["settings"] != recipe["settings"] for other in others)
    half = track(build(weights, precision="bf16"), voice()).values
    assert 0 < np.abs(half - track(build(weights), voice()).values).max() < 0.2


def test_a_ctc_head_is_not_used(weights, tmp_path):
    import torch
    from torchaudio import models

    torch.manual_seed(0)
    torch.save(
        models.wav2vec2_model(**bundle_sizes("wav2vec2") | {"aux_num_out": 5}).state_dict(), tmp_path / "asr.pth"
    )
    encoder = ENCODERS.build("torchaudio", bundle="TINY_WAV2VEC2", weights=str(tmp_path / "asr.pth"))
    assert track(encoder, voice()).values.shape == (49, 16)


def test_the_message_about_missing_weights_says_where_to_get_them(monkeypatch, tmp_path):
    import torch

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"WAVLM_BASE is not on this machine .*--download, or .*wavlm_base\.pth"
    ):
        ENCODERS.build("torchaudio", bundle="WAVLM_BASE")
    with pytest.raises(FileNotFoundError, match="no weights file at nowhere.pth: check the path"):
        ENCODERS.build("torchaudio", bundle="WAVLM_BASE", weights="nowhere.pth")


def test_weights_are_downloaded_only_on_request_and_a_failure_is_reported(weights, monkeypatch, tmp_path):
    import shutil

    import torch

    asked = []

    def fetch(url, path, progress):
        asked.append(url)
        shutil.copy(weights["wavlm"], path)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    ENCODERS.build("torchaudio", bundle="TINY_WAVLM", download=True)
    assert [url.rsplit("/", 1)[1] for url in asked] == ["TINY_WAVLM.pth"]
    ENCODERS.build("torchaudio", bundle="TINY_WAVLM")  # from the cache
    assert len(asked) == 1

    def fail(url, path, progress):
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(FileNotFoundError, match=r"HUBERT_BASE could not be downloaded \(no route\)"):
        ENCODERS.build("torchaudio", bundle="HUBERT_BASE", download=True)


def test_weights_of_another_bundle_are_refused(weights):
    path = str(weights["wavlm"])
    with pytest.raises(ValueError, match="has no weights of TINY_WAV2VEC2: .*give the file of this bundle"):
        ENCODERS.build("torchaudio", bundle="TINY_WAV2VEC2", weights=path)


def test_an_unknown_bundle_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="torchaudio has no bundle 'WAVLM_BAS'; did you mean 'WAVLM_BASE'"):
        ENCODERS.build("torchaudio", bundle="WAVLM_BAS")


@pytest.mark.parametrize("layer", [0, 3, -3])
def test_a_layer_that_does_not_exist_is_refused(weights, layer):
    with pytest.raises(ValueError, match=f"there is no layer {layer}: TINY_WAV2VEC2 has layers 1 to 2, or -1 to -2"):
        build(weights, layer=layer)


def test_a_pickle_is_read_as_data_with_a_warning(weights, caplog):
    with caplog.at_level(logging.WARNING, "abaw"):
        build(weights)
    assert "only its tensors are read" in caplog.text
