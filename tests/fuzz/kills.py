"""Stop every command at random moments, by SIGKILL and SIGINT, and start it again.

After the restart the outputs are byte for byte those of a command that was never stopped; no temporary file and no
process is left.
"""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from abaw.files.temporary import TEMPORARY
from abaw.results.replacing import FORMER
from tests.fuzz.world import ENCODERS, SETTINGS, copy_world

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT}
COMMANDS = {
    "synth": ["synth", "out/data", "--clips", "14", "--seconds", "2"],
    "extract": ["extract", "data", "--store", "out/store", *ENCODERS],
    "train": ["train", "config.yaml", *SETTINGS, "trainer={max_epochs: 4, accelerator: cpu}", "--runs", "out/runs"],
    "search": [
        "search", "config.yaml", *SETTINGS, "--vary", "training.learning_rate=log:1e-4:1e-2", "--trials", "2", "--runs",
        "out/runs",
    ],
    "predict": ["predict", "runs/synthetic", "--split", "validation", "--out", "out/predicted"],
    "predict --recogniser": [
        "predict", "--recogniser", "fer_mini_xception", "--data", "data", "--store", "out/store", "--split",
        "validation", "--out", "out/recognised",
    ],
    "probe": ["probe", "data", "--store", "store", "--task", "va"],
    "analyze": ["analyze", "data/videos/batch1/clip_alpha.mp4", "--run", "runs/synthetic", "--out", "out/analysis"],
    "combine": ["combine", "predictions", "others", "--out", "out/both", "--task", "va"],
    "fit": ["fit", "predictions", "--out", "out/post.json", "--task", "va", "--data", "data", "--trust"],
    "submit": ["submit", "predictions", "--template", "template.txt", "--out", "out/a.txt"],
    "store export": ["store", "export", "store", "out/npy", "--encoder", "net"],
    "store import": ["store", "import", "store", "npy/net", "--name", "again", "--clock"],
    "recipe": [  # all stages; with two folds, held-out predictions are pooled too
        "recipe", "config.yaml", *SETTINGS, f"encoders=['{ENCODERS[1]}', {ENCODERS[3]}]", "store=out/store",
        "folds={num: 2}", "--data", "data", "--template", "template.txt", "--runs", "out/runs", "--work", "out/work",
    ],
}  # fmt: skip
WEIGHTS = {
    "recipe": 0.25,
    "search": 0.2,
    "analyze": 0.3,
    "train": 0.4,
    "predict": 0.4,
    "predict --recogniser": 0.3,
    "probe": 0.3,
    "synth": 0.6,
}  # of slower commands fewer stops
# what differs from one run of a command to the next, stopped or not; store/media has the time stamps of the media files
VARYING = re.compile(r"events\.out\.|study\.db|lock$|store/media/|/\.|^\.")
MODIFIED = re.compile(rb"(safetensors\": \"\d+) \d{18,20}(?=\")")  # size and modification time of a track, in ns
TIMES = re.compile(
    rb"\"(?:began_at|ended_at)\": \"[^\"]*\"|^  \"sha256\": \"\w+\"", re.M
)  # of run.json, and its own seal


class Stopper:
    """A trained world in which each command is stopped, started again and compared with one that was not stopped."""

    def __init__(self, world: Path, scratch: Path) -> None:
        self._world, self._scratch = world, scratch
        self._whole: dict[str, tuple[dict[str, str], float]] = {}

    def stop(self, name: str, signum: int, rng: random.Random) -> list[str]:
        """What is wrong after the command was stopped at a random moment and started again."""
        if name not in self._whole:
            begun_s = time.monotonic()
            folder = self._fresh()
            code, said = _run(folder, name)
            if code:
                raise RuntimeError(f"abaw {name} ended with {code}: {said}")
            self._whole[name] = hash_files(folder), time.monotonic() - begun_s
        expected, length_s = self._whole[name]
        folder = self._fresh()
        session = _start(folder, name)
        time.sleep(rng.uniform(0.2, 1) * length_s)
        stopped = session.poll() is None
        if stopped:
            session.send_signal(signum)
        _, said = session.communicate(timeout=120)
        faults = []
        if stopped and signum == signal.SIGINT:
            if session.returncode not in (0, 130, -signal.SIGINT):
                faults.append(f"exit code {session.returncode} after SIGINT: {said[-300:]}")
            if "Traceback" in said and session.returncode != -signal.SIGINT:  # not while Python itself begins
                faults.append(f"a traceback after SIGINT: {said[-300:]}")
        faults += [f"process {pid} is left" for pid in _members(session.pid)]
        code, said = _run(folder, name)
        if code:
            return [*faults, f"the restart ended with {code}: {said[-300:]}"]
        found = hash_files(folder)
        differing = sorted(set(found.items()) ^ set(expected.items()))
        if differing:
            faults.append(f"other content after the restart: {[place for place, _ in differing][:4]}")
        left = [path for path in folder.rglob("*") if is_left_over(path)]
        return faults + [f"left over: {path.relative_to(folder)}" for path in left[:3]]

    def _fresh(self) -> Path:
        folder = self._scratch / "stopped"
        shutil.rmtree(folder, ignore_errors=True)
        copy_world(self._world, folder)
        (folder / "out").mkdir()
        return folder


def is_left_over(path: Path) -> bool:
    """Whether a file is a temporary one of a command that has ended."""
    return bool(TEMPORARY.fullmatch(path.name)) or path.name.endswith((".partial", FORMER))


def hash_files(folder: Path) -> dict[str, str]:
    """The hash of every file that is a result, by its place; without modification times, which a recipe records,
    and without the times of a training."""
    places = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        place: hashlib.sha256(_without_times(path)).hexdigest()
        for place, path in places.items()
        if not VARYING.search(place)
    }


def _without_times(path: Path) -> bytes:
    content = MODIFIED.sub(rb"\1", path.read_bytes())
    return TIMES.sub(b"", content) if path.name == "run.json" else content


def _start(folder: Path, name: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "abaw", *COMMANDS[name]],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _run(folder: Path, name: str) -> tuple[int, str]:
    session = _start(folder, name)
    _, said = session.communicate(timeout=300)
    return session.returncode, said


def _members(session: int) -> list[int]:
    """The processes of a session that are still there, once those that are ending had their time."""
    for _ in range(50):
        found = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _session_of(path) == session]
        if not found:
            return []
        time.sleep(0.2)
    return found


def _session_of(process: Path) -> int | None:
    try:
        state, _, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:  # it has ended meanwhile
        return None
    return None if state == "Z" else int(session)
