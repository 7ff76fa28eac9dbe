from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw.commands import GOES_ON, STARTS_AGAIN, STOPPED, group, show
from abaw.errors import InputError
from abaw.progress import Progress

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset

Store = Annotated[Path, typer.Argument(help="folder of features, made by abaw extract")]
Data = Annotated[Path | None, typer.Option(help="data set from which the features were extracted")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document")]

store = group(
    "store", order=45, help="Inspect, verify, compare, export, import, convert and prune a store of features."
)
STOPPED["store"] = STARTS_AGAIN
STOPPED["store convert"] = f"{GOES_ON}; clips that are complete are not converted again"
STOPPED["store export"] = f"{GOES_ON}; clips that are complete are not exported again"


@store.command("info")
def info(
    store: Store,
    data: Data = None,
    as_json: Json = False,
    losses: Annotated[bool, typer.Option("--losses", help="list what was lost of each clip, instead")] = False,
) -> None:
    """Show features, recipes, sizes, failures, losses, clocks and, with --data, the coverage of each split."""
    from extract.store.info import info
    from extract.store.store import FeatureStore

    with Progress("info", "folder") as progress:
        found = info(FeatureStore(store), _dataset(data), progress)
    if losses and not as_json:
        print("\n".join(f"{clip_id}: {lost}" for clip_id, lost in found.losses.items()) or "no losses")
    else:
        show(found, as_json)


@store.command("verify")
def verify(store: Store, data: Data = None, as_json: Json = False) -> None:
    """Check every file against its checksum, its recipe, its clock and, with --data, its media.

    Exits with code 1 where anything is wrong.
    """
    from extract.store.store import FeatureStore
    from extract.store.verify import verify

    with Progress("verify", "track") as progress:
        report = verify(FeatureStore(store), _dataset(data), progress)
    show(report, as_json)
    if report.faults:
        raise typer.Exit(1)


@store.command("diff")
def diff(
    a: Store,
    b: Annotated[Path, typer.Argument(help="the other store")],
    clips: Annotated[list[str] | None, typer.Option(help="only these clips; may be given several times")] = None,
    as_json: Json = False,
) -> None:
    """Compare two stores: recipes, clips, times, values. Exits with code 1 where anything differs."""
    from extract.store.diff import diff
    from extract.store.store import FeatureStore

    with Progress("diff", "folder") as progress:
        found = diff(FeatureStore(a), FeatureStore(b), clips or (), progress)
    show(found, as_json)
    if not found.equal:
        raise typer.Exit(1)


@store.command("export")
def export(
    store: Store,
    out: Annotated[Path, typer.Argument(help="folder to write <name>/<clip>.npy and <name>.about/ to")],
    encoder: Annotated[list[str], typer.Option(help="name of the features in the store; may be given several times")],
    aligned: Annotated[
        bool, typer.Option("--aligned/--rows", help="one row per frame of the clip, or the rows of the track itself")
    ] = False,
    align: Annotated[str, typer.Option(help="with --aligned: nearest, linear, window_mean or hold_last")] = "linear",
    max_gap_s: Annotated[
        float,
        typer.Option(
            help="with --aligned: largest distance in time between a frame and a row it is made from, in seconds"
        ),
    ] = 0.5,
    width_s: Annotated[
        float | None,
        typer.Option(
            help="with --align window_mean: seconds around each frame that the mean is over; default: its interval"
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or float16")] = "float32",
    form: Annotated[str, typer.Option("--format", help="npy")] = "npy",
    as_json: Json = False,
) -> None:
    """Export features as npy folders, the form that MERBench and most challenge teams use.

    OUT/<name>/<clip>.npy is (time, dim); OUT/<name>.about/ has the recipe, and the times and observed flags of every
    clip. Run the same command again to continue an export that was stopped. Exits with code 1 where a clip failed.
    """
    from abaw.configs.sections import FeatureConfig
    from extract.store.export import export
    from extract.store.store import FeatureStore

    if form != "npy":
        raise InputError(f"--format is {form!r}, expected npy, the only format so far")
    if not max_gap_s > 0:
        raise InputError(f"--max-gap-s is {max_gap_s}, expected seconds above 0")
    if width_s is not None and not 0 < width_s <= 2 * max_gap_s:
        raise InputError(f"--width-s is {width_s}, expected seconds above 0, up to twice --max-gap-s ({max_gap_s})")
    how = FeatureConfig(align=align, max_gap_s=max_gap_s, width_s=width_s) if aligned else None
    with Progress("export") as progress:
        reports = tuple(
            export(FeatureStore(store), out, name, aligned=how, dtype=dtype, progress=progress) for name in encoder
        )
    show(reports, as_json)
    if any(report.failed for report in reports):
        raise typer.Exit(1)


@store.command("import")
def import_features(
    store: Store,
    folder: Annotated[Path, typer.Argument(help="folder of <clip>.npy (time, dim), or of <clip>/<frame number>.npy")],
    name: Annotated[str, typer.Option(help="name of the features in the store and in configs")],
    times: Annotated[Path | None, typer.Option(help="folder of <clip>.npy: the time of each row in seconds")] = None,
    fps: Annotated[
        float | None, typer.Option(help="rows per second, starting at the clip's first frame or --first-s")
    ] = None,
    clock: Annotated[bool, typer.Option("--clock", help="one row per frame of the clip")] = False,
    hop_s: Annotated[float | None, typer.Option(help="seconds from row to row, starting at --first-s")] = None,
    first_s: Annotated[float | None, typer.Option(help="time of the first row in the media file, in seconds")] = None,
    first_frame: Annotated[int, typer.Option(help="with one file per frame: number of the first frame")] = 1,
    observed: Annotated[Path | None, typer.Option(help="folder of <clip>.npy: whether each row is observed")] = None,
    zeros_are_missing: Annotated[
        bool, typer.Option("--zeros-are-missing", help="rows of zeros mean that nothing was observed")
    ] = False,
    allow_short: Annotated[int, typer.Option(help="how many rows fewer than frames a clip may have")] = 0,
    allow_long: Annotated[
        int, typer.Option(help="how many rows more than frames a clip may have; they are left out")
    ] = 0,
    modality: Annotated[str, typer.Option(help="vision, audio or text")] = "vision",
    stored_dtype: Annotated[str, typer.Option(help="float16, float32 or int8")] = "float16",
    data: Annotated[
        Path | None, typer.Option(help="data set from which to make the clocks of clips that have none")
    ] = None,
    assume_fps: Annotated[
        float | None, typer.Option(help="with --data: frame rate of clips without a video, in Hz")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import features made by other programs from npy folders; what is assumed about their times is recorded.

    Give exactly one of --times, --fps, --clock and --hop-s. Rows that are all nan are not observed.
    """
    from abaw.pipelines.extraction import make_clocks
    from extract.store.import_ import RowTimes, import_folder
    from extract.store.npy_folders import find_rows
    from extract.store.store import FeatureStore

    assumed = RowTimes(times, fps, clock, hop_s, first_s, first_frame, allow_short, allow_long)
    if data is not None:
        with Progress("clocks") as progress:
            made = make_clocks(data, store, find_rows(folder, first_frame), assume_fps=assume_fps, progress=progress)
        for failure in made.failed:
            typer.echo(str(failure), err=True)
    with Progress("import") as progress:
        report = import_folder(
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
    show(report, as_json)


@store.command("convert")
def convert(
    store: Store,
    encoder: Annotated[list[str], typer.Option(help="name of the features in the store; may be given several times")],
    stored_dtype: Annotated[str, typer.Option(help="int8 or, from float32, float16")] = "int8",
    as_json: Json = False,
) -> None:
    """Write features in a smaller type beside those that there are, without encoding again.

    In int8 a value takes 8 bits. What is lost is measured, kept in the files and shown; features that would lose too
    much are refused. Exits with code 1 where a clip failed.
    """
    from extract.store.eight_bit.convert import convert
    from extract.store.store import FeatureStore

    with Progress("convert") as progress:
        reports = tuple(convert(FeatureStore(store), name, stored_dtype, progress) for name in encoder)
    show(reports, as_json)
    if any(report.failed for report in reports):
        raise typer.Exit(1)


@store.command("prune")
def prune(
    store: Store,
    encoder: Annotated[list[str] | None, typer.Option(help="features to remove; may be given several times")] = None,
    data: Annotated[Path | None, typer.Option(help="data set: clips that are not in it are removed")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="remove; without it the command only lists what it would remove")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove stale temporary files, tracks that training could not read, and the features named with --encoder."""
    from extract.store.prune import prune
    from extract.store.store import FeatureStore

    with Progress("prune", "") as progress:
        found = prune(FeatureStore(store), encoder or (), _dataset(data), yes=yes, progress=progress)
    show(found, as_json)


def _dataset(data: Path | None) -> "Dataset | None":
    from abaw.dataset.layout import open_dataset

    return None if data is None else open_dataset(data)
