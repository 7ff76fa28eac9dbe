"""Tracks of a store in a smaller type, without encoding again: ``abaw store convert``."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from abaw.errors import InputError
from abaw.progress import ProgressCallback, silent
from extract.store.eight_bit.summary import Int8Summary, Int8Track, summarise
from extract.store.leases import Leases
from extract.store.listing import format_bytes, is_outdated, track_paths
from extract.store.packs.index import num_bytes, packed_clips
from extract.store.packs.writing import pack
from extract.store.store import FeatureStore, Recipe
from extract.store.tensor_file import BODY_SUM, HEADER_SUM
from extract.store.track_file import TrackFile, check_stored_dtype

# stored type, wanted type -> the type that the recipe of the new tracks names
CONVERSIONS = {
    ("float32", "float16"): "float16",
    ("float32", "int8"): "int8",
    ("float16", "int8"): "int8_from_float16",
}

NUM_IN_PACK = 500  # clips of still pictures that are leased at a time


@dataclass
class ConvertReport:
    """What a conversion did: clips written, clips done before, and clip -> why it failed; ``str`` of it is text.

    ``num_bytes``: of the files before and after.
    """

    store: str
    before: str
    after: str
    written: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    num_bytes: tuple[int, int] = (0, 0)
    int8: Int8Summary | None = None

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The report line by line: the failures, the error, the sums."""
        yield from (f"{clip_id}: {reason}" for clip_id, reason in self.failed.items())
        if self.int8 is not None:
            yield str(self.int8)
        before, after = map(format_bytes, self.num_bytes)
        yield (
            f"{self.after}: {len(self.written)} clips written, {len(self.skipped)} done before, {len(self.failed)} "
            f"failed; {after} of files, {before} in {self.before}"
        )
        if not self.failed:
            yield (
                f"the store has both: name {self.after} in configs, or remove the former by abaw store prune "
                f"{self.store} --encoder {self.before} --yes"
            )


def convert(
    store: FeatureStore, name: str, stored_dtype: str = "int8", progress: ProgressCallback = silent
) -> ConvertReport:
    """Write the tracks named ``name`` in a smaller type beside those that there are; clips done before are skipped.

    Tracks in float32 become what an extraction in the smaller type writes, under its recipe. Those in float16 become
    int8 with ``stored_dtype`` int8_from_float16 in their recipe: an extraction with it rounds to float16 first and
    gives the same numbers. A track that cannot be read, or that would lose too much, is reported as failed. Raises
    InputError where ``name`` matches no features or several, or its type cannot become ``stored_dtype``; NotFoundError
    where there is no store.
    """
    check_stored_dtype(stored_dtype, "--stored-dtype")
    recipe = _find(store, name, stored_dtype)
    now = recipe.get("stored_dtype", "float16")
    if (now, stored_dtype) not in CONVERSIONS:
        possible = ", ".join(f"{one} to {other}" for one, other in CONVERSIONS)
        raise InputError(
            f"{store.folder(recipe)} is stored in {now}, which cannot become {stored_dtype}; possible are {possible}: "
            "extract or import the features again in that type"
        )
    new = {**recipe, "stored_dtype": CONVERSIONS[now, stored_dtype]}
    report = ConvertReport(str(store.root), store.folder(recipe).name, store.folder(new).name)
    run = _Conversion(store, recipe, new, report)
    paths = track_paths(store.folder(recipe))
    with Leases(store.root / ".leases") as leases:
        for done, (clip_id, path) in enumerate(paths.items()):
            progress(clip_id, done, len(paths))
            if not leases.acquire(clip_id):
                report.failed[clip_id] = "another process works on this clip: run the same command again"
                continue
            try:
                run.convert_clip(clip_id, path)
            finally:
                if clip_id not in run.to_pack:
                    leases.release(clip_id)
            if len(run.to_pack) >= NUM_IN_PACK:
                run.pack(leases)
        run.pack(leases)
    report.int8 = summarise(run.in_int8)
    return report


def _find(store: FeatureStore, name: str, stored_dtype: str) -> Recipe:
    """As ``store.find``; of several recipes of a name the only one that can be converted, as a second run needs."""
    recipes = [recipe for recipe in store.recipes().values() if "encoder" in recipe and recipe["name"] == name]
    able = [each for each in recipes if (each.get("stored_dtype", "float16"), stored_dtype) in CONVERSIONS]
    return able[0] if len(able) == 1 else store.find(name)


class _Conversion:
    """The state of one conversion: what is in int8 by now, and the still pictures whose tracks go into packs."""

    def __init__(self, store: FeatureStore, before: Recipe, after: Recipe, report: ConvertReport) -> None:
        self._store, self._after, self._report = store, after, report
        self._packed = packed_clips(store.folder(before))
        self.to_pack: list[str] = []
        self.in_int8: list[Int8Track] = []

    def convert_clip(self, clip_id: str, path: Path) -> None:
        """Write a clip's track where it is not there; what is wrong with it is reported."""
        target, report = self._store.track_path(self._after, clip_id), self._report
        try:
            file = TrackFile(path)
            if is_outdated(self._store, clip_id, file):
                raise InputError("it was made from other media than its clip's clock: run abaw extract again")
            if self._store.has(self._after, clip_id, file.metadata.get("source")):
                report.skipped.append(clip_id)
            else:
                self._write(clip_id, file)
                report.written.append(clip_id)
                if clip_id in self._packed:
                    self.to_pack.append(clip_id)
            written = TrackFile(target)
        except ValueError as error:
            report.failed[clip_id] = str(error)
            return
        report.num_bytes = report.num_bytes[0] + num_bytes(path), report.num_bytes[1] + num_bytes(target)
        if written.is_int8:
            self.in_int8.append(Int8Track.of(written))

    def _write(self, clip_id: str, file: TrackFile) -> None:
        about = {key: text for key, text in file.metadata.items() if key not in (BODY_SUM, HEADER_SUM)}
        with self._store.writer(self._after, clip_id, file.dim) as writer:
            for first, block in file.blocks():
                writer.add(block[file.observed[first : first + len(block)]])
            writer.finish(file.times_s, file.observed, about, file.flags.get("filled"))

    def pack(self, leases: Leases) -> None:
        """Move the tracks of still pictures into a pack, and end the leases on their clips."""
        pack(self._store.root, self._store.folder(self._after), self.to_pack)
        for clip_id in self.to_pack:
            leases.release(clip_id)
        self.to_pack.clear()
