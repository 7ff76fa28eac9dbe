"""Reading one clip: its media are decoded once for all encoders, and its clock is made if it is not stored yet."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from math import ceil
from pathlib import Path

import numpy as np

from abaw.dataset.clip import Clip
from abaw.dataset.face_images import SERIES_SUFFIXES, FaceImages
from abaw.dataset.media_files import is_picture
from abaw.errors import InputError
from abaw.tracks import Clock
from extract import media
from extract.encoders.base import PictureEncoder, SoundEncoder
from extract.engine.loss_counts import face_losses, picture_losses, sound_losses
from extract.engine.requests import ReadRequest, ReadResult, Send, iterate_in_stage, stage
from extract.engine.streams import FaceStream, FrameStream, ImageStream
from extract.engine.whole_pictures import count_whole_pictures
from extract.faces.tracking import with_later
from extract.losses import ClipLosses, PictureLosses

# the last image may have a number this many times that of the last frame, and some more, where a video is cut off
MAX_TIMES_LONGER, MIN_LAST_IMAGE = 10, 1000
MAX_ROWS_AFTER_END = 12  # frames with labels after the last one: half a second
CLOCK_RATE_HZ = 16000  # of the sound that alone decides how long a clock is: rates differ by a sample at its end


def read_clip(request: ReadRequest, send: Send, folder: Path, check: Callable[[], None] = lambda: None) -> ReadResult:
    """Decode a clip once and ``send`` each encoder what it encodes: prepared rows in order, or the sound.

    Encoders that take a face get the face images of the data set if the clip has any that are no whole pictures, else
    faces detected in the video, or in the images of a series of whole pictures; the others get the decoded pictures.
    ``folder`` holds the decoded sound meanwhile.
    ``check`` is called at every picture and every frame of sound, and may raise to stop. Raises ClipError with the
    stage that failed.
    """
    clip, numbers = request.clip, request.images.numbers
    streams = [
        FrameStream(name, each, send) for name, each in request.encoders.items() if isinstance(each, PictureEncoder)
    ]
    num_streams = cache(lambda: _num_streams(clip))
    by_image = [each for each in streams if numbers and (each.encoder.crop is not None or not num_streams()[0])]
    num_whole = count_whole_pictures(request, num_streams)
    by_image = [] if num_whole else by_image
    by_video = [each for each in streams if each not in by_image]
    sound_encoders = {name: each for name, each in request.encoders.items() if isinstance(each, SoundEncoder)}
    counts, of_sound = media.DecodeCounts(), media.DecodeCounts()
    sounds = _read_sounds(clip, {encoder.rate_hz for encoder in sound_encoders.values()}, folder, of_sound, check)
    for name, encoder in sound_encoders.items():
        send(name, sounds[encoder.rate_hz])
    images = ImageStream(request.images, by_image)
    facts: dict[str, int | float] = {}
    pictures_lost: PictureLosses | None = None
    clock, shown = request.clock, None
    if clip.is_series and num_whole:
        if clock is None:
            clock, assumed = _make_clock(request, np.zeros(0), np.zeros(0, bool), sounds, folder)
            facts = {"num_frames": 0, **_facts(counts), **assumed}
        shown = partial(media.pictures_of_series, request.images, clock.times_s)
    faces = FaceStream(request, by_video, by_image if request.fill else [], check, shown() if shown else None)
    if clock is not None and shown is not None:
        read = iterate_in_stage("read images", shown())
        for position, (picture, later) in enumerate(with_later(read, request.target.detect_every)):
            check()
            counts.num_undecodable += not picture.is_decodable
            faces.add(position, picture, False, later)
        pictures_lost = picture_losses(counts, clock, len(clock), 1)
    elif clock is None or by_video or request.fill:
        times_s: list[float] = []
        decoded: list[bool] = []
        pictures = (
            media.pictures(clip.media, counts, clip.streams.video, request.assume_fps, clip.part) if clip.media else ()
        )
        read = iterate_in_stage("decode", pictures)
        for position, (picture, later) in enumerate(with_later(read, request.target.detect_every)):
            check()
            times_s.append(picture.time_s)
            decoded.append(picture.is_decodable)
            faces.add(position, picture, images.read_at(position), later)
        if clock is not None:
            _check_same_times(clock, np.array(times_s, np.float64), np.array(decoded, bool))
        else:
            clock, assumed = _make_clock(
                request, np.array(times_s, np.float64), np.array(decoded, bool), sounds, folder
            )
            if counts.assumed_fps:
                assumed["assumed_fps"] = counts.assumed_fps
            facts = {"num_frames": len(times_s), **_facts(counts), **assumed}
        if num_streams()[0]:
            pictures_lost = picture_losses(counts, clock, len(times_s), num_streams()[0])
    images.read_rest()
    for stream in streams:
        stream.flush()
    from_images = {"crops": "organisers and filled" if request.fill else "organisers"}
    from_images["num_unreadable_images"] = str(images.num_unreadable)
    rows = {each.name: each.rows(clock.times_s, from_images) for each in by_image}
    rows |= {each.name: each.rows(clock.times_s, {"crops": "found"} if each.encoder.crop else {}) for each in by_video}
    is_still = clip.media is not None and is_picture(clip.media)
    lost = ClipLosses(
        pictures_lost,
        sound_losses(of_sound, list(sounds.values()), clock, num_streams()) if sounds and not is_still else None,
        face_losses(request, clock, images, faces, 0 if shown else num_whole),
    )
    return ReadResult(clock, rows, faces.found(clock.times_s), facts, lost)


def _read_sounds(
    clip: Clip,
    rates_hz: Iterable[int],
    folder: Path,
    counts: media.DecodeCounts | None = None,
    check: Callable[[], None] = lambda: None,
) -> dict[int, media.Sound]:
    with stage("decode"):
        if clip.media is None:
            return {rate_hz: media.Sound(np.zeros(0, np.float32), rate_hz, 0.0) for rate_hz in rates_hz}
        return media.sounds(
            clip.media, rates_hz, folder, counts, audio_stream=clip.streams.audio, check=check, part=clip.part
        )


def _facts(counts: media.DecodeCounts) -> dict[str, int]:
    """What the metadata of every clock says, with the keys of before: a sound clip's clock keeps its bytes."""
    facts = {"num_corrupt_packets": counts.num_corrupt_packets, "num_dropped": 0, "num_untimed": counts.num_untimed}
    return facts | ({"num_undecodable": counts.num_undecodable} if counts.num_undecodable else {})


