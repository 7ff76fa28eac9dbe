import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abaw.errors import InputError

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset

Store = Annotated[Path, typer.Argument(help="the folder of features that abaw extract made")]
Data = Annotated[Path | None, typer.Option(help="the data set the features are of")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document")]

store = typer.Typer(
    help="What a store of features holds, whether it is sound, and what goes in and out of it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@store.command("info")
def info(store: Store, data: Data = None, as_json: Json = False) -> None:
    """Encoders, recipes, sizes, failures, clocks and, with --data, how much of each split is there."""
    from abaw.progress import Progress
    from extract.store.store import FeatureStore, info

    with Progress("info") as progress:
        found = info.info(FeatureStore(store), _dataset(data), progress)
    _tell(found, info.render, as_json)


@store.command("verify")
def verify(store: Store, data: Data = None, as_json: Json = False) -> None:
    """Checksums, shapes, times and values of every file, against its recipe, its clock and, with --data, its media.

    Exits 1 where anything is wrong.
    """
    from abaw.progress import Progress
    from extract.store.store import FeatureStore, verify

    with Progress("verify") as progress:
        report = verify.verify(FeatureStore(store), _dataset(data), progress)
    _tell(report, verify.render, as_json)
    if report.faults:
        raise typer.Exit(1)


@store.command("diff")
def diff(
    a: Store,
    b: Annotated[Path, typer.Argument(help="the other one")],
    clips: Annotated[list[str] | None, typer.Option(help="only these; may be given several times")] = None,
    as_json: Json = False,
) -> None:
    """What differs between two stores: recipes, clips, times, values. Exits 1 where anything does."""
    from abaw.progress import Progress
    from extract.store.store import FeatureStore, diff

    with Progress("diff") as progress:
        found = diff.diff(FeatureStore(a), FeatureStore(b), clips or (), progress)
    _tell(found, diff.render, as_json)
    if not found.equal:
        raise typer.Exit(1)


@store.command("export")
def export(
    store: Store,
    out: Annotated[Path, typer.Argument(help="where <name>/<clip>.npy and <name>.about/ are made")],
    encoder: Annotated[list[str], typer.Option(help="features by their name in the store; may be given several times")],
    aligned: Annotated[
        bool, typer.Option("--aligned/--rows", help="a row per frame of the clip, or the track's own")
    ] = False,
    align: Annotated[str, typer.Option(help="with --aligned: nearest, linear, window_mean or hold_last")] = "linear",
    max_gap_s: Annotated[float, typer.Option(help="with --aligned: how far in seconds a row may serve")] = 0.5,
    dtype: Annotated[str, typer.Option(help="float32 or float16")] = "float32",
    form: Annotated[str, typer.Option("--format", help="npy")] = "npy",
    as_json: Json = False,
) -> None:
    """Features as npy folders, as MERBench and most challenge teams keep them; goes on where it was stopped.

    OUT/<name>/<clip>.npy is (time, dim); OUT/<name>.about/ has the recipe, and times/ and observed/ of every clip.
    """
    from abaw.config import FeatureConfig
    from abaw.progress import Progress
    from extract.store.store import FeatureStore, export

    if form != "npy":
        raise InputError(f"--format is {form!r}, expected npy: there is no other yet")
    if not max_gap_s > 0:
        raise InputError(f"--max-gap-s is {max_gap_s}, expected seconds above 0")
    how = FeatureConfig(align=align, max_gap_s=max_gap_s) if aligned else None
    with Progress("export") as progress:
        reports = [
            export.export(FeatureStore(store), out, name, aligned=how, dtype=dtype, progress=progress)
            for name in encoder
        ]
    _tell(reports, lambda reports: "\n".join(map(export.render, reports)), as_json)
    if any(report.failed for report in reports):
        raise typer.Exit(1)


@store.command("import")
def import_folder(
    store: Store,
    folder: Annotated[Path, typer.Argument(help="of <clip>.npy (time, dim), or of <clip>/<frame number>.npy")],
    name: Annotated[str, typer.Option(help="what the features are called in the store and in configs")],
    times: Annotated[Path | None, typer.Option(help="a folder of <clip>.npy: each row's time in seconds")] = None,
    fps: Annotated[
        float | None, typer.Option(help="rows a second, from the clip's first frame or --first-s on")
    ] = None,
    clock: Annotated[bool, typer.Option("--clock", help="a row per frame of the clip")] = False,
    hop_s: Annotated[float | None, typer.Option(help="seconds from row to row, from --first-s on")] = None,
    first_s: Annotated[float | None, typer.Option(help="time of the first row in the container, in seconds")] = None,
    first_frame: Annotated[int, typer.Option(help="the number of the first frame, with a file a frame")] = 1,
    observed: Annotated[Path | None, typer.Option(help="a folder of <clip>.npy: whether each row is observed")] = None,
    zeros_are_missing: Annotated[
        bool, typer.Option("--zeros-are-missing", help="rows all zero stand where nothing was found")
    ] = False,
    allow_short: Annotated[int, typer.Option(help="rows that a clip may have less than frames")] = 0,
    allow_long: Annotated[int, typer.Option(help="rows that a clip may have more; they are left out")] = 0,
    modality: Annotated[str, typer.Option(help="vision, audio or text")] = "vision",
    stored_dtype: Annotated[str, typer.Option(help="float16 or float32")] = "float16",
    data: Annotated[Path | None, typer.Option(help="the data set, for clips that have no clock yet")] = None,
    assume_fps: Annotated[float | None, typer.Option(help="with --data: frame rate where no video tells it")] = None,
    as_json: Json = False,
) -> None:
    """Features made elsewhere, npy folders in; what is assumed of their times goes on the record.

    Rows all nan are not observed. Clips without a clock get theirs from --data.
    """
    from abaw.progress import Progress
    from extract.store.import_ import RowTimes
    from extract.store.npy_folders import find_rows
    from extract.store.store import FeatureStore, import_

    assumed = RowTimes(times, fps, clock, hop_s, first_s, first_frame, allow_short, allow_long)
    if data is not None:
        _make_clocks(store, data, list(find_rows(folder, first_frame)), assume_fps)
    with Progress("import") as progress:
        report = import_.import_folder(
            FeatureStore(store),
            folder,
            name,
            assumed,
            modality=modality,
            observed=observed,
            zeros_are_missing=zeros_are_missing,
            stored_dtype=stored_dtype,
            progress=progress,
        )
    _tell(report, import_.render, as_json)


@store.command("prune")
def prune(
    store: Store,
    encoder: Annotated[list[str] | None, typer.Option(help="features to remove; may be given several times")] = None,
    data: Annotated[Path | None, typer.Option(help="a data set: clips that it does not have go")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="remove; without it nothing is touched")] = False,
    as_json: Json = False,
) -> None:
    """What can go: leavings of stopped processes, tracks of other media than their clock, and what is named."""
    from extract.store.store import FeatureStore
    from extract.store.store import prune as pruning

    pruned = pruning.prune(FeatureStore(store), encoder or (), _dataset(data), yes=yes)
    _tell(pruned, pruning.render, as_json)


def _make_clocks(store: Path, data: Path, clips: list[str], assume_fps: float | None) -> None:
    """Clocks of the clips that have none, from their media; nothing is encoded."""
    from abaw.commands.extract import tell_report
    from abaw.dataset.layout import open_dataset
    from abaw.pipelines.extraction import build
    from abaw.progress import Progress
    from extract.engine import run
    from extract.store.import_ import clocks_lacking
    from extract.store.store import FeatureStore

    dataset = open_dataset(data)
    lacking = [clip_id for clip_id in clocks_lacking(FeatureStore(store), clips) if clip_id in dataset.clips]
    nobody = build((), faces="haar", target="largest", detect_every=1, device="cpu", download=False)
    with Progress("clocks") as progress:
        report = run.extract(
            dataset, FeatureStore(store), *nobody, assume_fps=assume_fps, clip_ids=lacking, progress=progress
        )
    tell_report(report)


def _dataset(data: Path | None) -> "Dataset | None":
    from abaw.dataset.layout import open_dataset

    return None if data is None else open_dataset(data)


def _tell(found: Any, render: Callable[[Any], str], as_json: bool) -> None:
    """For people, or as JSON; a number that JSON does not have is an error, not a surprise to its reader."""
    from dataclasses import asdict

    if as_json:
        document = [asdict(each) for each in found] if isinstance(found, list) else asdict(found)
        print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print(render(found))
