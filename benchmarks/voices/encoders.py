"""Speed and memory of the voice encoders ge2e and speech_embedding, and what bounds them.

Speed is in CPU time of one core, so that other processes of the machine matter little. The sound is noise: neither
depends on what is said. Writes results/voices/encoders.md. On a busy machine it ends with exit code 2.
About 2 minutes on one CPU core.

    OMP_NUM_THREADS=1 python -m benchmarks.voices.encoders [--busy]
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abaw.results.runs import commit
from benchmarks.machine.load import QuietMachine, add_busy, describe_load
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound

RESULTS = Path(__file__).resolve().parents[1] / "results" / "voices" / "encoders.md"
RATE_HZ, SECONDS, MINUTES = 16000, 120, (1, 60)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ge2e": ("ge2e", {}),
    "ge2e:gain=running": ("ge2e", {"gain": "running"}),
    "ge2e:output=lstm3": ("ge2e", {"output": "lstm3"}),
    "speech_embedding": ("speech_embedding", {}),
}


def noise(seconds: int, folder: Path) -> Sound:
    """Noise, mapped from a file that is written in parts."""
    path, rng = folder / f"{seconds}.f32", np.random.default_rng(0)
    with path.open("wb") as file:
        for _ in range(seconds):
            file.write((0.05 * rng.normal(size=RATE_HZ)).astype(np.float32).tobytes())
    return Sound(np.memmap(path, np.float32, mode="c"), RATE_HZ, 0.0)


def cpu_s(action: Callable[[], object]) -> float:
    """CPU seconds of this process, the shortest of three runs."""
    took = []
    for _ in range(3):
        start = time.process_time()
        action()
        took.append(time.process_time() - start)
    return min(took)


def consume(encoder: SoundEncoder, sound: Sound) -> None:
    """Encode a sound and keep nothing."""
    for _ in encoder.encode(sound):
        pass


def network_share(encoder: Any, sound: Sound) -> float:
    """The share of the network's forward passes in the CPU time of an encoding."""
    forward, spent = encoder._forward, [0.0]

    def timed(mels: np.ndarray) -> np.ndarray:
        start = time.process_time()
        rows: np.ndarray = forward(mels)
        spent[0] += time.process_time() - start
        return rows

    encoder._forward = timed
    start = time.process_time()
    consume(encoder, sound)
    total = time.process_time() - start
    encoder._forward = forward
    return spent[0] / total


def peak_mb(encoder: SoundEncoder, sound: Sound) -> float:
    """Peak of this process's anonymous memory while it encodes, from Linux's /proc."""
    peak, is_done = 0.0, threading.Event()

    def measure() -> None:
        nonlocal peak
        while not is_done.wait(0.02):
            status = Path("/proc/self/status").read_text()
            peak = max(peak, int(status.split("RssAnon:")[1].split()[0]) / 1e3)

    thread = threading.Thread(target=measure)
    thread.start()
    consume(encoder, sound)
    is_done.set()
    thread.join()
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_busy(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| encoder | times real time | share of the network | peak memory (MB), 1 min | 60 min |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, QuietMachine(busy=arguments.busy) as machine:
        short = noise(SECONDS, Path(folder))
        films = [noise(60 * minutes, Path(folder)) for minutes in MINUTES]
        for name, (encoder_name, settings) in CASES.items():
            encoder = ENCODERS.build(encoder_name, **settings)
            consume(encoder, short)  # warm
            speed = SECONDS / cpu_s(lambda encoder=encoder: consume(encoder, short))  # type: ignore[misc]
            memory = [peak_mb(encoder, film) for film in films]
            share = network_share(encoder, short)
            lines.append(f"| `{name}` | {speed:.0f} | {share:.2f} | {memory[0]:.0f} | {memory[1]:.0f} |")
    about = (
        f"Written by `python -m benchmarks.voices.encoders`, commit {commit()}, {describe_load(machine.record)}. "
        f"CPU time of one core; memory with {MINUTES[0]} and with {MINUTES[1]} minutes of sound."
    )
    text = "\n".join(["# Voice encoders", "", about, "", *lines, ""])
    print(text)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
