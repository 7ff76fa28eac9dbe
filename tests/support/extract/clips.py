"""Clips with known pictures and sound, for tests of media."""

from pathlib import Path

import numpy as np

from extract.media import Sound, pictures

BURST_HZ = 1500


def make_pictures(num: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Dark pictures with a bright top left corner."""
    all_pictures = np.full((num, height, width, 3), (20, 60, 90), np.uint8)
    all_pictures[:, : height // 2, : width // 2] = 220
    return list(all_pictures)


def make_burst(rate_hz: int) -> np.ndarray:
    return (0.8 * np.sin(2 * np.pi * BURST_HZ * np.arange(rate_hz // 100) / rate_hz)).astype(np.float32)


def make_click(at_s: float, rate_hz: int = 16000, start_s: float = 0.0, length_s: float = 2.0) -> Sound:
    """Silence with a 10 ms burst."""
    samples = np.zeros(round(length_s * rate_hz), np.float32)
    first = round((at_s - start_s) * rate_hz)
    samples[first : first + rate_hz // 100] = make_burst(rate_hz)
    return Sound(samples, rate_hz, start_s)


def find_click_s(decoded: Sound) -> float:
    """The time of the burst."""
    return (
        decoded.start_s + int(np.argmax(np.correlate(decoded.samples, make_burst(decoded.rate_hz)))) / decoded.rate_hz
    )


def picture_times_s(path: Path) -> np.ndarray:
    return np.array([picture.time_s for picture in pictures(path)])
