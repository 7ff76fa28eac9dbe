"""Whether browsers play a media file, by what Chromium, Firefox and Safari decode without the help of hardware."""

from pathlib import Path
from typing import Any

from abaw.dataset.media_files import is_picture
from extract.media.container import open_media
from extract.media.scan import scan
from extract.media.streams import NOT_VIDEO, choose_audio_stream, choose_video_stream
from extract.media.writing.proxy import VideoSource

# container -> codecs of pictures and codecs of sound that all three browsers play in it
_CODECS = {
    "mp4": ({"h264"}, {"aac", "mp3", "flac"}),
    "webm": ({"vp8", "vp9"}, {"opus", "vorbis"}),
    "mp3": (set(), {"mp3"}),
    "wav": (set(), {"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le"}),
    "flac": (set(), {"flac"}),
    "aac": (set(), {"aac"}),
}
_PIXELS = {"yuv420p", "yuvj420p"}  # 8 bits and halved chroma
_NAMES = {
    "h264": "H.264",
    "hevc": "HEVC",
    "av1": "AV1",
    "mpeg1video": "MPEG-1",
    "mpeg2video": "MPEG-2",
    "mpeg4": "MPEG-4 Part 2",
    "vp6f": "VP6",
    "mjpeg": "Motion JPEG",
    "mp2": "MPEG Layer II",
    "matroska,webm": "Matroska",
    "mpeg": "MPEG-PS",
    "mpegts": "MPEG-TS",
    "flv": "Flash Video",
    "avi": "AVI",
    "asf": "Windows Media",
    "ogg": "Ogg",
}


def find_playback_fault(source: VideoSource) -> str:
    """Why some browser cannot play what was analysed of a file, or plays it at other times; "" where all play it.

    Browsers are Chromium, Firefox and Safari of 2024 or later. Only packets are read, so that damage inside of them is
    not seen. Raises as ``pictures`` where the file cannot be read.
    """
    if is_picture(Path(source.path)):
        return ""
    with open_media(source.path) as container:
        kind = _kind(container, Path(source.path))
        if kind not in _CODECS:
            return f"the container is {_NAMES.get(kind, kind)}"
        video = choose_video_stream(container, source.streams.video)
        audio = choose_audio_stream(container, source.streams.audio)
        for stream, playable in zip((video, audio), _CODECS[kind], strict=True):
            if stream is not None and (fault := _stream_fault(container, stream, playable)):
                return fault
    scanned = scan(source.path, video_stream=source.streams.video)
    if scanned.num_joins or scanned.num_mended or scanned.num_untimed:
        return "time stamps in the file are wrong or missing"
    return ""


def _kind(container: Any, path: Path) -> str:
    """The container; FFmpeg has one name for MP4 and QuickTime, and one for WebM and Matroska."""
    if container.format.name == "mov,mp4,m4a,3gp,3g2,mj2":
        return "QuickTime" if container.metadata.get("major_brand", "qt").strip() == "qt" else "mp4"
    if container.format.name == "matroska,webm":
        with path.open("rb") as file:
            return "webm" if b"webm" in file.read(64) else "matroska,webm"
    return str(container.format.name)


def _stream_fault(container: Any, stream: Any, playable: set[str]) -> str:
    codec = stream.codec_context.codec.canonical_name
    kind = "pictures" if stream.type == "video" else "sound"
    if codec not in playable:
        return f"the codec of the {kind} is {_NAMES.get(codec, codec)}"
    if stream.type == "video" and stream.codec_context.pix_fmt not in _PIXELS:
        return f"the pictures have the pixel format {stream.codec_context.pix_fmt}"
    streams = [each for each in getattr(container.streams, stream.type) if not each.disposition & NOT_VIDEO]
    if streams and streams[0] is not stream:
        return f"the {kind} are not the first {stream.type} stream of the file, which browsers play"
    return ""
