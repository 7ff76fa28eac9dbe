"""AVI has no time stamps: sound is counted by its samples, pictures by the index at the end of the file."""

from fractions import Fraction

import av
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.dataset_check.check import check
from extract.media import DecodeCounts, pictures, probe, sound

NUM_PICTURES = 75


def write_avi(path, codec="mpeg4", max_b_frames=0, sound_codec="mp2", num_together=1, rate_hz=44100):
    """Write pictures that each are brighter than the one before, and a click at 2.0 s, frames of sound together."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(
            codec, rate=25, width=64, height=48, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p"
        )
        video.codec_context.gop_size, video.codec_context.max_b_frames = 12, max_b_frames
        video.codec_context.bit_rate = 2_000_000
        video.options = {"preset": "veryfast"}
        audio = out.add_stream(sound_codec, rate=rate_hz, layout="mono")
        waiting = []

        def mux_sound(packets, num):
            waiting.extend(packet for packet in packets if packet.size)
            while waiting and len(waiting) >= num:
                data, first = b"".join(bytes(packet) for packet in waiting[:num_together]), waiting[0]
                del waiting[:num_together]
                packed = av.Packet(data)
                packed.stream, packed.time_base, packed.pts, packed.dts = audio, first.time_base, first.pts, first.dts
                packed.is_keyframe = True
                out.mux(packed)

        noise = np.random.default_rng(0).integers(0, 40, (48, 64, 3))
        for num in range(NUM_PICTURES):
            frame = av.VideoFrame.from_ndarray((noise + 2 * num + 20).astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = num, Fraction(1, 25)
            out.mux(video.encode(frame))
            seconds = np.arange(num * rate_hz // 25, (num + 1) * rate_hz // 25) / rate_hz
            tone = 0.05 * np.sin(2000 * seconds) + 0.8 * (np.abs(seconds - 2.0) < 0.0005)
            is_pcm = sound_codec in ("mp2", "pcm_s16le")
            samples = (tone * 32767).astype(np.int16) if is_pcm else tone.astype(np.float32)
            packed = av.AudioFrame.from_ndarray(samples[None], format="s16" if is_pcm else "fltp", layout="mono")
            packed.sample_rate, packed.time_base, packed.pts = rate_hz, Fraction(1, rate_hz), num * rate_hz // 25
            mux_sound(audio.encode(packed), num_together)
        out.mux(video.encode(None))
        mux_sound(audio.encode(None), 1)


def read_rows(path):
    """The times of rows, and the brightness of each, nan where it could not be decoded."""
    rows = list(pictures(path))
    grey = [row.rgb().mean() if row.is_decodable else np.nan for row in rows]
    return np.array([row.time_s for row in rows]), np.array(grey)


@pytest.mark.parametrize(
    ("sound_codec", "num_together"), [("mp2", 4), ("libmp3lame", 11), ("aac", 4), ("ac3", 4), ("pcm_s16le", 11)]
)
def test_all_sound_is_kept_where_a_chunk_holds_several_frames(tmp_path, sound_codec, num_together):
    rate_hz = 48000 if sound_codec == "ac3" else 44100
    write_avi(tmp_path / "single.avi", sound_codec=sound_codec, rate_hz=rate_hz)
    write_avi(tmp_path / "clip.avi", sound_codec=sound_codec, num_together=num_together, rate_hz=rate_hz)
    counts = DecodeCounts()
    decoded, single = sound(tmp_path / "clip.avi", counts=counts), sound(tmp_path / "single.avi")
    assert decoded.gaps_s == ()
    assert counts.num_mended_sound_stamps == 0
    assert decoded.start_s == single.start_s
    assert len(decoded.samples) == len(single.samples)
    assert np.abs(decoded.samples - single.samples).max() < 1e-4
    click_s = decoded.start_s + np.argmax(np.abs(decoded.samples)) / 16000
    assert click_s == pytest.approx(2.0, abs=0.03)  # encoders delay by up to 26 ms
    assert probe(tmp_path / "clip.avi").sound_stop_s == pytest.approx(single.stop_s, abs=0.05)


def test_check_does_not_blame_a_chunk_of_several_frames(tmp_path):
    (tmp_path / "videos").mkdir()
    write_avi(tmp_path / "videos/clip.avi", sound_codec="libmp3lame", num_together=11)
    messages = [finding.message for finding in check(open_dataset(tmp_path)).findings if finding.clip == "clip"]
    assert not [message for message in messages if "sound" in message or "stamp" in message]


@pytest.mark.parametrize(
    ("codec", "max_b_frames", "is_noise"),
    [("mjpeg", 0, False), ("mpeg4", 0, True), ("mpeg4", 2, False), ("libx264", 0, False), ("libx264", 2, True)],
)
def test_pictures_after_damage_keep_their_rows(tmp_path, codec, max_b_frames, is_noise):
    write_avi(tmp_path / "whole.avi", codec, max_b_frames)
    whole_s, whole = read_rows(tmp_path / "whole.avi")
    data = bytearray((tmp_path / "whole.avi").read_bytes())
    first, stop = int(0.4 * len(data)), int(0.6 * len(data))
    data[first:stop] = np.random.default_rng(0).bytes(stop - first) if is_noise else bytes(stop - first)
    (tmp_path / "damaged.avi").write_bytes(data)
    times_s, grey = read_rows(tmp_path / "damaged.avi")
    assert whole_s == pytest.approx(whole_s[0] + np.arange(NUM_PICTURES) / 25)
    assert times_s == pytest.approx(whole_s)
    assert 5 < np.isnan(grey).sum() < 40
    last = slice(-12, None)  # from a key picture on
    assert grey[last] == pytest.approx(whole[last], abs=0.5)
    assert grey[:10] == pytest.approx(whole[:10], abs=0.5)
    info = probe(tmp_path / "damaged.avi")
    assert (info.num_packets, info.num_announced) == (NUM_PICTURES, 0)
