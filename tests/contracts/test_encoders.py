"""What every encoder must fulfil. A new file in extract/encoders is tested without any edit here.

An encoder runs with the settings of its own ``examples()`` (its defaults where it has none), and with each value of
its settings of type ``bool`` or ``Literal``.
"""

import importlib
import importlib.util
import inspect
import json
import types
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from abaw.errors import InputError
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder, SoundEncoder, joined
from extract.media import Sound
from extract.networks.tiny import TinyWeights

# transformers calls a cached function, which torch.compile traces through
pytestmark = pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")

PARTS = {part.name: part for part in ENCODERS.parts()}


def settings_to_test(part):
    """The encoder's examples, and the first of them with each value of an enumerated setting that no example has."""
    module = importlib.import_module(part.module)
    examples = module.examples() if hasattr(module, "examples") else [{}]
    builder = getattr(module, part.name)
    hints = get_type_hints(builder)
    made = list(examples)
    for name, parameter in inspect.signature(builder).parameters.items():
        for value in enumerated_values(hints[name]) if name in part.settings else ():
            if value == "auto" and name == "precision":
                continue  # another name for one of the others, see below
            if examples and not any(value == each.get(name, parameter.default) for each in examples):
                made.append({**examples[0], name: value})
    return made


def enumerated_values(hint):
    """All values of a type that is a bool, a Literal, or a union of these with others; none of another type."""
    if hint is bool:
        return (False, True)
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(value for each in get_args(hint) for value in enumerated_values(each))
    return ()


def case_id(name, settings):
    shown = {key: value.name if isinstance(value, TinyWeights) else value for key, value in settings.items()}
    return "-".join([name, *(f"{key}-{value}" for key, value in shown.items())])


def cases(*modalities):
    """Runs a test with all settings to test of the encoders of these modalities; the test gets ``build``."""
    parts = [part for part in PARTS.values() if part.facts["modality"] in modalities]
    pairs = [(part.name, settings) for part in parts for settings in settings_to_test(part)]
    return pytest.mark.parametrize("build", pairs, ids=[case_id(*pair) for pair in pairs], indirect=True)


OF_PRECISION = [(part.name, settings_to_test(part)[0]) for part in PARTS.values() if "precision" in part.settings]


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def build(request, weights_folder, monkeypatch):
    """Builds a new encoder of this case at each call."""
    name, settings = request.param
    if settings.get("compile"):
        import torch

        # traces the network like the default backend, without the minute of generating code
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    settings = {
        key: str(value.path_in(weights_folder / name)) if isinstance(value, TinyWeights) else value
        for key, value in settings.items()
    }
    return partial(ENCODERS.build, name, **settings)


def faces(num, size_px, seed=0):
    return [np.random.default_rng([seed, i]).integers(0, 255, (size_px, size_px, 3), np.uint8) for i in range(num)]


def pictures_for(encoder, num_rows, seed=0):
    """The pictures of ``num_rows`` rows."""
    return faces(num_rows * encoder.span, encoder.crop.size_px if encoder.crop else 48, seed)


def voice(seconds=1.0, start_s=0.5, rate_hz=16000, seed=0):
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * rate_hz)) / rate_hz
    return Sound(
        (0.3 * np.sin(2 * np.pi * 150 * t) + 0.01 * rng.normal(size=len(t))).astype(np.float32), rate_hz, start_s
    )


def track_of(encoder, sound):
    return joined(encoder.encode(sound), encoder.dim)


def rows(encoder, seed=0):
    """Any encoder's values for a fixed input."""
    if isinstance(encoder, SoundEncoder):
        return track_of(encoder, voice(rate_hz=encoder.rate_hz, seed=seed)).values
    return encoder.forward(encoder.prepare(pictures_for(encoder, 3, seed)))


@pytest.mark.parametrize("name", PARTS)
def test_an_encoder_without_anything_to_test_says_why(name):
    if not settings_to_test(PARTS[name]):
        reason = inspect.getdoc(importlib.import_module(PARTS[name].module).examples)
        assert len(reason.split()) > 5


def test_each_value_of_an_enumerated_setting_is_tested():
    tested = settings_to_test(PARTS["hf_vision"])
    assert {each.get("pool", "cls") for each in tested} == {"cls", "mean", "pooler", "projected"}
    assert {each.get("precision", "fp32") for each in tested} == {"fp32", "bf16", "fp16"}
    assert {each.get("compile", False) for each in tested} == {False, True}
    assert enumerated_values(Literal[0, 1] | None) == (0, 1)
    assert enumerated_values(int | str) == ()


@cases("vision", "audio", "text")
def test_rows_have_the_declared_width_and_differ_with_the_input(build):
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
    made, expected = rows(again), rows(encoder)
    if build.keywords.get("compile"):  # which is not in the recipe: a compiled network may round differently
        assert np.allclose(made, expected, rtol=1e-4, atol=1e-5)
    else:
        assert made.tobytes() == expected.tobytes()


@cases("vision", "audio", "text")
def test_black_pictures_and_silence_give_finite_values(build):
    encoder = build()
    if isinstance(encoder, SoundEncoder):
        values = track_of(encoder, Sound(np.zeros(encoder.rate_hz, np.float32), encoder.rate_hz, 0.0)).values
    else:
        size_px = encoder.crop.size_px if encoder.crop else 48
        values = encoder.forward(encoder.prepare([np.zeros((size_px, size_px, 3), np.uint8)] * 2 * encoder.span))
    assert len(values)
    assert np.isfinite(values).all()


