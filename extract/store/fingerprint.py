"""A short hash that changes when a clip's media or images change."""

import hashlib

from abaw.dataset.layout import Clip

EDGE_BYTES = 1 << 20


def fingerprint(clip: Clip, image_numbers: list[int]) -> str:
    """32 hexadecimal digits for one version of a clip's media and images, without reading the files completely.

    Hashed are the media file's size and its first and last MiB, the numbers of the images, and the content of the
    first, the middle and the last image.
    """
    digest = hashlib.sha256()
    if clip.media is not None:
        size = clip.media.stat().st_size
        digest.update(str(size).encode())
        with clip.media.open("rb") as file:
            digest.update(file.read(EDGE_BYTES))
            file.seek(max(0, size - EDGE_BYTES))
            digest.update(file.read(EDGE_BYTES))
    digest.update(repr(image_numbers).encode())
    for position in (0, len(image_numbers) // 2, -1) if image_numbers else ():
        digest.update(clip.image(image_numbers[position]).read_bytes())
    return digest.hexdigest()[:32]
