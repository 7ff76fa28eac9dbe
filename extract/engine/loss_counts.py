"""The losses of a clip, counted while it is read."""

from collections.abc import Sequence

from abaw.tracks import Clock
from extract import media
from extract.engine.requests import ReadRequest
from extract.engine.streams import FaceStream, ImageStream
from extract.losses import MIN_SHORT_S, FaceLosses, PictureLosses, SoundLosses, end_losses


def picture_losses(counts: media.DecodeCounts, clock: Clock, num_pictures: int, num_streams: int) -> PictureLosses:
    """Of the pictures of a video with ``num_streams`` video streams; ``num_pictures`` have a place on its clock."""
    return PictureLosses(
        num_pictures=num_pictures,
        num_undecodable=counts.num_undecodable,
        num_corrupt_packets=counts.num_corrupt_packets,
        num_mended=counts.num_mended_picture_stamps + counts.num_untimed,
        num_joins=counts.num_joins,
        num_after_end=len(clock) - num_pictures if num_pictures else 0,
        num_announced=counts.num_announced if counts.num_announced != num_pictures else 0,
        num_unused_streams=num_streams - 1,
        **end_losses(counts),
    )


def sound_losses(
    counts: media.DecodeCounts, sounds: Sequence[media.Sound], clock: Clock, num_streams: tuple[int, int]
) -> SoundLosses:
    """Of the sound, at any of its rates, of a clip with so many video and audio streams."""
    sound = sounds[0]
    num_video, num_audio = num_streams
    start_s, stop_s = sound.start_s, sound.stop_s
    if num_video and len(clock) > 1:
        start_s, stop_s = float(clock.times_s[0]), float(clock.times_s[-1]) + clock.interval_s
    cut = end_losses(counts)
    if not len(sound.samples):
        return SoundLosses("missing", clip_s=round(stop_s - start_s, 3), **cut)
    ends_s = (sound.start_s - start_s, stop_s - sound.stop_s)
    return SoundLosses(
        channel=sound.channel,
        state="" if media.is_audible(sound.samples) else "silent",
        clip_s=round(stop_s - start_s, 3),
        gaps_s=round(sum(stop - start for start, stop in sound.gaps_s), 3),
        short_s=round(sum(end_s for end_s in ends_s if end_s > MIN_SHORT_S), 3),
        num_mended=counts.num_mended_sound_stamps,
        num_corrupt_packets=counts.num_corrupt_packets,
        num_unused_streams=num_audio - 1,
        **cut,
    )


def face_losses(
    request: ReadRequest, clock: Clock, images: ImageStream, faces: FaceStream, num_whole: int
) -> dict[str, FaceLosses]:
    """Of the target's face: from its images, in the video, or both, by these words.

    ``num_whole``: of its images, which were not used because they are whole pictures.
    """
    found: dict[str, FaceLosses] = {}
    if images.is_read:
        known = request.images
        found["images"] = FaceLosses(
            "images",
            num_frames=len(clock),
            num_faces=len(known.numbers) - images.num_unreadable + faces.num_filled,
            num_empty=images.num_empty,
            num_damaged=images.num_damaged,
            num_unread=len(known.unread),
            from_0=known.first == 0,
        )
    elif request.images.unread and not request.images.numbers:
        found["images"] = FaceLosses("images", num_unread=len(request.images.unread))
    if faces.is_read:
        found["video"] = FaceLosses(
            "video",
            num_frames=len(clock),
            num_faces=faces.num_faces,
            num_others=faces.num_others,
            num_whole=num_whole,
        )
    return found
