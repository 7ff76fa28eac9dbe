"""Rules about what a clip loses: files that are cut off, wrong timestamps, unusable face images, silent sound."""

from collections.abc import Iterator

from abaw.dataset.face_images import EXPECTED
from abaw.numbers import format_count
from extract.dataset_check.facts import ClipFacts
from extract.dataset_check.rule import rule
from extract.losses import is_cut_off, is_longer


@rule(
    advice="get the file again; what can be read is used",
    fine={"announced_s": 60.0, "readable_s": 59.95},
    found={"announced_s": 60.0, "readable_s": 36.0},
)
def cut_off(clip: ClipFacts) -> Iterator[str]:
    if is_cut_off(clip.announced_s, clip.readable_s):
        yield f"only {clip.readable_s:.2f} of {clip.announced_s:.2f} s that {clip.media} announces can be read"
    elif is_longer(clip.announced_s, clip.readable_s):
        yield f"{clip.readable_s:.2f} s of {clip.media} can be read, although it announces {clip.announced_s:.2f} s"
    if clip.num_missing_bytes and not is_cut_off(clip.announced_s, clip.readable_s):
        yield f"the end of {clip.media} is missing ({format_count(clip.num_missing_bytes, 'byte')} or more)"


@rule(
    advice="their times are taken from their neighbours",
    fine={"num_mended": 0},
    found={"num_mended": 1},
)
def wrong_stamps(clip: ClipFacts) -> Iterator[str]:
    if clip.num_mended:
        yield f"{clip.num_mended} of {clip.num_frames} pictures have a wrong timestamp or none"


@rule(
    advice="get them again: their frames are not observed",
    fine={"num_images": 10},
    found={"num_images": 10, "num_empty": 1},
)
def empty_images(clip: ClipFacts) -> Iterator[str]:
    if clip.num_empty:
        yield f"{clip.num_empty} of {clip.num_images} face images hold 0 bytes"


@rule(
    advice="get them again: their frames are not observed",
    fine={"num_images": 10},
    found={"num_images": 10, "num_damaged": 1},
)
def damaged_images(clip: ClipFacts) -> Iterator[str]:
    if clip.num_damaged:
        yield f"{clip.num_damaged} of {clip.num_images} face images are cut off or no images"


@rule(
    advice=f"expected {EXPECTED}; rename them, or remove those that are not needed",
    fine={"num_images": 10},
    found={"num_images": 10, "unread": ("a.png", "b.png")},
)
def unread_images(clip: ClipFacts) -> Iterator[str]:
    if clip.unread:
        yield (
            f"{len(clip.unread)} images in {clip.images} are not read, as {clip.unread[0]}: their names give no frame, "
            f"or one that has another image; {clip.num_images} are read"
        )


@rule(
    advice="no problem if that is their order in time; else number them from 0 or 1, or remove those of other clips",
    fine={"num_images": 2},
    found={"num_images": 2, "is_counted": True},
)
def counted_images(clip: ClipFacts) -> Iterator[str]:
    if clip.is_counted and clip.num_images:
        yield f"the names in {clip.images} hold no numbers of frames: pictures are frames in the order of their names"


@rule(
    advice="image 0 is taken as frame 1, image i as frame i + 1; rename the images if that is wrong",
    fine={"first_image": 1},
    found={"first_image": 0},
)
def numbered_from_0(clip: ClipFacts) -> Iterator[str]:
    if clip.first_image == 0:
        yield f"the face images in {clip.images} are numbered from 0"


@rule(
    advice="features of sound say nothing about the person",
    fine={},
    found={"is_silent": True},
)
def silent_sound(clip: ClipFacts) -> Iterator[str]:
    if clip.is_silent:
        yield "its sound is silent"


@rule(
    advice="one channel alone is taken; the mix of all would be nearly silent",
    fine={},
    found={"channel": "FL"},
)
def cancelled_sound(clip: ClipFacts) -> Iterator[str]:
    if clip.channel:
        yield f"the channels of its sound cancel each other out: {clip.channel} is taken"
