"""Features on disk made by other programs: ``<clip>.npy``, or ``<clip>/<frame number>.npy``."""

from pathlib import Path

import numpy as np

from abaw.errors import InputError, NotFoundError
from abaw.files import visible


class Rows:
    """A clip's features from one file (time, dim). ``positions``: the index of each row's frame, from 0."""

    has_gaps = False

    def __init__(self, clip_id: str, files: list[Path]) -> None:
        self.clip_id, self.files = clip_id, files
        self._values = load(files[0])
        if self._values.ndim != 2 or not self._values.shape[1]:
            hint = ": one vector for the whole clip has no time axis" if self._values.ndim == 1 else ""
            raise InputError(f"{files[0]} has the shape {self._values.shape}, expected (time, dim){hint}")
        self.dim = int(self._values.shape[1])
        self.positions = np.arange(len(self._values))

    def __len__(self) -> int:
        return len(self.positions)

    def block(self, first: int, stop: int) -> np.ndarray:
        """The rows from ``first`` to ``stop`` (excluded) in float32."""
        return _float32(self._values[first:stop])


class _FrameRows(Rows):
    """A clip's features from one file for each frame, named by its number; a missing number is a frame without row."""

    has_gaps = True

    def __init__(self, clip_id: str, files: list[Path], first_frame: int) -> None:
        self.clip_id = clip_id
        numbers = {int(path.stem): path for path in files}
        if len(numbers) < len(files):
            raise InputError(f"{files[0].parent} has two files for one frame, such as 1.npy and 00001.npy: remove one")
        if min(numbers) < first_frame:
            raise InputError(
                f"{numbers[min(numbers)]} is frame {min(numbers)}, but frames are counted from {first_frame}: give "
                "--first-frame 0 if they are counted from 0"
            )
        self.files = [numbers[number] for number in sorted(numbers)]  # by number: as text, 10 comes before 9
        self.positions = np.array(sorted(numbers)) - first_frame
        self.dim = load(self.files[0]).size

    def block(self, first: int, stop: int) -> np.ndarray:
        """The rows from ``first`` to ``stop`` (excluded) in float32. Raises InputError where one has another size."""
        out = np.zeros((stop - first, self.dim), np.float32)
        for row, path in enumerate(self.files[first:stop]):
            values = load(path)
            if values.size != self.dim:
                raise InputError(f"{path} has {values.size} values, but {self.files[0].name} has {self.dim}")
            out[row] = _float32(values).ravel()
        return out


def find_rows(folder: Path, first_frame: int = 1) -> dict[str, Rows]:
    """Clip -> its features, sorted by clip.

    Raises NotFoundError where there is no folder or no such file, InputError where the features have several widths or
    a clip has both a file and a folder.
    """
    if not folder.is_dir():
        raise NotFoundError(f"no folder {folder}: give the folder of <clip>.npy, or of <clip>/<frame number>.npy")
    found: dict[str, Rows] = {path.stem: Rows(path.stem, [path]) for path in visible(folder, "*.npy")}
    for subfolder in visible(folder, "*"):
        files = (
            [path for path in visible(subfolder, "*.npy") if path.stem.isascii() and path.stem.isdecimal()]
            if subfolder.is_dir()
            else []
        )
        if files and subfolder.name in found:
            raise InputError(f"{folder} has both {subfolder.name}.npy and {subfolder.name}/: remove one of them")
        if files:
            found[subfolder.name] = _FrameRows(subfolder.name, files, first_frame)
    if not found:
        raise NotFoundError(f"{folder} holds neither <clip>.npy nor <clip>/<frame number>.npy: is it the right folder?")
    dims = {rows.dim: clip_id for clip_id, rows in found.items()}
    if len(dims) > 1:
        widths = ", ".join(f"{dim} in {clip_id}" for dim, clip_id in sorted(dims.items()))
        raise InputError(f"{folder} holds features of several widths ({widths}): import each kind from its own folder")
    return dict(sorted(found.items()))


def load(path: Path) -> np.ndarray:
    """An npy file, mapped into memory. Raises InputError where it is not an array of numbers, NotFoundError without it.

    Arrays of Python objects, which would have to be unpickled, are refused.
    """
    if not path.is_file():
        raise NotFoundError(f"no {path.name} in {path.parent}: every clip needs one")
    advice = "write it again with numpy.save"
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} cannot be read as an array of numbers ({error}): {advice}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        raise InputError(f"{path} is not an array of numbers: {advice}")
    return values


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # values that become infinite are reported with their place later
        return np.asarray(values).astype(np.float32)
