"""Where the prediction tables of a run are, and why there are none."""

from pathlib import Path

from abaw.errors import InputError
from abaw.results.runs import Run


def held_out_tables(run: Run) -> Path:
    """The folder of the tables of what a run held out. Raises InputError where training was stopped before they were
    written, and for a refit, which holds nothing out."""
    where = run.predictions("validation")
    if not where.is_dir() and not run.finished()["scores"]:
        raise InputError(
            f"{run.folder} is a refit, which held nothing out: predict clips that it has not seen (abaw predict) and "
            "give that folder"
        )
    return where
