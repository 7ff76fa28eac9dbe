"""What tests read from a synthetic data set on disk."""

import csv
import hashlib
from pathlib import Path

import numpy as np

from extract import media
from extract.synthetic import labels

SECONDS = 3.0


def video_of(data, name) -> Path:
    (path,) = data.glob(f"videos/*/{name}.*")
    return path


def times_of(data, name):
    return np.array([picture.time_s for picture in media.pictures(video_of(data, name))])


def labels_of(data, clip, task="va"):
    (path,) = data.glob(f"annotations/{labels.FOLDERS[task]}/*/{clip}.txt")
    return path.read_text().splitlines()[1:]


def crops_of(data, clip):
    return sorted(int(path.stem) for path in data.glob(f"cropped_aligned*/{clip}/*.jpg"))


def truth_of(data, clip):
    with (data / "truth" / f"{clip}.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def hash_tree(root):
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
