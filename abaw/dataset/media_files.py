"""The media files of a data set: which files are media, which clip each belongs to, and which names cannot be used."""

import math
import os
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from abaw.dataset.media_content import is_media_content
from abaw.errors import InputError
from abaw.files.names import find_name_fault, one_line

VIDEO_SUFFIXES = frozenset(
    ".264 .265 .3g2 .3gp .asf .avi .divx .dv .f4v .flv .h264 .h265 .hevc .ivf .m1v .m2ts .m2v .m4v .mjpeg .mjpg .mkv "
    ".mov .mp4 .mpe .mpeg .mpg .mts .mxf .nut .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv .wtv .y4m".split()
)
SOUND_SUFFIXES = frozenset(
    ".aac .ac3 .aif .aifc .aiff .amr .ape .au .caf .eac3 .flac .m4a .m4b .mka .mp2 .mp3 .oga .ogg .opus .spx .tta .w64 "
    ".wav .weba .wma .wv".split()
)
MEDIA_SUFFIXES = VIDEO_SUFFIXES | SOUND_SUFFIXES
PICTURE_SUFFIXES = frozenset(".bmp .jpe .jpeg .jpg .png .tif .tiff .webp".split())
MAX_NAME_BYTES = 160  # of a clip: files are named after it, with suffixes and as temporary files, up to 255 bytes


@dataclass(frozen=True)
class Streams:
    """Which video and which audio stream of a file are read; None: the one that players choose.

    Streams are counted from 0 within their kind, as ffmpeg's ``v:1`` and ``a:0``. Raises InputError for other values.
    """

    video: int | None = None
    audio: int | None = None

    def __post_init__(self) -> None:
        for name, index in (("video", self.video), ("audio", self.audio)):
            if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
                raise InputError(
                    f"--{name}-stream is {index!r}, expected 0 for a file's first {name} stream, 1 for its second"
                )

    def or_else(self, others: "Streams") -> "Streams":
        """These streams, and where none is chosen the ``others``."""
        return Streams(*(b if a is None else a for a, b in ((self.video, others.video), (self.audio, others.audio))))

    def __str__(self) -> str:
        """What is chosen, as ``v:1 a:0``; empty where nothing is."""
        return " ".join(
            f"{kind}:{index}" for kind, index in (("v", self.video), ("a", self.audio)) if index is not None
        )


@dataclass(frozen=True)
class Part:
    """A part of a media file, in seconds on the file's own time axis: from ``start_s`` on and before ``stop_s``."""

    start_s: float = -math.inf
    stop_s: float = math.inf

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole file."""
        return self.start_s == -math.inf and self.stop_s == math.inf

    def holds(self, time_s: float) -> bool:
        """Whether a time is in the part."""
        return self.start_s <= time_s < self.stop_s

    def __str__(self) -> str:
        """Its ends, as ``from 1.5 s to 3 s``; empty for the whole file."""
        start = "" if self.start_s == -math.inf else f"from {self.start_s!r} s"
        return f"{start} {'' if self.stop_s == math.inf else f'to {self.stop_s!r} s'}".strip()


WHOLE = Part()


@dataclass
class MediaFiles:
    """The media of a data set.

    ``by_clip``: one file for each clip. ``unused``: files beside it that hold the same recording once more, by clip.
    ``ambiguous``: names that labels or images give to a clip, but several videos have. ``num_ignored``: other files.
    """

    by_clip: dict[str, Path] = field(default_factory=dict)
    unused: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    ambiguous: dict[str, list[Path]] = field(default_factory=dict)
    num_ignored: int = 0


def is_media(path: Path) -> bool:
    """Whether a file is to be read as media: by its suffix, and where that is not known, by its content."""
    return path.suffix.lower() in MEDIA_SUFFIXES or is_media_content(path)


def is_picture(path: Path) -> bool:
    """Whether a file is a still picture by its suffix: a clip of one frame, where a data set says that it is a clip."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def stem_of(path: Path) -> str:
    """The name of a media file without its suffix; what follows a dot is a suffix only where a letter follows it.

    It is printed and names files, so an end of a line in it, and any other control character, is written out.

    >>> stem_of(Path("a/12.5.mp4")), stem_of(Path("a/take.dat")), stem_of(Path("a/take 1.5"))
    ('12.5', 'take', 'take 1.5')
    >>> stem_of(Path("a\\nb.mp4"))
    'a\\\\nb'
    """
    suffix = path.suffix
    has_suffix = suffix.lower() in MEDIA_SUFFIXES or (suffix[1:2].isalpha() and len(suffix) < 7)
    return one_line(path.stem if has_suffix else path.name)


