"""What every encoder must survive: a new file in extract/encoders is tested by existing.

An encoder that loads weights is tested on tiny random ones, saved to a folder as a user's copy would be.
"""

import json

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder, SoundEncoder
from extract.media import Sound

VARIANTS = {  # encoder -> the settings to test it with; a value that names a model is a fixture below
    "face_hog": [{}],
    "voice_mel": [{}],
    "hf_vision": [
        {"model": "vit", "crop_px": 32},
        {"model": "clip", "crop_px": 32},
        {"model": "resnet", "pool": "mean", "crop": "none"},
        {"model": "dinov2", "pool": "mean", "crop_px": 32},
    ],
    "hf_audio": [{"model": "wav2vec2"}, {"model": "hubert"}, {"model": "wavlm"}],
}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of tiny models with random weights."""
    import torch
    import transformers as tf

    tf.logging.set_verbosity_error()
    tf.utils.logging.disable_progress_bar()
    tiny = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    eye = {**tiny, "image_size": 32, "patch_size": 8}
    ear = {**tiny, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    text = {**tiny, "vocab_size": 20, "bos_token_id": 0, "eos_token_id": 1}
    made = {
        "vit": lambda: tf.ViTModel(tf.ViTConfig(**eye)),
        "clip": lambda: tf.CLIPModel(tf.CLIPConfig(text_config=text, vision_config=eye, projection_dim=8)),
        "resnet": lambda: tf.ResNetModel(tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
        "dinov2": lambda: tf.Dinov2Model(tf.Dinov2Config(**eye)),
        "wav2vec2": lambda: tf.Wav2Vec2Model(tf.Wav2Vec2Config(**ear)),
        "hubert": lambda: tf.HubertModel(tf.HubertConfig(**ear)),
        "wavlm": lambda: tf.WavLMModel(tf.WavLMConfig(**ear)),
    }
    folders = {}
    for name, build in made.items():
        folders[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        build().save_pretrained(folders[name])
        if name in ("wav2vec2", "hubert", "wavlm"):
            tf.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folders[name])
        else:
            tf.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folders[name])
    return folders


def cases(*modalities):
    """A test over every variant of the encoders of these modalities; the test gets ``build``."""
    parts = [part for part in ENCODERS.parts() if part.facts["modality"] in modalities]
    pairs = [(part.name, variant) for part in parts for variant in VARIANTS[part.name]]
    ids = [f"{name}-{variant.get('model', 'plain')}" for name, variant in pairs]
    return pytest.mark.parametrize("build", pairs, ids=ids, indirect=True)


@pytest.fixture
def build(request, models):
    """Builds the encoder of this case anew at each call."""
    name, settings = request.param
    if "model" in settings:
        settings = {**settings, "model": str(models[settings["model"]])}
    return lambda: ENCODERS.build(name, **settings)


def faces(num, size_px, seed=0):
    return [np.random.default_rng([seed, i]).integers(0, 255, (size_px, size_px, 3), np.uint8) for i in range(num)]


def voice(seconds=1.0, start_s=0.5, rate_hz=16000, seed=0):
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * rate_hz)) / rate_hz
    return Sound(
        (0.3 * np.sin(2 * np.pi * 150 * t) + 0.01 * rng.normal(size=len(t))).astype(np.float32), rate_hz, start_s
    )


def rows(encoder, seed=0):
    """Any encoder's values for a fixed input."""
    if isinstance(encoder, SoundEncoder):
        return encoder.encode(voice(rate_hz=encoder.rate_hz, seed=seed)).values
    size_px = encoder.crop.size_px if encoder.crop else 48
    return encoder.forward(encoder.prepare(faces(3, size_px, seed)))


def test_every_encoder_has_variants_to_test():
    assert set(VARIANTS) == set(ENCODERS.names())


@cases("vision", "audio")
def test_the_declared_width_is_true_and_values_differ_with_the_input(build):
    encoder = build()
    first, second = rows(encoder), rows(encoder, seed=1)
    assert first.shape[1] == encoder.dim
    assert np.isfinite(first).all()
    assert not np.allclose(first, second)
    listed = ENCODERS.part(encoder.recipe()["encoder"]).facts
    assert listed["dim"] in (None, encoder.dim)
    assert listed["modality"] == encoder.modality


@cases("vision", "audio")
def test_the_same_clip_twice_gives_the_same_bytes(build):
    encoder = build()
    assert rows(encoder).tobytes() == rows(encoder).tobytes() == rows(build()).tobytes()


@cases("vision", "audio")
def test_the_recipe_is_json_and_rebuilds_the_encoder(build):
    encoder = build()
    recipe = json.loads(json.dumps(encoder.recipe()))
    again = ENCODERS.build(recipe["encoder"], **recipe["settings"])
    assert again.recipe() == recipe
    assert rows(again).tobytes() == rows(encoder).tobytes()


