"""Who speaks: whose mouth moves when the sound changes."""

from collections.abc import Iterator

import numpy as np

from extract.media import Sound

RATE_HZ = 8000  # of the sound this listens to
WINDOW_S = 1.5  # over which a mouth is compared with the sound
BEAT_S = 0.2  # how often it is asked anew who speaks
SMOOTH_S = 0.12
PRESENCE = 0.8  # what movement during sound counts for, beside movement that goes with its changes
MAX_LAG_S = 0.08  # how far the sound may come after the lips, which move first
CHANGE_COST = (
    3.0  # what another must be better by, summed over beats: turns shorter than about a second are passed over
)

NUM_BANDS = 8
SPECTRUM = 256  # samples, 32 ms
STEP_S = 0.02  # the sound is compared this long before and after a picture
SILENT = 1e-4  # loudness (root mean square, full scale at 1) below which there is no sound


def speakers(
    times_s: np.ndarray, frames: np.ndarray, persons: np.ndarray, stirs: np.ndarray, sound: Sound
) -> np.ndarray:
    """Who speaks in each picture, -1 where nobody is known; all -1 in a silent clip.

    ``frames``, ``persons`` and ``stirs`` say, face by face in order of time, in which picture whose mouth moved how
    much. Evidence is movement, more or less than the mouth's mean, times the change of sound, over a second or so, at
    the one lag that fits the clip best; the way through the clip that gathers most of it, less a cost for each change
    of speaker, wins (Viterbi). Someone who is hidden for a while between two sights of him may go on speaking.
    """
    nobody = np.full(len(times_s), -1)
    change = sound_change(sound, times_s) if len(times_s) > 1 else None
    if change is None or not len(persons):
        return nobody
    interval_s = float(np.median(np.diff(times_s)))
    change = _standard(_smooth(change, interval_s), 0.0)
    mouths = dict(_mouths(frames, persons, stirs, interval_s))
    reach = round(MAX_LAG_S / interval_s)
    lag = max(range(reach + 1), key=lambda lag: _best_fit(mouths, change, lag))
    path = _path(list(_beats(times_s, mouths, change, lag)))
    return np.array(path)[_beat_of(times_s)]


def sound_change(sound: Sound, times_s: np.ndarray) -> np.ndarray | None:
    """How much the sound changes round each moment: the mean change of the logarithm of its bands. None: silence."""
    before, after = (_bands(sound, times_s + step_s) for step_s in (-STEP_S, STEP_S))
    power = after.sum(1)
    # of a full Hann window the power of a spectrum is 3/16 of its length squared times the mean square
    heard = power[power > SILENT**2 * SPECTRUM**2 * 3 / 16]
    if not len(heard):
        return None
    floor = 0.1 * np.percentile(heard, 90) / NUM_BANDS  # so that the noise of a pause does not count as change
    return np.abs(np.log(after + floor) - np.log(before + floor)).mean(1)


def _bands(sound: Sound, times_s: np.ndarray) -> np.ndarray:
    """The power of the sound in bands of equal ratio, at some moments; beyond its ends it is silent."""
    edges = np.searchsorted(np.fft.rfftfreq(SPECTRUM, 1 / sound.rate_hz), np.geomspace(150, 3600, NUM_BANDS + 1))
    window, rows = np.hanning(SPECTRUM), []
    for time_s in times_s:
        first = round((time_s - sound.start_s) * sound.rate_hz) - SPECTRUM // 2
        samples = np.zeros(SPECTRUM)
        low, high = np.clip((first, first + SPECTRUM), 0, len(sound.samples))
        samples[low - first : high - first] = sound.samples[low:high]
        power = np.abs(np.fft.rfft(samples * window)) ** 2
        rows.append(np.add.reduceat(power, edges)[:-1])
    return np.array(rows)


