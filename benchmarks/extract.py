"""How fast extraction is beside the bare encoder and beside a script written the usual way, and what memory it takes.

Everything is made here: a film of 720p with a drawn face and a voice, models of the real architectures with random
weights. Figures that are compared are measured in one process, turn by turn, several times; medians are told. Writes
extract.json in results/ and docs/speed.md. Do not let anything else run beside it.

    python -m benchmarks.extract [--parts networks built_in memory gpu] [--repeats 3] [--work work/speed]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from abaw.dataset.layout import open_dataset
from abaw.files import read_json, write_json
from abaw.results.runs import commit, versions
from extract import media
from extract.encoders import ENCODERS
from extract.encoders.base import Encoder, PictureEncoder, SoundEncoder, joined
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.faces.detectors import Haar
from extract.faces.geometry import Face, crop_of, cut
from extract.faces.target import TargetConfig
from extract.store.store import FeatureStore
from extract.synthetic.face import FaceState, Head, Pose, draw_background, draw_person, paste_head
from extract.synthetic.voice import VOICE_HZ, draw_voice, synthesize_voice
from extract.synthetic.write_clip import write_clip

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks/results/extract.json"
TABLE = ROOT / "docs" / "speed.md"
FPS, SECONDS, SIZE = 30, 30, (1280, 720)
BATCHES = (1, 8, 32)

Figures = dict[str, Any]


def film(path: Path, seconds: int, size: tuple[int, int] = SIZE, fps: int = FPS, sound: bool = True) -> Path:
    """A drawn face that moves and talks, for so long."""
    if path.exists():
        return path
    rng = np.random.default_rng(11)
    person, times_s = draw_person(rng), np.arange(seconds * fps) / fps
    voice = None
    if sound:
        mood = np.sin(2 * np.pi * 0.1 * np.arange(min(seconds, 60) * VOICE_HZ) / VOICE_HZ)
        sung = synthesize_voice(draw_voice(rng), mood, -mood, VOICE_HZ, rng)
        voice = media.Sound(np.resize(sung, seconds * VOICE_HZ), VOICE_HZ, 0.0)  # a minute, again and again
    write_clip(path, pictures_of(person, times_s, size), times_s, voice, crf=23)
    return path


def pictures_of(person: Any, times_s: np.ndarray, size: tuple[int, int]) -> Iterator[media.Rgb]:
    head, scale = Head(person), size[1] / 210
    wall = draw_background(person, size, [(person, size[0] / 2)])
    grain = np.random.default_rng(3).normal(0, 2.5, (size[1], size[0], 3)).round().astype(np.int16)
    for t in times_s:
        picture = wall.copy()
        look = FaceState(np.sin(t), np.cos(t / 2), np.sin(t / 3), 1.0, abs(np.sin(3 * t)), 0.2 * np.sin(t))
        pose = Pose(size[0] / 2 + 0.1 * size[1] * np.sin(t / 2), 0.44 * size[1], scale, 0.05 * np.sin(t))
        paste_head(picture, head.draw(look), head.alpha, pose)
        yield cv2.add(picture, grain, dtype=cv2.CV_8U)


def vit(folder: Path, size: str = "base") -> Path:
    """ViT-B/16, or CLIP's ViT-L/14, at random weights, as a user's folder."""
    import torch
    import transformers as tf

    if not folder.exists():
        torch.manual_seed(0)
        if size == "base":
            model = tf.ViTModel(tf.ViTConfig(), add_pooling_layer=False)
        else:
            wide = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
            model = tf.CLIPVisionModel(tf.CLIPVisionConfig(**wide, patch_size=14))
        model.save_pretrained(folder)
        tf.ViTImageProcessor(size={"height": 224, "width": 224}).save_pretrained(folder)
    return folder


def wavlm(folder: Path) -> Path:
    """WavLM-base at random weights."""
    import torch
    import transformers as tf

    if not folder.exists():
        torch.manual_seed(0)
        tf.WavLMModel(tf.WavLMConfig()).save_pretrained(folder)
        tf.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    return folder


def timed(work: Callable[[], Any]) -> float:
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def verb_s(data: Path, encoders: dict[str, Encoder], work: Path, watch: TargetConfig, **options: Any) -> float:
    """Seconds of a whole extraction into an empty store, encoders loaded already."""
    shutil.rmtree(work, ignore_errors=True)
    asked = [EncoderSpec(name, encoder, "float32") for name, encoder in encoders.items()]
    took_s = timed(lambda: extract(open_dataset(data), FeatureStore(work), asked, watch, **options))
    assert len(list(work.glob("*/*.safetensors"))) >= len(encoders), "an extraction that failed has no speed"
    return took_s


def forward_s(encoder: PictureEncoder, num_rows: int, batch_size: int, least_s: float = 12.0) -> float:
    """Seconds of the bare forward for so many rows, measured on some of them."""
    side = encoder.crop.size_px if encoder.crop else 224
    pictures = np.random.default_rng(0).integers(0, 255, (batch_size, side, side, 3), np.uint8)
    batch = encoder.prepare(list(pictures))
    encoder.forward(batch)
    num, start_s = 0, time.perf_counter()
    while (took_s := time.perf_counter() - start_s) < least_s:
        encoder.forward(batch)
        num += batch_size
    return took_s / num * num_rows


def hear_s(encoder: SoundEncoder, sound: media.Sound) -> float:
    return timed(lambda: joined(encoder.encode(sound), encoder.dim))


def usual_script(path: Path, face: Path, voice: Path, boxes: np.ndarray) -> np.ndarray:
    """As usually written: all frames to memory, PIL crops, the processor, batches of 32 in fp32; then the sound."""
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
        ear = tf.AutoModel.from_pretrained(voice).eval()
        samples = media.sound(path).samples
        ear(torch.from_numpy(samples)[None]).last_hidden_state.numpy()
    return np.concatenate(rows)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))


def networks(work: Path, repeats: int) -> Figures:
    """ViT-B/16 and WavLM-base on 30 s of 720p: the verb, the bare forward, the usual script."""
    clip, face, voice = film(work / "film.mp4", SECONDS), vit(work / "vit"), wavlm(work / "wavlm")
    watch, num = TargetConfig(Haar(4, 0.1)), FPS * SECONDS
    sound = media.sound(clip)
    trial = {
        (precision, batch_size): forward_s(
            ENCODERS.build("hf_vision", model=str(face), precision=precision, device="cpu"), num, batch_size
        )
        for precision in ("fp32", "bf16")
        for batch_size in BATCHES
    }
    precision, batch_size = min(trial, key=lambda key: trial[key])
    ears = {p: ENCODERS.build("hf_audio", model=str(voice), precision=p, device="cpu") for p in ("fp32", "bf16")}
    ear = min((hear_s(encoder, sound), name) for name, encoder in ears.items() for _ in range(2))[1]
    eye = ENCODERS.build(
        "hf_vision", model=str(face), precision=precision, batch_size=batch_size, crop_px=224, device="cpu"
    )
    encoders = {"vit": eye, "wavlm": ears[ear]}
    turns: dict[str, list[float]] = {"verb": [], "bare vit": [], "bare wavlm": [], "script": []}
    for _ in range(repeats):
        turns["bare vit"].append(forward_s(eye, num, batch_size, 30.0))
        turns["bare wavlm"].append(hear_s(ears[ear], sound))
        turns["verb"].append(verb_s(clip, encoders, work / "store", watch))
        store = FeatureStore(work / "store")
        boxes = next(store.get(recipe, "film") for recipe in store.recipes().values() if recipe["name"] == "faces")
        start_s = time.perf_counter()
        rows = usual_script(clip, face, voice, boxes.values[:, :4])
        turns["script"].append(time.perf_counter() - start_s)
    ours = store.get(store.find("vit"), "film").values
    middle = {name: statistics.median(values) for name, values in turns.items()}
    return {
        "forward_rows_per_s": {f"{p} batch {b}": num / took_s for (p, b), took_s in trial.items()},
        "precision": {"vit": precision, "wavlm": ear},
        "batch_size": batch_size,
        "seconds": turns,
        "verb_frames_per_s": num / middle["verb"],
        "verb_of_bare": (middle["bare vit"] + middle["bare wavlm"]) / middle["verb"],
        "verb_over_script": middle["script"] / middle["verb"],
        "cosine_to_script": {"least": float(cosines(ours, rows).min()), "mean": float(cosines(ours, rows).mean())},
        "faces_seen": float(boxes.observed.mean()),
        "start_up_s": start_up_s(work, ["hf_vision:model=" + str(face), "hf_audio:model=" + str(voice)]),
    }


def start_up_s(work: Path, encoders: list[str]) -> float:
    """Of the command itself: imports, loading the encoders, one clip of one picture."""
    tiny = film(work / "one.mp4", 1, (64, 48), 1, sound=False)
    words = [word for text in encoders for word in ("--encoder", text)]
    shutil.rmtree(work / "start", ignore_errors=True)
    command = [sys.executable, "-m", "abaw", "-q", "extract", str(tiny), "--store", str(work / "start"), *words]
    return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def built_in(work: Path, repeats: int) -> Figures:
    """The encoders that need no weights, as multiples of real time: ready crops, raw 720p, sound."""
    clip = film(work / "film.mp4", SECONDS)
    ready = work / "ready"
    if not ready.exists():
        cut_crops(clip, ready / "cropped" / "film")
        (ready / "videos").mkdir()
        (ready / "videos" / "film.mp4").symlink_to(clip.resolve())
    heard = work / "film.mkv"
    if not heard.exists():
        write_clip(heard, [], [], media.sound(clip))
    face, voice = ENCODERS.build("face_hog"), ENCODERS.build("voice_mel")
    watch, sound = TargetConfig(Haar(4, 0.1)), media.sound(clip)
    cases: dict[str, Callable[[], float]] = {
        "face_hog, from face images": lambda: verb_s(ready, {"face": face}, work / "store", watch),
        "face_hog, from 720p video": lambda: verb_s(clip, {"face": face}, work / "store", watch),
        "voice_mel, from 720p video with timestamps": lambda: verb_s(clip, {"voice": voice}, work / "store", watch),
        "voice_mel alone": lambda: hear_s(voice, sound),
        "decoding 720p alone": lambda: timed(lambda: [picture.rgb() for picture in media.pictures(clip)]),
    }
    for case in cases.values():
        case()  # warm
    turns: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            turns[name].append(case())
    store_s = [sound_after_clock_s(clip, work / "clocked", voice, watch) for _ in range(repeats)]
    turns["voice_mel, timestamps already stored"] = store_s
    return {"seconds": turns, "times_real": {name: SECONDS / statistics.median(took) for name, took in turns.items()}}


def sound_after_clock_s(clip: Path, root: Path, voice: Encoder, watch: TargetConfig) -> float:
    """Seconds of an extraction of sound into a store that has the clip's clock."""
    shutil.rmtree(root, ignore_errors=True)
    extract(open_dataset(clip), FeatureStore(root), [], watch)
    return timed(lambda: extract(open_dataset(clip), FeatureStore(root), [EncoderSpec("voice", voice)], watch))


