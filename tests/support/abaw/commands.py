"""The command line in the process of the test: starting Python and importing torch takes seconds for each command."""

import contextlib
import io
from dataclasses import dataclass

from abaw.cli import main
from tests.support.plugins import forget_plugins


@dataclass(frozen=True)
class Done:
    """What an ended command has printed."""

    stdout: str
    stderr: str


def abaw(*words, cwd, code=0):
    """Run a command of ``python -m abaw`` in the folder ``cwd``; the exit code must be ``code``."""
    out, err = io.StringIO(), io.StringIO()
    exited = None
    try:
        with (
            contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), forget_plugins()
        ):  # fmt: skip
            main([*map(str, words)])
    except SystemExit as end:
        exited = end.code
    done = Done(out.getvalue(), err.getvalue())
    assert exited == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done
