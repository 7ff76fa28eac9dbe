"""Small clips in seven containers, and copies of them with one thing wrong."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

NUM_PICTURES = 36
# container: (FFmpeg's format, codec of pictures, codec of sound, rate of sound)
CONTAINERS = {
    "mp4": ("mp4", "libx264", "aac", 44100),
    "mov": ("mov", "libx264", "aac", 48000),
    "mkv": ("matroska", "libx264", "libopus", 48000),
    "ts": ("mpegts", "libx264", "aac", 48000),
    "mpg": ("mpeg", "mpeg1video", "mp2", 44100),
    "flv": ("flv", "libx264", "aac", 44100),
    "webm": ("webm", "libvpx-vp9", "libopus", 48000),
}


def write_small_clip(path: Path) -> None:
    """Write 36 pictures at 25 fps that all differ, with B pictures where the codec has them, and a rising tone."""
    form, codec, sound_codec, rate_hz = CONTAINERS[path.suffix[1:]]
    base = np.random.default_rng(1).integers(0, 200, (32, 48, 3))
    with av.open(str(path), "w", format=form) as out:
        video = out.add_stream(codec, rate=25, width=48, height=32, pix_fmt="yuv420p")
        video.codec_context.gop_size = 12
        if codec != "libvpx-vp9":
            video.codec_context.max_b_frames = 2
        video.options = {"preset": "veryfast", "deadline": "realtime", "cpu-used": "8"}
        audio = out.add_stream(sound_codec, rate=rate_hz, layout="mono")
        for num in range(NUM_PICTURES):
            frame = av.VideoFrame.from_ndarray(np.roll(base, 3 * num, 1).astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = num, Fraction(1, 25)
            out.mux(video.encode(frame))
            seconds = np.arange(num * rate_hz // 25, (num + 1) * rate_hz // 25) / rate_hz
            tone = (0.3 * np.sin(2 * np.pi * (300 + 200 * seconds) * seconds)).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            sound.sample_rate, sound.time_base, sound.pts = rate_hz, Fraction(1, rate_hz), num * rate_hz // 25
            out.mux(audio.encode(sound))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


def copy_packets(source: Path, target: Path, change: Callable[[str, int, Any], None] = lambda *_: None) -> bool:
    """Copy all packets after ``change(kind of stream, number, packet)``; False where the container refuses one."""
    with av.open(str(source)) as given, av.open(str(target), "w", format=CONTAINERS[target.suffix[1:]][0]) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        numbers = dict.fromkeys(streams, 0)
        for packet in given.demux():
            if packet.size:
                index = packet.stream_index
                change(packet.stream.type, numbers[index], packet)
                numbers[index] += 1
                packet.stream = streams[index]
                try:
                    out.mux(packet)
                except (av.FFmpegError, OverflowError):
                    return False
    return True


def payloads(path: Path, kind: str) -> list[bytes]:
    """The bytes of each packet of the pictures ("video") or the sound ("audio")."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux() if packet.size and packet.stream.type == kind]


def erase(data: bytes, payload: bytes, all_payloads: list[bytes]) -> bytes:
    """Zero the bytes of a packet inside a file, also where the container has cut it into pieces."""
    erased, start = bytearray(data), 0
    for each in all_payloads:
        place = 0
        while place < len(each):
            length = len(each) - place
            found = data.find(each[place : place + min(length, 24)], start)
            if found < 0:  # the rest is less than a piece
                break
            same = np.frombuffer(data[found : found + length], np.uint8)
            differs = same != np.frombuffer(each[place : place + len(same)], np.uint8)
            length = int(np.argmax(differs)) if differs.any() else len(same)
            if each is payload:
                erased[found : found + length] = bytes(length)
            place, start = place + length, found + length
        if each is payload:
            return bytes(erased)
    raise ValueError("there is no such packet in the file")
