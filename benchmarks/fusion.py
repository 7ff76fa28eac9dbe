"""Time and memory of a training step of every fusion model: compared with public models, and for longer windows.

Two parts. "peers": one training step (forward and backward; the loss is the mean square of the output plus the model's
auxiliary losses) of our model and of MMSA's model of the same sizes, alternating in one process; medians are reported.
"growth": the step at several lengths, each in a new process, with its peak memory and the number of parameters. Writes
fusion.json and fusion.md in results/. Existing results are kept unless the model or the sizes have changed. On a busy
machine it ends with exit code 2. About 15 minutes on 2 CPU cores.

    python -m benchmarks.fusion [--models mfn mult] [--parts peers growth] [--turns 5] [--device cpu] [--busy]
"""

import argparse
import ast
import gc
import hashlib
import importlib.util
import json
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from abaw.files import read_json, write_json
from abaw.results.runs import commit, versions
from benchmarks.machine.load import QuietMachine, add_busy, describe_machine
from fusion.base import FusionInput, FusionModel
from fusion.models import FUSION_MODELS

HERE = Path(__file__).resolve().parent / "results"
OUT, PAGE = HERE / "fusion.json", HERE / "fusion.md"
THREADS, SEED, FPS = 2, 0, 30.0
PEERS: dict[str, Any] = {"batch": 32, "steps": 300, "dims": {"face": 1024, "voice": 768, "words": 768}}
GROWTH: dict[str, Any] = {"batch": 2, "steps": [100, 300, 1000, 3000], "dims": {"face": 768, "voice": 768}}
EXPONENT = (300, 3000)  # between these lengths
LIMIT_S = 90.0  # longer steps are not measured
MIN_TOTAL_S = 1.0  # steps of a length are repeated until they took this long together
SLOW_S = 15.0  # with slower steps, 3 turns are enough

# Expected growth (time, memory) with the number of steps where it is not linear. Attention over time compares all pairs
# of steps; torch's output kernel does not store them.
ATTENTION = ("bottleneck", "frame_transformer", "mult", "reliability_gate", "safe_cross_attention", "tcn_transformer")
ORDERS: dict[str, tuple[int, int]] = dict.fromkeys((*ATTENTION, "mctn"), (2, 1))
BASE = ("fusion.base", "fusion.layers.masks")  # not part of a model's code

Row = dict[str, Any]


class _NoWords(ast.NodeTransformer):
    """Removes docstrings and FACTS from a module's code."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if [getattr(goal, "id", "") for goal in node.targets] == ["FACTS"] else node


def code_of(module: str) -> str:
    """The code of a model and of the layers it imports, without docstrings, FACTS and comments."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    tree = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8"))
    others = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    own = sorted(name for name in others if name.startswith(("fusion.models.", "fusion.layers.")) and name not in BASE)
    return "\n".join([ast.dump(_NoWords().visit(tree)), *map(code_of, own)])


def key_of(model: str, setup: Any) -> str:
    """A key of a result: the hash of the model's code and of the set-up of the measurement."""
    code = code_of(FUSION_MODELS.part(model).module)
    return hashlib.sha256(f"{code}\n{json.dumps(setup, sort_keys=True)}".encode()).hexdigest()[:16]


def make_inputs(dims: Mapping[str, int], batch: int, num_steps: int, device: str) -> FusionInput:
    """Random features, all of them observed."""
    generator = torch.Generator().manual_seed(SEED)
    shape = (batch, num_steps)
    return FusionInput(
        {name: torch.randn(*shape, dim, generator=generator).to(device) for name, dim in dims.items()},
        {name: torch.ones(shape, dtype=torch.bool, device=device) for name in dims},
        torch.arange(num_steps, dtype=torch.float64, device=device).expand(shape) / FPS,
        torch.full((batch,), num_steps, device=device),
    )


def build(name: str, dims: Mapping[str, int], device: str) -> FusionModel:
    """The model at its default settings, in training mode."""
    torch.manual_seed(SEED)
    model: FusionModel = FUSION_MODELS.build(name, dims=dims)
    return model.to(device).train()


def loss_of(model: FusionModel, inputs: FusionInput) -> Tensor:
    """The mean square of the output plus the auxiliary losses with their weights."""
    output = model(inputs)
    own = [weight * output.losses[name] for name, weight in model.loss_weights.items()]
    return torch.stack([output.hidden.square().mean(), *own]).sum()


def train_step(model: nn.Module, loss: Callable[[], Tensor]) -> None:
    """A forward and a backward pass."""
    model.zero_grad(set_to_none=True)
    loss().backward()


def timed(work: Callable[[], Any], device: str = "cpu") -> float:
    """Seconds that the work takes, including pending work on a GPU."""
    if device != "cpu":
        torch.cuda.synchronize(device)
    start_s = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start_s


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def measure_peer(name: str, turns: int, device: str) -> Row:
    """Times of our model, of the peer and, where there is one, of the floor, measured in alternation."""
    from benchmarks.peers import COMPARISONS, FLOORS

    torch.set_num_threads(THREADS)
    comparison, dims = COMPARISONS[name], PEERS["dims"]
    batch, num_steps = comparison.batch or PEERS["batch"], PEERS["steps"]
    inputs = make_inputs(dims, batch, num_steps, device)
    model = build(name, dims, device)
    peer, call = comparison.make(dims, device)
    peer = peer.to(device).train()
    works = {
        "ours": lambda: train_step(model, lambda: loss_of(model, inputs)),
        "peer": lambda: train_step(peer, lambda: call(peer, list(inputs.features.values()))),
    }
    if name in FLOORS:
        floor = FLOORS[name](dims).to(device)
        inputs = floor.inputs(batch, num_steps, device)
        works["floor"] = lambda: train_step(floor, lambda: floor(inputs))
    slowest_s = max(timed(work, device) for work in works.values())  # also warms up
    seconds: dict[str, list[float]] = {what: [] for what in works}
    for _ in range(turns if slowest_s < SLOW_S else min(turns, 3)):
        for what, work in works.items():
            seconds[what].append(timed(work, device))
    return {"seconds": seconds, "batch": batch, "parameters": {"ours": count(model), "peer": count(peer)}}


