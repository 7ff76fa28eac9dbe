"""Features for other programs: npy folders as MERBench and most challenge teams keep them.

    OUT/<name>/<clip>.npy                   (time, dim), nothing else in the folder: loaders take all they find
    OUT/<name>.about/about.json             the recipe, and how rows were brought onto the clock, where they were
    OUT/<name>.about/times/<clip>.npy       seconds, one a row
    OUT/<name>.about/observed/<clip>.npy    whether there was anything to see or hear; the row is zeros where not
    OUT/<name>.about/filled/<clip>.npy      where the track knows which faces were filled from the video
    OUT/<name>.about/done.json              which track each clip's files were made from

``extract/storage/intake.py`` takes such folders in.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from abaw.configs.sections import FeatureConfig
from abaw.errors import InputError
from abaw.files import atomic_write, read_json, write_json
from extract import ALIGNERS
from extract.store.listing import ProgressCallback, TrackFile, is_stale, silent, tracks
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore, Recipe

BLOCK_STEPS = 4096
NOTED_EVERY = 20  # clips after which what is done is noted: a run that is killed does as many again


@dataclass
class ExportReport:
    """What an export did: clips written now, clips that were there already, clips that could not be read and why."""

    folder: str
    about: str
    made: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return _text(self)


def export(
    store: FeatureStore,
    out: Path,
    name: str,
    *,
    aligned: FeatureConfig | None = None,
    dtype: str = "float32",
    progress: ProgressCallback = silent,
) -> ExportReport:
    """Write every clip's track: its own rows, or with ``aligned`` one row per frame of the clip's clock.

    Every file is whole or absent; what is done already is skipped. A track that cannot be read is reported and the
    others go on. ValueError where ``name`` fits no features or several, where the folder holds another export, or
    ``dtype`` is not float32 or float16.
    """
    if dtype not in ("float32", "float16"):
        raise InputError(f"dtype is {dtype!r}, expected float32 or float16")
    if aligned is not None:
        ALIGNERS.part(aligned.align)
    recipe = store.find(name)
    work = _Work(store, recipe, out / recipe["name"], aligned, dtype)
    work.begin()
    found = tracks(store.folder(recipe))
    try:
        for done, (clip_id, path) in enumerate(found.items()):
            progress(clip_id, done, len(found))
            work.clip(clip_id, path)
            if len(work.report.made) % NOTED_EVERY == 0:
                work.note()
    finally:
        work.note()
    return work.report


class _Work:
    """One export: where to, and what of it is done."""

    def __init__(
        self, store: FeatureStore, recipe: Recipe, folder: Path, aligned: FeatureConfig | None, dtype: str
    ) -> None:
        self.store, self.recipe, self.folder, self.aligned, self.dtype = store, recipe, folder, aligned, dtype
        self.about = folder.with_name(f"{folder.name}.about")
        self.report = ExportReport(str(folder), str(self.about))
        self._done: dict[str, str] = {}
        self._noted: dict[str, str] = {}

    def begin(self) -> None:
        """Say what the folder is of. ValueError where it is of something else, or nothing says of what."""
        document = {
            "store": str(self.store.root.resolve()),
            "recipe": self.recipe,
            "dtype": self.dtype,
            "rows": "the track's own" if self.aligned is None else "frames of the clip's clock",
            "align": None if self.aligned is None else self.aligned.model_dump(include={"align", "max_gap_s"}),
        }
        path = self.about / "about.json"
        if path.exists():
            known = read_json(path)
            differing = sorted(
                key for key in document if not isinstance(known, dict) or known.get(key) != document[key]
            )
            if differing:
                raise InputError(
                    f"{self.folder} holds another export (its {', '.join(differing)} differ): export to another "
                    f"folder, or delete it and {self.about}"
                )
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise InputError(f"{self.folder} is not empty and no export of ours: export to another folder")
        write_json(path, document)
        if (self.about / "done.json").exists():
            self._done = self._noted = read_json(self.about / "done.json")

    def clip(self, clip_id: str, path: Path) -> None:
        """Write one clip's files, the values last."""
        try:
            file = TrackFile(path)
            if is_stale(self.store, clip_id, file):
                raise InputError("it is of other media than its clip's clock: run abaw extract again")
            made_of = self._stamp(clip_id, file)
            if self._done.get(clip_id) == made_of and (self.folder / f"{clip_id}.npy").exists():
                self.report.present.append(clip_id)
                return
            times_s, flags, blocks = self._own(file) if self.aligned is None else self._on_clock(clip_id)
            for kind, array in {"times": times_s, **flags}.items():
                _write(self.about / kind / f"{clip_id}.npy", array.shape, array.dtype.name, iter([array]))
            _write(self.folder / f"{clip_id}.npy", (len(times_s), file.shape[1]), self.dtype, blocks)
        except ValueError as error:
            self.report.failed[clip_id] = str(error)
            return
        self._done = {**self._done, clip_id: made_of}
        self.report.made.append(clip_id)

    def note(self) -> None:
        """Keep which clips are done."""
        if self._done != self._noted:
            write_json(self.about / "done.json", self._done)
            self._noted = self._done

    def _stamp(self, clip_id: str, file: TrackFile) -> str:
        """Tells one version of a clip's track from another, and of its clock where rows are the clock's."""
        frames = "" if self.aligned is None else f", {len(self.store.clock(clip_id))} frames"
        written = file.metadata.get("sha256") or f"{file.path.stat().st_mtime_ns}"
        return f"{file.metadata.get('source', '')}, {len(file.times_s)} rows, {written}{frames}"

    def _own(self, file: TrackFile) -> tuple[np.ndarray, dict[str, np.ndarray], Iterator[np.ndarray]]:
        return file.times_s, file.flags, (block for _, block in file.blocks())

    def _on_clock(self, clip_id: str) -> tuple[np.ndarray, dict[str, np.ndarray], Iterator[np.ndarray]]:
        assert self.aligned is not None
        name = self.recipe["name"]
        source = AlignedSource(self.store, {name: self.aligned}, {name: self.recipe})
        times_s = source.clock(clip_id).times_s
        parts = [times_s[first : first + BLOCK_STEPS] for first in range(0, len(times_s), BLOCK_STEPS)]
        observed = [source.read(name, clip_id, part[0], part[-1]).observed for part in parts]
        flags = {"observed": np.concatenate([np.zeros(0, bool), *observed])}
        return times_s, flags, (source.read(name, clip_id, part[0], part[-1]).values for part in parts)


def _write(path: Path, shape: tuple[int, ...], dtype: str, blocks: Iterator[np.ndarray]) -> None:
    """An npy file, written block by block; ValueError where the number format cannot hold a value."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            with np.errstate(over="ignore"):
                written = np.ascontiguousarray(block, dtype)
            if written.dtype.kind == "f" and not np.isfinite(written).all():
                raise InputError(f"{path.stem} holds values that {dtype} cannot: export it with --dtype float32")
            file.write(written.tobytes())


def _text(report: ExportReport) -> str:
    """What failed and why, and where the rest is."""
    lines = [f"{clip_id}: {why}" for clip_id, why in report.failed.items()]
    counts = f"{len(report.made)} clips written, {len(report.present)} done before, {len(report.failed)} failed"
    return "\n".join([*lines, f"{report.folder}: {counts}; times and observed flags in {report.about}"])
