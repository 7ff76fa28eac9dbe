"""The losses of a clip, as far as the packets of its media, the names of its images and their ends show them."""

from extract.dataset_check.facts import ClipFacts
from extract.losses import ClipLosses, FaceLosses, PictureLosses, SoundLosses, end_losses


def clip_losses(facts: ClipFacts) -> ClipLosses:
    """What an extraction will report of a clip, as far as it is known without decoding it."""
    num_pictures, num_frames = facts.num_frames or 0, max([facts.last_frame, *facts.label_rows.values()])
    pictures = sound = None
    if facts.has_video:
        pictures = PictureLosses(
            num_pictures,
            num_mended=facts.num_mended,
            num_joins=facts.num_joins,
            num_after_end=num_frames - num_pictures,
            num_announced=facts.num_announced,
            num_unused_streams=facts.num_video_streams - 1,
            **end_losses(facts),
        )
    if facts.media and not facts.media_error and not facts.is_still:
        state = "silent" if facts.is_silent else "" if facts.has_sound else "missing"
        num_unused, lost = max(0, facts.num_audio_streams - 1), end_losses(facts)
        sound = SoundLosses(state, facts.channel, num_unused_streams=num_unused, **lost)
    faces = {}
    if facts.num_images is not None:
        num_faces = facts.num_images - facts.num_empty - facts.num_damaged
        faces["images"] = FaceLosses(
            "images",
            num_frames,
            num_faces,
            num_empty=facts.num_empty,
            num_damaged=facts.num_damaged,
            num_unread=len(facts.unread),
            from_0=facts.first_image == 0,
        )
    return ClipLosses(pictures, sound, faces)
