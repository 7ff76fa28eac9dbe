"""The clips and splits of a data set in Aff-Wild2's layout, found on disk.

A clip is the whole recording of one subject: ``<video>``, ``<video>_left`` or ``<video>_right``. It may have a video, a
folder of face images, label files, and an entry in a test list; every name that occurs in one of these is a clip.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path

from abaw.dataset import split_files
from abaw.dataset.annotations import count_rows, lines
from abaw.dataset.clip import Clip
from abaw.dataset.dataset_file import KEYS, read_dataset_file
from abaw.dataset.found_files import (
    SPLIT_FOLDERS,
    FoundFiles,
    below,
    images_by_clip,
    numbering_doubts,
)
from abaw.dataset.manifest import Manifest
from abaw.dataset.manifests.keys import names_manifest, read_manifest_keys
from abaw.dataset.manifests.labels import count_label_rows
from abaw.dataset.manifests.reader import read_manifest
from abaw.dataset.media_files import (
    MediaFiles,
    Streams,
    is_media,
    is_picture,
    name_media,
    name_problem,
    printable,
    stem_of,
)
from abaw.dataset.names import split_side
from abaw.dataset.split_files import Listing
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path, visible

SPLITS = ("train", "validation", "test")
TEST_LIST_END = "_test_set_release.txt"


@dataclass(frozen=True)
class Dataset:
    """What was found in a data set.

    ``clips`` by name. ``image_roots``: the folders that hold the clips' folders of images. ``challenges``: label files
    by challenge folder, split and clip. ``test_lists``: by the part of their name before "_test_set_release.txt".
    ``num_ignored``: files that are neither media nor anything else known. ``listings``: the files that hold a whole
    split, by kind ("mtl", "emi", "ah_clip", "ah_frame") and split. ``unread_images``: folders with images whose names
    hold no frame number, of no known clip. ``manifest``: what the table of a data set of its own says, which then is
    the only source of clips, splits and labels; None for Aff-Wild2's layout.
    """

    root: Path
    clips: Mapping[str, Clip]
    image_roots: tuple[Path, ...] = ()
    challenges: Mapping[str, Mapping[str, Mapping[str, Path]]] = field(default_factory=dict)
    test_lists: Mapping[str, Path] = field(default_factory=dict)
    num_ignored: int = 0
    listings: Mapping[str, Mapping[str, Sequence[Listing]]] = field(default_factory=dict)
    unread_images: tuple[Path, ...] = ()
    manifest: Manifest | None = None

    @property
    def groups(self) -> Mapping[str, str]:
        """Clip -> group (speaker, session or subject); {} where the data set does not say."""
        return {} if self.manifest is None else self.manifest.groups

    def annotation_files(self, folders: Sequence[str], split: str) -> Mapping[str, Path]:
        """A split's label files by clip, from the challenge folder of one of these names; none where there is none.

        Raises InputError where several exist.
        """
        present = [folder for folder in folders if folder in self.challenges]
        if len(present) > 1:
            raise InputError(
                f"{self.root} has label folders {' and '.join(present)}: name the annotations to use "
                "with the key 'annotations' in a data set file (README, 'Your data')"
            )
        return self.challenges[present[0]].get(split, {}) if present else {}

    def test_clips(self, names: Sequence[str]) -> tuple[str, ...]:
        """The clips of the test list whose name begins with one of these, in its order; none where there is no list.

        Raises InputError where there are several such lists.
        """
        found = [path for name, path in self.test_lists.items() if name.startswith(tuple(names))]
        if len(found) > 1:
            raise InputError(
                f"{self.root} has the test lists {', '.join(map(str, found))}: name the one to use "
                "with the key 'test_lists' in a data set file (README, 'Your data')"
            )
        return tuple(text for path in found for _, text in lines(path) if text)

    def with_streams(self, streams: Streams) -> "Dataset":
        """The same data set with these streams read of every media file, as far as they are given."""
        clips = {clip_id: replace(clip, streams=streams.or_else(clip.streams)) for clip_id, clip in self.clips.items()}
        return replace(self, clips=clips)

    def listing(self, kind: str, split: str) -> Listing | None:
        """The file that holds this split; None where there is none. Raises InputError where there are several."""
        found = self.listings.get(kind, {}).get(split, ())
        if len(found) > 1:
            key = "test_lists" if split == "test" else "annotations"
            raise InputError(
                f"{self.root} has {' and '.join(str(each.path) for each in found)}: name the one to use "
                f"with the key {key!r} in a data set file (README, 'Your data')"
            )
        return found[0] if found else None

    def listed_clips(self, kind: str, split: str) -> tuple[str, ...]:
        """The clips in the file that holds this split, in its order; none where there is no file."""
        found = self.listing(kind, split)
        return tuple(found.last_frames) if found else ()

    def label_files(self, clip_id: str) -> Iterator[Path]:
        """The label files of a single clip, of every task and split."""
        for splits in self.challenges.values():
            for files in splits.values():
                if clip_id in files:
                    yield files[clip_id]

    def num_label_rows(self, clip_id: str) -> int:
        """The number of the last frame with a row in any annotation file of the clip; frame timestamps reach to it."""
        if self.manifest is not None:
            return count_label_rows(self.manifest, clip_id)
        rows = [count_rows(path) for path in self.label_files(clip_id)]
        return max([*rows, *(each.last_frames.get(clip_id, 0) for each in _all(self.listings))], default=0)


_OPENED: ContextVar[dict[Path, Dataset] | None] = ContextVar("opened", default=None)


@contextmanager
def open_once() -> Iterator[None]:
    """Inside, ``open_dataset`` looks at each data set once and returns the same object again; also as a decorator.

    For functions that open a data set for each of several tasks, folders or runs: hundreds of thousands of images take
    seconds each time.
    """
    token = _OPENED.set({}) if _OPENED.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _OPENED.reset(token)


def open_dataset(path: str | Path) -> Dataset:
    """Find the clips, labels and lists of a data set: a folder, one media file, or a data set file (YAML).

    A data set file has the key ``root`` and, where folders are not below it or are ambiguous, ``videos``, ``images``,
    ``annotations`` and ``test_lists``: each a folder, a file or a list of them, relative to root. Or it has the key
    ``manifest``: a table with a row for each clip (``abaw/dataset/manifests/keys.py``). Raises NotFoundError where
    there is no data set, and InputError where what is found is ambiguous or the manifest is wrong; the message names
    the key that decides, or the line.
    """
    path = as_path(path, "data")
    opened = _OPENED.get()
    if opened is None:
        return _open(path)
    key = path.absolute()
    if key not in opened:
        opened[key] = _open(path)
    return opened[key]


def _open(path: Path) -> Dataset:
    if not path.exists():
        raise NotFoundError(f"no data set at {path}: give a folder, a media file, or a data set file (YAML)")
    if path.is_dir():
        return _find(path, {})
    if path.suffix.lower() in (".yaml", ".yml"):
        if names_manifest(path):
            keys = read_manifest_keys(path)
            manifest, clips = read_manifest(keys)
            return Dataset(keys.media, clips, manifest=manifest).with_streams(keys.streams)
        root, folders, first_image, streams = read_dataset_file(path)
        return _find(root, folders, first_image).with_streams(streams)
    if not is_media(path) and not is_picture(path):
        raise InputError(
            f"{path} is not a media file: neither its suffix (such as .mp4, .mov, .wav or .jpg) nor its content is "
            "that of a video, of sound or of a picture; give a media file, a folder, or a data set file (.yaml)"
        )
    clip = stem_of(path)
    return Dataset(path.parent, {clip: Clip(clip, path, problem=name_problem(clip))})


def _find(root: Path, folders: dict[str, list[Path]], first_image: int | None = None) -> Dataset:
    seen = FoundFiles()
    named_folders = dict.fromkeys(folder for group in folders.values() for folder in group)
    for base in [root, *(folder for folder in named_folders if not folder.is_relative_to(root))]:
        seen.walk(base)
    within = {key: folders.get(key) for key in KEYS}
    if within["videos"] is None and (root / "videos").is_dir():
        within["videos"] = [root / "videos"]
    images = images_by_clip(below(seen.image_folders, within["images"]), seen.openface_folders)
    challenges = _challenges(below(seen.label_folders, within["annotations"]))
    test_lists = _test_lists(below(seen.files, within["test_lists"]))
    listings = split_files.find_listings(below(seen.files, within["annotations"]), ("train", "validation"))
    for kind, splits in split_files.find_listings(below(seen.files, within["test_lists"]), ("test",)).items():
        listings.setdefault(kind, {}).update(splits)
    read = {*test_lists.values(), *(each.path for each in _all(listings))}
    named = set(images)
    named.update(clip for splits in challenges.values() for files in splits.values() for clip in files)
    named.update(text for path in test_lists.values() for _, text in lines(path) if text)
    named.update(clip for each in _all(listings) for clip in each.last_frames)
    found = name_media((path for path in below(seen.files, within["videos"]) if path not in read), root, named)
    media = found.by_clip
    if not (media or images or challenges or listings):
        if stills := [path for path in seen.files if path.parent == root and is_picture(path)]:
            return _find_stills(root, stills, found.num_ignored + seen.num_special - len(stills))
        raise NotFoundError(
            f"{root} holds no videos, no sound, no pictures and no labels: expected media files, or a data set with "
            "videos/, <image root>/<clip>/00001.jpg or <annotations>/VA_Estimation_Challenge/Train_Set (`abaw synth` "
            "makes one)"
        )
    video_of = {clip: clip if clip in media else split_side(clip)[0] for clip in named}
    alone = set(media) - set(video_of.values())  # a video that no other file names is a clip of its own
    unread = []
    for unknown in below(seen.unread_folders, within["images"]):  # of a clip known otherwise, or of nothing
        if unknown.name in named | alone and unknown.name not in images:
            images[unknown.name] = unknown
        else:
            unread.append(unknown)
    doubts = {} if first_image is not None else numbering_doubts(images.values(), seen.folders_from_0)
    clips = {}
    for clip in sorted(named | alone):
        video, folder = video_of.get(clip, clip), images.get(clip)
        problem = name_problem(clip) or _ambiguity(video, found)
        unused = found.unused.get(video, ())
        clips[clip] = Clip(
            clip, media.get(video), folder, first_image, doubts.get(folder, ""), unused=unused, problem=problem
        )
    num_ignored = found.num_ignored + seen.num_special
    image_roots = tuple(sorted({path.parent for path in images.values()}))
    return Dataset(root, clips, image_roots, challenges, test_lists, num_ignored, listings, tuple(unread))


def _find_stills(root: Path, paths: list[Path], num_ignored: int) -> Dataset:
    """A folder of nothing but pictures, whatever their names are: each is a clip of one frame."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else path.name for path in paths]
    clips = {name: Clip(name, path, problem=name_problem(name)) for name, path in zip(names, paths, strict=True)}
    return Dataset(root, clips, num_ignored=num_ignored)


