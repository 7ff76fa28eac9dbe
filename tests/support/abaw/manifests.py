"""Manifests in temporary folders: a YAML file, its table, and media files without content."""

from abaw.dataset.layout import open_dataset

CLASSES = "classes: {column: emotion, names: [angry, happy, neutral], aliases: {hap: happy}}\n"
VALUES = "values: {columns: [pain, effort], range: [0, 10]}\n"


def write_manifest(folder, table, keys=CLASSES, *, media=(), name="clips.csv"):
    """A data set file in ``folder`` whose manifest is this text; ``media``: files to make. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in media:
        (folder / each).parent.mkdir(parents=True, exist_ok=True)
        (folder / each).write_bytes(b"")
    if isinstance(table, str):
        (folder / name).write_text(table, encoding="utf-8")
    else:
        (folder / name).write_bytes(table)
    (folder / "set.yaml").write_text(f"manifest: {name}\n{keys}", encoding="utf-8")
    return folder / "set.yaml"


def open_manifest(folder, table, keys=CLASSES, **more):
    """The data set of a manifest in a folder."""
    return open_dataset(write_manifest(folder, table, keys, **more))
