"""GE2E's voice encoder: equal to the package's network, on windows, causal with a running gain."""

import numpy as np
import pytest
import torch

from abaw.errors import InputError, NotFoundError
from extract.encoders import ENCODERS, ge2e
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks import package_weights
from extract.networks.tiny.voice import write_ge2e

RATE_HZ, WINDOW, QUARTER = 16000, 160, 40  # rows of 10 ms


class VoiceEncoder(torch.nn.Module):
    """The package's network as its voice_encoder.py defines it."""

    def __init__(self, hidden):
        super().__init__()
        self.lstm = torch.nn.LSTM(40, hidden, 3, batch_first=True)
        self.linear = torch.nn.Linear(hidden, hidden)

    def forward(self, mels):
        _, (hidden, _) = self.lstm(mels)
        embeds = torch.relu(self.linear(hidden[-1]))
        return embeds / torch.norm(embeds, dim=1, keepdim=True)


def package_network(file):
    state = torch.load(file, map_location="cpu", weights_only=True)["model_state"]
    network = VoiceEncoder(state["linear.bias"].shape[0]).eval().requires_grad_(False)
    network.load_state_dict({name: each for name, each in state.items() if not name.startswith("similarity")})
    return network


@pytest.fixture(scope="module", params=["tiny", "real"])
def file(request, tmp_path_factory):
    if request.param == "tiny":
        return write_ge2e(tmp_path_factory.mktemp("ge2e") / "tiny.pt")
    found = package_weights.find(ge2e.WEIGHTS)
    if found is None:
        pytest.skip(f"{ge2e.WEIGHTS} is not on this machine: abaw weights fetch gets it")
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(write_ge2e(tmp_path_factory.mktemp("ge2e") / "tiny.pt"))


def voice(num=45_000, start_s=0.0):
    t, rng = np.arange(num) / RATE_HZ, np.random.default_rng(1)
    tone = np.sin(2 * np.pi * (120 + 30 * np.sin(4 * t)) * t) * (1 + np.sin(9 * t)) + 0.1 * rng.normal(size=num)
    return Sound((0.05 * tone).astype(np.float32), RATE_HZ, start_s)


def rows(encoder, sound):
    return joined(encoder.encode(sound), encoder.dim)