@cases("vision", "audio")
def test_black_pictures_and_silence_give_finite_values(build):
    encoder = build()
    if isinstance(encoder, SoundEncoder):
        values = encoder.encode(Sound(np.zeros(encoder.rate_hz, np.float32), encoder.rate_hz, 0.0)).values
    else:
        size_px = encoder.crop.size_px if encoder.crop else 48
        values = encoder.forward(encoder.prepare([np.zeros((size_px, size_px, 3), np.uint8)] * 2))
    assert len(values)
    assert np.isfinite(values).all()


@cases("vision")
def test_batch_size_changes_nothing(build):
    encoder = build()
    assert isinstance(encoder, PictureEncoder)
    pictures = faces(5, encoder.crop.size_px if encoder.crop else 48)
    whole = encoder.forward(encoder.prepare(pictures))
    single = np.concatenate([encoder.forward(encoder.prepare([picture])) for picture in pictures])
    assert np.abs(whole - single).max() <= 1e-5


@cases("audio")
def test_sound_rows_increase_lie_inside_the_clip_and_follow_its_start(build):
    encoder = build()
    for seconds in (0.03, 0.5, 1.37):
        early, late = (encoder.encode(voice(seconds, start_s, encoder.rate_hz)) for start_s in (0.0, 3.25))
        assert (np.diff(early.times_s) > 0).all()
        assert (early.times_s >= 0).all()
        assert (early.times_s <= seconds + 1e-9).all()
        assert np.allclose(late.times_s - early.times_s, 3.25)
        assert np.array_equal(late.values, early.values)


@cases("audio")
def test_sound_shorter_than_a_receptive_field_gives_a_track_and_no_error(build):
    encoder = build()
    for num in (0, 1, 100):
        track = encoder.encode(Sound(np.full(num, 0.1, np.float32), encoder.rate_hz, 0.0))
        assert track.values.shape == (len(track.times_s), encoder.dim)


def test_hf_vision_gives_exactly_the_librarys_final_hidden_layer(models):
    import torch
    import transformers as tf

    pictures = faces(2, 32)
    encoder = ENCODERS.build("hf_vision", model=str(models["vit"]), crop_px=32)
    processor = tf.AutoImageProcessor.from_pretrained(models["vit"])
    model = tf.AutoModel.from_pretrained(models["vit"]).eval()
    with torch.inference_mode():
        expected = model(
            **processor(pictures, return_tensors="pt", input_data_format="channels_last")
        ).last_hidden_state
    assert np.allclose(encoder.forward(encoder.prepare(pictures)), expected[:, 0].numpy(), atol=1e-6)
    mean = ENCODERS.build("hf_vision", model=str(models["vit"]), crop_px=32, pool="mean")
    assert np.allclose(mean.forward(mean.prepare(pictures)), expected.mean(1).numpy(), atol=1e-6)


def test_hf_audio_gives_exactly_the_librarys_final_hidden_layer_at_the_centres_of_its_receptive_fields(models):
    import torch
    import transformers as tf

    sound = voice(1.0, start_s=2.0)
    track = ENCODERS.build("hf_audio", model=str(models["wav2vec2"])).encode(sound)
    extractor = tf.AutoFeatureExtractor.from_pretrained(models["wav2vec2"])
    model = tf.AutoModel.from_pretrained(models["wav2vec2"]).eval()
    with torch.inference_mode():
        values = extractor(sound.samples, sampling_rate=16000, return_tensors="pt").input_values
        expected = model(values).last_hidden_state[0].numpy()
    assert np.array_equal(track.values, expected)
    # wav2vec 2.0: a row sees 400 samples and they move by 320: the first centre is at sample 199.5
    assert track.times_s[0] == pytest.approx(2.0 + 199.5 / 16000)
    assert np.diff(track.times_s) == pytest.approx(0.02)
    assert len(track) == 1 + (16000 - 400) // 320


def test_a_model_that_is_not_here_says_how_to_fetch_it():
    with pytest.raises(
        FileNotFoundError, match=r"no model 'nobody/nothing' on this machine.*hf download nobody/nothing"
    ):
        ENCODERS.build("hf_vision", model="nobody/nothing")


def test_a_folder_without_weights_says_what_was_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no weights: expected model\.safetensors"):
        ENCODERS.build("hf_audio", model=str(tmp_path))


def test_a_folder_without_its_processor_says_what_is_missing(models, tmp_path):
    import shutil

    for name in ("config.json", "model.safetensors"):
        shutil.copy(models["vit"] / name, tmp_path)
    with pytest.raises(ValueError, match=r"has no AutoImageProcessor \(preprocessor_config\.json\)"):
        ENCODERS.build("hf_vision", model=str(tmp_path))


