"""Speed and memory of extraction, compared with the encoder's forward passes alone and with a straightforward script.

The inputs are synthetic: a 720p video with a drawn face and a voice, and networks of the real architectures with random
weights. Compared figures are measured alternately in one process; the page shows medians. Writes results/extract.json
and docs/measurements/speed.md, with the load of the machine. On a busy machine it prints no figure and ends with exit
code 2.

    python -m benchmarks.extract [--parts networks built_in memory gpu] [--repeats 3] [--work work/speed] [--busy]
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from abaw.dataset.layout import open_dataset
from abaw.files import read_json, write_json
from abaw.results.runs import commit, versions
from benchmarks.extract_inputs import FPS, SECONDS, SIZE, make_video, save_crops, save_vit, save_wavlm
from benchmarks.machine.load import QuietMachine, add_busy, describe_machine
from benchmarks.speed_page import PAGE, make_page
from extract import media
from extract.encoders import ENCODERS
from extract.encoders.base import Encoder, PictureEncoder, SoundEncoder, joined
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.faces.detectors import Haar
from extract.faces.target import TargetConfig
from extract.store.store import FeatureStore
from extract.synthetic.write_clip import write_clip

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks/results/extract.json"
BATCH_SIZES = (1, 8, 32)

TARGET = TargetConfig(Haar(4, 0.1))

Figures = dict[str, Any]


def time_s(run: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    start_s = time.perf_counter()
    run()
    return time.perf_counter() - start_s


def time_extraction_s(data: Path, encoders: dict[str, Encoder], work: Path, **options: Any) -> float:
    """Seconds of a whole extraction into an empty store, with encoders that are loaded already."""
    shutil.rmtree(work, ignore_errors=True)
    specs = [EncoderSpec(name, encoder, "float32") for name, encoder in encoders.items()]
    took_s = time_s(lambda: extract(open_dataset(data), FeatureStore(work), specs, TARGET, **options))
    assert len(list(work.glob("*/*.safetensors"))) >= len(encoders), "the extraction failed"
    return took_s


def time_forward_s(encoder: PictureEncoder, num_rows: int, batch_size: int, min_s: float = 12.0) -> float:
    """Seconds of the forward passes alone for ``num_rows``, extrapolated from at least ``min_s`` of them."""
    side = encoder.crop.size_px if encoder.crop else 224
    pictures = np.random.default_rng(0).integers(0, 255, (batch_size, side, side, 3), np.uint8)
    batch = encoder.prepare(list(pictures))
    encoder.forward(batch)
    num, start_s = 0, time.perf_counter()
    while (took_s := time.perf_counter() - start_s) < min_s:
        encoder.forward(batch)
        num += batch_size
    return took_s / num * num_rows


def time_sound_s(encoder: SoundEncoder, sound: media.Sound) -> float:
    """Seconds that a sound encoder takes."""
    return time_s(lambda: joined(encoder.encode(sound), encoder.dim))


def run_script(path: Path, face: Path, voice: Path, boxes: np.ndarray) -> np.ndarray:
    """A straightforward script: all frames in memory, PIL crops, processor, batches of 32 in fp32; then the sound."""
    import torch
    import transformers as tf
    from PIL import Image

    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        is_read, frame = capture.read()
        if not is_read:
            break
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    capture.release()
    processor, model = tf.AutoImageProcessor.from_pretrained(face), tf.AutoModel.from_pretrained(face).eval()
    rows = []
    with torch.no_grad():
        for first in range(0, len(frames), 32):
            crops = []
            for frame, (x, y, width, height) in zip(frames[first : first + 32], boxes[first : first + 32], strict=True):
                half = max(width, height) * 0.6
                left, top = x + width / 2 - half, y + height / 2 - half
                box = (round(left), round(top), round(left + 2 * half), round(top + 2 * half))
                crops.append(Image.fromarray(frame).crop(box).resize((224, 224), Image.Resampling.BILINEAR))
            state = model(**processor(crops, return_tensors="pt")).last_hidden_state
            rows.append(state[:, 0].numpy())
        speech_model = tf.AutoModel.from_pretrained(voice).eval()
        samples = media.sound(path).samples
        speech_model(torch.from_numpy(samples)[None]).last_hidden_state.numpy()
    return np.concatenate(rows)


def compute_cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))


def networks(work: Path, repeats: int) -> Figures:
    """ViT-B/16 and WavLM-base on 30 s of 720p: the extraction, the forward passes alone, the script."""
    clip = make_video(work / "film.mp4", SECONDS)
    face, voice = save_vit(work / "vit"), save_wavlm(work / "wavlm")
    num, sound = FPS * SECONDS, media.sound(clip)
    forward_s = {
        (precision, batch_size): time_forward_s(
            ENCODERS.build("hf_vision", model=str(face), precision=precision, device="cpu"), num, batch_size
        )
        for precision in ("fp32", "bf16")
        for batch_size in BATCH_SIZES
    }
    precision, batch_size = min(forward_s, key=lambda key: forward_s[key])
    sound_encoders = {
        p: ENCODERS.build("hf_audio", model=str(voice), precision=p, device="cpu") for p in ("fp32", "bf16")
    }
    sound_precision = min(
        (time_sound_s(encoder, sound), name) for name, encoder in sound_encoders.items() for _ in range(2)
    )[1]
    vision_encoder = ENCODERS.build(
        "hf_vision", model=str(face), precision=precision, batch_size=batch_size, crop_px=224, device="cpu"
    )
    encoders = {"vit": vision_encoder, "wavlm": sound_encoders[sound_precision]}
    turns: dict[str, list[float]] = {"extract": [], "forward vit": [], "forward wavlm": [], "script": []}
    for _ in range(repeats):
        turns["forward vit"].append(time_forward_s(vision_encoder, num, batch_size, 30.0))
        turns["forward wavlm"].append(time_sound_s(encoders["wavlm"], sound))
        turns["extract"].append(time_extraction_s(clip, encoders, work / "store"))
        store = FeatureStore(work / "store")
        boxes = next(store.get(recipe, "film") for recipe in store.recipes().values() if recipe["name"] == "faces")
        start_s = time.perf_counter()
        rows = run_script(clip, face, voice, boxes.values[:, :4])
        turns["script"].append(time.perf_counter() - start_s)
    ours = store.get(store.find("vit"), "film").values
    median = {name: statistics.median(values) for name, values in turns.items()}
    return {
        "forward_rows_per_s": {f"{p} batch {b}": num / took_s for (p, b), took_s in forward_s.items()},
        "precision": {"vit": precision, "wavlm": sound_precision},
        "batch_size": batch_size,
        "seconds": turns,
        "frames_per_s": num / median["extract"],
        "share_of_forward": (median["forward vit"] + median["forward wavlm"]) / median["extract"],
        "speedup_over_script": median["script"] / median["extract"],
        "cosine_to_script": {
            "min": float(compute_cosines(ours, rows).min()),
            "mean": float(compute_cosines(ours, rows).mean()),
        },
        "share_with_face": float(boxes.observed.mean()),
        "start_up_s": time_start_up_s(work, ["hf_vision:model=" + str(face), "hf_audio:model=" + str(voice)]),
    }


def time_start_up_s(work: Path, encoders: list[str]) -> float:
    """Seconds of the command on a clip of one picture: imports and loading the encoders."""
    tiny = make_video(work / "one.mp4", 1, (64, 48), 1, has_sound=False)
    words = [word for text in encoders for word in ("--encoder", text)]
    shutil.rmtree(work / "start", ignore_errors=True)
    command = [sys.executable, "-m", "abaw", "-q", "extract", str(tiny), "--store", str(work / "start"), *words]
    return time_s(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def built_in(work: Path, repeats: int) -> Figures:
    """The encoders that need no weights, as multiples of real time: ready crops, raw 720p, sound."""
    clip = make_video(work / "film.mp4", SECONDS)
    ready = work / "ready"
    if not ready.exists():
        save_crops(clip, ready / "cropped" / "film")
        (ready / "videos").mkdir()
        (ready / "videos" / "film.mp4").symlink_to(clip.resolve())
    sound_only = work / "film.mkv"
    if not sound_only.exists():
        write_clip(sound_only, [], [], media.sound(clip))
    face, voice = ENCODERS.build("face_hog"), ENCODERS.build("voice_mel")
    sound = media.sound(clip)
    cases: dict[str, Callable[[], float]] = {
        "face_hog, from face images": lambda: time_extraction_s(ready, {"face": face}, work / "store"),
        "face_hog, from 720p video": lambda: time_extraction_s(clip, {"face": face}, work / "store"),
        "voice_mel, from 720p video with timestamps": lambda: time_extraction_s(clip, {"voice": voice}, work / "store"),
        "voice_mel alone": lambda: time_sound_s(voice, sound),
        "decoding 720p alone": lambda: time_s(lambda: [picture.rgb() for picture in media.pictures(clip)]),
    }
    for case in cases.values():
        case()  # warm
    turns: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            turns[name].append(case())
    store_s = [time_sound_with_clock_s(clip, work / "clocked", voice) for _ in range(repeats)]
    turns["voice_mel, timestamps already stored"] = store_s
    return {"seconds": turns, "times_real": {name: SECONDS / statistics.median(took) for name, took in turns.items()}}


def time_sound_with_clock_s(clip: Path, root: Path, voice: Encoder) -> float:
    """Seconds of an extraction of sound into a store that has the clip's clock."""
    shutil.rmtree(root, ignore_errors=True)
    extract(open_dataset(clip), FeatureStore(root), [], TARGET)
    return time_s(lambda: extract(open_dataset(clip), FeatureStore(root), [EncoderSpec("voice", voice)], TARGET))


