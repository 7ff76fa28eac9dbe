"""Hugging Face sound models in chunks: no seams, and little memory for long sound."""

import tracemalloc

import numpy as np
import pytest

from extract.media import Sound
from extract.networks.chunks import pieces
from tests.support.extract.hf_audio import ALL, RATE_HZ, build, track, voice

SHORT = {"chunk_s": 1.0, "overlap_s": 0.2}


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
