"""Active speaker detection: the person whose mouth moves when the sound changes."""

from collections.abc import Iterator

import numpy as np

from extract.media import Sound

RATE_HZ = 8000  # of the sound to give to ``detect_speakers``
WINDOW_S = 1.5  # over which mouth motion is compared with the sound
DECISION_S = 0.2  # one decision about the speaker per interval of this length
SMOOTHING_S = 0.12
MOTION_WEIGHT = 0.8  # of mouth motion by itself, beside its product with the change of sound
MAX_LAG_S = 0.08  # up to which the sound may come after the lips, which move first
CHANGE_COST = 3.0  # in evidence summed over decisions: turns shorter than about a second are passed over

NUM_BANDS = 8
FFT_SIZE = 256  # samples, 32 ms
FLUX_STEP_S = 0.02  # the spectra this long before and after a picture are compared
MIN_RMS = 1e-4  # below it (full scale at 1) the sound is silent

MouthMotions = dict[int, tuple[int, np.ndarray]]  # of each person the first frame, and motion in every frame from there


def detect_speakers(
    times_s: np.ndarray, frames: np.ndarray, persons: np.ndarray, motions: np.ndarray, sound: Sound
) -> np.ndarray:
    """The person who speaks in each picture, -1 where nobody is known; all -1 in a silent clip.

    ``times_s``: of the pictures. ``frames``, ``persons`` and ``motions``: one entry a face, in order of time: index of
    its picture, number of the person, mouth motion. Evidence for a person is the standardised mouth motion times the
    change of sound, summed over ``WINDOW_S``, at the one lag that fits the clip best; a Viterbi path through the clip
    collects the most evidence less a cost for each change of speaker. A person hidden for a while may keep speaking.
    """
    nobody = np.full(len(times_s), -1)
    flux = compute_spectral_flux(sound, times_s) if len(times_s) > 1 else None
    if flux is None or not len(persons):
        return nobody
    interval_s = float(np.median(np.diff(times_s)))
    flux = _standardise(_smooth(flux, interval_s), 0.0)
    mouths = dict(_prepare_motions(frames, persons, motions, interval_s))
    max_lag = round(MAX_LAG_S / interval_s)
    lag = max(range(max_lag + 1), key=lambda lag: _fit_of_lag(mouths, flux, lag))
    path = _find_best_path(_sum_evidence(times_s, mouths, flux, lag))
    return np.array(path)[_decision_of(times_s)]


def compute_spectral_flux(sound: Sound, times_s: np.ndarray) -> np.ndarray | None:
    """How much the sound changes at each time: the mean absolute change of its log band energies; None in silence."""
    before, after = (_band_energies(sound, times_s + step_s) for step_s in (-FLUX_STEP_S, FLUX_STEP_S))
    energy = after.sum(1)
    # with a Hann window the energy of a spectrum is 3/16 of its squared length times the mean square of the samples
    audible = energy[energy > MIN_RMS**2 * FFT_SIZE**2 * 3 / 16]
    if not len(audible):
        return None
    floor = 0.1 * np.percentile(audible, 90) / NUM_BANDS  # so that the noise in a pause does not count as change
    return np.abs(np.log(after + floor) - np.log(before + floor)).mean(1)


def _band_energies(sound: Sound, times_s: np.ndarray) -> np.ndarray:
    """The energies of ``NUM_BANDS`` bands, equally wide in log frequency, at some times; silent beyond the sound."""
    edges = np.searchsorted(np.fft.rfftfreq(FFT_SIZE, 1 / sound.rate_hz), np.geomspace(150, 3600, NUM_BANDS + 1))
    window, rows = np.hanning(FFT_SIZE), []
    for time_s in times_s:
        first = round((time_s - sound.start_s) * sound.rate_hz) - FFT_SIZE // 2
        samples = np.zeros(FFT_SIZE)
        low, high = np.clip((first, first + FFT_SIZE), 0, len(sound.samples))
        samples[low - first : high - first] = sound.samples[low:high]
        power = np.abs(np.fft.rfft(samples * window)) ** 2
        rows.append(np.add.reduceat(power, edges)[:-1])
    return np.array(rows)