@cases("vision")
def test_values_do_not_depend_on_the_batch_size(build):
    encoder = build()
    assert isinstance(encoder, PictureEncoder)
    pictures, span = pictures_for(encoder, 5), encoder.span
    whole = encoder.forward(encoder.prepare(pictures))
    singles = [pictures[first : first + span] for first in range(0, len(pictures), span)]
    single = np.concatenate([encoder.forward(encoder.prepare(each)) for each in singles])
    is_exact = encoder.recipe()["settings"].get("precision", "fp32") == "fp32"
    # half precision keeps 8 to 11 bits: sums in another order round differently
    assert np.abs(whole - single).max() <= (1e-5 if is_exact else 0.02 * np.abs(whole).max())


@cases("audio", "text")
def test_sound_rows_increase_lie_inside_the_clip_and_follow_its_start(build):
    encoder = build()
    for seconds in (0.03, 0.5, 1.37):
        early, late = (track_of(encoder, voice(seconds, start_s, encoder.rate_hz)) for start_s in (0.0, 3.25))
        assert (np.diff(early.times_s) > 0).all()
        assert (early.times_s >= 0).all()
        assert (early.times_s <= seconds + 1e-9).all()
        assert np.allclose(late.times_s - early.times_s, 3.25)
        assert np.array_equal(late.values, early.values)
        assert np.array_equal(late.observed, early.observed)


@cases("audio", "text")
def test_samples_mapped_from_a_file_give_the_same_rows(build, tmp_path):
    encoder = build()
    sound = voice(2.3, 0.0, encoder.rate_hz)
    np.asarray(sound.samples).tofile(tmp_path / "samples")
    mapped = Sound(np.memmap(tmp_path / "samples", np.float32, mode="c"), sound.rate_hz, sound.start_s)
    one, other = track_of(encoder, sound), track_of(encoder, mapped)
    assert one.values.tobytes() == other.values.tobytes()
    assert np.array_equal(one.times_s, other.times_s)


@cases("audio", "text")
def test_sound_shorter_than_a_receptive_field_gives_a_track_and_no_error(build):
    encoder = build()
    for num in (0, 1, 100):
        track = track_of(encoder, Sound(np.full(num, 0.1, np.float32), encoder.rate_hz, 0.0))
        assert track.values.shape == (len(track.times_s), encoder.dim)


def test_a_whole_number_for_a_fraction_is_the_same_recipe():
    assert ENCODERS.build("face_hog", margin=0).recipe() == ENCODERS.build("face_hog", margin=0.0).recipe()


@pytest.mark.parametrize("build", OF_PRECISION, ids=[name for name, _ in OF_PRECISION], indirect=True)
def test_the_automatic_precision_is_recorded_as_what_it_is_on_the_device(build):
    """Elsewhere features of a CPU and of a GPU would lie in one folder."""
    assert build(precision="auto").recipe() == build(precision="fp32").recipe()


def looks_ahead(part):
    """Whether the encoder's file says how far it looks ahead."""
    return "look_ahead_s" in Path(importlib.util.find_spec(part.module).origin).read_text()


LIVE = [(part.name, settings) for part in PARTS.values() if looks_ahead(part) for settings in settings_to_test(part)]
live_cases = pytest.mark.parametrize("build", LIVE, ids=[case_id(*pair) for pair in LIVE], indirect=True)


@live_cases
def test_rows_depend_on_no_sound_later_than_the_encoder_looks_ahead(build):
    encoder = build()
    sound = voice(3.0, rate_hz=encoder.rate_hz)
    assert encoder.look_ahead_s is not None
    at_s, other = sound.start_s + 2.0, sound.samples.copy()
    other[2 * sound.rate_hz :] = 0
    before, after = (track_of(encoder, each) for each in (sound, replace(sound, samples=other)))
    differ = before.times_s[(before.values != after.values).any(axis=1)]
    assert at_s - encoder.look_ahead_s - 1e-9 <= differ.min() <= at_s - encoder.look_ahead_s + 0.04


@live_cases
def test_sound_that_arrives_in_pieces_gives_the_rows_of_the_whole(build):
    encoder = build()
    sound = voice(2.5, rate_hz=encoder.rate_hz)
    whole, steps, found = track_of(encoder, sound), encoder.steps(sound.start_s), []
    stops = [0, 1, 1, 701, 1034, 9034, *range(10_000, len(sound.samples), 400), len(sound.samples)]
    for start, stop in pairwise([0, *stops]):
        found.append(steps.add(sound.samples[start:stop]))
        due_s = sound.start_s + stop / sound.rate_hz - encoder.look_ahead_s
        assert sum(map(len, found)) >= (whole.times_s <= due_s - 1e-9).sum()
    made = joined([*found, steps.finish()], encoder.dim)
    np.testing.assert_array_equal(made.times_s, whole.times_s)
    assert made.values.tobytes() == whole.values.tobytes()


def test_an_encoder_that_does_not_say_how_far_it_looks_ahead_takes_no_sound_that_arrives():
    class Whole(SoundEncoder):
        def recipe(self):
            return {"encoder": "whole"}

        def encode(self, sound):
            yield from ()

    with pytest.raises(InputError, match="whole cannot encode sound as it arrives"):
        Whole().steps(0.0)
