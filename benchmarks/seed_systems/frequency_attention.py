"""Frequency attention against FsaNet's claims: exactness, counted cost, scores after low-passing, and speed.

Writes frequency_attention.json; with ``--parts`` the claims of the other parts stay as they are. About 5 minutes on one
CPU core, of which speed takes 2 and needs a quiet machine. ``tests/faithful/test_frequency_attention.py`` runs pieces.

    python -m benchmarks.seed_systems.frequency_attention [--parts exactness cost scores speed] [--busy]
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine.load import QuietMachine, add_busy, describe_load
from benchmarks.seed_systems.rows import RESULTS, Claim, Section, read_section, write_section
from benchmarks.seed_systems.worlds.smooth_clips import NUM_KEPT, NUM_STEPS, NUM_UPDATES, compare
from fusion.layers.frequency import FrequencyMode, FrequencySelfAttention, cosine_basis, padded_basis
from fusion.layers.masks import make_length_mask

NAME = "frequency_attention"
SEEDS = (0, 1, 2)
MODES: tuple[FrequencyMode, ...] = get_args(FrequencyMode)
PAPER_SIZE = (9409, 512, 64, 64)  # pixels of 97 x 97, channels, width of queries and keys, coefficients
SIZES = {  # steps, features, width of queries, coefficients -> percent that an earlier implementation of ours saved
    (1000, 128, 32, 16): (97.55, 96.72),
    (1000, 128, 32, 32): (95.05, 92.86),
    (4096, 256, 32, 64): (97.28, 96.31),
}
SPEED_STEPS, SPEED_DIM, NUM_HEADS, RATE_HZ, CUTOFF_HZ, THREADS = (300, 1000, 4096, 16384), 128, 4, 30, 1.5, 2


def attend_fully(layer: FrequencySelfAttention, values: Tensor) -> Tensor:
    """The linear attention that the layer stands for, over all steps of windows without padding."""
    query, key, value = layer.query(values), layer.key(values), layer.value(values)
    if layer.mode == "dot":
        return query @ key.mT @ value / values.shape[1]
    weights = 1 + F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).mT
    return weights @ value / weights.sum(-1, keepdim=True)


def attend_softly(layer: FrequencySelfAttention, values: Tensor) -> Tensor:
    """Regular self-attention: softmax of dot products over all steps, with the maps of the layer."""
    query, key, value = layer.query(values), layer.key(values), layer.value(values)
    return (query @ key.mT).softmax(-1) @ value


@torch.no_grad()
def measure_exactness(mode: FrequencyMode, num_steps: int, num_coefficients: int, seed: int) -> tuple[float, float]:
    """The largest difference from full attention of the low-passed values, and from that of the values themselves."""
    torch.manual_seed(seed)
    layer, values = FrequencySelfAttention(24, head_dim=8, mode=mode).double(), torch.randn(2, num_steps, 24).double()
    lengths = torch.full((2,), num_steps)
    basis = padded_basis(lengths, torch.full_like(lengths, num_coefficients), num_steps, values)
    found, low = layer.attend(values, lengths, basis), basis @ (basis.mT @ values)
    return tuple(float((found - attend_fully(layer, each)).abs().max()) for each in (low, values))  # type: ignore[return-value]


@torch.no_grad()
def measure_padding(mode: FrequencyMode, seed: int) -> tuple[float, float]:
    """The largest difference of windows in a batch from each alone; and that of a basis of the padded length."""
    torch.manual_seed(seed)
    layer, lengths = FrequencySelfAttention(24, head_dim=8, mode=mode).double(), torch.tensor([40, 25, 7])
    numbers, values = torch.tensor([9, 6, 2]), torch.randn(3, 40, 24).double()
    inside = make_length_mask(lengths, 40)[..., None]
    found = layer(torch.where(inside, values, torch.nan), lengths, numbers)
    naive = layer(torch.where(inside, values, 0.0), torch.full_like(lengths, 40), torch.full_like(lengths, 9))
    differences = [0.0, 0.0]
    for i, length in enumerate(lengths.tolist()):
        alone = layer(values[i : i + 1, :length], lengths[i : i + 1], numbers[i : i + 1])[0]
        for j, each in enumerate((found, naive)):
            differences[j] = max(differences[j], float((each[i, :length] - alone).abs().max()))
    return differences[0], differences[1]


class _LargestTensor(TorchDispatchMode):
    """Notes the number of values of the largest tensor that is made."""

    num_values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, Tensor):
                self.num_values = max(self.num_values, each.numel())
        return made


@torch.no_grad()
def measure_cost(mode: FrequencyMode | None, size: tuple[int, int, int, int]) -> tuple[int, int]:
    """Counted operations and the values of the largest tensor of one layer, of regular attention without a mode.

    Nothing is computed: the tensors have shapes alone, but the basis, which counts too.
    """
    num_steps, dim, head_dim, num_coefficients = size
    layer = FrequencySelfAttention(dim, head_dim=head_dim, mode=mode or "dot", num_repeats=1).to("meta")
    values, lengths = torch.empty(1, num_steps, dim, device="meta"), torch.empty(1, dtype=torch.long, device="meta")

    def run() -> Tensor:
        if mode is None:
            return attend_softly(layer, values)
        return layer.attend(values, lengths, cosine_basis(num_steps, num_coefficients).to("meta", torch.float32)[None])

    with FlopCounterMode(display=False) as flops:
        run()
    with _LargestTensor() as largest:
        run()
    return flops.get_total_flops(), largest.num_values


def measure_saving(mode: FrequencyMode, size: tuple[int, int, int, int]) -> tuple[float, float]:
    """How many percent fewer operations than regular attention, and how many percent smaller the largest tensor."""
    ours, theirs = measure_cost(mode, size), measure_cost(None, size)
    return 100 * (1 - ours[0] / theirs[0]), 100 * (1 - ours[1] / theirs[1])


class SoftmaxAttention(nn.Module):
    """Softmax attention with torch's fused kernel, heads as wide as the queries of the frequency attention."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Linear(SPEED_DIM, 3 * SPEED_DIM, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        heads = self.maps(values).unflatten(-1, (3, NUM_HEADS, -1)).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)


