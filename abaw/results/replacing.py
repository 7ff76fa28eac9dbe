"""Prediction folders that get new tables: held by one process; what this project wrote there before is replaced.

FOLDER/.former           the complete tables that are being replaced; put back where the new ones are not completed
FOLDER/.former.partial   the same, while tables are moved there or back
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from abaw.errors import InputError
from abaw.files import write_json
from abaw.files.ownership import Owner, own_folder, record_owner
from abaw.results import checksums, predictions

FORMER, PARTIAL = ".former", ".former.partial"


@contextmanager
def replace_tables(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """Hold a prediction folder for new tables of the clips ``names``.

    ``predictions.write_metadata`` in the block completes it. The tables that this project wrote there before are
    removed; where the block fails they are put back, and after a kill the next call puts them back. Raises InputError,
    before anything is written, where another process writes to the folder, or where it holds tables or a
    predictions.json that this project did not write.
    """
    with _hold(folder), _replacing(folder, names):
        yield


@contextmanager
def replace_tables_of(out: Path, clips: Mapping[str, Iterable[str]]) -> Iterator[None]:
    """``replace_tables`` for the folders ``out/<task>`` of several tasks at once, by task the clips."""
    with hold_tables_of(out, clips) as replacing, replacing(clips):
        yield


@contextmanager
def hold_tables_of(out: Path, tasks: Iterable[str]) -> Iterator[Callable[[Mapping[str, Iterable[str]]], Any]]:
    """Hold the folders ``out/<task>`` while what their tables need is still made: their tables stay until then.

    Yields ``replace_tables_of`` for folders that are held, a function of the clips by task. Raises InputError as that.
    """

    @contextmanager
    def replacing(clips: Mapping[str, Iterable[str]]) -> Iterator[None]:
        with ExitStack() as begun:
            for task in sorted(clips):
                begun.enter_context(_replacing(out / task, clips[task]))
            yield

    with ExitStack() as held:
        for task in sorted(tasks):  # in one order: of two processes one gets all, or both are refused
            held.enter_context(_hold(out / task))
        yield replacing


def _hold(folder: Path) -> AbstractContextManager[None]:
    return own_folder(folder, "predictions", "abaw predict or combine", partial(_foreign, folder), "give another --out")


@contextmanager
def _replacing(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """Of a folder that is held, take the tables away; at the end record those of the clips ``names``."""
    _put_back(folder)  # of a process that was killed
    new, old = sorted(names), predictions.clip_ids(folder)
    record_owner(folder, "predictions", tables=sorted({*old, *new}))  # before: a stop must not leave unknown ones
    _take_away(folder, old)
    try:
        yield
    except BaseException:
        _put_back(folder)
        raise
    shutil.rmtree(folder / FORMER, ignore_errors=True)
    record_owner(folder, "predictions", tables=new)


def _take_away(folder: Path, old: Iterable[str]) -> None:
    """Mark the folder as not complete, and move its tables to ``FORMER`` or, where they were not complete, remove them.

    predictions.json is moved before the tables and put back after them: a folder that lacks some is never complete.
    """
    is_complete, partial = _is_complete(folder), folder / PARTIAL
    if is_complete:
        partial.mkdir()
        shutil.copyfile(folder / predictions.METADATA, partial / predictions.METADATA)
    write_json(folder / predictions.METADATA, checksums.sealed({"complete": False}))
    for clip_id in old:
        table = folder / f"{clip_id}.parquet"
        if is_complete:
            table.rename(partial / table.name)
        else:
            table.unlink()
    if is_complete:
        partial.rename(folder / FORMER)


def _put_back(folder: Path) -> None:
    """Bring back the tables that were taken away, unless the new ones are complete."""
    former, partial = folder / FORMER, folder / PARTIAL
    if former.is_dir():
        if _is_complete(folder):
            shutil.rmtree(former)
            return
        for clip_id in predictions.clip_ids(folder):
            (folder / f"{clip_id}.parquet").unlink()
        former.rename(partial)
    if partial.is_dir():
        for table in partial.glob("*.parquet"):
            table.rename(folder / table.name)
        if (partial / predictions.METADATA).is_file():
            (partial / predictions.METADATA).replace(folder / predictions.METADATA)
        shutil.rmtree(partial)
        record_owner(folder, "predictions", tables=predictions.clip_ids(folder))


def _is_complete(folder: Path) -> bool:
    try:
        about = predictions.read_metadata(folder)
    except InputError:  # damaged: nothing can read its tables
        return False
    return bool(about) and about.get("complete") is not False


def _foreign(folder: Path, owner: Owner) -> list[str]:
    """The files in a prediction folder that would be replaced and are not of this project."""
    tables = predictions.clip_ids(folder)
    if isinstance(owner.get("tables"), list):
        return [f"{clip_id}.parquet" for clip_id in tables if clip_id not in owner["tables"]]
    about = predictions.read_metadata(folder)
    if about.keys() >= predictions.WRITTEN or (about.get("complete") is False and "writer" in about):
        return []  # by a version without owner files
    return [f"{clip_id}.parquet" for clip_id in tables] + [predictions.METADATA] * (
        folder / predictions.METADATA
    ).is_file()
