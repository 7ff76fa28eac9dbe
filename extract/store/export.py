"""Export features as npy folders, the form that MERBench and most challenge teams use: ``abaw store export``.

    OUT/<name>/<clip>.npy                   (time, dim); nothing else is in the folder, because loaders read all of it
    OUT/<name>.about/about.json             the recipe, and how rows were aligned to the clock, if they were
    OUT/<name>.about/times/<clip>.npy       the time of each row in seconds
    OUT/<name>.about/observed/<clip>.npy    whether each row was observed; other rows are zeros
    OUT/<name>.about/filled/<clip>.npy      where the track has it: which faces were taken from the video
    OUT/<name>.about/done.json              clip -> the version of the track that its files were made from
    OUT/<name>.about/losses.json            clip -> what of it was lost; no file where nothing was

``import_.py`` reads such folders.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from abaw.configs.sections import FeatureConfig
from abaw.errors import InputError
from abaw.files import atomic_write, read_json, write_json
from abaw.progress import ProgressCallback, silent
from extract import ALIGNERS
from extract.store.listing import all_losses, is_outdated, track_paths
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore, Recipe
from extract.store.track_file import TrackFile

BLOCK_STEPS = 4096
NUM_CLIPS_PER_RECORD = 20  # done.json is written after as many clips; a killed run repeats fewer


@dataclass
class ExportReport:
    """What an export did: clips written, clips skipped because they were done before, and clip -> why it failed.

    ``str`` of it is text for a terminal.
    """

    folder: str
    about: str
    written: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The report line by line: the failures, then the sums."""
        yield from (f"{clip_id}: {reason}" for clip_id, reason in self.failed.items())
        yield (
            f"{self.folder}: {len(self.written)} clips written, {len(self.skipped)} done before, "
            f"{len(self.failed)} failed; times and observed flags in {self.about}"
        )


def export(
    store: FeatureStore,
    out: Path,
    name: str,
    *,
    aligned: FeatureConfig | None = None,
    dtype: str = "float32",
    progress: ProgressCallback = silent,
) -> ExportReport:
    """Write the track of every clip: its own rows or, with ``aligned``, one row for each frame of the clip's clock.

    Every file is complete or absent; clips that were exported before are skipped. A track that cannot be read is
    reported as failed, and the other clips are exported. Raises InputError where ``name`` matches no features or
    several, where the folder holds another export, or where ``dtype`` is not float32 or float16.
    """
    if dtype not in ("float32", "float16"):
        raise InputError(f"dtype is {dtype!r}, expected float32 or float16")
    if aligned is not None:
        ALIGNERS.check_settings(aligned.align, aligned.settings)
    recipe = store.find(name)
    run = _Export(store, recipe, out / recipe["name"], aligned, dtype)
    run.begin()
    paths = track_paths(store.folder(recipe))
    try:
        for done, (clip_id, path) in enumerate(paths.items()):
            progress(clip_id, done, len(paths))
            run.export_clip(clip_id, path)
            if len(run.report.written) % NUM_CLIPS_PER_RECORD == 0:
                run.record()
    finally:
        run.record()
        run.record_losses(paths)
    return run.report


