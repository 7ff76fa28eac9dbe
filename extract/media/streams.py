"""Which video and which audio stream of a media file is read.

A stream can be chosen by its index within its kind, from 0, as ffmpeg counts them: its ``v:1`` is video stream 1.
"""

from typing import Any

import av

from extract.media.container import MediaError

NOT_VIDEO = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails  # cover art, chapter pictures


# Formats that are a codec's bytes alone, without time stamps. FFmpeg counts pictures at the rate that the stream
# states, and at 25 a second where it states none; of those in WITH_STAMPS it makes stamps itself.
RAW = {"h264", "hevc", "vvc", "evc", "obu", "mjpeg", "mjpeg_2000", "m4v", "mpegvideo", "h261", "h263"}
RAW |= {"cavsvideo", "avs2", "avs3", "vc1", "dirac", "dnxhd", "apv"}
WITH_STAMPS = {"m4v", "mpegvideo"}


def choose_video_stream(container: Any, index: int | None = None) -> Any:
    """Video stream ``index``, or else the one that players show; None where the file has no video.

    Cover art and thumbnails never count as video, a single picture only where there is no other stream. Of the others
    the streams flagged default go first, then the largest, then the first. Raises MediaError where there is no stream
    ``index``, or no decoder for the stream.
    """
    main = _main_video(container)
    if main is None or index is None:
        return _check_decoder(container, main)
    return _check_decoder(container, _stream_at(container, "video", index))


def choose_audio_stream(container: Any, index: int | None = None) -> Any:
    """Audio stream ``index``, or else the one that players play; None where the file has no sound.

    It is of the same programme as the video where there are several. Streams flagged default go first, then FFmpeg's
    own order, in which streams for people who hear or see badly go last. Raises MediaError where there is no stream
    ``index``, or no decoder for the stream.
    """
    if not container.streams.audio:
        return None
    if index is not None:
        return _check_decoder(container, _stream_at(container, "audio", index))
    return _check_decoder(container, container.streams.best("audio", related=_main_video(container)))


def video_streams(container: Any) -> list[Any]:
    """The video streams of a file, without cover art and thumbnails; those without a decoder only if all are so."""
    streams = [stream for stream in container.streams.video if not stream.disposition & NOT_VIDEO]
    return [stream for stream in streams if stream.codec_context is not None] or streams


def counted_rate(container: Any, stream: Any, assume_fps: float | None) -> float | None:
    """The pictures per second at which a raw stream's pictures are counted; None where the file has time stamps.

    It is the rate that the stream states, else ``assume_fps``. Raises MediaError where there is neither.
    """
    if container.format.name not in RAW:
        return None
    stated = stream.codec_context.framerate
    if stated:
        return None if container.format.name in WITH_STAMPS else float(stated)
    if assume_fps is None:
        raise MediaError(
            f"{_name(container)} has no time stamps, and its stream states no frame rate: give --assume-fps FPS"
        )
    return assume_fps


def states_rate(stream: Any) -> bool:
    """Whether a stream itself says how many pictures it has in a second."""
    return bool(stream.codec_context.framerate)


def _main_video(container: Any) -> Any:
    """The video stream that players show; None without one."""
    return max(
        video_streams(container),
        key=lambda stream: (stream.frames != 1, _is_default(stream), _num_pixels(stream)),
        default=None,
    )


def _stream_at(container: Any, kind: str, index: int) -> Any:
    streams = getattr(container.streams, kind)
    if not 0 <= index < len(streams):
        plural = "s" * (len(streams) != 1)
        raise MediaError(
            f"{_name(container)} has {len(streams)} {kind} stream{plural}, counted from 0, but "
            f"--{kind}-stream is {index}: choose another stream, or leave the option out"
        )
    return streams[index]


def _check_decoder(container: Any, stream: Any) -> Any:
    """The same stream. Raises MediaError where its codec is not known."""
    if stream is not None and stream.codec_context is None:
        raise MediaError(
            f"the {stream.type} stream of {_name(container)} is in a format without a decoder here: convert the file "
            "with ffmpeg, or leave the clip out"
        )
    return stream


def _name(container: Any) -> str:
    return str(container.name.removeprefix("file:"))


def _is_default(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.default)


def _num_pixels(stream: Any) -> int:
    return int(getattr(stream, "width", 0) or 0) * int(getattr(stream, "height", 0) or 0)
