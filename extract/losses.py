"""What of a clip was lost, mended or not used: one line a clip, and a summary of many clips."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from abaw.numbers import format_count, format_percent

MIN_SHORT_S = 0.5  # sound begins and ends up to about this much apart from the pictures
MIN_CUT_S = 0.06  # containers announce lengths up to about this much apart from the last packet
MIN_LONGER_S = 0.03  # a picture; a doubled chunk of sound is longer
NUM_SHOWN = 10  # clips in a summary


@dataclass(frozen=True)
class Loss:
    """A kind of loss: its name for the summary, its part of the line, and about which share of the clip it concerns."""

    kind: str
    text: str
    share: float


@dataclass(frozen=True)
class PictureLosses:
    """Of the pictures of a video; ``num_pictures``: that have a place, decodable or not.

    ``num_undecodable`` of them have no content; the time of ``num_mended`` was estimated; at ``num_joins`` places the
    timestamps start anew. ``num_after_end``: frames that labels or images have after the last picture. ``announced_s``
    and ``readable_s``: how long the file says it is and how much of it can be read, both 0 where these agree;
    ``num_announced``: how many pictures it says it has, 0 where that agrees.
    ``num_unused_streams``: other video streams. ``num_missing_bytes``: at the end of the file.
    """

    num_pictures: int = 0
    num_undecodable: int = 0
    num_corrupt_packets: int = 0
    num_mended: int = 0
    num_joins: int = 0
    num_after_end: int = 0
    announced_s: float = 0.0
    readable_s: float = 0.0
    num_announced: int = 0
    num_unused_streams: int = 0
    num_missing_bytes: int = 0

    def losses(self) -> Iterator[Loss]:
        """Each kind of loss that occurred."""
        num = self.num_pictures
        yield from _cut_off(self)
        if self.num_announced > num:
            text = f"only {num} of {self.num_announced} pictures announced can be read: later ones may have moved"
            yield Loss("missing pictures", text, 1 - num / self.num_announced)
        elif 0 < self.num_announced < num:
            text = f"{num} pictures, although {self.num_announced} are announced: later ones may have moved"
            yield Loss("more pictures than announced", text, 1 - self.num_announced / num)
        for kind, lost, text in (
            ("undecodable pictures", self.num_undecodable, "cannot be decoded"),
            ("mended times", self.num_mended, "at estimated times (wrong or missing timestamps)"),
        ):
            if lost:
                yield Loss(kind, f"{lost} of {num} pictures {text}", lost / max(num, lost))
        if self.num_joins:
            yield Loss("joined recordings", f"timestamps start anew at {format_count(self.num_joins, 'place')}", 0.0)
        if self.num_after_end:
            text = f"{format_count(self.num_after_end, 'frame')} of labels or images after the last of {num} pictures"
            yield Loss("frames after the end", text, self.num_after_end / (num + self.num_after_end))
        if self.num_corrupt_packets:
            text = format_count(self.num_corrupt_packets, "corrupt packet")
            yield Loss("corrupt packets", text, self.num_corrupt_packets / max(num, self.num_corrupt_packets))
        if self.num_unused_streams:
            text = f"{format_count(self.num_unused_streams, 'other video stream')} not used"
            yield Loss("streams not used", text, 0.0)


@dataclass(frozen=True)
class SoundLosses:
    """Of the sound. ``state``: "missing", "silent" or "" where there is something to hear; ``clip_s``: of the pictures.

    ``channel``: the one channel that was taken because the channels cancel each other out. ``gaps_s``: how much in the
    middle could not be decoded; ``short_s``: how much the sound begins later and ends earlier than the pictures.
    ``announced_s``, ``readable_s`` and ``num_missing_bytes``: as of pictures.
    """

    state: str = ""
    channel: str = ""
    clip_s: float = 0.0
    gaps_s: float = 0.0
    short_s: float = 0.0
    num_mended: int = 0
    num_corrupt_packets: int = 0
    num_unused_streams: int = 0
    announced_s: float = 0.0
    readable_s: float = 0.0
    num_missing_bytes: int = 0

    def losses(self) -> Iterator[Loss]:
        """Each kind of loss that occurred."""
        yield from _cut_off(self)
        if self.state == "missing":
            yield Loss("no sound", "no sound", 1.0)
        elif self.state == "silent":
            yield Loss("silent sound", "the sound is silent", 1.0)
        if self.channel:
            text = f"the channels of the sound cancel each other out: {self.channel} alone was taken"
            yield Loss("cancelled sound", text, 0.5)
        for kind, lost_s, text in (
            ("gaps in the sound", self.gaps_s, "of the sound missing, filled with silence"),
            ("short sound", self.short_s, "without sound at the beginning or end"),
        ):
            if lost_s:
                whole_s = max(self.clip_s, lost_s)
                yield Loss(kind, f"{lost_s:.2f} of {whole_s:.2f} s {text}", lost_s / whole_s)
        if self.num_mended:
            text = f"{format_count(self.num_mended, 'timestamp')} of the sound wrong, replaced by estimates"
            yield Loss("mended times", text, 0.0)
        if self.num_corrupt_packets:
            text = f"{format_count(self.num_corrupt_packets, 'corrupt packet')} of sound"
            yield Loss("corrupt packets", text, 0.0)
        if self.num_unused_streams:
            text = f"{format_count(self.num_unused_streams, 'other audio stream')} not used"
            yield Loss("streams not used", text, 0.0)


@dataclass(frozen=True)
class FaceLosses:
    """Of the target's face, from face images (``source`` "images") or detected in the video ("video").

    ``num_faces`` of ``num_frames`` frames have a face; in ``num_others`` frames without it there were other persons.
    ``num_empty`` images hold nothing, ``num_damaged`` are cut off or no images, ``num_unread`` have names that hold no
    frame number or that of another image; ``num_whole`` are whole pictures, in whose place the video was searched for
    faces. ``from_0``: image 0 is frame 1.
    """

    source: str = "video"
    num_frames: int = 0
    num_faces: int = 0
    num_others: int = 0
    num_empty: int = 0
    num_damaged: int = 0
    num_unread: int = 0
    num_whole: int = 0
    from_0: bool = False

    def losses(self) -> Iterator[Loss]:
        """Each kind of loss that occurred."""
        num, found = self.num_frames, "a face image" if self.source == "images" else "a face"
        if not self.num_faces and num:
            yield Loss("no face", f"no {found.removeprefix('a ')} in any of {num} frames", 1.0)
        elif self.num_faces < num:
            text = f"{found} in only {self.num_faces} of {num} frames ({format_percent(self.num_faces, num)})"
            yield Loss("frames without a face", text, 1 - self.num_faces / num)
        if self.num_others:
            text = f"in {format_count(self.num_others, 'frame')} the person is absent, but others are there"
            yield Loss("others in place of the target", text, self.num_others / max(num, 1))
        one = self.num_unread == 1
        unread = f"not read: {'its name gives' if one else 'their names give'} no frame, or one that has another image"
        for kind, lost, text in (
            ("empty images", self.num_empty, "empty (0 bytes)"),
            ("damaged images", self.num_damaged, f"cut off or no image{'s' * (self.num_damaged != 1)}"),
            ("images not read", self.num_unread, unread),
        ):
            if lost:
                yield Loss(kind, f"{format_count(lost, 'face image')} {text}", lost / max(num, lost))
        if self.num_whole:
            text = f"{format_count(self.num_whole, 'image')} not used: whole pictures, not crops of faces"
            yield Loss("whole pictures as face images", text, 0.0)
        if self.from_0:
            yield Loss("numbered from 0", "face images are numbered from 0: image 0 is frame 1", 0.0)


@dataclass(frozen=True)
class ClipLosses:
    """What of one clip was lost. A part that is None was not read; ``faces``: by where the faces come from.

    ``str`` of it is the clip's line: "" where nothing was lost.
    """

    pictures: PictureLosses | None = None
    sound: SoundLosses | None = None
    faces: Mapping[str, FaceLosses] = field(default_factory=dict)

    def losses(self) -> list[Loss]:
        """Each kind of loss that occurred, in the order of the line."""
        parts = [*(self.pictures, self.sound), *self.faces.values()]
        return [loss for part in parts if part is not None for loss in part.losses()]

    @property
    def share(self) -> float:
        """About which share of the clip is lost: that of its worst loss."""
        return max((loss.share for loss in self.losses()), default=0.0)

    @property
    def has_no_face(self) -> bool:
        """Whether faces were looked for and none was found."""
        return bool(self.faces) and not any(each.num_faces for each in self.faces.values())

    @property
    def has_no_sound(self) -> bool:
        """Whether there is nothing to hear."""
        return self.sound is not None and bool(self.sound.state)

    def __bool__(self) -> bool:
        return bool(self.losses())

    def __str__(self) -> str:
        return "; ".join(dict.fromkeys(loss.text for loss in self.losses()))

    def merged(self, later: "ClipLosses") -> "ClipLosses":
        """These losses, with those parts replaced that were read again ``later``."""
        return ClipLosses(later.pictures or self.pictures, later.sound or self.sound, {**self.faces, **later.faces})

    def to_json(self) -> dict[str, Any]:
        """The parts in which something was lost, without fields that have their default; {} where nothing was lost."""
        parts = {"pictures": self.pictures, "sound": self.sound}
        document: dict[str, Any] = {name: _given(part) for name, part in parts.items() if part and any(part.losses())}
        faces = {name: _given(part) for name, part in sorted(self.faces.items()) if any(part.losses())}
        return document | ({"faces": faces} if faces else {})

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "ClipLosses":
        """The losses written by ``to_json``. Raises TypeError or ValueError for another document."""
        return cls(
            PictureLosses(**document["pictures"]) if "pictures" in document else None,
            SoundLosses(**document["sound"]) if "sound" in document else None,
            {name: FaceLosses(**part) for name, part in document.get("faces", {}).items()},
        )


def summarize(losses: Mapping[str, ClipLosses], num_clips: int, more: str = "") -> list[str]:
    """Lines for a terminal: how many of the clips have losses, of which kinds, and the worst of them first.

    ``more``: where the others are listed, as a command. No lines where nothing was lost.
    """
    lossy = {clip_id: each for clip_id, each in losses.items() if each}
    if not lossy:
        return []
    kinds = Counter(kind for each in lossy.values() for kind in {loss.kind for loss in each.losses()})
    counts = ", ".join(f"{kind} {num}" for kind, num in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))
    worst = sorted(lossy, key=lambda clip_id: (-lossy[clip_id].share, clip_id))
    lines = [f"{len(lossy)} of {num_clips} clips have losses: {counts}"]
    lines += [f"  {clip_id}: {lossy[clip_id]}" for clip_id in worst[:NUM_SHOWN]]
    if len(worst) > NUM_SHOWN:
        lines.append(f"  and {len(worst) - NUM_SHOWN} more" + (f": {more} lists all" if more else ""))
    return lines


def is_cut_off(announced_s: float, readable_s: float) -> bool:
    """Whether a file is shorter than it says, by more than the rounding of lengths."""
    return announced_s - readable_s > MIN_CUT_S


def is_longer(announced_s: float, readable_s: float) -> bool:
    """Whether there is more in a file than it says, where its header counts everything."""
    return announced_s > 0 and readable_s - announced_s > MIN_LONGER_S


def end_losses(counts: Any) -> dict[str, Any]:
    """The fields of pictures or sound about the end of a file, from counts or facts of the same names."""
    found: dict[str, Any] = {"num_missing_bytes": counts.num_missing_bytes}
    if is_cut_off(counts.announced_s, counts.readable_s) or is_longer(counts.announced_s, counts.readable_s):
        found |= {"announced_s": round(counts.announced_s, 3), "readable_s": round(counts.readable_s, 3)}
    return found


def _cut_off(part: PictureLosses | SoundLosses) -> Iterator[Loss]:
    """What of a file's announced length cannot be read; the same text of pictures and sound comes once in a line."""
    if is_cut_off(part.announced_s, part.readable_s):
        digits = 1 if part.announced_s - part.readable_s > MIN_SHORT_S else 2
        text = f"only {part.readable_s:.{digits}f} of {part.announced_s:.{digits}f} s announced can be read"
        yield Loss("cut off", text, 1 - part.readable_s / part.announced_s)
    elif is_longer(part.announced_s, part.readable_s):
        text = f"{part.readable_s:.2f} s can be read, although {part.announced_s:.2f} s are announced"
        yield Loss("longer than announced", f"{text}: what comes later may have moved", 0.0)
    if part.num_missing_bytes and not is_cut_off(part.announced_s, part.readable_s):
        yield Loss(
            "cut off", f"the end of the file is missing ({format_count(part.num_missing_bytes, 'byte')} or more)", 0.0
        )


def _given(part: Any) -> dict[str, Any]:
    return {each.name: getattr(part, each.name) for each in fields(part) if getattr(part, each.name) != each.default}
