"""A correct challenge file and its template, for tests of verification."""

from abaw.challenge.verification import verify
from abaw.tasks import TASKS

VA = TASKS.build("va")
ROWS = [
    f"{clip}/{frame:05d}.jpg" for clip, num in (("10-30", 4), ("2_left", 2), ("9", 3)) for frame in range(1, num + 1)
]
VALUES = {"va": "0.25,-0.5", "expr": "3", "au": ",".join("010000000001"), "ah": "0.25,0.75,1"}


def files(folder, task=VA, rows=ROWS):
    """A correct submission and its template."""
    sample, out = folder / "sample.txt", folder / "out.txt"
    header = [task.header] if task.header else []
    sample.write_text("\n".join([*header, *(f"{row},0" if not header else f"{row}," for row in rows)]) + "\n")
    out.write_text("\n".join([*header, *(f"{row},{VALUES[task.name]}" for row in rows)]) + "\n")
    return out, sample


def reasons(out, sample, task=None):
    """The faults as a user reads them: FILE:LINE: reason."""
    return [str(fault) for fault in verify(out, sample, task=task)]


GOOD = "0.25,-0.5"
