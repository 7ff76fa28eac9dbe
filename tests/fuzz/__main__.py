"""Damage the project's inputs, many times: ``python -m tests.fuzz [--inputs N] [--kinds a b] [--first SEED]``.

Each finding is saved with its seed, its input and the command that replays it. Exit code 1 where there is one.
"""

import argparse
import json
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.inputs import INPUTS
from tests.fuzz.worker import FIRST_S, Trial
from tests.fuzz.world import copy_world, make_world

ROOT = Path(__file__).resolve().parents[2]
Finding = tuple[str, int, str]  # kind, seed, what is wrong
SHARES = {
    "media": 0.5,
    "onnx": 0.5,
    "runs": 0.5,
    "run_json": 0.5,
    "recipes": 0.5,
    "training_configs": 0.5,
}  # of slower kinds fewer inputs


def main() -> None:
    parser = argparse.ArgumentParser(description="damage the project's inputs and see what the commands say")
    parser.add_argument("--inputs", type=int, default=400, help="of each kind; slower kinds get half")
    parser.add_argument("--kinds", nargs="*", choices=INPUTS, default=list(INPUTS))
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay a single one")
    parser.add_argument("--out", type=Path, default=Path("work/fuzz"), help="folder of the findings")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        trained = any(INPUTS[name].slow for name in given.kinds)
        world = make_world(Path(scratch) / "world", trained=trained)
        findings, counts = [], Counter()
        for name in given.kinds:
            num = 1 if given.seed is not None else max(1, round(given.inputs * SHARES.get(name, 1)))
            first = given.first if given.seed is None else given.seed
            for finding in try_seeds(world, name, range(first, first + num), Path(scratch)):
                findings.append(finding)
                _save(given.out, world, finding)
                print(f"{finding[0]} {finding[1]}: {finding[2]}", flush=True)
            counts[name] = num
        for name, num in counts.items():
            print(f"{name}: {num} inputs, {len({seed for kind, seed, _ in findings if kind == name})} with findings")
    print(f"{sum(counts.values())} inputs, {len(findings)} findings" + f" (saved in {given.out})" * bool(findings))
    sys.exit(bool(findings))


def try_seeds(world: Path, name: str, seeds: range, scratch: Path) -> Iterator[Finding]:
    """The findings of some seeds, tried by one process after the other: a new one after each crash or hang."""
    seed, last, number = seeds.start, seeds.stop - 1, 0
    while seed <= last:
        number += 1
        folder = copy_world(world, scratch / f"{name}-{number}")
        words = [sys.executable, "-m", "tests.fuzz.worker", str(folder), name, str(seed), str(last)]
        log = (scratch / "native.log").open("ab")
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            begun = seed
            for row in _rows(process):
                begun = row["seed"]
                if row["state"] == "ended":
                    seed = begun + 1
                    yield from ((name, begun, fault) for fault in row["faults"])
            if process.poll() is None:
                process.kill()
                yield name, begun, "hangs in native code"
                seed = begun + 1
            elif process.wait():
                yield name, begun, f"the process ended with {process.returncode}"
                seed = max(seed, begun + 1)


def _rows(process: subprocess.Popen) -> Iterator[dict]:
    """What a worker prints, until it ends or prints nothing for too long."""
    assert process.stdout is not None
    last_s = time.monotonic()
    while time.monotonic() - last_s < FIRST_S + 60:
        if not select.select([process.stdout], [], [], 1)[0]:
            continue
        line = process.stdout.readline()
        if not line:
            process.wait()
            return
        last_s = time.monotonic()
        yield json.loads(line)


def _save(out: Path, world: Path, finding: Finding) -> None:
    name, seed, fault = finding
    folder = out / f"{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    target, data, words = Trial(world, name).mutate(seed)
    (folder / target.name).write_bytes(data)
    with (folder / "finding.txt").open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(
            f"{fault}\nfile: {target.relative_to(world)}\nabaw {words}\n"
            f"python -m tests.fuzz --kinds {name} --seed {seed}\n"
        )


if __name__ == "__main__":
    main()
