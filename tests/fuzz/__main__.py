"""Damage the project's inputs, and stop its commands, many times: ``python -m tests.fuzz [--num N] [--stops N]``.

Each finding is saved with its seed, its input and the command that replays it. Exit code 1 where there is one.
"""

import argparse
import json
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.fuzz import kills
from tests.fuzz.inputs import INPUTS
from tests.fuzz.worker import FIRST_S, Trial
from tests.fuzz.world import copy_world, make_world

ROOT = Path(__file__).resolve().parents[2]
NUM_INPUTS, NUM_STOPS = 3500, 100
Finding = tuple[str, int, str]  # kind or "signal command", seed, what is wrong
SLOWER = ("media", "onnx", "runs", "run_json", "recipes", "training_configs")
WEIGHTS = dict.fromkeys(SLOWER, 0.5)  # of slower kinds fewer inputs


@dataclass(frozen=True)
class Piece:
    """Some seeds of a kind of inputs, or the stops of a command."""

    name: str
    num: int
    run: Callable[[], Iterable[Finding]]


def main() -> None:
    given = _parse()
    begun_s, num, seconds, faulty = time.monotonic(), Counter[str](), Counter[str](), set()
    with tempfile.TemporaryDirectory() as scratch:
        names = given.kinds if given.num else []
        trained = bool(given.stops) or any(INPUTS[name].slow for name in names)
        world = make_world(Path(scratch) / "world", trained=trained)
        pieces = [*_stops(given, world, Path(scratch)), *_inputs(given, world, Path(scratch))]

        def try_piece(piece: Piece) -> None:
            piece_s = time.monotonic()
            for finding in piece.run():
                faulty.add(finding[:2])
                if finding[0] in INPUTS:
                    _save(given.out, world, finding)
                print(f"{finding[0]} {finding[1]}: {finding[2]}", flush=True)
            num[piece.name] += piece.num
            seconds[piece.name] += time.monotonic() - piece_s

        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(try_piece, pieces))
    for name in num:
        found = sum(each == name or each.endswith(f" {name}") for each, _ in faulty)
        what = "inputs" if name in INPUTS else "stops"
        print(f"{name:16} {num[name]:5} {what}, {found} findings, {seconds[name]:.0f} s")
    saved = f" (inputs saved in {given.out})" * any(each in INPUTS for each, _ in faulty)
    num_inputs = sum(num[name] for name in INPUTS)
    print(
        f"{num_inputs} inputs, {num.total() - num_inputs} stops, {len(faulty)} findings{saved}, "
        f"{time.monotonic() - begun_s:.0f} s in {given.jobs} processes"
    )
    sys.exit(bool(faulty))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run.sh fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--num", type=int, help=f"damaged inputs in all, fewer of slower kinds; default {NUM_INPUTS}")
    parser.add_argument(
        "--kinds", nargs="+", choices=INPUTS, default=list(INPUTS), metavar="KIND", help=", ".join(INPUTS)
    )
    parser.add_argument("--stops", type=int, help=f"stops by SIGKILL and as many by SIGINT; default {NUM_STOPS}")
    parser.add_argument(
        "--commands", nargs="+", choices=kills.COMMANDS, default=list(kills.COMMANDS), metavar="COMMAND",
        help=f"to stop: {', '.join(kills.COMMANDS)}",
    )  # fmt: skip
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one of one kind")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--out", type=Path, default=Path("work/fuzz"), help="folder of the findings")
    given = parser.parse_args()
    if given.seed is not None:
        given.first, given.num, given.stops = given.seed, len(given.kinds), 0
    wants_inputs = given.num is not None or len(given.kinds) < len(INPUTS)
    wants_stops = given.stops is not None or len(given.commands) < len(kills.COMMANDS)
    # a share that is asked for comes alone
    given.num = given.num if given.num is not None else 0 if wants_stops and not wants_inputs else NUM_INPUTS
    given.stops = given.stops if given.stops is not None else 0 if wants_inputs and not wants_stops else NUM_STOPS
    return given


def share(total: int, names: Iterable[str], weights: Mapping[str, float]) -> dict[str, int]:
    """Divide a number among names by weights, 1 where there is none; the parts sum to it."""
    names = list(names)
    parts, weight_left = {}, sum(weights.get(name, 1) for name in names)
    for name in names:
        weight = weights.get(name, 1)
        parts[name] = round(total * weight / weight_left)
        total, weight_left = total - parts[name], weight_left - weight
    return parts


def _inputs(given: argparse.Namespace, world: Path, scratch: Path) -> Iterator[Piece]:
    for name, num in share(given.num, given.kinds, {} if given.seed is not None else WEIGHTS).items():
        bounds = [given.first + num * i // given.jobs for i in range(given.jobs + 1)]
        for first, stop in pairwise(bounds):
            if stop > first:
                yield Piece(name, stop - first, lambda n=name, r=range(first, stop): try_seeds(world, n, r, scratch))


def _stops(given: argparse.Namespace, world: Path, scratch: Path) -> Iterator[Piece]:
    parts = share(given.stops, given.commands, kills.WEIGHTS)
    for name in sorted(parts, key=lambda name: kills.WEIGHTS.get(name, 1)):
        if parts[name]:
            seeds = range(given.first, given.first + parts[name])
            yield Piece(name, 2 * len(seeds), lambda n=name, r=seeds: _try_stops(world, n, r, scratch / f"stops-{n}"))


def _try_stops(world: Path, name: str, seeds: range, scratch: Path) -> Iterator[Finding]:
    stopper = kills.Stopper(world, scratch)
    for signal_name, signum in kills.SIGNALS.items():
        for seed in seeds:
            faults = stopper.stop(name, signum, random.Random(f"{signal_name} {name} {seed}"))
            yield from ((f"{signal_name} {name}", seed, fault) for fault in faults)


def try_seeds(world: Path, name: str, seeds: range, scratch: Path) -> Iterator[Finding]:
    """The findings of some seeds, tried by one process after the other: a new one after each crash or hang."""
    seed, last = seeds.start, seeds.stop - 1
    while seed <= last:
        folder = copy_world(world, Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch)) / "world")
        words = [sys.executable, "-m", "tests.fuzz.worker", str(folder), name, str(seed), str(last)]
        log = (scratch / "native.log").open("ab")
        with log, subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process:
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
            f"{fault}\nfile: {target.relative_to(world)}\nabaw {words}\n./run.sh fuzz --kinds {name} --seed {seed}\n"
        )


if __name__ == "__main__":
    main()
