"""The synthetic inputs of benchmarks/extract.py: a video with a drawn face and a voice, face images, and networks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from extract import media
from extract.faces.detectors import Haar
from extract.faces.geometry import Face, crop_of, cut
from extract.faces.target import TargetConfig
from extract.synthetic.face import FaceState, Head, Pose, draw_background, draw_person, paste_head
from extract.synthetic.voice import VOICE_HZ, draw_voice, synthesize_voice
from extract.synthetic.write_clip import write_clip

FPS, SECONDS, SIZE = 30, 30, (1280, 720)


def make_video(path: Path, seconds: int, size: tuple[int, int] = SIZE, fps: int = FPS, has_sound: bool = True) -> Path:
    """Write a video of a drawn face that moves and talks, unless it is there."""
    if path.exists():
        return path
    rng = np.random.default_rng(11)
    person, times_s = draw_person(rng), np.arange(seconds * fps) / fps
    voice = None
    if has_sound:
        mood = np.sin(2 * np.pi * 0.1 * np.arange(min(seconds, 60) * VOICE_HZ) / VOICE_HZ)
        spoken = synthesize_voice(draw_voice(rng), mood, -mood, VOICE_HZ, rng)
        voice = media.Sound(np.resize(spoken, seconds * VOICE_HZ), VOICE_HZ, 0.0)  # one minute, repeated
    write_clip(path, draw_pictures(person, times_s, size), times_s, voice, crf=23)
    return path


def draw_pictures(person: Any, times_s: np.ndarray, size: tuple[int, int]) -> Iterator[media.Rgb]:
    """The pictures of that video, with camera noise."""
    head, scale = Head(person), size[1] / 210
    background = draw_background(person, size, [(person, size[0] / 2)])
    grain = np.random.default_rng(3).normal(0, 2.5, (size[1], size[0], 3)).round().astype(np.int16)
    for t in times_s:
        picture = background.copy()
        state = FaceState(np.sin(t), np.cos(t / 2), np.sin(t / 3), 1.0, abs(np.sin(3 * t)), 0.2 * np.sin(t))
        pose = Pose(size[0] / 2 + 0.1 * size[1] * np.sin(t / 2), 0.44 * size[1], scale, 0.05 * np.sin(t))
        paste_head(picture, head.draw(state), head.alpha, pose)
        yield cv2.add(picture, grain, dtype=cv2.CV_8U)


def save_vit(folder: Path, size: str = "base") -> Path:
    """Save a ViT-B/16, or CLIP's ViT-L/14 for size "large", with random weights."""
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


def save_wavlm(folder: Path) -> Path:
    """Save a WavLM-base with random weights."""
    import torch
    import transformers as tf

    if not folder.exists():
        torch.manual_seed(0)
        tf.WavLMModel(tf.WavLMConfig()).save_pretrained(folder)
        tf.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    return folder


def save_crops(clip: Path, folder: Path) -> None:
    """Save the target's face in every picture of a video, as a data set has them."""
    folder.mkdir(parents=True)
    selector = TargetConfig(Haar(4, 0.1)).make_selector(None, clip)
    for number, picture in enumerate(media.pictures(clip), start=1):
        rgb = picture.rgb()
        face: Face | None = selector.select(picture.time_s, rgb)
        crop = crop_of("face", 112, 0.1)
        if face is not None and crop is not None:
            cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.cvtColor(cut(rgb, face, crop), cv2.COLOR_RGB2BGR))