def test_weights_that_lack_a_layer_are_refused_rather_than_made_up(models, tmp_path):
    import shutil

    from safetensors.numpy import load_file, save_file

    shutil.copytree(models["vit"], tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    gone = next(key for key in tensors if "layer.1" in key or "layers.1" in key)
    save_file({key: value for key, value in tensors.items() if key != gone}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"lack 1 tensors, .*take a complete checkpoint"):
        ENCODERS.build("hf_vision", model=str(tmp_path))


def test_a_model_of_the_wrong_kind_is_named(models):
    with pytest.raises(ValueError, match=r"'vit' model, which takes no waveform"):
        ENCODERS.build("hf_audio", model=str(models["vit"]))


def test_other_weights_are_another_recipe(models, tmp_path):
    import shutil

    from safetensors.numpy import load_file, save_file

    shutil.copytree(models["vit"], tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    key = sorted(tensors)[0]
    save_file({**tensors, key: tensors[key] + 1}, tmp_path / "model.safetensors")
    recipes = [ENCODERS.build("hf_vision", model=str(folder)).recipe() for folder in (models["vit"], tmp_path)]
    assert recipes[0]["weights"] != recipes[1]["weights"]


def test_long_sound_goes_in_pieces_that_give_every_row_once_and_lie_near_one_pass(models):
    from extract.encoders.hf_audio import pieces

    for num, chunk, margin in ((10, 10, 3), (11, 10, 3), (100, 10, 4), (37, 20, 0), (1000, 101, 50)):
        found = pieces(num, chunk, margin)
        assert [row for _, keep, until, _ in found for row in range(keep, until)] == list(range(num))
        assert all(0 <= first <= keep < until <= stop <= num for first, keep, until, stop in found)
    sound = voice(6.0)
    whole = ENCODERS.build("hf_audio", model=str(models["hubert"]), chunk_s=30).encode(sound)
    cut = ENCODERS.build("hf_audio", model=str(models["hubert"]), chunk_s=2.0, overlap_s=0.8).encode(sound)
    assert np.array_equal(cut.times_s, whole.times_s)
    away = np.abs(cut.values - whole.values).mean() / whole.values.std()
    assert 0 < away < 0.5  # near, and not the same


def test_an_adapter_and_senseless_pieces_are_refused(models, tmp_path):
    import transformers as tf

    config = tf.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, add_adapter=True,
    )  # fmt: skip
    tf.Wav2Vec2Model(config).save_pretrained(tmp_path)
    tf.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has an adapter, whose strides hf_audio does not know"):
        ENCODERS.build("hf_audio", model=str(tmp_path))
    with pytest.raises(ValueError, match=r"overlap_s is 20.0, expected 0 up to half of chunk_s"):
        ENCODERS.build("hf_audio", model=str(models["hubert"]), overlap_s=20)


def test_a_model_without_a_class_token_must_be_averaged(tmp_path):
    import transformers as tf

    config = tf.SiglipVisionConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )
    tf.SiglipVisionModel(config).save_pretrained(tmp_path)
    tf.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no class token, its 16 tokens are patches: give pool=mean"):
        ENCODERS.build("hf_vision", model=str(tmp_path))
    assert ENCODERS.build("hf_vision", model=str(tmp_path), pool="mean").dim == 16


def test_a_device_that_is_not_here_is_named(models):
    with pytest.raises(ValueError, match="no device 'nonsense' here: .*give --device cpu"):
        ENCODERS.build("hf_vision", model=str(models["vit"]), device="nonsense")


def test_pitch_in_pieces_is_pitch_in_one():
    import librosa

    from extract.encoders.voice_mel import _pitch

    samples = voice(65.0).samples
    whole = librosa.yin(samples, fmin=60, fmax=500, sr=16000, frame_length=1024, hop_length=160, pad_mode="constant")
    assert np.array_equal(_pitch(samples, len(whole)), whole)
    assert np.median(whole) == pytest.approx(150, rel=0.02)


def test_onsets_are_when_they_are():
    from extract.encoders.voice_mel import _prosody, _spectra

    samples = np.zeros(64000, np.float32)
    samples[32000:32400] = np.random.default_rng(0).normal(size=400) * 0.3
    prosody = _prosody(samples, *_spectra(samples))
    # a single onset is in the mean over a second for just the second around it
    rows = np.flatnonzero(prosody[:, 4] > prosody[:, 4].max() / 2)
    assert abs((rows[0] + rows[-1]) / 2 - 200) <= 2


def test_a_whole_number_for_a_fraction_is_the_same_recipe():
    assert ENCODERS.build("face_hog", margin=0).recipe() == ENCODERS.build("face_hog", margin=0.0).recipe()
