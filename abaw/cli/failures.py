"""How an error that ends a command is reported: one sentence for bad input, one line and a file for a bug."""

import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from abaw.errors import shorten

BAD_INPUT, BUG = 2, 70  # exit codes


def report_bug(error: BaseException, words: Sequence[str]) -> str:
    """Write the traceback to a new temporary file; returns the one line that says so."""
    about = " ".join(f"{type(error).__name__}: {error}".split())
    text = "\n".join(
        [
            f"abaw {shlex.join(words)}",
            f"Python {platform.python_version()} on {platform.platform()}",
            "".join(traceback.format_exception(error)),
        ]
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="abaw-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return f"this is a bug in abaw ({shorten(about)}): please report it with the traceback that the option -v shows"
    return (
        f"this is a bug in abaw ({shorten(about)}): please report it with {Path(file.name)}, which holds the traceback"
    )


def show_traceback(error: BaseException) -> None:
    """Print where an error was raised to stderr."""
    traceback.print_exception(error, file=sys.stderr)
