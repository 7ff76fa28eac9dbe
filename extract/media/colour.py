"""Decoded pictures as 8-bit RGB: colour matrix, HDR and the shape of pixels."""

from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc
from jaxtyping import Float32, UInt8

Rgb = UInt8[np.ndarray, "height width 3"]

UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED and AVCOL_PRI_UNSPECIFIED
KNOWN_MATRICES = (0, 1, 4, 5, 6, 7, 9)  # AVCOL_SPC_*: RGB, BT.709, FCC, BT.601, SMPTE 170M and 240M, BT.2020
HD_WIDTH_PX, HD_HEIGHT_PX = 1280, 720
MAX_PIXEL_ASPECT = 5  # beyond it, or its inverse, a pixel aspect is taken for damage; anamorphic video has 0.5 to 2
MIN_WIDENING = 0.01  # smaller differences come from rounding

HDR_CURVES: dict[int, str] = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
WHITE_NITS = 203.0  # of a white sheet of paper in HDR video, which becomes white here (ITU-R BT.2408)
PEAK_NITS = 1000.0  # of the brightest highlights that keep differences
BT2020_TO_709 = np.array(  # linear light (ITU-R BT.2087)
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)


def to_rgb(frame: av.VideoFrame, pixel_aspect: Fraction | None = None) -> Rgb:
    """The pixels of a decoded picture as they are shown, not yet rotated.

    The colour matrix is the one that the file names. Where it names none, or one that swscale does not know, pictures
    from 1280 pixels of width or 720 of height on are read as BT.709, smaller ones as BT.601, as players do. HDR (PQ,
    HLG) is mapped to the range of common screens. Pixels that are not square are made square by changing the width.
    """
    width_px = shown_width(frame.width, pixel_aspect)
    if frame.color_trc in HDR_CURVES:
        return tone_map(frame, width_px)
    return _read(frame, "rgb24", width_px)


def shown_width(width_px: int, pixel_aspect: Fraction | None) -> int:
    """The width in square pixels of a picture whose pixels are ``pixel_aspect`` times as wide as high.

    >>> shown_width(720, Fraction(16, 11))
    1047
    """
    if not pixel_aspect or not 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT:
        return width_px
    return width_px if abs(pixel_aspect - 1) < MIN_WIDENING else max(1, round(width_px * pixel_aspect))


def tone_map(frame: av.VideoFrame, width_px: int) -> Rgb:
    """An HDR picture (PQ or HLG) on a common screen: BT.709 primaries, gamma 2.4, white at 203 nits.

    Up to 92 nits light is kept; the range up to 1,000 nits is compressed with the curve of ITU-R BT.2390 by the
    strongest of the three channels, so that hues stay.
    """
    code = _read(frame, "rgb48le", width_px)
    if frame.color_trc == ColorTrc.SMPTE2084:
        light = np.take(_pq_light(), code)
        factors = np.take(_pq_factors(), np.maximum(np.maximum(code[..., 0], code[..., 1]), code[..., 2]))
    else:
        light = np.take(_hlg_scene_light(), code)
        # the system gamma of a screen of 1,000 nits (ITU-R BT.2100)
        light *= np.float32(PEAK_NITS / WHITE_NITS) * (light @ LUMINANCE_2020)[..., None] ** np.float32(0.2)
        factors = np.interp(light.max(axis=2), *_compression()).astype(np.float32)
    light *= factors[..., None]
    if frame.color_primaries in (ColorPrimaries.BT2020, UNTAGGED):
        light = light @ BT2020_TO_709.T
    return (np.power(light.clip(0, 1), 1 / 2.4, dtype=np.float32) * 255 + 0.5).astype(np.uint8)


def _read(frame: av.VideoFrame, pixel_format: str, width_px: int) -> Any:
    # a thread pool for each picture takes six times as long
    return frame.to_ndarray(
        width=width_px, height=frame.height, format=pixel_format, threads=1, src_colorspace=_matrix(frame)
    )


def _matrix(frame: av.VideoFrame) -> Any:
    """The colour matrix to read a picture with where it is not the one that the file names."""
    if frame.colorspace in KNOWN_MATRICES:
        return None
    if frame.color_trc in HDR_CURVES:
        return Colorspace.BT2020
    is_hd = frame.width >= HD_WIDTH_PX or frame.height >= HD_HEIGHT_PX
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601


Light = Float32[np.ndarray, "..."]  # 1 is WHITE_NITS


@cache
def _pq_light() -> Light:
    """Light by 16-bit code value of PQ (SMPTE ST 2084)."""
    return (pq_nits(np.arange(65536) / 65535) / WHITE_NITS).astype(np.float32)


@cache
def _hlg_scene_light() -> Light:
    """Scene light from 0 to 1 by 16-bit code value of HLG (ITU-R BT.2100)."""
    signal = np.arange(65536) / 65535
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)


@cache
def _compression() -> tuple[np.ndarray, np.ndarray]:
    """Light of the strongest channel, and the factor to multiply it by: the curve of ITU-R BT.2390-8, section 5.4.1."""
    signal = np.linspace(0, 1, 4096)
    peak, white = pq_signal(PEAK_NITS), pq_signal(WHITE_NITS)
    given, highest = (signal / peak).clip(0, 1), white / peak
    knee = 1.5 * highest - 0.5
    t = ((given - knee) / (1 - knee)).clip(0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * highest
    nits, mapped = pq_nits(signal), pq_nits(np.where(given < knee, given, spline) * peak)
    return nits / WHITE_NITS, np.divide(mapped, nits, out=np.ones_like(nits), where=nits > 0)


@cache
def _pq_factors() -> Light:
    """What to multiply light by, by the 16-bit code value of the strongest channel in PQ."""
    return np.interp(_pq_light(), *_compression()).astype(np.float32)


def pq_nits(signal: np.ndarray) -> np.ndarray:
    """The light of PQ signals from 0 to 1 (SMPTE ST 2084).

    >>> pq_nits(np.array([0.0, 1.0])).round()
    array([    0., 10000.])
    """
    root = np.power(signal, 1 / 78.84375)
    return 10000 * np.power(np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root), 1 / 0.1593017578125)


def pq_signal(nits: float) -> float:
    """The inverse of ``pq_nits``."""
    root = (nits / 10000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375)