def cut_crops(clip: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    selector = TargetConfig(Haar(4, 0.1)).make_selector(None, clip)
    for number, picture in enumerate(media.pictures(clip), start=1):
        rgb = picture.rgb()
        face: Face | None = selector.select(picture.time_s, rgb)
        crop = crop_of("face", 112, 0.1)
        if face is not None and crop is not None:
            cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.cvtColor(cut(rgb, face, crop), cv2.COLOR_RGB2BGR))


def memory(work: Path, repeats: int) -> Figures:
    """Peak anonymous memory of the command on 1 minute and on 60 minutes, each in a process of its own."""
    peaks = {}
    for minutes in (1, 60):
        clip = film(work / f"{minutes}min.mp4", 60 * minutes, (160, 120), 10)
        shutil.rmtree(work / "store", ignore_errors=True)
        words = [sys.executable, "-m", "abaw", "-q", "extract", str(clip), "--store", str(work / "store")]
        peaks[f"{minutes} min"] = peak_mb([*words, "--encoder", "face_hog", "--encoder", "voice_mel"])
    return {"peak_anonymous_mb": peaks, "more_mb": peaks["60 min"] - peaks["1 min"]}


def peak_mb(command: list[str]) -> float:
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
    assert process.wait() == 0, "an extraction that failed has no peak"
    return peak