class _Export:
    """The state of one export: its folder, and the clips that are done."""

    def __init__(
        self, store: FeatureStore, recipe: Recipe, folder: Path, aligned: FeatureConfig | None, dtype: str
    ) -> None:
        self.store, self.recipe, self.folder, self.aligned, self.dtype = store, recipe, folder, aligned, dtype
        self.about = folder.with_name(f"{folder.name}.about")
        self.report = ExportReport(str(folder), str(self.about))
        self._done: dict[str, str] = {}
        self._recorded: dict[str, str] = {}

    def begin(self) -> None:
        """Write about.json. Raises InputError where the folder holds another export or files of unknown origin."""
        document = {
            "store": str(self.store.root.resolve()),
            "recipe": self.recipe,
            "dtype": self.dtype,
            "rows": "the track's own" if self.aligned is None else "frames of the clip's clock",
            "align": None
            if self.aligned is None
            else self.aligned.model_dump(include={"align", "max_gap_s", "width_s"}),
        }
        path = self.about / "about.json"
        if path.exists():
            known = read_json(path)
            known = known if isinstance(known, dict) else {}
            differing = sorted(key for key in document if key not in known or known[key] != document[key])
            if differing:
                raise InputError(
                    f"{self.folder} holds another export ({', '.join(differing)} differ): export to another folder, or "
                    f"delete it and {self.about}"
                )
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise InputError(
                f"{self.folder} is not empty and was not written by abaw store export: export to another folder"
            )
        write_json(path, document)
        if (self.about / "done.json").exists():
            self._done = self._recorded = read_json(self.about / "done.json")

    def export_clip(self, clip_id: str, path: Path) -> None:
        """Write one clip's files, the values last."""
        try:
            file = TrackFile(path)
            if is_outdated(self.store, clip_id, file):
                raise InputError("it was made from other media than its clip's clock: run abaw extract again")
            version = self._version(clip_id, file)
            if self._done.get(clip_id) == version and (self.folder / f"{clip_id}.npy").exists():
                self.report.skipped.append(clip_id)
                return
            times_s, flags, blocks = self._own_rows(file) if self.aligned is None else self._aligned_rows(clip_id)
            for kind, array in {"times": times_s, **flags}.items():
                write_npy(self.about / kind / f"{clip_id}.npy", array.shape, array.dtype.name, [array])
            write_npy(self.folder / f"{clip_id}.npy", (len(times_s), file.dim), self.dtype, blocks)
        except ValueError as error:
            self.report.failed[clip_id] = str(error)
            return
        self._done = {**self._done, clip_id: version}
        self.report.written.append(clip_id)

    def record(self) -> None:
        """Write done.json where it has changed."""
        if self._done != self._recorded:
            write_json(self.about / "done.json", self._done)
            self._recorded = self._done

    def record_losses(self, clip_ids: Container[str]) -> None:
        """Write losses.json: clip -> the line of what of it was lost; no file where nothing was."""
        lost = {clip_id: str(each) for clip_id, each in all_losses(self.store).items() if clip_id in clip_ids}
        if lost:
            write_json(self.about / "losses.json", lost)
        else:
            (self.about / "losses.json").unlink(missing_ok=True)

    def _version(self, clip_id: str, file: TrackFile) -> str:
        """A text that changes with the clip's track and, for aligned rows, with its clock."""
        frames = "" if self.aligned is None else f", {len(self.store.clock(clip_id))} frames"
        content = file.metadata.get("sha256") or f"{file.path.stat().st_mtime_ns}"
        return f"{file.metadata.get('source', '')}, {len(file.times_s)} rows, {content}{frames}"

    def _own_rows(self, file: TrackFile) -> tuple[np.ndarray, dict[str, np.ndarray], Iterator[np.ndarray]]:
        return file.times_s, file.flags, (block for _, block in file.blocks())

    def _aligned_rows(self, clip_id: str) -> tuple[np.ndarray, dict[str, np.ndarray], Iterator[np.ndarray]]:
        assert self.aligned is not None
        name = self.recipe["name"]
        source = AlignedSource(self.store, {name: self.aligned}, {name: self.recipe})
        times_s = source.clock(clip_id).times_s
        parts = [times_s[first : first + BLOCK_STEPS] for first in range(0, len(times_s), BLOCK_STEPS)]
        observed = [source.read(name, clip_id, part[0], part[-1]).observed for part in parts]
        flags = {"observed": np.concatenate([np.zeros(0, bool), *observed])}
        return times_s, flags, (source.read(name, clip_id, part[0], part[-1]).values for part in parts)


def write_npy(path: Path, shape: tuple[int, ...], dtype: str, blocks: Iterable[np.ndarray]) -> None:
    """Write an npy file block by block, complete or absent. Raises InputError where a value does not fit ``dtype``."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            with np.errstate(over="ignore"):
                written = np.ascontiguousarray(block, dtype)
            if written.dtype.kind == "f" and not np.isfinite(written).all():
                raise InputError(f"{path.stem} has values that do not fit {dtype}: export it with --dtype float32")
            file.write(written.tobytes())