def _all(listings: Mapping[str, Mapping[str, Sequence[Listing]]]) -> Iterator[Listing]:
    for splits in listings.values():
        for found in splits.values():
            yield from found


def _ambiguity(video: str, found: MediaFiles) -> str:
    """Why it is not known which file is a clip's video; empty where it is."""
    if video not in found.ambiguous:
        return ""
    places = " and ".join(printable(str(path)) for path in found.ambiguous[video])
    return (
        f"its video may be {places}: rename or remove one, or name the folders to use with the key 'videos' in a data "
        "set file (README, 'Your data')"
    )


def _challenges(folders: Iterable[Path]) -> dict[str, dict[str, dict[str, Path]]]:
    challenges: dict[str, dict[str, dict[str, Path]]] = {}
    for folder in folders:
        splits = challenges.setdefault(folder.parent.name, {})
        split = SPLIT_FOLDERS[folder.name]
        files = {path.stem: path for path in visible(folder, "*.txt")}
        other = next(iter(splits.get(split, {}).values()), None)
        if other is not None:
            raise InputError(
                f"two label folders {other.parent} and {folder}: name the annotations to use "
                "with the key 'annotations' in a data set file (README, 'Your data')"
            )
        splits[split] = files
    return challenges


def _test_lists(files: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files:
        # lists of images are MTL's, which split_files finds
        if path.name.endswith(TEST_LIST_END) and not any("/" in text or "," in text for _, text in lines(path)):
            name = path.name.removesuffix(TEST_LIST_END)
            if name in found:
                raise InputError(
                    f"two test lists {found[name]} and {path}: name the folder to use with the key 'test_lists' "
                    "in a data set file (README, 'Your data')"
                )
            found[name] = path
    return found
