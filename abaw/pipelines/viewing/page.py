"""The page of an analysed clip: its media, its sound and its words, with its timeline."""

import json
import os
from functools import lru_cache
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from abaw.dataset.media_files import WHOLE, is_picture
from abaw.errors import AbawError
from abaw.pipelines.viewing.media import find_fault, media_of
from abaw.views.page.content import Envelope, SpokenWord
from abaw.views.page.writing import NO_MEDIA, PageMedia, write_page

if TYPE_CHECKING:
    from abaw.pipelines.viewing.writing import ViewedClip
    from extract.encoders.words import Words
    from extract.media import Sound

RATE_HZ = 8000  # of the sound whose loudness is drawn
STEP_S = 0.01
MAX_PEAKS = 60_000  # beyond, each peak stands for more time: 60 ms in an hour
MAX_EMBEDDED = 300 << 20  # bytes; browsers refuse longer texts
PROXY = ".proxy.mp4"
NO_SOUND = Envelope(0.0, STEP_S, np.zeros(0))


def write(viewed: "ViewedClip", path: Path) -> str:
    """Write the page of a clip; what its reader must know."""
    media, remarks = _choose_media(viewed, path)
    words, remark = _read_words(viewed)
    envelope = _measure_envelope(viewed)
    remarks += [remark] if remark else []
    write_page(viewed.timeline, path, media, envelope, words, remarks)
    if media.embedded is not None and media.embedded != viewed.clip.media:
        media.embedded.unlink()  # the copy is part of the page
    return "; ".join(remarks)


def _choose_media(viewed: "ViewedClip", page: Path) -> tuple[PageMedia, list[str]]:
    """What the page plays: the file itself, or a proxy where browsers cannot play it."""
    from extract.media.writing import write_proxy

    clip, media, source = viewed.clip, viewed.clip.media, media_of(viewed)
    if media is None or source is None:
        return NO_MEDIA, ["there is no video or sound file to play"]
    kind = "picture" if is_picture(media) else "video" if source.has_pictures else "sound"
    offset_s, given = 0.0, media.name
    if fault := find_fault(viewed):
        media = page.with_name(f"{clip.clip_id}{PROXY}")
        offset_s = float(write_proxy(source, media).offset_s)
    mime = guess_type(media.name)[0] or "video/mp4"
    is_embedded = viewed.embed and media.stat().st_size <= MAX_EMBEDDED
    remarks = []
    if fault:
        copy = "holds a copy" if is_embedded else f"plays a copy, {media.name}"
        remarks.append(f"not every browser plays {given} ({fault}): the page {copy}")
    if viewed.embed and not is_embedded:
        size = f"{media.stat().st_size / 1e6:.0f} MB"
        remarks.append(f"{media.name} has {size}, too much to be embedded: the page needs it where it is")
    address = "" if is_embedded else link(media, page)
    is_part = clip.part != WHOLE and not fault  # a copy has the part alone
    return PageMedia(kind, address, media if is_embedded else None, mime, offset_s, is_part), remarks


def link(file: Path, page: Path) -> str:
    """The address of a file, relative to a page."""
    return quote(os.path.relpath(file.absolute(), page.absolute().parent).replace(os.sep, "/"))


def _measure_envelope(viewed: "ViewedClip") -> Envelope:
    """The highest amplitude of each span of the sound, at least 10 ms each; none where there is no sound."""
    if viewed.clip.media is None or not (sound := _decode(viewed, RATE_HZ)).samples.size:
        return NO_SOUND
    width = max(round(STEP_S * RATE_HZ), -(-len(sound.samples) // MAX_PEAKS))
    starts = range(0, len(sound.samples), width)
    peaks = [float(np.abs(sound.samples[first : first + width]).max()) for first in starts]
    return Envelope(sound.start_s, width / RATE_HZ, np.array(peaks))


def _decode(viewed: "ViewedClip", rate_hz: int) -> "Sound":
    from extract.media import sounds

    clip = viewed.clip
    assert clip.media is not None
    return sounds(clip.media, [rate_hz], viewed.folder, audio_stream=clip.streams.audio, part=clip.part)[rate_hz]


def _read_words(viewed: "ViewedClip") -> tuple[list[SpokenWord], str]:
    """The words of a clip that has a track of their embeddings, which are recognised again; or why there are none."""
    recipes = viewed.store.recipes(must_exist=False).values()
    stored = [
        each for each in recipes if each.get("encoder") == "words" and viewed.store.has(each, viewed.clip.clip_id)
    ]
    if not stored or viewed.clip.media is None:
        return [], ""
    try:
        encoder = _word_encoder(json.dumps(stored[0], sort_keys=True))
    except AbawError as error:
        return [], f"words are not shown: {error}"
    found = encoder.transcribe(_decode(viewed, encoder.rate_hz))
    return [SpokenWord(word.text, word.start_s, word.stop_s) for word in found], ""


@lru_cache(maxsize=1)  # for all clips of an analysis
def _word_encoder(recipe: str) -> "Words":
    from abaw.pipelines.rebuilding import rebuild

    spec, _ = rebuild(json.loads(recipe))
    encoder: Any = spec.encoder
    words: Words = encoder
    return words