def _mouths(
    frames: np.ndarray, persons: np.ndarray, stirs: np.ndarray, interval_s: float
) -> Iterator[tuple[int, tuple[int, np.ndarray]]]:
    """Of each person the first frame and the movement in every frame from there to the last, standardised.

    A still mouth's noise is not blown up to the size of a moving one's; a hidden face moves 0, as in the mean.
    """
    pooled = np.sqrt(np.mean([stirs[persons == person].var() for person in np.unique(persons)]))
    for person in np.unique(persons):
        own, moved = frames[persons == person], stirs[persons == person]
        series = np.full(own[-1] - own[0] + 1, moved.mean())
        series[own - own[0]] = moved
        yield int(person), (int(own[0]), _standard(_smooth(series, interval_s), 0.7 * float(pooled)))


def _smooth(values: np.ndarray, interval_s: float) -> np.ndarray:
    half = round(SMOOTH_S / interval_s) // 2
    padded = np.pad(values, half, mode="edge")
    return np.convolve(padded, np.ones(2 * half + 1) / (2 * half + 1), "valid")


def _standard(values: np.ndarray, least_spread: float) -> np.ndarray:
    """Mean 0, spread 1 (less where it is below the least spread), and single leaps held back."""
    return np.clip((values - values.mean()) / max(float(values.std()), least_spread, 1e-9), -3, 3)


def _evidence(first: int, moved: np.ndarray, change: np.ndarray, lag: int) -> np.ndarray:
    """Movement times change of sound, which comes ``lag`` frames after the picture.

    In steady speech, or where several mouths move, the first term tells; where they take turns, the second.
    """
    places = np.clip(first + np.arange(len(moved)) + lag, 0, len(change) - 1)
    return moved * (change[places] + PRESENCE)


def _best_fit(mouths: dict[int, tuple[int, np.ndarray]], change: np.ndarray, lag: int) -> float:
    return max(float(_evidence(*mouth, change, lag).sum()) for mouth in mouths.values())


def _beat_of(times_s: np.ndarray) -> np.ndarray:
    return ((times_s - times_s[0]) / BEAT_S).astype(int)


def _beats(
    times_s: np.ndarray, mouths: dict[int, tuple[int, np.ndarray]], change: np.ndarray, lag: int
) -> Iterator[dict[int, float]]:
    """Of each beat who might speak and the evidence for it, over the window round the beat."""
    beat_of = _beat_of(times_s)
    middles_s = times_s[0] + (np.arange(beat_of[-1] + 1) + 0.5) * BEAT_S
    starts, stops = (np.searchsorted(times_s, middles_s + side * WINDOW_S / 2) for side in (-1, 1))
    beats: list[dict[int, float]] = [{} for _ in middles_s]
    for person, (first, moved) in mouths.items():
        total = np.concatenate([[0.0], np.cumsum(_evidence(first, moved, change, lag))])
        for beat in range(beat_of[first], beat_of[first + len(moved) - 1] + 1):
            low, high = np.clip((starts[beat] - first, stops[beat] - first), 0, len(moved))
            beats[beat][person] = float(total[high] - total[low]) / max(1, stops[beat] - starts[beat])
    yield from beats


def _path(beats: list[dict[int, float]]) -> list[int]:
    """Who speaks in each beat, at the most evidence less the cost of changes; -1 where there is nobody."""
    scores: dict[int, float] = {-1: 0.0}
    came_from: list[dict[int, int]] = []
    for beat in beats:
        best = max(scores, key=lambda person: scores[person])
        before, scores, origin = scores, {}, {}
        for person, evidence in (beat or {-1: 0.0}).items():
            stays = before.get(person, -np.inf) >= before[best] - CHANGE_COST
            origin[person] = person if stays else best
            scores[person] = evidence + (before[person] if stays else before[best] - CHANGE_COST)
        came_from.append(origin)
    path = [max(scores, key=lambda person: scores[person])]
    for origin in reversed(came_from[1:]):
        path.append(origin[path[-1]])
    return path[::-1]
