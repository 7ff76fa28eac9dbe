"""Benchmarks on a busy machine: what other processes use is measured, said, and refused."""

import argparse
import os

import pytest

from benchmarks.machine.load import QuietMachine, add_busy, describe_load, describe_machine
from benchmarks.speed_page import make_page

TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


class Machine:
    """A made /proc, and a clock that only ``pass_s`` moves."""

    def __init__(self, proc, monkeypatch):
        self.proc, self.now_s, self.others_s, self.own_s, self.child_s = proc, 100.0, 50.0, 3.0, 0.0
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)
        monkeypatch.setattr("os.getloadavg", lambda: (1.25, 1.0, 0.5))
        self.before = 0.0  # cores that others use while the load is measured
        monkeypatch.setattr("time.sleep", lambda seconds: self.pass_s(seconds, others=self.before))
        self.write()

    def pass_s(self, seconds, others=0.0, own=0.0, child=0.0):
        self.now_s += seconds
        self.others_s, self.own_s = self.others_s + others * seconds, self.own_s + own * seconds
        self.child_s += child * seconds
        self.write()

    def write(self):
        busy = round((self.others_s + self.own_s + self.child_s) * TICKS)
        outside = f"cpu{max(CORES) + 1} {busy * 9} 0 0 0 0 0 0 0 0 0"  # a core that this process may not use
        (self.proc / "stat").write_text(f"cpu 1 1 1\ncpu{CORES[0]} {busy} 0 0 777 888 0 0 0 0 0\n{outside}\nintr 5\n")
        for pid, parent, seconds in ((os.getpid(), 1, self.own_s), (999999, os.getpid(), self.child_s)):
            (self.proc / str(pid)).mkdir(exist_ok=True)
            fields = ["S", str(parent), *["0"] * 9, str(round(seconds * TICKS)), "0", "0", "0", *["0"] * 30]
            (self.proc / str(pid) / "stat").write_text(f"{pid} (py) thon) {' '.join(fields)}\n")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def quiet(machine, busy=False):
    return QuietMachine(busy=busy, proc=machine.proc)


def test_what_the_benchmark_and_its_children_use_is_no_load_of_others(machine):
    with quiet(machine) as found:
        machine.pass_s(100.0, own=1.0, child=1.0, others=0.01)
    assert found.record["others_during"] == pytest.approx(0.01, abs=0.002)
    assert (found.record["load_average"], found.record["is_busy"]) == ([1.25, 1.0, 0.5], False)
    assert describe_load(found.record) == f"other processes used 0.01 of {len(CORES)} cores"


def test_a_machine_that_is_busy_before_is_refused_before_anything_is_measured(machine, capsys):
    machine.before, measured = 0.9 * len(CORES), []
    with pytest.raises(SystemExit) as ended, quiet(machine):
        measured.append(1)
    assert (ended.value.code, measured) == (2, [])
    said = capsys.readouterr().err
    for words in (f"used {0.9 * len(CORES):.2f} of", "before the benchmark began", "load average 1.25", "--busy"):
        assert words in said
    assert f"expected at most {0.05 * len(CORES):.2f}" in said


def test_a_machine_that_becomes_busy_is_refused_before_anything_is_printed(machine, capsys):
    with pytest.raises(SystemExit) as ended, quiet(machine):
        machine.pass_s(60.0, own=0.5, others=0.4 * len(CORES))
    assert ended.value.code == 2
    assert "while the benchmark measured" in capsys.readouterr().err


def test_busy_measures_all_the_same_and_marks_the_figures(machine):
    machine.before = 0.9 * len(CORES)
    with quiet(machine, busy=True) as found:
        machine.pass_s(60.0, others=0.0)
    assert found.record["is_busy"]
    assert describe_load(found.record).startswith("**on a busy machine**")
    parser = argparse.ArgumentParser()
    add_busy(parser)
    assert parser.parse_args(["--busy"]).busy
    assert not parser.parse_args([]).busy


def test_an_error_of_the_benchmark_is_not_hidden_by_the_load(machine):
    def fail():
        machine.pass_s(60.0, others=1.0 * len(CORES))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), quiet(machine):
        fail()


def test_a_system_without_figures_of_its_load_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, QuietMachine(busy=False, proc=tmp_path):
        pass
    assert ended.value.code == 2
    assert "cannot be measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("fpu avx512_bf16 amx_bf16", "a Box with avx512_bf16 and amx_bf16"),
        ("fpu avx512_vbmi", "a Box without bf16 instructions"),
    ],
)
def test_a_processor_is_named_with_its_bf16_instructions(tmp_path, flags, words):
    (tmp_path / "cpuinfo").write_text(f"model name\t: a Box\nflags\t\t: {flags}\n")
    assert describe_machine(tmp_path).endswith(words)


def test_the_page_has_no_section_of_a_benchmark_without_results(tmp_path):
    assert make_page(tmp_path) == "# Speed and memory\n"