def mels_of(samples):
    """As the package computes them: test_voice.py compares with librosa."""
    return torch.from_numpy(ge2e.MELS.rows(samples, 0, 1 + len(samples) // 160).astype(np.float32))


def test_rows_are_states_and_embeddings_of_the_packages_network(file):
    network, sound = package_network(file), voice()
    mels = mels_of(sound.samples)
    states, embeddings = (
        rows(ENCODERS.build("ge2e", file=str(file), gain="fixed", stride=1, output=output), sound)
        for output in ("lstm3", "embedding")
    )
    assert len(states) == len(mels) == 282
    for stop in (1, 95, 160, 200, 240, 280):  # where a window of the package may end
        part = mels[max(0, stop - WINDOW) : stop][None]
        assert np.abs(states.values[stop - 1] - network.lstm(part)[0][0, -1].numpy()).max() < 1e-5
        assert np.abs(embeddings.values[stop - 1] - network(part)[0].numpy()).max() < 1e-5
    start = 4 * QUARTER  # a row within a quarter depends on the window that ends with it
    assert np.abs(states.values[170] - network.lstm(mels[start - 120 : 171][None])[0][0, -1].numpy()).max() < 1e-5
    second = rows(ENCODERS.build("ge2e", file=str(file), gain="fixed", stride=1), sound)
    network.lstm.num_layers = 2
    network.lstm._all_weights = network.lstm._all_weights[:2]
    network.lstm._flat_weights = network.lstm._flat_weights[:8]
    assert np.abs(second.values[159] - network.lstm(mels[:160][None])[0][0, -1].numpy()).max() < 1e-5


def test_the_gain_levels_the_take_before_the_network(tiny):
    quiet = Sound(voice().samples * np.float32(0.1), RATE_HZ, 0.0)
    factor = 10 ** (-30 / 20) / np.sqrt(np.mean(np.square(quiet.samples)))
    levelled = Sound(quiet.samples * np.float32(factor), RATE_HZ, 0.0)
    take, fixed = (ENCODERS.build("ge2e", file=tiny, gain=gain) for gain in ("take", "fixed"))
    assert factor > 5
    assert rows(take, quiet).values == pytest.approx(rows(fixed, levelled).values, abs=1e-5)
    assert np.abs(rows(take, quiet).values - rows(fixed, quiet).values).max() > 1e-3


@pytest.mark.parametrize("gain", ["running", "fixed"])
def test_a_row_depends_on_its_past_only(tiny, gain):
    encoder, sound = ENCODERS.build("ge2e", file=tiny, gain=gain, stride=1), voice()
    altered = sound.samples.copy()
    altered[30_000:] = 0.5
    one, other = rows(encoder, sound), rows(encoder, Sound(altered, RATE_HZ, 0.0))
    past = one.times_s + 0.0125 <= 30_000 / RATE_HZ
    assert past.sum() == 187
    assert (one.values[past] == other.values[past]).all()
    assert (one.values[~past] != other.values[~past]).any(axis=1).all()


def test_rows_lie_on_multiples_of_the_stride_and_do_not_depend_on_the_batch(tiny, monkeypatch):
    sound = voice(50_000, start_s=2.0)
    encoder = ENCODERS.build("ge2e", file=tiny, stride=4, gain="running")
    whole = rows(encoder, sound)
    assert whole.times_s == pytest.approx(2 + 0.04 * np.arange(79))
    every = rows(ENCODERS.build("ge2e", file=tiny, stride=1, gain="running"), sound)
    assert (every.values[::4] == whole.values).all()
    for batch in (1, 2, 3):
        monkeypatch.setattr(ge2e, "BATCH", batch)
        assert rows(encoder, sound).values == pytest.approx(whole.values, abs=1e-6)


def test_only_the_samples_of_a_batch_are_read_at_a_time(tiny):
    longest = 0

    class Watched(np.ndarray):
        def __getitem__(self, key):
            nonlocal longest
            part = super().__getitem__(key)
            longest = max(longest, np.size(part))
            return part

    samples = voice(RATE_HZ * 40).samples.view(Watched)
    assert len(rows(ENCODERS.build("ge2e", file=tiny, gain="running"), Sound(samples, RATE_HZ, 0.0))) == 2001
    assert longest < RATE_HZ * 16


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stride": 0}, "stride is 0, expected 1 to 100"),
        ({"window_s": 0.1}, "window_s is 0.1, expected 0.4 to 30 s"),
    ],
)
def test_settings_out_of_range_are_refused(tiny, settings, said):
    with pytest.raises(InputError, match=said):
        ENCODERS.build("ge2e", file=tiny, **settings)


def test_other_weights_are_refused_and_missing_ones_named(tmp_path, monkeypatch):
    torch.save({"model_state": {"conv.weight": torch.zeros(2)}}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="does not have the weights of GE2E's network"):
        ENCODERS.build("ge2e", file=str(tmp_path / "other.pt"))
    with pytest.raises(NotFoundError, match="no file nowhere.pt for ge2e"):
        ENCODERS.build("ge2e", file="nowhere.pt")
    monkeypatch.setenv(package_weights.VARIABLE, str(tmp_path))
    monkeypatch.setattr(package_weights, "_installed", lambda weights: None, raising=False)
    with pytest.raises(NotFoundError, match=r"pretrained.pt of the package Resemblyzer 0.1.4 \(17.1 MB, Apache-2.0\)"):
        ENCODERS.build("ge2e")


def test_the_recipe_holds_the_hash_of_the_weights(tiny):
    recipe = ENCODERS.build("ge2e", file=tiny).recipe()
    assert recipe["settings"] == {"gain": "take", "output": "lstm2", "window_s": 1.6, "stride": 2, "file": tiny}
    assert recipe["found_at"] == ["file"]
    assert len(recipe["weights"]) == 64
