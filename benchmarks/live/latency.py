"""How long after its arrival a frame has its row in a live analysis: median and 95th percentile, and frames dropped.

Faces by the default detector, the built-in encoders of face and voice, and a causal model with random weights, at 25
frames a second, played in real time. The clips are those of ABAW_MEDIA (by default ../shared/media), repeated to the
length that is asked for, at 360p and at 720p. Writes results/live/latency.json and .md. About 10 minutes on two cores.

    python -m benchmarks.live.latency [--seconds 60] [--models tcn mmim] [--busy]
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import abaw
from abaw.files import write_json
from abaw.results.runs import commit, versions
from benchmarks.machine.load import QuietMachine, add_busy, describe_load, describe_machine
from extract import media
from extract.media import Rgb, Sound
from extract.synthetic.write_clip import write_clip
from tests.support.abaw.live_runs import write_random_run

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks/results/live"
MEDIA = Path(os.environ.get("ABAW_MEDIA", ROOT.parent / "shared" / "media"))
CLIPS = ("bbaf2n.mpg", "lbax4n.mpg", "lrwp9a.mpg", "id2_vcd_swwp2s.mpg")
FPS, BOUND_S = 25, 0.150
RATE_HZ = 48_000  # of the sound, as cameras have it: AAC comes in pieces of 1024 samples, and the last is waited for
HEIGHTS = (360, 720)
ENCODERS = ["face_hog", "voice_mel:means=past"]
MODELS: dict[str, dict[str, Any]] = {
    "tcn": {"name": "tcn", "causal": True},
    "mmim": {"name": "mmim"},
    "concat": {"name": "concat"},
    "graph_mfn": {"name": "graph_mfn"},
    "mfm": {"name": "mfm"},
    "mamba": {"name": "mamba"},
}
COLUMNS = ("model", "height", "median", "95th percentile", "dropped", "parts, 95th percentile")


def write_video(path: Path, height: int, seconds: float) -> None:
    """The clips one after the other until the video is long enough, with their voices."""
    num = round(seconds * FPS)
    sounds = [media.sound(MEDIA / "clips" / name, RATE_HZ).samples for name in CLIPS]
    samples = np.concatenate(list(repeat(np.concatenate(sounds), 1 + int(seconds // 10))))[: round(seconds * RATE_HZ)]
    write_clip(path, pictures(height, num), np.arange(num) / FPS, Sound(samples, RATE_HZ, 0.0))


def pictures(height: int, num: int) -> Iterator[Rgb]:
    """``num`` pictures of the clips, enlarged to a height."""
    shown = chain.from_iterable(media.pictures(MEDIA / "clips" / name) for name in CLIPS * (1 + num // 250))
    for _, picture in zip(range(num), shown, strict=False):
        rgb = picture.rgb()
        width = round(rgb.shape[1] * height / rgb.shape[0] / 2) * 2
        yield cv2.resize(rgb, (width, height))


def measure(video: Path, run: Path) -> dict[str, Any]:
    """What one live analysis of the video took."""
    with abaw.live(video, run) as session:
        for _ in session:
            pass
    return asdict(session.summary)


def make_page(document: dict[str, Any]) -> str:
    """The table of the results."""
    lines = [
        f"Commit {document['commit']}, {document['machine']}, {describe_load(document['load'])}. "
        f"{document['seconds']:g} s at {FPS} frames a second; bound: 95th percentile under {1000 * BOUND_S:.0f} ms. "
        "Milliseconds from the arrival of a frame to its row.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    for row in document["rows"]:
        parts = ", ".join(f"{name} {1000 * p95_s:.0f}" for name, (_, p95_s) in row["parts_s"].items())
        lines.append(
            f"| {row['model']} | {row['height']} | {1000 * row['median_s']:.0f} | {1000 * row['p95_s']:.0f} | "
            f"{row['num_dropped']} of {row['num_frames']} | {parts} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--heights", nargs="+", type=int, default=list(HEIGHTS))
    add_busy(parser)
    given = parser.parse_args()
    made_by, rows = commit(), []
    with tempfile.TemporaryDirectory() as folder, QuietMachine(busy=given.busy) as machine:
        for height in given.heights:
            write_video(Path(folder) / f"{height}.mp4", height, given.seconds)
        for name in given.models:
            run = write_random_run(Path(folder) / name, ENCODERS, MODELS[name], window=(150, 75)).folder
            for height in given.heights:
                rows.append({"model": name, "height": height, **measure(Path(folder) / f"{height}.mp4", run)})
                print(name, height, f"{rows[-1]['median_s']:.3f} s, {rows[-1]['p95_s']:.3f} s", flush=True)
    about = {"machine": describe_machine(), "load": machine.record, "seconds": given.seconds}
    document = {"commit": made_by, "versions": versions(), **about, "rows": rows}
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / "latency.json", document)
    (RESULTS / "latency.md").write_text(make_page(document))
    print(make_page(document))


if __name__ == "__main__":
    main()