@torch.no_grad()
def measure_speed(num_steps: int, num_rounds: int) -> dict[str, float]:
    """Seconds of one layer on a window: the median over rounds in which all take turns."""
    torch.manual_seed(0)
    values, lengths, fused = torch.randn(1, num_steps, SPEED_DIM), torch.tensor([num_steps]), SoftmaxAttention()
    runs: dict[str, Callable[[], Tensor]] = {"softmax": lambda: fused(values)}
    for mode in MODES:
        layer = FrequencySelfAttention(SPEED_DIM, head_dim=SPEED_DIM // NUM_HEADS, mode=mode, num_repeats=1)
        for num in (NUM_KEPT, count_at_cutoff(num_steps)):
            kept = torch.tensor([num])
            runs[f"{mode} {num}"] = lambda layer=layer, kept=kept: layer(values, lengths, kept)  # type: ignore[misc]
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(num_rounds + 1):  # the first warms up, and makes the basis
        for name, each in runs.items():
            start_s = time.perf_counter()
            each()
            if turn:
                found[name].append(time.perf_counter() - start_s)
    return {name: statistics.median(times_s) for name, times_s in found.items()}


def count_at_cutoff(num_steps: int) -> int:
    """The coefficients of a window at the cut-off that is the default of configs."""
    return 1 + int(2 * num_steps / RATE_HZ * CUTOFF_HZ)


def claim_exactness(_: argparse.Namespace) -> list[Claim]:
    claims = []
    for mode in MODES:
        same = max(measure_exactness(mode, 300, 300, seed)[0] for seed in SEEDS)
        low, control = zip(*(measure_exactness(mode, 300, 16, seed) for seed in SEEDS), strict=True)
        padded, naive = (max(each) for each in zip(*(measure_padding(mode, seed) for seed in SEEDS), strict=True))
        claims += [
            _claim(f"{mode}, all coefficients of 300 steps: difference from full linear attention", same),
            _claim(
                f"{mode}, 16 coefficients: difference from full attention of the low-passed values (from that of the "
                "values themselves)",
                max(low),
                f" ({min(control):.2g})",
                min(control) > 1e-3,
            ),
            _claim(
                f"{mode}, windows of 40, 25 and 7 steps in one batch with NaN in the padding: difference from each "
                "alone (of a basis of the padded length)",
                padded,
                f" ({naive:.2g})",
                naive > 1e-3,
            ),
        ]
    return claims


def _claim(says: str, difference: float, control: str = "", fails: bool = True) -> Claim:
    return Claim(says, "equal", f"{difference:.1e}{control}", "1e-10", difference <= 1e-10 and fails)


def claim_cost(_: argparse.Namespace) -> list[Claim]:
    flops, tensors = zip(*(measure_saving(mode, PAPER_SIZE) for mode in MODES), strict=True)
    modes = " / ".join(MODES)
    claims = [
        Claim(
            f"operations fewer than of regular attention, {modes}, 9409 pixels, 512 channels, 64 coefficients",
            "96.13-98.07 %", _percents(flops), "at least 96.13 %", min(flops) >= 96.13,
        ),
        Claim(
            f"largest tensor smaller than of regular attention, {modes}, the same", "87.29-90.04 % (all memory)",
            _percents(tensors), "at least 87 %", min(tensors) >= 87,
        ),
    ]  # fmt: skip
    for size, noted in SIZES.items():
        found = [measure_saving(mode, size)[0] for mode in MODES]
        claims.append(
            Claim(
                f"operations fewer, {modes}, {size[0]} steps, {size[1]} features, {size[3]} coefficients",
                "", _percents(found), f"{_percents(noted)} (-0.1)",
                all(a >= b - 0.1 for a, b in zip(found, noted, strict=True)),
            )
        )  # fmt: skip
    ratios = [measure_growth(mode) for mode in MODES]
    text = " / ".join(f"{ratio:.3f}" for ratio in ratios)
    says = f"operations of 16384 steps against 8192, {modes}, 16 coefficients"
    return [*claims, Claim(says, "linear", text, "2.00 ± 0.02", all(abs(ratio - 2) <= 0.02 for ratio in ratios))]


def measure_growth(mode: FrequencyMode) -> float:
    """The operations of a window of 16384 steps against those of one half as long, at 16 coefficients."""
    return measure_cost(mode, (16384, 128, 32, 16))[0] / measure_cost(mode, (8192, 128, 32, 16))[0]


def _percents(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values) + " %"


def claim_scores(_: argparse.Namespace) -> list[Claim]:
    claims = []
    for mode in MODES:
        found = [compare(mode, seed) for seed in SEEDS]
        lost = [each["all"] - each["low-passed"] for each in found]
        gained = [each["few"] - each["all"] for each in found]
        attention = [each["few"] - each["none"] for each in found]
        every = ", ".join(f"{each['all']:.3f}" for each in found)
        claims += [
            Claim(
                f"{mode}: CCC lost by a network trained with all {NUM_STEPS} coefficients (CCC {every}) and evaluated "
                f"with {NUM_KEPT}",
                "79.3 to 79.3 mIoU", _signed(lost), "at most 0.02", max(lost) <= 0.02,
            ),
            Claim(
                f"{mode}: CCC gained by training with {NUM_KEPT} instead of all", "", _signed(gained),
                "at least -0.005", min(gained) >= -0.005,
            ),
            Claim(
                f"{mode}, control: CCC gained over the same network without attention", "", _signed(attention),
                "at least 0.03", min(attention) >= 0.03,
            ),
        ]  # fmt: skip
    return claims


def _signed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:+.4f}" for value in values)


