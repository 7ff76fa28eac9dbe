"""Colours and proportions of decoded pictures are those that players show."""

from fractions import Fraction

import av
import numpy as np
import pytest

from extract.media import pictures, probe
from extract.media.colour import pq_signal, to_rgb, tone_map

RED_AND_BLUE = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}  # weights in the luminance
TAGS = {"601": 6, "709": 1, "2020": 9, None: 2}
COLOURS = [(200, 60, 40), (30, 180, 90), (40, 70, 210), (225, 172, 150)]
PQ, HLG, SMPTE_2020 = 16, 18, 9


def encode_yuv(rgb, matrix, is_full):
    """One colour as 8-bit luma and chroma, by the definition of the matrix."""
    (red, blue), (r, g, b) = RED_AND_BLUE[matrix], np.array(rgb) / 255
    y = red * r + (1 - red - blue) * g + blue * b
    chroma = np.array([(b - y) / (1 - blue), (r - y) / (1 - red)]) / 2
    values = [255 * y, *(128 + 255 * chroma)] if is_full else [16 + 219 * y, *(128 + 224 * chroma)]
    return [round(value) for value in values]


def make_frame(yuv, width=64, height=48, tag=None, is_full=False, pixel_format="yuv420p"):
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, value in zip(frame.planes, yuv, strict=True):
        dtype = np.uint8 if pixel_format == "yuv420p" else np.dtype("<u2")
        plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, value, dtype).tobytes())
    frame.colorspace, frame.color_range = TAGS[tag], 2 if is_full else 1
    return frame


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "tag", "size"),
    [
        ("601", None, (64, 48)),
        ("601", None, (1278, 718)),
        ("709", None, (1280, 534)),
        ("709", None, (720, 1280)),
        ("709", "709", (64, 48)),
        ("601", "601", (1280, 720)),
        ("2020", "2020", (64, 48)),
    ],
)
def test_colours_are_those_that_were_encoded(matrix, tag, size, is_full):
    for colour in COLOURS:
        rgb = to_rgb(make_frame(encode_yuv(colour, matrix, is_full), *size, tag, is_full))
        assert rgb.shape == (size[1], size[0], 3)
        assert np.abs(rgb[20, 20].astype(int) - colour).max() <= 3  # chroma has steps of 2, and swscale rounds down


@pytest.mark.parametrize("tag", [3, 8, 10, 14])
def test_a_matrix_that_is_not_known_is_read_as_untagged(tag):
    frame = make_frame(encode_yuv(COLOURS[0], "709", False), 1280, 720)
    frame.colorspace = tag
    assert np.abs(to_rgb(frame)[20, 20].astype(int) - COLOURS[0]).max() <= 2


def make_hdr_frame(signal, curve):
    """Grey of one signal value in 10 bits."""
    frame = make_frame([round(4 * (16 + 219 * signal)), 512, 512], tag="2020", pixel_format="yuv420p10le")
    frame.color_trc, frame.color_primaries = curve, SMPTE_2020
    return frame


def test_pq_keeps_the_light_of_faces_and_compresses_highlights():
    nits = [0.0, 5.0, 20.0, 50.0, 90.0, 203.0, 500.0, 1000.0, 4000.0]
    grey = [int(tone_map(make_hdr_frame(float(pq_signal(each)), PQ), 64)[20, 20, 1]) for each in nits]
    expected = [255 * (each / 203) ** (1 / 2.4) for each in nits[:5]]
    assert grey[:5] == pytest.approx(expected, abs=2)
    assert grey[5:] == sorted(grey[5:])
    assert 220 < grey[5] < grey[6] <= grey[7] == grey[8] == 255


def test_pq_and_hlg_of_one_light_look_the_same():
    scene = np.array([0.02, 0.05, 0.1, 0.3])  # of the whole range of 1,000 nits
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    hlg = np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)
    for signal, light in zip(hlg, 1000 * scene**1.2, strict=True):
        both = [to_rgb(make_hdr_frame(float(each), curve)) for each, curve in ((signal, HLG), (pq_signal(light), PQ))]
        assert np.abs(both[0].astype(int) - both[1].astype(int)).max() <= 2


def write_video(path, width=96, height=48, pixel_aspect=None, **tags):
    """Two pictures with a white disc as wide as high in square pixels."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, width=width, height=height, pix_fmt="yuv420p")
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        y, x = np.mgrid[:height, :width]
        disc = np.hypot((x - width / 2) * float(pixel_aspect or 1), y - height / 2) < height / 3
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(np.repeat(np.uint8(255 * disc)[..., None], 3, axis=2), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("pixel_aspect", [Fraction(16, 11), Fraction(1, 2), Fraction(2, 1)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_pixels_that_are_not_square_are_made_square(tmp_path, suffix, pixel_aspect):
    path = write_video(tmp_path / f"clip.{suffix}", pixel_aspect=pixel_aspect)
    rgb = next(pictures(path)).rgb()
    assert rgb.shape == (48, round(96 * pixel_aspect), 3)
    is_disc = rgb[..., 0] > 128
    assert is_disc.any(axis=0).sum() == pytest.approx(is_disc.any(axis=1).sum(), abs=2)
    info = probe(path)
    assert (info.width, info.height) == rgb.shape[1::-1]
    assert info.pixel_aspect == pytest.approx(float(pixel_aspect))


@pytest.mark.parametrize("pixel_aspect", [None, Fraction(1, 1), Fraction(1281, 1280), Fraction(1, 1000)])
def test_pixels_that_are_square_stay_as_they_were_decoded(tmp_path, pixel_aspect):
    path = write_video(tmp_path / "clip.mp4", pixel_aspect=pixel_aspect)
    with av.open(str(path)) as container:
        plain = next(container.decode(video=0)).to_ndarray(format="rgb24", threads=1)
    np.testing.assert_array_equal(next(pictures(path)).rgb(), plain)
    assert probe(path).pixel_aspect == 1


@pytest.mark.parametrize(("curve", "name"), [(PQ, "PQ"), (HLG, "HLG"), (1, "")])
def test_a_file_says_whether_it_is_hdr(tmp_path, curve, name):
    path = write_video(tmp_path / "clip.mp4", color_trc=curve, color_primaries=9, colorspace=9)
    assert probe(path).hdr == name
