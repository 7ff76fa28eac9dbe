"""A second process that holds a folder."""

import subprocess
import sys
from contextlib import contextmanager

HOLD = """
import sys
from pathlib import Path
from abaw.files.ownership import own_folder
with own_folder(Path(sys.argv[1]), sys.argv[2], "abaw predict or combine", lambda _: [], "wait"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held_elsewhere(folder, purpose="predictions", command=()):
    """Another process, started by ``command``, holds the folder while the block runs; yields that process."""
    words = [*command, sys.executable, "-c", HOLD, str(folder), purpose]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.communicate("\n")
