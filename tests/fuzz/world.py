"""The sound files that the harness damages: a data set of four short clips and what the commands make of it."""

import contextlib
import io
import shutil
from pathlib import Path

import numpy as np

from abaw.cli import main
from abaw.configs.packaged import packaged_config
from abaw.tasks import TASKS
from extract.media import Sound
from extract.networks.tiny.onnx import write_face_net
from extract.synthetic.write_clip import write_clip
from tests.support.abaw.submissions import predicted
from tests.support.extract.damage import CONTAINERS, write_small_clip
from tests.support.extract.real_media import real_media

CLIPS = {"clip_alpha": "Train_Set", "clip_beta": "Train_Set", "clip_gamma": "Validation_Set", "clip_delta": None}
SUFFIXES = (".mp4", ".mov", ".mkv", ".avi")
NUM_FRAMES = 25
# recordings of other people in real_media(), at most 3 s and 0.5 MB
REAL_CLIPS = (
    "clips/bbaf2n.mpg", "clips/1001_DFA_ANG_XX.flv", "clips/single_face.mp4", "nasty/corrupted.mp4",
    "nasty/audio_starts_late_0.8s.mp4", "nasty/vfr_gaps_CREMAD_HAP.mp4", "nasty/odd_dims_351x287_mjpeg_8khz.avi",
    "nasty/rotate_flag.mp4", "nasty/video_90.mov", "nasty/fps_30000_1001.mp4",
)  # fmt: skip
ENCODERS = ("--encoder", "onnx:file=net.onnx,crop=none,as=net", "--encoder", "voice_mel")
FEATURES = {"net": "{align: linear}", "voice_mel": "{align: window_mean}"}
SETTINGS = (
    f"features={{{', '.join(f'{name}: {value}' for name, value in FEATURES.items())}}}",
    "model={name: concat}",
    "trainer={max_epochs: 1, accelerator: cpu}",
    "training.loggers=[]",
    "window={length: 20, stride: 10}",
)


def make_world(folder: Path, *, trained: bool) -> Path:
    """Write everything below ``folder``; ``trained``: also a store, a run and its predictions, which takes longer."""
    folder.mkdir(parents=True)
    real = real_media()
    with contextlib.chdir(folder):
        Path("films").mkdir()
        for suffix in CONTAINERS:
            write_small_clip(Path(f"films/small_{suffix}.{suffix}"))
        Path("real").mkdir()
        for place in REAL_CLIPS if real.is_dir() else ():
            shutil.copyfile(real / place, Path("real") / Path(place).name)
        for seed, (clip, suffix) in enumerate(zip(CLIPS, SUFFIXES, strict=True)):
            _write_media(Path(f"data/videos/batch1/{clip}{suffix}"), seed)
            if CLIPS[clip]:
                _write_labels(clip, CLIPS[clip], seed)
        _write_lists()
        write_face_net(Path("net.onnx"))
        _write_predictions()
        text = packaged_config("synthetic").path.read_text(encoding="utf-8")
        for before, after in (("work/synthetic", "data"), ("work/store", "store"), ("{num: 1, fold", "{num: 2, fold")):
            text = text.replace(before, after)
        Path("config.yaml").write_text(text, encoding="utf-8")
        Path("space.yaml").write_text("training.learning_rate: log:1e-4:1e-2\nmodel.hidden_dim: [8, 16]\n")
        Path("set.yaml").write_text("root: data\nvideos: [videos]\nannotations: [annotations]\n")
        command("fit", "predictions", "--out", "post.json", "--task", "va", "--data", "data", "--trust")
        command("submit", "predictions", "--template", "template.txt", "--out", "submission.txt")
        if trained:
            command("extract", "data", "--store", "store", *ENCODERS)
            command("train", "config.yaml", *SETTINGS)
            command("predict", "runs/synthetic", "--split", "validation", "--out", "predicted")
            command("store", "export", "store", "npy", "--encoder", "net")
            command("extract", "data", "--store", "small", "--encoder", "voice_mel:stored_dtype=int8")
    return folder


def command(*words: str) -> None:
    """Run a command that must succeed."""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main(words)
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"abaw {' '.join(words)} exited with {end.code}: {out.getvalue()}") from end


def copy_world(world: Path, folder: Path) -> Path:
    """A copy of a world that may be damaged."""
    return Path(shutil.copytree(world, folder))


def _write_media(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [np.full((48, 64, 3), 40 + 8 * i, np.uint8) for i in range(NUM_FRAMES)]
    sound = Sound((0.2 * rng.standard_normal(16000)).astype(np.float32), 16000, 0.0)
    write_clip(path, pictures, np.arange(NUM_FRAMES) / 25, sound)


def _write_labels(clip: str, split: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = {
        "VA_Estimation_Challenge": [f"{v:.3f},{a:.3f}" for v, a in rng.uniform(-1, 1, (NUM_FRAMES, 2))],
        "EXPR_Recognition_Challenge": [str(value) for value in rng.integers(-1, 8, NUM_FRAMES)],
        "AU_Detection_Challenge": [",".join(map(str, row)) for row in rng.integers(0, 2, (NUM_FRAMES, 12))],
    }
    headers = {"VA": "va", "EXPR": "expr", "AU": "au"}
    for name, values in rows.items():
        header = TASKS.build(headers[name.split("_")[0]]).header.partition(",")[2]
        path = Path(f"data/annotations/{name}/{split}/{clip}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *values]) + "\n")


def _write_lists() -> None:
    folder = Path("data/test_set")
    folder.mkdir(parents=True)
    (folder / "Valence_Arousal_Estimation_Challenge_test_set_release.txt").write_text("clip_delta\n")
    rows = [f"clip_delta/{frame:05d}.jpg" for frame in range(1, NUM_FRAMES + 1)]
    Path("template.txt").write_text("\n".join(["image_location,valence,arousal", *(f"{row}," for row in rows)]) + "\n")
    header = "image,valence,arousal,expression,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
    mixed = [f"{row.replace('delta', 'gamma')},0.1,-0.2,3,{','.join('010000000001')}" for row in rows]
    path = Path("data/multitask/validation_set_annotations.txt")
    path.parent.mkdir()
    path.write_text("\n".join([header, *mixed]) + "\n")


def _write_predictions() -> None:
    rng = np.random.default_rng(0)
    clips = {clip: rng.uniform(-0.9, 0.9, (NUM_FRAMES, 2)) for clip in ("clip_gamma", "clip_delta")}
    predicted(Path("predictions"), **clips)
    predicted(Path("others"), **{clip: rows * 0.5 for clip, rows in clips.items()})
