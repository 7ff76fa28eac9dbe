"""Which data sets are synthetic: what was trained on them knows drawn faces and synthesised voices alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from abaw.dataset.layout import Dataset

RECORD = "synth.json"  # in the folder of a synthetic data set
DEPTH = 4  # from a media file up to that folder: videos/batch1/1.mp4

Kind = Literal["synthetic", "manifest", "Aff-Wild2's layout"]


def kind_of(dataset: Dataset) -> Kind:
    """What kind of data set it is; synthetic also where only its media are in a folder that ``abaw synth`` made."""
    media = [path for clip in dataset.clips.values() if (path := clip.media or clip.images) is not None]
    if is_synthetic_folder(dataset.root) or (media and are_synthetic(media)):
        return "synthetic"
    return "Aff-Wild2's layout" if dataset.manifest is None else "manifest"


def are_synthetic(media: Iterable[Path]) -> bool:
    """Whether all of these files and folders are in synthetic data sets."""
    folders = {folder for path in media for folder in [path.absolute().parent]}
    return all(any(map(is_synthetic_folder, [folder, *folder.parents][:DEPTH])) for folder in folders)


def is_synthetic_folder(folder: Path) -> bool:
    """Whether ``abaw synth`` made this folder."""
    return (folder / RECORD).is_file()
