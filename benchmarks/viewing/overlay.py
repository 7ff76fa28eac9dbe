"""How fast a video of 1280 x 720 pixels is analysed and its overlay video written, and the memory of the latter.

The video is a recording of 640 x 360 pixels (WolfgangLanger_Pexels.mp4 of the folder that ABAW_MEDIA names), enlarged.
Speeds are in seconds of video per second; the first call, which loads libraries and networks, is not measured. Peak
memory is that of a process that writes the overlay of the recording in its own size, and ten times over. Writes
results/viewing/overlay.json. On a busy machine it ends with exit code 2. About 2 minutes on two CPU cores.

    python -m benchmarks.viewing.overlay [--busy]
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa
from pyarrow import parquet

import abaw
from abaw.dataset.clip import Clip
from abaw.errors import NotFoundError
from abaw.files import read_json, write_json
from abaw.pipelines.viewing.overlay import write_overlay
from abaw.pipelines.viewing.writing import ViewedClip
from abaw.results.runs import commit
from benchmarks.machine.load import QuietMachine, add_busy, describe_machine
from extract.media import Rgb, pictures, probe
from extract.media.writing import SoundSource, write_mp4
from extract.media.writing.mp4 import PictureTiming
from tests.support.extract.real_media import real_media

RESULTS = Path(__file__).resolve().parents[1] / "results" / "viewing" / "overlay.json"
SOURCE, SMALL, SIZE, TIMES = "clips/WolfgangLanger_Pexels.mp4", (640, 360), (1280, 720), 10


def write_video(path: Path, size: tuple[int, int], num_times: int = 1) -> float:
    """The recording in another size, repeated; its length in seconds."""
    source = real_media() / SOURCE
    if not source.is_file():
        raise NotFoundError(f"{source} is missing: set ABAW_MEDIA to the folder of real media")
    info = probe(source)
    length_s = info.last_picture_s + 1 / info.fps

    def shown() -> Iterator[tuple[float, Rgb]]:
        for i in range(num_times):
            for picture in pictures(source):
                rgb = picture.rgb()
                if rgb.shape[1::-1] != size:
                    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
                yield i * length_s + picture.time_s, rgb

    write_mp4(path, shown(), PictureTiming(Fraction(1, 24_000), 1 / info.fps), SoundSource(source), crf=20)
    return length_s


def repeat_analysis(folder: Path, clip_id: str, num_times: int, length_s: float) -> None:
    """Add a clip to an analysis of one: that clip repeated."""
    document = read_json(folder / "analysis.json")
    about = document["clips"]["video"]
    table = parquet.read_table(folder / about["table"])
    columns = {name: values * num_times for name, values in table.to_pydict().items()}
    columns["frame"] = list(range(1, len(table) * num_times + 1))
    columns["time_s"] = [i * length_s + time_s for i in range(num_times) for time_s in table["time_s"].to_pylist()]
    parquet.write_table(pa.table(columns, schema=table.schema), folder / f"{clip_id}.parquet")
    document["clips"][clip_id] = {**about, "table": f"{clip_id}.parquet"}
    write_json(folder / "analysis.json", document)


def peak_mb(media: Path, folder: Path) -> float:
    """The peak memory of a new process that writes the overlay of a clip, in MB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_mb, (media, folder))


def _peak_mb(media: Path, folder: Path) -> float:
    write(media, folder)
    status = Path("/proc/self/status").read_text()  # getrusage would count the memory of the process before as well
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def write(media: Path, folder: Path) -> None:
    """Write the overlay of an analysed clip."""
    store: Any = None  # overlays read no features
    write_overlay(ViewedClip(Clip(media.stem, media), store, folder), folder / f"{media.stem}.overlay.mp4")


def timed(length_s: float, action: Callable[[], object]) -> dict[str, float]:
    """Seconds of video per second, and CPU seconds per second of video."""
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    action()
    took_s, cpu_s = time.monotonic() - start_s, time.process_time() - start_cpu_s
    return {"times_real_time": round(length_s / took_s, 2), "cpu_per_s": round(cpu_s / length_s, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_busy(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video, short, long = (folder / f"{each}.mp4" for each in ("video", "short", "long"))
        length_s = write_video(video, SIZE)
        write_video(short, SMALL)
        write_video(long, SMALL, TIMES)
        settings: dict[str, Any] = {"recognisers": "fer_mini_xception"}
        abaw.analyze(
            real_media() / "clips/single_face.mp4", out=folder / "first", views=("page", "overlay"), **settings
        )
        with QuietMachine(busy=options.busy) as machine:
            speeds = {
                "analysis": timed(length_s, lambda: abaw.analyze(video, out=folder / "out", **settings)),
                "overlay": timed(length_s, lambda: write(video, folder / "out")),
            }
            both = sum(1 / each["times_real_time"] for each in speeds.values())
            repeat_analysis(folder / "out", "short", 1, length_s)
            repeat_analysis(folder / "out", "long", TIMES, length_s)
            memory = [round(peak_mb(each, folder / "out")) for each in (short, long)]
        size = round((folder / "out" / "video.overlay.mp4").stat().st_size / video.stat().st_size, 2)
    found = {
        "video": f"{SIZE[0]} x {SIZE[1]}, {length_s:.1f} s, {SOURCE} enlarged",
        "speed": {**speeds, "both": {"times_real_time": round(1 / both, 2)}},
        "peak_mb": {f"{length_s:.0f} s": memory[0], f"{TIMES * length_s:.0f} s": memory[1]},
        "size_to_source": size,
        "machine": describe_machine(),
        "load": machine.record,
        "commit": commit(),
    }
    print(json.dumps(found, indent=1))
    write_json(RESULTS, found)


if __name__ == "__main__":
    main()