def _prepare_motions(
    frames: np.ndarray, persons: np.ndarray, motions: np.ndarray, interval_s: float
) -> Iterator[tuple[int, tuple[int, np.ndarray]]]:
    """The items of ``MouthMotions``, smoothed and standardised.

    The noise of a still mouth is not scaled up to the motion of a speaking one; a hidden face has the mean motion.
    """
    pooled = np.sqrt(np.mean([motions[persons == person].var() for person in np.unique(persons)]))
    for person in np.unique(persons):
        own, motion = frames[persons == person], motions[persons == person]
        series = np.full(own[-1] - own[0] + 1, motion.mean())
        series[own - own[0]] = motion
        yield int(person), (int(own[0]), _standardise(_smooth(series, interval_s), 0.7 * float(pooled)))


def _smooth(values: np.ndarray, interval_s: float) -> np.ndarray:
    half = round(SMOOTHING_S / interval_s) // 2
    padded = np.pad(values, half, mode="edge")
    return np.convolve(padded, np.ones(2 * half + 1) / (2 * half + 1), "valid")


def _standardise(values: np.ndarray, min_std: float) -> np.ndarray:
    """Mean 0 and standard deviation 1 (less where it is below ``min_std``), clipped to -3 to 3."""
    return np.clip((values - values.mean()) / max(float(values.std()), min_std, 1e-9), -3, 3)


def _compute_evidence(first: int, motion: np.ndarray, flux: np.ndarray, lag: int) -> np.ndarray:
    """Evidence per frame, with the sound ``lag`` frames after the picture.

    In steady speech, or with one moving mouth, motion itself decides; where speakers alternate, its product with flux.
    """
    places = np.clip(first + np.arange(len(motion)) + lag, 0, len(flux) - 1)
    return motion * (flux[places] + MOTION_WEIGHT)


def _fit_of_lag(mouths: MouthMotions, flux: np.ndarray, lag: int) -> float:
    return max(float(_compute_evidence(*mouth, flux, lag).sum()) for mouth in mouths.values())


def _decision_of(times_s: np.ndarray) -> np.ndarray:
    return ((times_s - times_s[0]) / DECISION_S).astype(int)


def _sum_evidence(times_s: np.ndarray, mouths: MouthMotions, flux: np.ndarray, lag: int) -> list[dict[int, float]]:
    """For each decision the evidence per person who may be speaking, over the window around it."""
    decision_of = _decision_of(times_s)
    middles_s = times_s[0] + (np.arange(decision_of[-1] + 1) + 0.5) * DECISION_S
    starts, stops = (np.searchsorted(times_s, middles_s + side * WINDOW_S / 2) for side in (-1, 1))
    decisions: list[dict[int, float]] = [{} for _ in middles_s]
    for person, (first, motion) in mouths.items():
        total = np.concatenate([[0.0], np.cumsum(_compute_evidence(first, motion, flux, lag))])
        for i in range(decision_of[first], decision_of[first + len(motion) - 1] + 1):
            low, high = np.clip((starts[i] - first, stops[i] - first), 0, len(motion))
            decisions[i][person] = float(total[high] - total[low]) / max(1, stops[i] - starts[i])
    return decisions


def _find_best_path(decisions: list[dict[int, float]]) -> list[int]:
    """The speaker of each decision, with the most evidence less the cost of changes; -1 where nobody is visible."""
    scores: dict[int, float] = {-1: 0.0}
    origins: list[dict[int, int]] = []
    for evidence in decisions:
        best = max(scores, key=lambda person: scores[person])
        before, scores, origin = scores, {}, {}
        for person, gain in (evidence or {-1: 0.0}).items():
            stays = before.get(person, -np.inf) >= before[best] - CHANGE_COST
            origin[person] = person if stays else best
            scores[person] = gain + (before[person] if stays else before[best] - CHANGE_COST)
        origins.append(origin)
    path = [max(scores, key=lambda person: scores[person])]
    for origin in reversed(origins[1:]):
        path.append(origin[path[-1]])
    return path[::-1]