def measure_length(name: str, num_steps: int, device: str) -> Row:
    """Median time of a training step, and the increase of peak memory during it.

    A window of 8 steps is trained on first, which loads kernels and allocates gradients, so that only the cost of the
    length is measured.
    """
    torch.set_num_threads(THREADS)
    model = build(name, GROWTH["dims"], device)
    few, inputs = (make_inputs(GROWTH["dims"], GROWTH["batch"], num, device) for num in (8, num_steps))
    train_step(model, lambda: loss_of(model, few))
    gc.collect()
    before = memory_mb(device, begin=True)
    seconds = [timed(lambda: train_step(model, lambda: loss_of(model, inputs)), device)]
    more_mb = max(0.1, memory_mb(device) - before)  # smaller values are noise
    while sum(seconds) < MIN_TOTAL_S or len(seconds) < 3:
        if sum(seconds) > 10 * MIN_TOTAL_S:
            break
        seconds.append(timed(lambda: train_step(model, lambda: loss_of(model, inputs)), device))
    return {"step_s": statistics.median(seconds), "peak_mb": more_mb, "num": len(seconds), "parameters": count(model)}


def memory_mb(device: str, begin: bool = False) -> float:
    """Peak memory in MB since the last call with ``begin``: of this process (Linux), or of its tensors on a GPU."""
    if device != "cpu":
        if begin:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device) / 2**20
    if begin:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the current value
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def run_in_new_process(work: Callable[..., Row], *given: Any) -> Row:
    """Run in a new process, forked from a server that has imported everything and computed nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "benchmarks.fusion", "fusion.base"])
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(work, *given).result()
    except BrokenProcessPool:
        return {"skipped": "its process was killed, most likely because memory ran out"}


def peers(name: str, turns: int, device: str) -> Row | None:
    """The comparison of a model with a public one, or the reason why there is none; None without a public model."""
    from benchmarks.peers import COMPARISONS, INCOMPARABLE

    if name in INCOMPARABLE:
        return {"skipped": INCOMPARABLE[name]}
    return run_in_new_process(measure_peer, name, turns, device) if name in COMPARISONS else None


def growth(name: str, turns: int, device: str) -> Row:
    """Figures for each length; a length that would take too much time or memory has the reason instead."""
    row: Row = {"parameters": None, "lengths": {}}
    for num_steps in GROWTH["steps"]:
        reason = too_much(name, row["lengths"], num_steps, free_mb(device))
        found = {"skipped": reason} if reason else run_in_new_process(measure_length, name, num_steps, device)
        row["parameters"] = found.pop("parameters", row["parameters"])
        row["lengths"][str(num_steps)] = found
    return row


def too_much(name: str, lengths: Mapping[str, Row], num_steps: int, free_mb: float) -> str | None:
    """The reason why a length is not measured, extrapolated from shorter ones; None if it can be."""
    if not lengths:
        return None
    last, found = list(lengths.items())[-1]
    if "skipped" in found:
        return str(found["skipped"])
    seconds, more_mb = (
        found[figure] * (num_steps / int(last)) ** max(order, steepest(lengths, figure))
        for figure, order in zip(("step_s", "peak_mb"), ORDERS.get(name, (1, 1)), strict=True)
    )
    if seconds > LIMIT_S:
        return f"a step would take about {seconds:.0f} s"
    if more_mb > 0.7 * free_mb:
        return f"a step would take about {more_mb / 1024:.0f} GB"
    return None


def steepest(lengths: Mapping[str, Row], figure: str) -> float:
    """The exponent of growth between the last two lengths; 0 where there are fewer."""
    if len(lengths) < 2:
        return 0.0
    (low, before), (high, after) = list(lengths.items())[-2:]
    return math.log(after[figure] / before[figure]) / math.log(int(high) / int(low))


def free_mb(device: str) -> float:
    """Free memory in MB."""
    if device != "cpu":
        return torch.cuda.mem_get_info()[0] / 2**20
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1024


PARTS: dict[str, tuple[Callable[[str, int, str], Row | None], dict[str, Any]]] = {
    "peers": (peers, PEERS),
    "growth": (growth, GROWTH),
}


def read_record(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(path) if path.exists() else {"rows": {}}
    return found


def device_machine(device: str) -> str:
    return describe_machine() if device == "cpu" else torch.cuda.get_device_name()


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=FUSION_MODELS.names(), default=FUSION_MODELS.names())
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    add_busy(parser)
    arguments = parser.parse_args(words)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing is measured on one")
        return
    from benchmarks.fusion_tables import page

    made_by, record = commit(), read_record(OUT)
    print(device_machine(arguments.device), flush=True)
    for part in arguments.parts:
        work, setup = PARTS[part]
        rows = record["rows"].setdefault(f"{part} {arguments.device}", {})
        for name in arguments.models:
            key = key_of(name, [setup, arguments.turns if part == "peers" else None, THREADS])
            if rows.get(name, {}).get("key") == key:
                continue
            with QuietMachine(busy=arguments.busy) as machine:
                row = work(name, arguments.turns, arguments.device)
            if row is None:
                continue
            about = {"commit": made_by, "machine": device_machine(arguments.device), "load": machine.record}
            rows[name] = {"key": key, **about, **row}
            print(part, name, row, flush=True)
            record["versions"] = versions()
            write_json(OUT, record)
            PAGE.write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