def gpu(work: Path, repeats: int) -> Figures:
    """ViT-L/14 in bf16 from 112 px crops on a CUDA device: the verb beside the bare forward, and the card's peak."""
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
    model = vit(work / "vit_l", "large")
    eye = ENCODERS.build("hf_vision", model=str(model), precision="bf16", batch_size=256, crop_px=112, device="cuda")
    num = 16 * 4000
    turns: dict[str, list[float]] = {"bare": [], "verb": []}
    for _ in range(repeats):
        turns["bare"].append(forward_s(eye, num, 256, 10.0))
        turns["verb"].append(verb_s(data, {"vit": eye}, work / "store", TargetConfig(Haar(4, 0.1)), assume_fps=30.0))
    bare, verb = (statistics.median(turns[name]) for name in ("bare", "verb"))
    peak = matmul_flops()
    return {
        "device": torch.cuda.get_device_name(),
        "seconds": turns,
        "verb_frames_per_s": num / verb,
        "verb_of_bare": bare / verb,
        "peak_matmul_tflops": peak / 1e12,
        "share_of_peak": num / verb * 2 * 304e6 * 257 / peak,  # 304 M weights, 257 tokens, a multiply and an add
    }


def matmul_flops() -> float:
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


def machine() -> str:
    """The processor, as Linux names it."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    has = "with" if "avx512_bf16" in text else "without"
    return f"{os.cpu_count()} cores of {names[0] if names else 'an unnamed processor'} {has} avx512_bf16"


def num_repeats(num: int) -> str:
    return f"{num} repeat{'s' * (num > 1)}"


def table(record: Figures) -> str:
    """The figures as a page."""
    parts, notes = record["parts"], list[str]()
    lines = [
        "# Speed of extraction",
        "",
        "Written by `python -m benchmarks.extract`. Medians of several repeats in one process, on a video of "
        f"{SECONDS} s, 1280x720, {FPS} fps, with a drawn face and a synthetic voice. The networks have the real "
        "architectures and random weights.",
        "",
        *(
            f"- {name.replace('_', '-')}: commit {part['commit']}, {part['machine']}, {num_repeats(part['repeats'])}"
            for name, part in parts.items()
            if "skipped" not in part
        ),
        "",
        "| what | measured | target |",
        "|---|---|---|",
    ]
    if "networks" in parts:
        found = parts["networks"]
        cosine, vit = found["cosine_to_script"], found["precision"]["vit"]
        lines += [
            f"| ViT-B/16 and WavLM-base, whole command: frames per second | {found['verb_frames_per_s']:.2f} | |",
            f"| the same, relative to the forward passes alone ({vit}, batch {found['batch_size']}) "
            f"| {found['verb_of_bare']:.3f} | 0.90 |",
            f"| the same, relative to a straightforward script (fp32) | {found['verb_over_script']:.2f} | 1.8 |",
            f"| cosine similarity of features to that script's: minimum (mean) "
            f"| {cosine['least']:.5f} ({cosine['mean']:.5f}) | 0.999 |",
            f"| start-up of the command: imports and loading both networks, in seconds | {found['start_up_s']:.1f} | |",
        ]
        if found["precision"]["vit"] == "fp32":
            least = max(rate for key, rate in found["forward_rows_per_s"].items() if key.startswith("bf16"))
            most = max(found["forward_rows_per_s"].values())
            notes.append(
                "The script was measured in fp32, as such scripts are usually written. On this processor fp32 is the "
                f"fastest precision ({most:.1f} rows per second; bf16: {least:.1f}), because it has no bf16 "
                "instructions, on which the target of 1.8 relies. Command and script spend most of their time in "
                "the same matrix "
                "products; the ratio shows what decoding, cropping and preprocessing cost in the script."
            )
    if "built_in" in parts:
        aims = {
            "face_hog, from face images": "10",
            "face_hog, from 720p video": "2",
            "voice_mel, timestamps already stored": "30",
        }
        for name, times in parts["built_in"]["times_real"].items():
            lines.append(f"| {name}: multiple of real time | {times:.1f} | {aims.get(name, '')} |")
    if "memory" in parts:
        more = parts["memory"]["more_mb"]
        lines.append(f"| extra peak memory for 60 minutes instead of 1 minute, in MB | {more:.0f} | 300 |")
    if "gpu" in parts and "skipped" not in parts["gpu"]:
        found = parts["gpu"]
        what = f"ViT-L/14 bf16 from face images on {found['device']}, relative to the forward passes alone"
        lines.append(f"| {what} | {found['verb_of_bare']:.3f} | 0.85 |")
        lines.append(f"| the same, relative to the GPU's measured peak | {found['share_of_peak']:.3f} | |")
    return "\n".join([*lines, *(f"\n{note}" for note in notes)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, default=ROOT / "work" / "speed")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    parts = read_json(OUT)["parts"] if OUT.exists() else {}
    for name in arguments.parts:
        about = {"commit": commit(), "machine": machine(), "repeats": arguments.repeats, "versions": versions()}
        parts[name] = about | PARTS[name](arguments.work, arguments.repeats)
        print(name, parts[name], flush=True)
        record = {"parts": parts}
        write_json(OUT, record)
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table(record), encoding="utf-8")


if __name__ == "__main__":
    main()
