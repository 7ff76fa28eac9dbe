"""The machine that a benchmark runs on: its processor, and how much of it other processes use meanwhile.

Every benchmark that states a speed measures inside ``QuietMachine``. On two cores that other processes shared, the
same code reached 0.58 instead of 0.96 of the bare forward passes. So nothing is printed or written where others used
more than ``MAX_SHARE`` of the cores, unless ``--busy`` asks for it; the figures then carry that remark.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_SHARE = 0.05  # of the time of all cores, used by others, before and while a benchmark measures
BEFORE_S = 3.0  # how long the load is measured before a benchmark begins
PROC = Path("/proc")
BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # of Intel, AMD and Arm


def describe_machine(proc: Path = PROC) -> str:
    """The processor, as Linux names it, and its bf16 instructions."""
    info = proc / "cpuinfo"
    text = info.read_text() if info.exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    found = [flag for flag in BF16_FLAGS if flag in text.split()]
    has = f"with {' and '.join(found)}" if found else "without bf16 instructions"
    return f"{os.cpu_count()} cores of {names[0] if names else 'an unnamed processor'} {has}"


def process_tree(pid: int, proc: Path = PROC) -> list[int]:
    """The process and its descendants."""
    parents = {each: int(fields[1]) for each, fields in _processes(proc).items()}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _processes(proc: Path) -> dict[int, list[str]]:
    """What Linux says of each process: state, parent, ... (the fields of ``stat`` after the name)."""
    found = {}
    for path in proc.glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
    return found


@dataclass(frozen=True)
class Usage:
    """CPU time in seconds since the machine started, of the cores that this process may use."""

    at_s: float
    all_s: float
    own_s: float  # of this process and its descendants

    @classmethod
    def now(cls, proc: Path = PROC) -> "Usage":
        """Raises SystemExit (2) where the system has no such figures: not Linux."""
        if not (proc / "stat").exists():
            refuse("the load of this machine cannot be measured: it has no /proc/stat, which Linux has")
        tick_s, cores = 1 / os.sysconf("SC_CLK_TCK"), {f"cpu{core}" for core in os.sched_getaffinity(0)}
        lines = [line.split() for line in (proc / "stat").read_text().splitlines()]
        # user, nice, system, (idle, iowait,) irq, softirq, and what other virtual machines took
        busy = sum(int(line[1 + i]) for line in lines if line[0] in cores for i in (0, 1, 2, 5, 6, 7))
        processes = _processes(proc)
        # utime, stime, and both of the children that have ended
        own = sum(sum(map(int, processes[pid][11:15])) for pid in process_tree(os.getpid(), proc) if pid in processes)
        return cls(time.monotonic(), busy * tick_s, own * tick_s)

    def others_since(self, before: "Usage") -> float:
        """How many cores other processes used on average since ``before``."""
        used_s = (self.all_s - before.all_s) - (self.own_s - before.own_s)
        return max(0.0, used_s / max(1e-9, self.at_s - before.at_s))


class QuietMachine:
    """Measures the load before (on entering) and during (on leaving) a benchmark; ``record`` holds both.

    Raises SystemExit (2), with what it found and expected on stderr, where others used more than ``MAX_SHARE`` of the
    cores, unless ``busy`` allows it. ``proc``: where Linux shows its processes.
    """

    def __init__(self, *, busy: bool, before_s: float = BEFORE_S, proc: Path = PROC) -> None:
        self._allows, self._before_s, self._proc = busy, before_s, proc
        self._num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.record: dict[str, Any] = {}

    def __enter__(self) -> "QuietMachine":
        start = Usage.now(self._proc)
        time.sleep(self._before_s)
        self._begun = Usage.now(self._proc)
        self.record = {
            "cores": self._num_cores,
            "load_average": [round(each, 2) for each in os.getloadavg()],
            "others_before": round(self._begun.others_since(start), 3),
        }
        self._check("others_before", "before the benchmark began")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.record["others_during"] = round(Usage.now(self._proc).others_since(self._begun), 3)
            self._check("others_during", "while the benchmark measured")
            self.record["is_busy"] = self._is_busy("others_before") or self._is_busy("others_during")

    def _is_busy(self, when: str) -> bool:
        return bool(self.record[when] > MAX_SHARE * self._num_cores)

    def _check(self, when: str, words: str) -> None:
        if self._is_busy(when) and not self._allows:
            refuse(
                f"this machine is busy: other processes used {self.record[when]:.2f} of {self._num_cores} cores "
                f"{words} (load average {self.record['load_average'][0]:.2f}), expected at most "
                f"{MAX_SHARE * self._num_cores:.2f}. No figure was printed or written: end the other processes and "
                "measure again, or add --busy, which marks the figures"
            )


def refuse(why: str) -> None:
    """End with exit code 2 and the reason on stderr."""
    print(why, file=sys.stderr)
    raise SystemExit(2)


def add_busy(parser: argparse.ArgumentParser) -> None:
    """The option --busy."""
    parser.add_argument(
        "--busy", action="store_true", help="measure although other processes use the cores; the figures say so"
    )


def describe_load(record: dict[str, Any] | None) -> str:
    """What a page says of the load: ``record`` of a QuietMachine, or None for figures of before it was recorded."""
    if not record:
        return "load not recorded"
    used = f"other processes used {record['others_during']:.2f} of {record['cores']} cores"
    return f"**on a busy machine**: {used}" if record["is_busy"] else used