def claim_speed(arguments: argparse.Namespace) -> list[Claim]:
    torch.set_num_threads(THREADS)
    with QuietMachine(busy=arguments.busy) as machine:
        found = {num: measure_speed(num, 21 if num < 4096 else 7 if num < 16384 else 3) for num in SPEED_STEPS}
    claims = []
    for num_steps, times_s in found.items():
        for num in (NUM_KEPT, count_at_cutoff(num_steps)):
            ratios = " / ".join(f"{times_s['softmax'] / times_s[f'{mode} {num}']:.1f}" for mode in MODES)
            says = (
                f"{num_steps} steps, {num} coefficients, {' / '.join(MODES)}: times faster than fused softmax attention"
            )
            softmax = f"softmax {times_s['softmax'] * 1000:.3g} ms, {describe_load(machine.record)}"
            claims.append(Claim(says, "41-55 on pictures", f"{ratios} ({softmax})", "", None))
    return claims


PARTS: dict[str, Callable[[argparse.Namespace], list[Claim]]] = {
    "exactness": claim_exactness,
    "cost": claim_cost,
    "scores": claim_scores,
    "speed": claim_speed,
}

TEXT = f"""\
FsaNet ([arXiv 2211.15595](https://arxiv.org/abs/2211.15595)) attends to the low frequencies of a picture: queries, \
keys and values are made of the first coefficients of a discrete cosine transform, high frequencies pass through the \
residual connection. Here it runs over the steps of a window, in both of its forms: dot products, and 1 + the cosine \
in place of the exponential of a softmax. It is the fusion model `frequency_attention`, and \
`hidden: {{frequency_attention: dot}}` adds it to any model ([models.md](models.md#layers-for-any-model)).

Where it departs: the basis is that of each window's true length, so padding changes nothing; the cut-off is in Hz and \
becomes coefficients by the duration of each window; the gain of the residual starts at 0.1 instead of 0, so that \
every weight has a gradient in the first step; where all cosines of a step are -1, the sum of its weights is raised to \
a millionth of the number of steps, so that the output is 0. The layer equals its own linear attention, not softmax \
attention, and it is not causal. `hidden: {{gating: true}}` adds LiRank's dense gating after it.

Scores: latent series of {NUM_KEPT - 4} cosine coefficients in {NUM_STEPS} steps, 32 noisy features, and an offset of \
each clip that a single step does not show; {NUM_UPDATES} updates; one figure for each seed. Speed: one layer of \
{SPEED_DIM} features, forward, batch 1, {THREADS} threads; the second row of each length has the coefficients of \
{CUTOFF_HZ} Hz at {RATE_HZ} frames a second. The paper's 97.56-98.18 % less time is for pictures."""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add_busy(parser)
    arguments = parser.parse_args(words)
    path = RESULTS / f"{NAME}.json"
    old = read_section(path)[0].claims if path.exists() else ()
    claims = []
    for part, measure in PARTS.items():
        prefix = f"{part}: "
        if part in arguments.parts:
            claims += [replace(each, says=prefix + each.says) for each in measure(arguments)]
        else:
            claims += [each for each in old if each.says.startswith(prefix)]
    for claim in claims:
        print(claim.says, "|", claim.ours, "|", claim.bound, "|", claim.holds)
    write_section(NAME, Section("Frequency attention", TEXT, claims), SEEDS, RESULTS)


if __name__ == "__main__":
    main()
