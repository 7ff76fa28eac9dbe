"""What a training step of every fusion model costs: beside the public models, and as windows grow longer.

Two parts. "peers": one training step (forward and backward; the loss is the mean square of the answer plus the model's
own losses) of ours and of MMSA's model of the same sizes, turn by turn in one process, medians reported. "growth": the
step at several lengths, each in a fresh process, with its peak memory and the number of parameters. Writes fusion.json
and fusion.md in results/; what is done already is not done again, unless the model or the sizes have changed. Do not
let anything else run beside it. About 15 minutes on 2 CPU cores.

    python -m benchmarks.fusion [--models mfn mult] [--parts peers growth] [--turns 5] [--device cpu]
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
from benchmarks.extract import describe_machine
from fusion.base import FusionInput, FusionModel
from fusion.models import FUSION_MODELS

HERE = Path(__file__).resolve().parent / "results"
OUT, PAGE = HERE / "fusion.json", HERE / "fusion.md"
THREADS, SEED, FPS = 2, 0, 30.0
PEERS: dict[str, Any] = {"batch": 32, "steps": 300, "dims": {"face": 1024, "voice": 768, "words": 768}}
GROWTH: dict[str, Any] = {"batch": 2, "steps": [100, 300, 1000, 3000], "dims": {"face": 768, "voice": 768}}
EXPONENT = (300, 3000)  # between these lengths
LIMIT_S, LEAST_S, SLOW_S = 90.0, 1.0, 15.0  # of one step; of all timed steps of a length; with which 3 turns will do

# How cost grows with the number of steps where it is not 1 in both, as the models are built: (time, memory). Attention
# over time compares every pair of steps; fused, it keeps none of them.
ATTENTION = ("bottleneck", "frame_transformer", "mult", "reliability_gate", "safe_cross_attention", "tcn_transformer")
ORDERS: dict[str, tuple[int, int]] = dict.fromkeys((*ATTENTION, "mctn"), (2, 1))
BASE = ("fusion.base", "fusion.layers.masks")  # what every model knows

Row = dict[str, Any]


class _NoWords(ast.NodeTransformer):
    """A module's code without its docstrings and FACTS, which cannot change a number."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if [getattr(goal, "id", "") for goal in node.targets] == ["FACTS"] else node


def code_of(module: str) -> str:
    """A model's code and that of what it builds on, as a text that changes when it does; words do not count."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    tree = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8"))
    others = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    own = sorted(name for name in others if name.startswith(("fusion.models.", "fusion.layers.")) and name not in BASE)
    return "\n".join([ast.dump(_NoWords().visit(tree)), *map(code_of, own)])


def key_of(model: str, setup: Any) -> str:
    """Names a result by what it was made of: the model's code and how it was measured."""
    code = code_of(FUSION_MODELS.part(model).module)
    return hashlib.sha256(f"{code}\n{json.dumps(setup, sort_keys=True)}".encode()).hexdigest()[:16]


def make_inputs(dims: Mapping[str, int], batch: int, num_steps: int, device: str) -> FusionInput:
    """Noise, all of it observed."""
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
    """The mean square of what it answers, and its own losses."""
    fused = model(inputs)
    own = [weight * fused.losses[name] for name, weight in model.loss_weights.items()]
    return torch.stack([fused.hidden.square().mean(), *own]).sum()


def train_step(model: nn.Module, loss: Callable[[], Tensor]) -> None:
    """Forward and backward."""
    model.zero_grad(set_to_none=True)
    loss().backward()


def timed(work: Callable[[], Any], device: str = "cpu") -> float:
    """Seconds until the work is done, on a GPU too."""
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
    """Ours, the peer and, where it is known, what no implementation can do without: turn by turn."""
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
    slowest_s = max(timed(work, device) for work in works.values())  # which warms up, too
    seconds: dict[str, list[float]] = {what: [] for what in works}
    for _ in range(turns if slowest_s < SLOW_S else min(turns, 3)):
        for what, work in works.items():
            seconds[what].append(timed(work, device))
    return {"seconds": seconds, "batch": batch, "parameters": {"ours": count(model), "peer": count(peer)}}


