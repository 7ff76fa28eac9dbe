"""Templates and predictions on disk, for tests of submissions."""

import numpy as np

from abaw.challenge import submission
from abaw.challenge.verification import verify
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS

VA = TASKS.build("va")
ROWS = ["b/00001.jpg", "b/00002.jpg", "b/00003.jpg", "a_left/00002.jpg", "a_left/00001.jpg"]


def template(folder, rows=ROWS, *, task=VA, value="", end="\n", mark="", tail=""):
    path = folder / f"{task.name}_sample.txt"
    text = mark + task.header + end + "".join(f"{row},{value}{end}" for row in rows) + tail
    path.write_bytes(text.encode())
    return path


def predicted(folder, task=VA, about=None, **values):
    """A prediction folder below ``folder``; every other frame is observed."""
    for clip, rows in values.items():
        num = len(rows)
        table = Table(
            np.arange(1, num + 1),
            np.arange(num) / 25,
            np.arange(num) % 2 == 0,
            np.array(rows, np.float32),
            task.columns,
        )
        predictions.write_table(folder / task.name, clip, table, task)
    predictions.write_metadata(folder / task.name, {"task": task.name, **(about or {})})
    return folder


def lines_of(folder, sample, name="p", task=None):
    """The submission's lines, once they are verified."""
    out = folder / "out.txt"
    submission.submit(folder / name, sample, out, task=task)
    assert verify(out, sample, task=task) == []
    return out.read_text().splitlines()
