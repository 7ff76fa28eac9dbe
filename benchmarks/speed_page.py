"""docs/measurements/speed.md from the figures of the benchmarks of extraction, reading and training."""

from pathlib import Path
from typing import Any

from abaw.files import read_json
from benchmarks.machine.load import describe_load

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks/results", ROOT / "docs/measurements/speed.md"


def make_page(results: Path = RESULTS) -> str:
    """The page; a benchmark that has no results yet has no section."""
    sections = {"extract.json": extraction, "reading/windows.json": reading, "training.json": memory}
    found = [make(read_json(results / name)) for name, make in sections.items() if (results / name).exists()]
    return "\n\n".join(["# Speed and memory", *found]) + "\n"


def reading(record: dict[str, Any]) -> str:
    """The section on reading windows, from reading/windows.json."""
    rows = [
        f"| {way} | {1e3 * read_s:.0f} ms | {1e3 * collate_s:.0f} ms |"
        for way, (read_s, collate_s) in record["read_s_and_collate_s"].items()
    ]
    return "\n".join(
        [
            "## Reading windows",
            "",
            "Written by `python -m benchmarks.reading.windows`: a batch of 32 windows of 300 frames, 768 features of "
            "pictures and 1,024 of sound at 50 Hz, half precision, aligned linearly; read both ways in turn in one "
            f"process with one thread, medians of {record['batches']} batches. Commit {record['commit']}, "
            f"{record['processor']}, {describe_load(record.get('load'))}.",
            "",
            "| | read and align | collate |",
            "|---|---|---|",
            *rows,
            "",
            f"Before takes {record['ratio']:.2f} times as long as now. Before, numpy converted half precision to "
            "single (torch is 20 times as fast at that), alignment gathered and multiplied every row, and collating "
            "copied every value twice. Now rows that lie one after the other are taken as one block, a weight of 1 is "
            "not multiplied, and collating copies once. Both ways give equal values.",
            "",
            "With `training.num_workers: auto` the training process does none of this on a GPU: up to four processes "
            "read while the GPU computes, batches lie in pinned memory, and copies to the GPU do not block. Where the "
            "features of all windows take at most 256 MB, they stay in memory instead. Several processes that train "
            "together (DDP) share the cores, so each has fewer readers. No GPU was here to measure this on.",
        ]
    )


def memory(record: dict[str, Any]) -> str:
    """The section on the memory and time of training, from training.json."""
    from benchmarks.training import report

    return f"## Training from a large store\n\nWritten by `python -m benchmarks.training`.\n\n{report(record)}".rstrip()


def _count_repeats(num: int) -> str:
    return f"{num} repeat{'s' * (num > 1)}"


def extraction(record: dict[str, Any]) -> str:
    """The section on extraction, from extract.json."""
    parts, notes = record["parts"], list[str]()
    lines = [
        "## Extraction",
        "",
        "Written by `python -m benchmarks.extract`. Medians of several repeats in one process, on a video of "
        f"{record['video']}, with a drawn face and a synthetic voice. The networks have the real "
        "architectures and random weights.",
        "",
        *(
            f"- {name.replace('_', '-')}: commit {part['commit']}, {part['machine']}, "
            f"{_count_repeats(part['repeats'])}, {describe_load(part.get('load'))}"
            for name, part in parts.items()
            if "skipped" not in part
        ),
        "",
        "| what | measured | target |",
        "|---|---|---|",
    ]
    if {"networks", "built_in"} & parts.keys():
        notes.append(
            "Faces are detected with `haar`, which needs no download, in every fifth picture. The "
            "default, `centerface`, takes about as long for each of these pictures "
            "([detectors.md](../../benchmarks/results/faces/detectors.md))."
        )
    if "networks" in parts:
        found = parts["networks"]
        cosine, vit = found["cosine_to_script"], found["precision"]["vit"]
        lines += [
            f"| ViT-B/16 and WavLM-base, whole command: frames per second | {found['frames_per_s']:.2f} | |",
            f"| the same, relative to the forward passes alone ({vit}, batch {found['batch_size']}) "
            f"| {found['share_of_forward']:.3f} | 0.90 |",
            f"| the same, relative to a straightforward script (fp32) | {found['speedup_over_script']:.2f} | 1.8 |",
            f"| cosine similarity of features to that script's: minimum (mean) "
            f"| {cosine['min']:.5f} ({cosine['mean']:.5f}) | 0.999 |",
            f"| start-up of the command: imports and loading both networks, in seconds | {found['start_up_s']:.1f} | |",
        ]
        if found["precision"]["vit"] == "fp32":
            bf16_rate = max(rate for key, rate in found["forward_rows_per_s"].items() if key.startswith("bf16"))
            max_rate = max(found["forward_rows_per_s"].values())
            notes.append(
                "The script was measured in fp32, as such scripts are usually written. On this processor fp32 is the "
                f"fastest precision ({max_rate:.1f} rows per second; bf16: {bf16_rate:.1f}), because it has no bf16 "
                "instructions, on which the target of 1.8 relies. Command and script spend most of their time in the "
                "same matrix products; the ratio shows what decoding, cropping and preprocessing cost in the script."
            )
    if "built_in" in parts:
        targets = {
            "face_hog, from face images": "10",
            "face_hog, from 720p video": "2",
            "voice_mel, timestamps already stored": "30",
        }
        for name, times in parts["built_in"]["times_real"].items():
            lines.append(f"| {name}: multiple of real time | {times:.1f} | {targets.get(name, '')} |")
    if "memory" in parts:
        more = parts["memory"]["more_mb"]
        lines.append(f"| extra peak memory for 60 minutes instead of 1 minute, in MB | {more:.0f} | 300 |")
    if "gpu" in parts and "skipped" not in parts["gpu"]:
        found = parts["gpu"]
        what = f"ViT-L/14 bf16 from face images on {found['device']}, relative to the forward passes alone"
        lines.append(f"| {what} | {found['share_of_forward']:.3f} | 0.85 |")
        lines.append(f"| the same, relative to the GPU's measured peak | {found['share_of_peak']:.3f} | |")
    return "\n".join([*lines, *(f"\n{note}" for note in notes)])
