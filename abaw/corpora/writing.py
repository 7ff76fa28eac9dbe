"""A manifest for a corpus: a table of its clips and labels, and the data set file that explains the table."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abaw.corpora import CORPORA
from abaw.corpora.base import Corpus, Row
from abaw.dataset.found_files import SPLIT_FOLDERS
from abaw.dataset.media_files import printable
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path, atomic_write
from abaw.files.csv_cells import csv_text
from abaw.files.yaml import dump_yaml
from abaw.numbers import format_count

FIRST_COLUMNS = ("path", "clip", "split", "group", "fps", "start_s", "stop_s")


@dataclass(frozen=True)
class ManifestReport:
    """The data set file ``path`` that was written, and what its manifest holds. As text: a summary.

    ``num_clips`` by split, ``num_groups``, ``num_labels`` by class ({} for values). ``num_absent``: clips that the
    corpus lists and whose files are not on disk; they are left out. ``notes``: what a user must know.
    """

    path: Path
    num_clips: Mapping[str, int]
    num_groups: int
    num_labels: Mapping[str, int]
    num_absent: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        total = sum(self.num_clips.values())
        splits = ", ".join(f"{split} {num}" for split, num in self.num_clips.items())
        lines = [f"{self.path}: {format_count(total, 'clip')} ({splits})"]
        lines += [f"{format_count(self.num_groups, 'group')}"] * bool(self.num_groups)
        lines += [", ".join(f"{name} {num}" for name, num in self.num_labels.items())] * bool(self.num_labels)
        if self.num_absent:
            lines.append(f"{format_count(self.num_absent, 'clip')} that the corpus lists left out: no such file")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def make_manifest(
    corpus: str,
    folder: str | Path,
    out: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    with_affwild2: bool = False,
) -> ManifestReport:
    """Write a manifest for a corpus in its official layout: ``out`` (YAML) and a table of the same name (CSV).

    For labels of frames there is also a folder with a table for each clip.

    ``corpus``: its name (``abaw list corpora``). ``folder``: where it was unpacked. ``settings``: choices that the
    corpus offers. Paths in the files are relative, so that they can be moved together with the corpus.

    Raises InputError where a label is not one of the corpus, ``out`` exists with another content, or Aff-Wild2 lies
    below the folder (``with_affwild2`` allows that: its licence restricts what it may be combined with); NotFoundError
    where the corpus is not in the folder.
    """
    folder, out = as_path(folder, "folder"), as_path(out, "out")
    if out.suffix not in (".yaml", ".yml"):
        raise InputError(f"--out is {out}, expected the name of a data set file, such as {corpus}.yaml")
    if not folder.is_dir():
        raise NotFoundError(f"no folder {folder}: give the folder in which the corpus was unpacked")
    found: Corpus = CORPORA.build(corpus, folder=folder.resolve(), **(settings or {}))
    if not with_affwild2:
        _check_no_affwild2(folder)
    table = out.with_suffix(".csv")
    try:
        files = {out.parent / name: text.encode() for name, text in _label_files(found, out.stem).items()}
        files |= {table: _to_csv(_with_label_files(found, out.stem)).encode()}
        files |= {out: _to_yaml(found, table, corpus).encode()}
    except UnicodeEncodeError as error:
        name = printable(str(error.object).splitlines()[str(error.object).count("\n", 0, error.start)])
        raise InputError(f"below {folder}, the name in '{name}' is not UTF-8: rename the file or its folder") from error
    for path, content in files.items():
        if path.exists() and path.read_bytes() != content:
            raise InputError(f"{path} exists and holds something else: give another --out, or remove it")
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    return _report(out, found)


def _check_no_affwild2(folder: Path) -> None:
    for path in sorted(folder.rglob("*_Challenge")):
        if any((path / name).is_dir() for name in SPLIT_FOLDERS):
            raise InputError(
                f"{folder} holds label files of Aff-Wild2 ({path}), whose licence restricts what it may be combined "
                "with: give the folder of this corpus alone, or --with-affwild2 if you are allowed to"
            )


def _label_files(corpus: Corpus, stem: str) -> dict[str, str]:
    """The tables of frames, by their paths relative to the manifest."""
    return {f"{stem}_labels/{name}.csv": _to_csv(rows) for name, rows in corpus.frame_labels.items()}


def _with_label_files(corpus: Corpus, stem: str) -> list[Row]:
    """The rows of the manifest with the paths of their tables of frames."""
    return [{**row, "labels": f"{stem}_labels/{row['labels']}.csv"} if "labels" in row else row for row in corpus.rows]


def _to_csv(rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys([*FIRST_COLUMNS, *(key for row in rows for key in row)]))
    columns = [column for column in columns if any(column in row for row in rows)]
    return csv_text([columns, *([row.get(column, "") for column in columns] for row in rows)])


def _to_yaml(corpus: Corpus, table: Path, name: str) -> str:
    media = Path(os.path.relpath(corpus.media, table.parent.resolve())).as_posix()
    return f"# {name}, written by abaw manifest\n{dump_yaml({'manifest': table.name, 'media': media, **corpus.labels})}"


def _report(out: Path, corpus: Corpus) -> ManifestReport:
    splits = Counter(row.get("split", "train") for row in corpus.rows)
    column = corpus.labels.get("classes", {}).get("column")
    labels = Counter(row[column] for row in corpus.rows) if column else Counter()
    names = corpus.labels["classes"]["names"] if column else ()
    num_labels = {name: labels[name] for name in names}
    groups = {row["group"] for row in corpus.rows if "group" in row}
    return ManifestReport(out, dict(splits), len(groups), num_labels, corpus.num_absent, corpus.notes)