def name_media(files: Iterable[Path], root: Path, named: Collection[str] = ()) -> MediaFiles:
    """The clip of each media file: its name without suffix, with its folders where several files have one name.

    ``named``: the clips that labels, lists and images name. A sound file with the name of the only video, or of one in
    its folder, is the same recording once more and is not used; so is a file of unknown suffix beside it.
    """
    found = MediaFiles()
    by_stem: dict[str, list[Path]] = {}
    for path in files:
        if is_media(path):
            by_stem.setdefault(stem_of(path), []).append(path)
        else:
            found.num_ignored += 1
    repeated: dict[str, list[Path]] = {}
    unused_by_path: dict[Path, list[Path]] = {}
    for stem, paths in by_stem.items():
        kept, unused = _drop_repeats(paths)
        for path in unused:  # to the video in its folder, else to the only one
            owner = next((each for each in kept if each.parent == path.parent), kept[0])
            unused_by_path.setdefault(owner, []).append(path)
        if len(kept) == 1:
            found.by_clip[stem] = kept[0]
        elif stem in named or f"{stem}_left" in named or f"{stem}_right" in named:
            found.ambiguous[stem] = kept
        else:
            repeated[stem] = kept
    taken = {*found.by_clip, *named}
    for stem, paths in repeated.items():
        names = names_by_folder(stem, paths, root, taken)
        found.by_clip |= names
        taken |= names.keys()
    found.unused = {clip: tuple(unused_by_path[path]) for clip, path in found.by_clip.items() if path in unused_by_path}
    return found


def name_problem(clip_id: str) -> str:
    """Why a clip of this name cannot have files of its own; empty where it can."""
    fault = find_name_fault(clip_id, MAX_NAME_BYTES)
    return f"the clip's name '{printable(clip_id)}' {fault}: rename the file" if fault else ""


def printable(name: str) -> str:
    """A name in which control characters and bytes that are not UTF-8 are written out, to be printed and stored.

    >>> printable("a\\udcff")
    'a\\\\xff'
    >>> printable("a\\nb")
    'a\\\\nb'
    """
    text = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _drop_repeats(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """The files of one name that are recordings, and those that only repeat another."""
    known = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]
    folders = {path.parent for path in known}
    unused = [
        path
        for path in paths
        if path not in known and (path.parent in folders or (len(known) == 1 and path.suffix.lower() in SOUND_SUFFIXES))
    ]
    return [path for path in paths if path not in unused], unused


def names_by_folder(stem: str, paths: list[Path], root: Path, taken: Container[str]) -> dict[str, Path]:
    """Different names for files of one name: with as many of their folders as needed, else with their suffixes."""
    folders = [
        path.parent.relative_to(root).parts if path.is_relative_to(root) else path.parent.parts for path in paths
    ]
    for last in ([stem] * len(paths), [path.name for path in paths]):
        for depth in range(max(map(len, folders)) + 1):
            names = [
                one_line("_".join([*parts[max(0, len(parts) - depth) :], end]))
                for parts, end in zip(folders, last, strict=True)
            ]
            if len(set(names)) == len(names) and not any(name in taken for name in names):
                return dict(zip(names, paths, strict=True))
    names = [one_line("_".join([*path.parent.parts[1:], path.name])) for path in paths]
    if len(set(names)) < len(names):  # x_y/z/ and x/y_z/
        names = [f"{name}_{number + 1}" for number, name in enumerate(names)]
    return dict(zip(names, paths, strict=True))
