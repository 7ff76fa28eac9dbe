"""Features made elsewhere as they lie on disk: ``<clip>.npy``, or ``<clip>/<frame number>.npy``."""

from pathlib import Path

import numpy as np

from abaw.errors import InputError, NotFoundError
from abaw.files import visible


class Rows:
    """A clip's features as they lie on disk. ``places``: each row's number, from 0."""

    has_gaps = False

    def __init__(self, clip_id: str, files: list[Path]) -> None:
        self.clip_id, self.files = clip_id, files
        self._values = load(files[0])
        if self._values.ndim != 2 or not self._values.shape[1]:
            one = ": one vector for the whole clip has no time axis" if self._values.ndim == 1 else ""
            raise InputError(f"{files[0]} has the shape {self._values.shape}, expected (time, dim){one}")
        self.dim = int(self._values.shape[1])
        self.places = np.arange(len(self._values))

    def __len__(self) -> int:
        return len(self.places)

    def block(self, first: int, stop: int) -> np.ndarray:
        """Some rows in float32."""
        return _float32(self._values[first:stop])


class _FrameRows(Rows):
    """Rows of which each is a file named by its frame's number; a number that is missing is a frame without a row."""

    has_gaps = True

    def __init__(self, clip_id: str, files: list[Path], first_frame: int) -> None:
        self.clip_id = clip_id
        numbers = {int(path.stem): path for path in files}
        if len(numbers) < len(files):
            raise InputError(f"{files[0].parent} has two files of one frame: frames are numbered once, 1 or 00001")
        if min(numbers) < first_frame:
            raise InputError(
                f"{numbers[min(numbers)]} is frame {min(numbers)}, frames count from {first_frame}: give "
                "--first-frame 0 where they count from 0"
            )
        self.files = [numbers[number] for number in sorted(numbers)]  # by number: as text 10 comes before 9
        self.places = np.array(sorted(numbers)) - first_frame
        self.dim = load(self.files[0]).size

    def block(self, first: int, stop: int) -> np.ndarray:
        """Some rows in float32. ValueError where one is not as wide as the first."""
        out = np.zeros((stop - first, self.dim), np.float32)
        for row, path in enumerate(self.files[first:stop]):
            values = load(path)
            if values.size != self.dim:
                raise InputError(f"{path} has {values.size} numbers, {self.files[0].name} has {self.dim}")
            out[row] = _float32(values).ravel()
        return out


def find_rows(folder: Path, first_frame: int = 1) -> dict[str, Rows]:
    """Clip -> its rows. FileNotFoundError where there are none, ValueError where they are not of one width."""
    if not folder.is_dir():
        raise NotFoundError(f"no folder {folder}: give the folder of <clip>.npy, or of <clip>/<frame number>.npy")
    found: dict[str, Rows] = {path.stem: Rows(path.stem, [path]) for path in visible(folder, "*.npy")}
    for below in visible(folder, "*"):
        files = [path for path in visible(below, "*.npy") if path.stem.isdecimal()] if below.is_dir() else []
        if files and below.name in found:
            raise InputError(f"{folder} has both {below.name}.npy and {below.name}/: take one away")
        if files:
            found[below.name] = _FrameRows(below.name, files, first_frame)
    if not found:
        raise NotFoundError(f"{folder} holds neither <clip>.npy nor <clip>/<frame number>.npy: is it the right one?")
    dims = {rows.dim: clip_id for clip_id, rows in found.items()}
    if len(dims) > 1:
        widths = ", ".join(f"{dim} in {clip_id}" for dim, clip_id in sorted(dims.items()))
        raise InputError(f"{folder} holds features of several widths ({widths}): import one kind at a time")
    return dict(sorted(found.items()))


def load(path: Path) -> np.ndarray:
    """An array mapped from its file. ValueError where it is not one of plain numbers."""
    if not path.is_file():
        raise NotFoundError(f"no {path.name} in {path.parent}: every clip needs one")
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as an array of numbers ({error}): write it anew with numpy.save"
        ) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        raise InputError(f"{path} is no array of numbers: write it anew with numpy.save")
    return values


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what gets infinite is refused with its place
        return np.asarray(values).astype(np.float32)