def _num_streams(clip: Clip) -> tuple[int, int]:
    """How many video and audio streams the clip has."""
    if clip.media is None:
        return 0, 0
    with stage("decode"):
        return media.num_streams(clip.media)


def _check_same_times(clock: Clock, times_s: np.ndarray, decoded: np.ndarray) -> None:
    """Raise ClipError where the pictures' times are not those of the stored clock: rows would get wrong times."""
    with stage("clock"):
        num = len(times_s)
        is_same = np.array_equal(times_s, clock.times_s[:num]) and np.array_equal(decoded, clock.decoded[:num])
        if not is_same or clock.decoded[num:].any():
            raise InputError(
                f"{int(decoded.sum())} frames were decoded, but the stored clock has {int(clock.decoded.sum())} or "
                "other times: the file or the decoder has changed; delete the clip's clock from the store and extract "
                "again"
            )


def _make_clock(
    request: ReadRequest,
    times_s: np.ndarray,
    decoded: np.ndarray,
    sounds: Mapping[int, media.Sound],
    folder: Path,
) -> tuple[Clock, dict[str, float]]:
    """The clip's clock from the pictures' times, and the assumed frame rate where one was needed."""
    with stage("clock"):
        check_files(request)
        _check_numbering(request.images, len(times_s) or request.num_rows)
        min_frames = max(request.num_rows, max(request.images.numbers, default=0))
        fps, num_frames, start_s = request.assume_fps, len(times_s), request.clip.start_s or 0.0
        if not num_frames and (not min_frames or (request.labels and request.clip.media)):
            fps = fps or request.rows_hz
            sound = sounds.get(CLOCK_RATE_HZ) or _read_sounds(request.clip, [CLOCK_RATE_HZ], folder)[CLOCK_RATE_HZ]
            num_frames = count_frames_of_sound(sound.stop_s - start_s if len(sound.samples) else None, fps)
        check_last_row(request, num_frames)
        return extend_clock(times_s, max(min_frames, num_frames), fps, decoded, start_s)


