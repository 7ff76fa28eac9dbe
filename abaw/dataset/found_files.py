"""One walk over the folders of a data set: media, lists, folders of face images and folders of labels."""

import os
import stat
from collections.abc import Container, Iterable
from pathlib import Path

from abaw.dataset.face_images import OPENFACE, FaceImages, find_images, is_image, parse_image_name
from abaw.dataset.media_files import MEDIA_SUFFIXES, is_media
from abaw.dataset.split_files import IMAGE_NAME
from abaw.errors import InputError

SPLIT_FOLDERS = {"Train_Set": "train", "Validation_Set": "validation"}


class FoundFiles:
    """What one walk over the folders finds: media and lists, folders of images, and folders of labels.

    ``folders_from_0`` hold an image numbered 0, ``openface_folders`` OpenFace's names, and ``unread_folders`` images
    whose names hold no frame number.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.image_folders: list[Path] = []
        self.label_folders: list[Path] = []
        self.folders_from_0: set[Path] = set()
        self.openface_folders: set[Path] = set()
        self.unread_folders: list[Path] = []
        self.num_special = 0  # pipes, devices, sockets and links to nothing: opening them may block
        self._walked: set[Path] = set()

    def walk(self, folder: Path, is_base: bool = True) -> None:
        if folder.is_file():  # named in a data set file
            self.files.append(folder)
            return
        real = folder.resolve()
        if real in self._walked:  # a link that leads back to a folder above
            return
        self._walked.add(real)
        names = os.listdir(folder)
        # no path is made of an image: they are many
        others = [name for name in names if not IMAGE_NAME.fullmatch(name)]
        if self._add_images(folder, names, others, is_base):
            others = [name for name in others if not is_image(name)]
        for path in (folder / name for name in sorted(others) if not name.startswith(".")):
            mode = _mode(path)
            if not stat.S_ISDIR(mode):
                if stat.S_ISREG(mode) or path.suffix.lower() in MEDIA_SUFFIXES:  # of media the clip is to fail
                    self.files.append(path)
                else:
                    self.num_special += 1
            elif path.name in SPLIT_FOLDERS:
                self.label_folders.append(path)
            else:
                num_files, num_others = len(self.files), self._num_folders()
                self.walk(path, is_base=False)
                is_empty = self._num_folders() == num_others and not any(map(is_media, self.files[num_files:]))
                if is_empty and path.suffix.lower() in MEDIA_SUFFIXES:
                    self.files.append(path)  # a clip that fails, instead of one that is missed

    def _num_folders(self) -> int:
        return len(self.image_folders) + len(self.label_folders) + len(self.unread_folders)

    def _add_images(self, folder: Path, names: list[str], others: list[str], is_base: bool) -> bool:
        """Whether the images in a folder are those of a clip; ``others``: without the organisers' names."""
        images = [name for name in others if is_image(name)]
        if len(others) < len(names):
            found = FaceImages(first=int("00000.jpg" not in names))
        elif not images or is_base or any(os.path.splitext(name)[1].lower() in MEDIA_SUFFIXES for name in others):
            return False  # pictures beside videos are their thumbnails
        elif any(parse_image_name(folder.name, name)[1] is not None for name in images):
            found = find_images(folder, names)
        else:
            self.unread_folders.append(folder)
            return False
        self.image_folders.append(folder)
        if (images and find_images(folder, names).first == 0) or found.first == 0:
            self.folders_from_0.add(folder)
        if any(map(OPENFACE.match, found.names.values())):
            self.openface_folders.add(folder)
        return True


def _mode(path: Path) -> int:
    """The type of what a path leads to; 0 where that is nothing or cannot be known."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def below(paths: Iterable[Path], folders: list[Path] | None) -> list[Path]:
    if folders is None:
        return list(paths)
    return [path for path in paths if any(path == folder or path.is_relative_to(folder) for folder in folders)]


def images_by_clip(folders: Iterable[Path], openface_folders: Container[Path]) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for folder in folders:
        name = folder.name.removesuffix("_aligned") if folder in openface_folders else folder.name
        if name in images:
            raise InputError(
                f"clip {name!r} has two folders of images, {images[name]} and {folder}: name the image "
                "roots to use with the key 'images' in a data set file (README, 'Your data')"
            )
        images[name] = folder
    return images


def numbering_doubts(folders: Iterable[Path], folders_from_0: Container[Path]) -> dict[Path | None, str]:
    """Folders without an image 0 where most others of their image root have one: frame 1 may be image 0 or 1."""
    by_root: dict[Path, list[Path]] = {}
    for folder in folders:
        by_root.setdefault(folder.parent, []).append(folder)
    doubts: dict[Path | None, str] = {}
    for root, of_root in by_root.items():
        others = [folder for folder in of_root if folder not in folders_from_0]
        num_from_0 = len(of_root) - len(others)
        if num_from_0 > len(others):
            message = (
                f"{{}} has no image 0, but {num_from_0} of the {len(of_root)} folders in {root} have one: say with the "
                "key first_image (0 or 1) in a data set file which number is frame 1 (README, 'Your data')"
            )
            doubts |= {folder: message.format(folder) for folder in others}
    return doubts