def memory(work: Path, repeats: int) -> Figures:
    """Peak anonymous memory of the command on 1 minute and on 60 minutes, each in a process of its own."""
    peaks = {}
    for minutes in (1, 60):
        clip = make_video(work / f"{minutes}min.mp4", 60 * minutes, (160, 120), 10)
        shutil.rmtree(work / "store", ignore_errors=True)
        words = [sys.executable, "-m", "abaw", "-q", "extract", str(clip), "--store", str(work / "store")]
        peaks[f"{minutes} min"] = measure_peak_mb([*words, "--encoder", "face_hog", "--encoder", "voice_mel"])
    return {"peak_anonymous_mb": peaks, "more_mb": peaks["60 min"] - peaks["1 min"]}


def measure_peak_mb(command: list[str]) -> float:
    """Peak of anonymous memory while a command runs, from Linux's /proc."""
    process, peak = subprocess.Popen(command, stdout=subprocess.DEVNULL), 0.0
    while process.poll() is None:
        try:
            text = Path(f"/proc/{process.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            break
        found = [line.split()[1] for line in text.splitlines() if line.startswith("RssAnon")]
        peak = max(peak, int(found[0]) / 1024 if found else 0.0)
        time.sleep(0.02)
    assert process.wait() == 0, "the extraction failed"
    return peak


def gpu(work: Path, repeats: int) -> Figures:
    """ViT-L/14 in bf16 from 112 px crops on a CUDA device: extraction, forward passes alone, and the GPU's peak."""
    import torch

    if not torch.cuda.is_available():
        return {"skipped": "no CUDA device here"}
    data = work / "crops"
    if not data.exists():
        face = np.random.default_rng(0).integers(0, 255, (64, 112, 112, 3), np.uint8)
        for clip in range(16):
            folder = data / "cropped" / f"c{clip:02d}"
            folder.mkdir(parents=True)
            for number in range(1, 4001):
                cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.GaussianBlur(face[number % 64], (0, 0), 3))
    model = save_vit(work / "vit_l", "large")
    vision_encoder = ENCODERS.build(
        "hf_vision", model=str(model), precision="bf16", batch_size=256, crop_px=112, device="cuda"
    )
    num = 16 * 4000
    turns: dict[str, list[float]] = {"forward": [], "extract": []}
    for _ in range(repeats):
        turns["forward"].append(time_forward_s(vision_encoder, num, 256, 10.0))
        turns["extract"].append(time_extraction_s(data, {"vit": vision_encoder}, work / "store", assume_fps=30.0))
    forward, extraction = (statistics.median(turns[name]) for name in ("forward", "extract"))
    peak = measure_matmul_flops()
    return {
        "device": torch.cuda.get_device_name(),
        "seconds": turns,
        "frames_per_s": num / extraction,
        "share_of_forward": forward / extraction,
        "peak_matmul_tflops": peak / 1e12,
        "share_of_peak": num / extraction * 2 * 304e6 * 257 / peak,  # 304 M weights, 257 tokens, a multiply and an add
    }


def measure_matmul_flops() -> float:
    """Floating point operations a second of a large bf16 product on the device."""
    import torch

    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for _ in range(5):
        a @ a
    torch.cuda.synchronize()
    start_s = time.perf_counter()
    for _ in range(50):
        a @ a
    torch.cuda.synchronize()
    return 50 * 2 * 8192**3 / (time.perf_counter() - start_s)


PARTS: dict[str, Callable[[Path, int], Figures]] = {
    "networks": networks,
    "built_in": built_in,
    "memory": memory,
    "gpu": gpu,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, default=ROOT / "work" / "speed")
    add_busy(parser)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    parts = read_json(OUT)["parts"] if OUT.exists() else {}
    for name in arguments.parts:
        about = {
            "commit": commit(),
            "machine": describe_machine(),
            "repeats": arguments.repeats,
            "versions": versions(),
        }
        with QuietMachine(busy=arguments.busy) as machine:
            found = PARTS[name](arguments.work, arguments.repeats)
        parts[name] = about | {"load": machine.record} | found
        print(name, parts[name], flush=True)
        write_json(OUT, {"video": f"{SECONDS} s, {SIZE[0]}x{SIZE[1]}, {FPS} fps", "parts": parts})
        PAGE.write_text(make_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