def check_last_row(request: ReadRequest, num_frames: int) -> None:
    """Raise InputError where the labels of a manifest go on after the last frame; other data sets have such rows."""
    if request.labels and 0 < num_frames < request.num_rows - MAX_ROWS_AFTER_END:
        raise InputError(
            f"{request.labels} has a label for frame {request.num_rows}, but the last frame of the clip is "
            f"{num_frames}: correct the file, or the part that is the clip"
        )


def check_files(request: ReadRequest) -> None:
    """Raise InputError where the clip has no files to read, or pictures without times."""
    if request.clip.is_series and not request.images.numbers:
        raise InputError(f"no picture in {request.clip.images}: give a folder of {', '.join(SERIES_SUFFIXES)} files")
    if request.clip.media is None and not request.images.numbers:
        raise InputError("the clip has neither a media file nor face images: add one, or remove its label files")
    if request.clip.is_series and request.assume_fps is None:
        raise InputError(
            f"the pictures in {request.clip.images} have no times: add a column fps (frames per second) to the "
            "manifest, or give --assume-fps FPS"
        )


def _check_numbering(images: FaceImages, num_frames: int) -> None:
    """Raise InputError where an image is numbered 0, but another one has the number of the last frame, or where one is
    numbered so high that it cannot be of this video, even if that is cut off."""
    last = max(images.numbers, default=0)
    if num_frames and last > MAX_TIMES_LONGER * num_frames + MIN_LAST_IMAGE:
        raise InputError(
            f"{images.path(last)} is numbered far beyond the last of {num_frames} frames: rename or remove the image, "
            "or give the clip its own video"
        )
    if images.first == 0 and images.numbers[-1] == num_frames + 1 > 1:
        raise InputError(
            f"{images.path(1)} is numbered from 0, but {images.path(num_frames + 1)} from 1 (there are {num_frames} "
            "frames): delete the wrong image or rename all"
        )


def extend_clock(
    times_s: np.ndarray,
    min_frames: int,
    assume_fps: float | None,
    decoded: np.ndarray | None = None,
    start_s: float = 0.0,
) -> tuple[Clock, dict[str, float]]:
    """A clock of the pictures' times, extended to ``min_frames`` at their median interval, else at ``assume_fps``.

    ``decoded``: which pictures could be decoded, by default all. Added frames have ``decoded`` False. ``start_s``: the
    first time where there is no picture. The second value is {"assumed_fps": ...} where that rate was used. Raises
    InputError where frames must be added and there is neither an interval nor a rate.

    >>> extend_clock(np.array([0.0, 0.1]), 4, None)[0].times_s.round(3)
    array([0. , 0.1, 0.2, 0.3])
    """
    num_frames = max(len(times_s), min_frames)
    added = np.arange(1, num_frames - len(times_s) + 1)
    assumed: dict[str, float] = {}
    if len(times_s) > 1:
        interval_s = float(np.median(np.diff(times_s)))
    elif not len(added):
        interval_s = 0.0
    elif assume_fps is None:
        raise InputError(
            f"the frame rate is unknown: {len(times_s)} frame(s) decoded, but the images or labels have {num_frames}: "
            "give --assume-fps FPS"
        )
    else:
        interval_s, assumed = 1 / assume_fps, {"assumed_fps": assume_fps}
    last_s = times_s[-1] if len(times_s) else start_s - interval_s
    decoded = np.ones(len(times_s), bool) if decoded is None else decoded
    times_s = np.concatenate([times_s, last_s + interval_s * added])
    return Clock(np.arange(1, num_frames + 1), times_s, np.append(decoded, np.zeros(len(added), bool))), assumed


def count_frames_of_sound(stop_s: float | None, assume_fps: float | None) -> int:
    """The number of frames of a clip of sound alone that ends at ``stop_s``; None: it has no sound either.

    Raises InputError where there is no sound or no rate.
    """
    if stop_s is None:
        raise InputError("the clip has no picture, no face image, no label and no sound: leave it out")
    if assume_fps is None:
        raise InputError("the clip has sound only, so its frame rate is unknown: give --assume-fps FPS")
    return ceil(stop_s * assume_fps)
