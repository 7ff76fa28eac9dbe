"""Tries the inputs of some seeds in a process of its own, which a crash ends: ``python -m tests.fuzz.worker``.

Prints a line of JSON for every input: before it is tried, and its findings afterwards.
"""

import argparse
import contextlib
import io
import json
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from abaw.cli import main
from tests.fuzz.inputs import INPUTS, InputKind
from tests.fuzz.oracles import Outcome

HANG_S = 30
FIRST_S = 180  # of the sound input, which loads the libraries
MADE_LIMIT = 2**24  # bytes of a file that are compared


class Hang(BaseException):
    """A command did not end in time."""


class Trial:
    """A world of which one file at a time is damaged."""

    def __init__(self, world: Path, name: str) -> None:
        self.world, self.name, self.kind = world, name, INPUTS[name]
        self._sound: dict[str, Outcome] = {}

    def mutate(self, seed: int) -> tuple[Path, bytes, str]:
        """The file that a seed damages, its new content, and the command that reads it."""
        rng = random.Random(f"{self.name} {seed}")
        targets = sorted({path for pattern in self.kind.files for path in self.world.glob(pattern)})
        target = rng.choice(targets)
        words = rng.choice(self.kind.commands).replace("{target}", str(target.relative_to(self.world)))
        sound = target.read_bytes()
        for _ in range(20):
            with contextlib.suppress(
                IndexError, KeyError, RecursionError, ValueError
            ):  # of a mutation that does not fit this file
                data = self.kind.mutate(sound, rng)
                if data != sound:
                    return target, data, words
        raise RuntimeError(f"{self.name} {seed}: nothing was changed")

    def run(self, seed: int) -> Iterator[str]:
        """What is wrong with the outcome of a seed."""
        target, data, words = self.mutate(seed)
        if words not in self._sound:
            outcome = run_command(self.world, words, FIRST_S)
            if outcome.code and "nowhere" not in words:
                raise RuntimeError(f"abaw {words} refuses the sound input: {outcome.err}")
            self._sound[words] = outcome
        before, sound = self._sound[words], target.read_bytes()
        others = _state(self.world, target)
        kept = target.with_name(f"{target.name}.sound")
        target.unlink()
        target.write_bytes(data)
        try:
            after = run_command(self.world, words)
            kept.write_bytes(sound)
            yield from find_faults(self.kind, target, before, after)
        finally:
            kept.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
            target.write_bytes(sound)
        changed = others.items() ^ _state(self.world, target).items()
        if changed and not self.kind.slow:
            yield f"changed {sorted(place for place, _ in changed)[:3]}"


def find_faults(kind: InputKind, target: Path, before: Outcome, after: Outcome) -> Iterator[str]:
    """What is wrong with the outcome of a command on a damaged file."""
    if "Traceback (most recent call last)" in after.text:
        yield "a traceback"
    if after.code not in (0, 1, 2):
        yield f"exit code {after.code}: {after.err.strip()[-300:]}"
    elif after.code == 2:
        if not any(word in after.text for word in (target.name, target.stem, *kind.says)):
            yield f"no file is named: {after.err.strip()[-300:]}"
        # a prediction folder is marked until it is complete, and what is marked is never read
        made = [place for place, data in after.made.items() if b'"complete": false' not in data]
        if made:
            yield f"refused, and yet wrote {sorted(made)[:3]}"
        if len(after.err) > 3000:
            yield f"a message of {len(after.err)} characters"
    elif fault := kind.oracle(target, before, after):
        yield f"exit {after.code}, {fault}"


def run_command(world: Path, words: str, limit_s: int = HANG_S) -> Outcome:
    """Run one command in this process, with its outputs in a new folder."""
    made_in = world / "out"
    shutil.rmtree(made_in, ignore_errors=True)
    made_in.mkdir()
    given = words.replace("{out}", "out").split()
    out, err = io.StringIO(), io.StringIO()
    signal.signal(signal.SIGALRM, _hang)
    signal.alarm(limit_s)
    code: int | str | None = 0
    try:
        with contextlib.chdir(world), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(given)
    except SystemExit as end:
        code = end.code
    except Hang:
        code = -1
        err.write(f"\nno end within {limit_s} s")
    finally:
        signal.alarm(0)
    made = {
        str(path.relative_to(made_in)): path.read_bytes()[:MADE_LIMIT]
        for path in sorted(made_in.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    shutil.rmtree(made_in, ignore_errors=True)
    return Outcome(words, code if isinstance(code, int) else -2, out.getvalue(), err.getvalue(), made)


def _hang(*_: object) -> None:
    raise Hang


def _state(world: Path, target: Path) -> dict[str, tuple[int, int]]:
    paths = (path for path in world.rglob("*") if path.is_file() and path.name != target.name)
    return {str(path.relative_to(world)): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def work() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("world", type=Path)
    parser.add_argument("kind", choices=INPUTS)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    given = parser.parse_args()
    trial = Trial(given.world.resolve(), given.kind)
    for seed in range(given.first, given.last + 1):
        _print({"seed": seed, "state": "begins"})
        try:
            faults = list(trial.run(seed))
        except Exception as error:  # of the harness itself: a finding too
            faults = [f"harness: {type(error).__name__}: {error}"]
        _print({"seed": seed, "state": "ended", "faults": faults})


def _print(row: dict[str, object]) -> None:
    print(json.dumps(row), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    work()
