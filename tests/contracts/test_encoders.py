"""What every encoder must survive: a new file in extract/encoders is tested by existing.

An encoder that loads weights is tested on tiny random ones, saved to a folder or file as a user's copy would be.
"""

import json

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder, SoundEncoder, joined
from extract.media import Sound
from tests.support import models_other, models_sound, models_vision

MAKERS = (models_vision, models_sound, models_other)
VARIANTS = {  # encoder -> the settings to test it with; a value "@NAME" is a tiny model made by one of the makers
    "face_hog": [{}],
    **{name: variants for maker in MAKERS for name, variants in maker.VARIANTS.items()},
}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Paths of tiny models with random weights."""
    made = {}
    for maker in MAKERS:
        made |= maker.make(tmp_path_factory.mktemp(maker.__name__.rpartition(".")[2]))
    return made


def cases(*modalities):
    """A test over every variant of the encoders of these modalities; the test gets ``build``."""
    parts = [part for part in ENCODERS.parts() if part.facts["modality"] in modalities]
    pairs = [(part.name, variant) for part in parts for variant in VARIANTS[part.name]]
    ids = ["-".join([name, *(str(value).lstrip("@") for value in variant.values())]) for name, variant in pairs]
    return pytest.mark.parametrize("build", pairs, ids=ids, indirect=True)


@pytest.fixture
def build(request, models):
    """Builds the encoder of this case anew at each call."""
    name, settings = request.param
    settings = {
        key: str(models[value[1:]]) if isinstance(value, str) and value.startswith("@") else value
        for key, value in settings.items()
    }
    return lambda: ENCODERS.build(name, **settings)


def faces(num, size_px, seed=0):
    return [np.random.default_rng([seed, i]).integers(0, 255, (size_px, size_px, 3), np.uint8) for i in range(num)]


def pictures_for(encoder, num_rows, seed=0):
    """What so many rows need."""
    return faces(num_rows * encoder.span, encoder.crop.size_px if encoder.crop else 48, seed)


def voice(seconds=1.0, start_s=0.5, rate_hz=16000, seed=0):
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * rate_hz)) / rate_hz
    return Sound(
        (0.3 * np.sin(2 * np.pi * 150 * t) + 0.01 * rng.normal(size=len(t))).astype(np.float32), rate_hz, start_s
    )


def heard(encoder, sound):
    return joined(encoder.encode(sound), encoder.dim)


def rows(encoder, seed=0):
    """Any encoder's values for a fixed input."""
    if isinstance(encoder, SoundEncoder):
        return heard(encoder, voice(rate_hz=encoder.rate_hz, seed=seed)).values
    return encoder.forward(encoder.prepare(pictures_for(encoder, 3, seed)))


def test_every_encoder_has_variants_to_test():
    assert set(VARIANTS) == set(ENCODERS.names())


@cases("vision", "audio", "text")
def test_the_declared_width_is_true_and_values_differ_with_the_input(build):
    encoder = build()
    first, second = rows(encoder), rows(encoder, seed=1)
    assert first.shape[1] == encoder.dim
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert first.shape != second.shape or not np.array_equal(first, second)
    listed = ENCODERS.part(encoder.recipe()["encoder"]).facts
    assert listed["dim"] in (None, encoder.dim)
    assert listed["modality"] == encoder.modality


@cases("vision", "audio", "text")
def test_the_same_clip_twice_gives_the_same_bytes(build):
    encoder = build()
    assert rows(encoder).tobytes() == rows(encoder).tobytes() == rows(build()).tobytes()


@cases("vision", "audio", "text")
def test_the_recipe_is_json_and_rebuilds_the_encoder(build):
    encoder = build()
    recipe = json.loads(json.dumps(encoder.recipe()))
    again = ENCODERS.build(recipe["encoder"], **recipe["settings"])
    assert again.recipe() == recipe
    assert rows(again).tobytes() == rows(encoder).tobytes()


@cases("vision", "audio", "text")
def test_black_pictures_and_silence_give_finite_values(build):
    encoder = build()
    if isinstance(encoder, SoundEncoder):
        values = heard(encoder, Sound(np.zeros(encoder.rate_hz, np.float32), encoder.rate_hz, 0.0)).values
    else:
        size_px = encoder.crop.size_px if encoder.crop else 48
        values = encoder.forward(encoder.prepare([np.zeros((size_px, size_px, 3), np.uint8)] * 2 * encoder.span))
    assert len(values)
    assert np.isfinite(values).all()


@cases("vision")
def test_batch_size_changes_nothing(build):
    encoder = build()
    assert isinstance(encoder, PictureEncoder)
    pictures, span = pictures_for(encoder, 5), encoder.span
    whole = encoder.forward(encoder.prepare(pictures))
    singles = [pictures[first : first + span] for first in range(0, len(pictures), span)]
    single = np.concatenate([encoder.forward(encoder.prepare(each)) for each in singles])
    is_exact = "settings" not in encoder.recipe() or encoder.recipe()["settings"].get("precision", "fp32") == "fp32"
    # bfloat16 keeps 8 bits: sums in another order round to a neighbour
    assert np.abs(whole - single).max() <= (1e-5 if is_exact else 0.02 * np.abs(whole).max())


@cases("audio", "text")
def test_sound_rows_increase_lie_inside_the_clip_and_follow_its_start(build):
    encoder = build()
    for seconds in (0.03, 0.5, 1.37):
        early, late = (heard(encoder, voice(seconds, start_s, encoder.rate_hz)) for start_s in (0.0, 3.25))
        assert (np.diff(early.times_s) > 0).all()
        assert (early.times_s >= 0).all()
        assert (early.times_s <= seconds + 1e-9).all()
        assert np.allclose(late.times_s - early.times_s, 3.25)
        assert np.array_equal(late.values, early.values)
        assert np.array_equal(late.observed, early.observed)


@cases("audio", "text")
def test_samples_that_lie_on_disk_give_the_same(build, tmp_path):
    encoder = build()
    sound = voice(2.3, 0.0, encoder.rate_hz)
    np.asarray(sound.samples).tofile(tmp_path / "samples")
    mapped = Sound(np.memmap(tmp_path / "samples", np.float32, mode="c"), sound.rate_hz, sound.start_s)
    one, other = heard(encoder, sound), heard(encoder, mapped)
    assert one.values.tobytes() == other.values.tobytes()
    assert np.array_equal(one.times_s, other.times_s)


@cases("audio", "text")
def test_sound_shorter_than_a_receptive_field_gives_a_track_and_no_error(build):
    encoder = build()
    for num in (0, 1, 100):
        track = heard(encoder, Sound(np.full(num, 0.1, np.float32), encoder.rate_hz, 0.0))
        assert track.values.shape == (len(track.times_s), encoder.dim)


def test_a_whole_number_for_a_fraction_is_the_same_recipe():
    assert ENCODERS.build("face_hog", margin=0).recipe() == ENCODERS.build("face_hog", margin=0.0).recipe()
