"""Every command in one process that may connect to nothing: ``python -m tests.fuzz.no_network FOLDER``.

The kernel ends the process at the first attempt to connect a socket, whoever makes it, C++ code included. A socket may
be opened: urllib3 does it at its import, to see whether there is IPv6.
"""

import ctypes
import faulthandler
import platform
import signal
import struct
import sys
from pathlib import Path

ARCHITECTURES = {"x86_64": (0xC000003E, 42), "aarch64": (0xC00000B7, 203)}  # AUDIT_ARCH_*, number of the call connect
ALLOW, TRAP = 0x7FFF0000, 0x00030000
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # instructions of the filter
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2  # of prctl


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def is_supported() -> bool:
    return sys.platform == "linux" and platform.machine() in ARCHITECTURES


def forbid_connections() -> None:
    """From now on SIGSYS ends this process where any of its threads connects a socket, as every look-up does too."""
    architecture, connect_call = ARCHITECTURES[platform.machine()]
    steps = [
        (LOAD, 0, 0, 4),  # the architecture
        (EQUAL, 0, 2, architecture),
        (LOAD, 0, 0, 0),  # the number of the call
        (EQUAL, 1, 0, connect_call),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, TRAP),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    library = ctypes.CDLL(None, use_errno=True)
    faulthandler.register(signal.SIGSYS, chain=True)  # says where
    if library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or library.prctl(
        SECCOMP, FILTER, ctypes.byref(Program(len(steps), code)), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the filter cannot be installed")


def run_all_commands(folder: Path) -> None:
    """The commands of the main job and all others, on a very small data set below ``folder``."""
    import contextlib

    from tests.fuzz.world import SETTINGS, command, make_world

    config = ["config.yaml", *SETTINGS]
    commands = (
        ["list"],
        ["config", "va"],
        ["weights", "list"],
        ["check", "data"],
        ["predict", "runs/synthetic", "--split", "validation", "--out", "second"],
        ["score", "predicted", "--split", "validation"],
        ["combine", "predicted", "second", "--out", "both"],
        ["verify", "submission.txt", "--template", "template.txt"],
        ["analyze", "data/videos/batch1/clip_alpha.mp4", "--run", "runs/synthetic", "--out", "analysis"],
        ["analyze", "data/videos/batch1/clip_alpha.mp4", "--recogniser", "fer_mini_xception", "--out", "recognised"],
        ["search", *config, "name=tried", "--vary", "training.learning_rate=log:1e-4:1e-2", "--trials", "1"],
        ["recipe", "config.yaml", "--dry-run", "--template", "template.txt"],
        ["store", "info", "store"],
        ["store", "verify", "store"],
        ["store", "diff", "store", "store"],
        ["store", "export", "store", "npy", "--encoder", "net"],
        ["store", "import", "store", "npy/net", "--name", "again", "--clock"],
        ["store", "prune", "store"],
    )
    make_world(folder, trained=True)
    with contextlib.chdir(folder):
        for words in commands:
            print(" ".join(words), flush=True)
            command(*words)


if __name__ == "__main__":
    forbid_connections()
    run_all_commands(Path(sys.argv[1]))