def measure_length(name: str, num_steps: int, device: str) -> Row:
    """Median time of a step, and by how much memory rose above what there was before it.

    Before the first step at this length there is one of 8 steps, which loads the kernels and makes the gradients of the
    parameters: what is measured is what the length costs.
    """
    torch.set_num_threads(THREADS)
    model = build(name, GROWTH["dims"], device)
    few, inputs = (make_inputs(GROWTH["dims"], GROWTH["batch"], num, device) for num in (8, num_steps))
    train_step(model, lambda: loss_of(model, few))
    gc.collect()
    before = memory_mb(device, begin=True)
    seconds = [timed(lambda: train_step(model, lambda: loss_of(model, inputs)), device)]
    more_mb = max(0.1, memory_mb(device) - before)  # what is under that is noise
    while sum(seconds) < LEAST_S or len(seconds) < 3:
        if sum(seconds) > 10 * LEAST_S:
            break
        seconds.append(timed(lambda: train_step(model, lambda: loss_of(model, inputs)), device))
    return {"step_s": statistics.median(seconds), "peak_mb": more_mb, "num": len(seconds), "parameters": count(model)}


def memory_mb(device: str, begin: bool = False) -> float:
    """Peak since ``begin``; with ``begin`` what there is now. Of this process (Linux), or of its tensors on a GPU."""
    if device != "cpu":
        if begin:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device) / 2**20
    if begin:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at what there is
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def apart(work: Callable[..., Row], *given: Any) -> Row:
    """In a process of its own; it is forked from a server that has everything imported and nothing computed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "benchmarks.extract", "fusion.base"])
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(work, *given).result()
    except BrokenProcessPool:
        return {"skipped": "its process was ended, most likely for want of memory"}


def peers(name: str, turns: int, device: str) -> Row | None:
    """The row of a model that a public one stands beside; why there is none, where none is comparable."""
    from benchmarks.peers import COMPARISONS, INCOMPARABLE

    if name in INCOMPARABLE:
        return {"skipped": INCOMPARABLE[name]}
    return apart(measure_peer, name, turns, device) if name in COMPARISONS else None


def growth(name: str, turns: int, device: str) -> Row:
    """A figure for each length; a length that would take too long or too much memory says so instead."""
    row: Row = {"parameters": None, "lengths": {}}
    for num_steps in GROWTH["steps"]:
        refusal = too_much(name, row["lengths"], num_steps, free_mb(device))
        found = {"skipped": refusal} if refusal else apart(measure_length, name, num_steps, device)
        row["parameters"] = found.pop("parameters", row["parameters"])
        row["lengths"][str(num_steps)] = found
    return row


def too_much(name: str, lengths: Mapping[str, Row], num_steps: int, free_mb: float) -> str | None:
    """Why a length is not tried, from those before it; None where it may be."""
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
    """How a figure grew between the last two lengths; 0 where there are not two."""
    if len(lengths) < 2:
        return 0.0
    (low, before), (high, after) = list(lengths.items())[-2:]
    return math.log(after[figure] / before[figure]) / math.log(int(high) / int(low))


def free_mb(device: str) -> float:
    """Memory nobody uses."""
    if device != "cpu":
        return torch.cuda.mem_get_info()[0] / 2**20
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1024


PARTS: dict[str, tuple[Callable[[str, int, str], Row | None], dict[str, Any]]] = {
    "peers": (peers, PEERS),
    "growth": (growth, GROWTH),
}


def exponent(lengths: Mapping[str, Row], figure: str) -> float | None:
    """How a figure grows between the two lengths of EXPONENT: 1 is with their ratio, 2 with its square."""
    low, high = (lengths.get(str(num), {}).get(figure) for num in EXPONENT)
    return math.log(high / low) / math.log(EXPONENT[1] / EXPONENT[0]) if low and high else None


def ratio(row: Row, what: str) -> tuple[float, float, float]:
    """How many times slower than ours: of the medians, and the least and greatest of single turns."""
    others, ours = row["seconds"][what], row["seconds"]["ours"]
    turns = [other / own for other, own in zip(others, ours, strict=True)]
    return statistics.median(others) / statistics.median(ours), min(turns), max(turns)


def peers_table(rows: Mapping[str, Row]) -> str:
    """Ours beside the public models."""
    from benchmarks.peers import COMPARISONS

    lines = [
        "| model | ours (s) | peer (s) | times slower: the peer (least to greatest turn) | floor (s) | ours over floor "
        "| what is compared |",
        "|---" * 7 + "|",
    ]
    for name, row in sorted(rows.items()):
        if "skipped" in row:
            lines.append(f"| {name} | | | | | | {row['skipped']} |")
            continue
        medians = {what: statistics.median(each) for what, each in row["seconds"].items()}
        times, least, most = ratio(row, "peer")
        floor = (f"{medians['floor']:.3f}", f"{1 / ratio(row, 'floor')[0]:.2f}") if "floor" in medians else ("", "")
        lines.append(
            f"| {name} | {medians['ours']:.3f} | {medians['peer']:.3f} | {times:.2f} ({least:.2f} to {most:.2f}) "
            f"| {floor[0]} | {floor[1]} | {COMPARISONS[name].words} |"
        )
    return "\n".join(lines)


def growth_table(rows: Mapping[str, Row]) -> str:
    """Time and memory of a step by length, and how they grow."""
    heads = [f"{num} steps (s; MB)" for num in GROWTH["steps"]]
    low, high = EXPONENT
    lines = [
        f"| model | parameters | {' | '.join(heads)} | exponent {low} to {high}: time (order) | memory (order) |",
        "|---" * (len(heads) + 4) + "|",
    ]
    notes = []
    for name, row in sorted(rows.items()):
        orders = ORDERS.get(name, (1, 1))
        cells = [growth_cell(row["lengths"].get(str(num), {})) for num in GROWTH["steps"]]
        grown = [exponent(row["lengths"], figure) for figure in ("step_s", "peak_mb")]
        exponents = [
            f"{'–' if value is None else f'{value:.2f}'} ({order})" for value, order in zip(grown, orders, strict=True)
        ]
        parameters = "–" if row["parameters"] is None else f"{row['parameters']:,}"
        lines.append(f"| {name} | {parameters} | {' | '.join([*cells, *exponents])} |")
        notes += [
            f"- {name}, {num} steps: {each['skipped']}" for num, each in row["lengths"].items() if "skipped" in each
        ]
    return "\n".join([*lines, "", *notes]).rstrip()


def growth_cell(found: Row) -> str:
    if "step_s" not in found:
        return "not run" if found else "not measured"
    return f"{found['step_s']:.3f}; {found['peak_mb']:.0f}"


def sizes_in_words(setup: Mapping[str, Any]) -> str:
    dims = " + ".join(str(dim) for dim in setup["dims"].values())
    return f"batch {setup['batch']}, modalities of {dims} features, all observed, models at their default settings"


def tables(record: Mapping[str, Any], device: str = "cpu") -> list[str]:
    """The paragraphs and tables of both parts on one kind of device; what is not there is "not measured"."""
    parts = []
    for part, title in (("peers", "Beside the public models"), ("growth", "Longer windows")):
        rows = record.get("rows", {}).get(f"{part} {device}", {})
        parts.append(f"### {title}{'' if device == 'cpu' else ' (CUDA)'}")
        if not rows:
            parts.append("Not measured.")
            continue
        parts += [about(part, rows), peers_table(rows) if part == "peers" else growth_table(rows)]
    return parts


def about(part: str, rows: Mapping[str, Row]) -> str:
    """What was measured, where, of which commits."""
    made_by = sorted({str(row["commit"]) for row in rows.values()})
    machines = sorted({str(row["machine"]) for row in rows.values()})
    where = f"Commits {', '.join(made_by)}; {'; '.join(machines)}; {THREADS} threads, float32, seed {SEED}."
    if part == "peers":
        return (
            f"One training step at {sizes_in_words(PEERS)}, {PEERS['steps']} steps, against MMSA 2.2.1 with the same "
            "hidden sizes, in one process turn by turn; medians. The floor is the time of what does not depend on the "
            f"step before alone: LSTMs fused over time and linear layers over all steps at once. {where}"
        )
    return (
        f"One training step at {sizes_in_words(GROWTH)}; every length in a fresh process; memory is the peak above "
        "what there was before the step, parameters and their gradients not counted. The order in brackets is what the "
        f"model's own work grows with; linear layers keep the exponent of attention under 2. {where}"
    )


def page(record: Mapping[str, Any]) -> str:
    """fusion.md."""
    devices = ["cpu", *(["cuda"] if any(key.endswith("cuda") for key in record.get("rows", {})) else [])]
    return (
        "\n\n".join(["# Fusion models: time and memory", *(each for d in devices for each in tables(record, d))]) + "\n"
    )


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
    arguments = parser.parse_args(words)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing is measured on one")
        return
    made_by, record = commit(), read_record(OUT)
    print(device_machine(arguments.device), flush=True)
    for part in arguments.parts:
        work, setup = PARTS[part]
        rows = record["rows"].setdefault(f"{part} {arguments.device}", {})
        for name in arguments.models:
            key = key_of(name, [setup, arguments.turns if part == "peers" else None, THREADS])
            if rows.get(name, {}).get("key") == key:
                continue
            row = work(name, arguments.turns, arguments.device)
            if row is None:
                continue
            rows[name] = {"key": key, "commit": made_by, "machine": device_machine(arguments.device), **row}
            print(part, name, row, flush=True)
            record["versions"] = versions()
            write_json(OUT, record)
            PAGE.write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
