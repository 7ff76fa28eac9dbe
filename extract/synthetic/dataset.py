"""A small data set in Aff-Wild2's layout whose answers are known: drawn faces and synthesised voices.

Valence shows mostly in the face (mouth, brows, cheeks) and arousal mostly in the voice (pitch, level, speaking rate,
spectral tilt); expression is a region of the valence-arousal plane and needs both. Eye opening carries a little
arousal, formants a little valence; blinks, talking, gaze, head motion, light and intonation carry nothing. Action
units are what the drawing shows (``units.py``). Every clip shows another person. Labels are the truth at the frame's
real time plus noise of a stated size; the truth itself is in ``truth/``, for analysis only.

What is planted, and the clip that has it (synth.json repeats this under "contains"):

    two_subjects_left, _right     130-25-1280x720_left, _right: one video, one voice, one arousal
    base_of_right_only, right_only  10-60-1280x720 and 10-60-1280x720_right of one video (test): there is no _left
    turned_away                   video49: the back of the head for some seconds; no crops, but labels
    labelled_frames_without_jpg   107: single crops are missing (in every clip that has crops)
    sentinel_rows                 107: a span of -5 (VA) and one of -1 (EXPR); also in every third plain clip
    fps_7_5, fps_25, fps_29_97    46-30-484x360, 102, 10-60-1280x720: real rates
    misleading_fps_in_name        122-60-1920x1080-3: really 29.97
    variable_fps                  video12: bursts of frames are missing
    late_sound                    107: the sound starts at 0.8 s
    no_sound                      102
    video_only, video_only_test   video45_1 (train), 451 (test): no crops in any image root
    one_label_line_more           122-60-1920x1080-3: one line more than decoded frames
    label_lines_fewer             video12: four lines fewer than decoded frames
    crlf                          28-30-1280x720-1: annotations with CRLF line ends
    va_only, expr_only            46-30-484x360, 102: labels of one task
    au_one_unit_unlabelled        107: a row of action units with a single -1; also in every third plain clip
    au_unlabelled_where_turned_away  video49: without a face, action units are -1
    mtl_repeated_rows             130-25-1280x720_left: rows that are repeated, as in s-Aff-Wild2's training file
    mtl_trains_on_validation_video  28-30-1280x720-1: validation split of VA, EXPR and AU, training split of MTL
    template_one_row_more         136-30-1920x1080: the VA template asks for one row after the last frame
    template_empty_values         the VA template has nothing after its one comma, as in the 5th edition
    template_dummy_values         the EXPR and AU templates have a class in every row, as in the 6th edition

``multitask/`` imitates s-Aff-Wild2: a part of the clips' images with labels of all tasks, some of which are missing.
"""

import json
import re
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

from abaw.errors import InputError
from abaw.files import locked, read_json
from extract.media import Sound
from extract.synthetic.face import FaceState, Head, Person, Pose, cut_crop, draw_background, draw_person, paste_head
from extract.synthetic.labels import NOISE, Images, write_labels, write_truth
from extract.synthetic.lists import split_images, write_multitask, write_test_set
from extract.synthetic.scenes import CASES, MIN_CLIPS, Affect, Scene, Waves, make_scenes
from extract.synthetic.units import measure_units
from extract.synthetic.voice import VOICE_HZ, draw_voice, synthesize_voice
from extract.synthetic.write_clip import write_clip

VERSION = 3  # raise it when the same arguments make other data
MIN_SECONDS = 2.0
MAX_SECONDS = 600.0
HEIGHT_PX = 192  # of a frame; a face is about 110 px high
MISSING_SHARE = 0.015  # of the crops, at random


@dataclass(frozen=True)
class _Subject:
    """One person in one scene: appearance, affect, and for every frame pose, face and whether there is a crop."""

    clip: str
    person: Person
    affect: Affect
    poses: list[Pose]
    faces: list[FaceState]
    has_crop: np.ndarray
    label_rng: np.random.Generator


def make_dataset(
    out: Path,
    *,
    num_clips: int = 36,
    seconds: float = 12.0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Write the data set to ``out`` and return the content of its synth.json.

    ``out`` is complete or absent: everything is written to a folder beside it, which is renamed at the end. Nothing is
    done where ``out`` was made with the same arguments before. The same arguments give the same bytes on one machine
    with one set of library versions. ``progress(done, total)`` counts videos. Where another process is making ``out``,
    its end is waited for. Raises InputError where the arguments leave no room for every planted case, and where ``out``
    holds anything else.
    """
    out = Path(out)
    arguments = {"num_clips": num_clips, "seconds": float(seconds), "seed": seed}
    _check_arguments(num_clips, seconds, seed)
    lock = out.parent / f".{out.name}.lock"
    finished = _read_finished(out, arguments)
    if finished is not None and not lock.exists():
        return finished
    with locked(lock, waiting=f"waiting for the abaw synth that is writing {out}"):
        finished = _read_finished(out, arguments)  # another process may have made it while this one waited
        return _write_all(out, arguments, progress) if finished is None else finished


def _write_all(out: Path, arguments: dict, progress: Callable[[int, int], None] | None) -> dict:
    """Write the data set and return the content of its synth.json. The caller holds the lock on ``out``."""
    num_clips, seconds, seed = arguments["num_clips"], arguments["seconds"], arguments["seed"]
    beginning = f".{out.name}.partial"
    for left in out.parent.iterdir():  # by runs that were killed
        if re.fullmatch(rf"{re.escape(beginning)}(-[0-9a-f]{{16}})?", left.name) and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
    partial = out.parent / f"{beginning}-{secrets.token_hex(8)}"  # a name that nobody can guess
    partial.mkdir()
    try:
        scenes = make_scenes(num_clips)
        num_frames: dict[str, int] = {}
        images: Images = {}
        # threads, not processes: most of the time is spent in OpenCV and the codecs, which release the GIL
        with ThreadPoolExecutor(2) as pool:
            results = pool.map(lambda scene: _write_scene(partial, scene, seconds, seed), scenes)
            for done, (scene, (num, of_scene)) in enumerate(zip(scenes, results, strict=True), start=1):
                num_frames.update(dict.fromkeys(scene.clips, num))
                images |= of_scene
                if progress:
                    progress(done, len(scenes))
        write_test_set(partial / "test_set", scenes, num_frames)
        multitask = split_images(scenes, images)
        write_multitask(partial, multitask)
        summary = _summary(scenes, num_frames, arguments)
        summary["multitask_splits"] = {split: list(clips) for split, clips in multitask.items()}
        (partial / "synth.json").write_text(json.dumps(summary, indent=2) + "\n")
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return summary


def _check_arguments(num_clips: int, seconds: float, seed: int) -> None:
    if num_clips < MIN_CLIPS:
        raise InputError(
            f"the number of clips is {num_clips}, expected {MIN_CLIPS} or more, to have every planted case"
        )
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise InputError(f"the clips' length is {seconds} s, expected {MIN_SECONDS} to {MAX_SECONDS} s")
    if seed < 0:
        raise InputError(f"the seed is {seed}, expected a whole number, 0 or more")


def _read_finished(out: Path, arguments: dict) -> dict | None:
    """The content of synth.json where ``out`` is complete; None where there is nothing yet."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = out / "synth.json"
    if not record.is_file():
        raise InputError(f"{out} exists and is not a synthetic data set: give a folder that is empty or does not exist")
    summary = read_json(record)
    if not isinstance(summary, dict) or not isinstance(summary.get("arguments"), dict):
        raise InputError(f"{record} is damaged: remove {out} or give another folder")
    found = {"version": summary.get("version"), **summary["arguments"]}
    wanted = {"version": VERSION, **arguments}
    if found != wanted:
        raise InputError(f"{out} was made with {found}, not with {wanted}: remove it or give another folder")
    return summary


def _write_scene(root: Path, scene: Scene, seconds: float, seed: int) -> tuple[int, Images]:
    """Write video, crops, labels and truth of one scene; returns its number of frames and its images for MTL."""
    streams = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(scene.video.encode()),)).spawn(6)
    scene_rng, voice_rng, first_rng, second_rng, *unit_rngs = (np.random.default_rng(stream) for stream in streams)
    times_s = _frame_times(scene, seconds, scene_rng)
    width, centres_px = (256, [128.0]) if len(scene.subjects) == 1 else (400, [104.0, 296.0])
    subjects: list[_Subject] = []
    for clip, centre_px, rng in zip(scene.clips, centres_px, (first_rng, second_rng), strict=False):
        affect = Affect(rng, shared=subjects[0].affect if subjects else None)
        subjects.append(_make_subject(scene, clip, affect, centre_px, times_s, seconds, rng))
    sound = _make_sound(scene, subjects[0].affect, seconds, voice_rng) if scene.sound else None
    video = root / "videos" / scene.batch / (scene.video + scene.suffix)
    video.parent.mkdir(parents=True, exist_ok=True)
    frames = _draw_frames(root, scene, subjects, (width, HEIGHT_PX), times_s, scene_rng)
    write_clip(video, frames, times_s.tolist(), sound, crf=24)
    images: Images = {}
    for subject, rng in zip(subjects, unit_rngs, strict=False):
        hidden = np.array([face.hidden for face in subject.faces])
        units = measure_units(subject.faces)
        write_truth(root, subject.clip, subject.affect, units, hidden, times_s)
        units[hidden] = np.nan
        rngs = subject.label_rng, rng
        images[subject.clip] = write_labels(
            root, scene, subject.clip, subject.affect, units, subject.has_crop, times_s, rngs
        )
    return len(times_s), images


def _frame_times(scene: Scene, seconds: float, rng: np.random.Generator) -> np.ndarray:
    grid = np.arange(round(seconds * scene.fps))
    if scene.bursts_missing:
        kept = np.ones(len(grid), bool)
        start = int(rng.integers(5, 12))
        while start < len(grid) - 12:
            kept[start : start + rng.integers(2, 9)] = False
            start += int(rng.integers(14, 40))
        grid = grid[kept]
    return grid * float(1 / scene.fps)


def _make_subject(
    scene: Scene,
    clip: str,
    affect: Affect,
    centre_px: float,
    times_s: np.ndarray,
    seconds: float,
    rng: np.random.Generator,
) -> _Subject:
    """A new person around column ``centre_px``, with pose and face in every frame."""
    person = draw_person(rng)
    valence, arousal = affect.valence(times_s), affect.arousal(times_s)

    def motion(size: float, low_s: float, high_s: float) -> np.ndarray:
        return size * Waves(rng, (low_s, high_s))(times_s)

    smile, brow, cheek = (value * valence + motion(0.07, 0.8, 4) for value in (1.0, 0.9, 1.0))
    lids = 0.92 + 0.07 * arousal + motion(0.1, 1.0, 5.0)  # the little arousal that shows in the face
    lids *= _blinks(times_s, seconds, rng)
    talking = np.clip(2 * motion(1.0, 2.0, 6.0), 0, 1)  # independent of the voice: lips carry no arousal
    jaw = talking * np.clip(0.35 + motion(0.3, 0.2, 0.5), 0, 1)
    gaze, hidden = motion(0.5, 1.0, 4.0), np.zeros(len(times_s), bool)
    if scene.turns_away:
        for start, stop in ((0.2, 0.32), (0.6, 0.7)):
            hidden |= (times_s >= start * seconds) & (times_s < stop * seconds)
    x, y = centre_px + motion(5.0, 3, 9), 84.0 + motion(3.0, 3, 9)
    scale, roll = rng.uniform(0.84, 0.92) + motion(0.012, 3, 9), motion(0.03, 2, 8)
    parameters = np.stack([smile, brow, cheek, lids, jaw, gaze], 1).tolist()
    faces = [FaceState(*values, hidden=bool(away)) for values, away in zip(parameters, hidden, strict=True)]
    poses = [Pose(*values) for values in np.stack([x, y, scale, roll], 1).tolist()]
    has_crop = ~hidden & (rng.uniform(size=len(times_s)) >= MISSING_SHARE)
    has_crop[rng.integers(len(times_s))] = False  # at least one, however short the clip
    return _Subject(clip, person, affect, poses, faces, has_crop, rng)


def _blinks(times_s: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A factor on the opening of the lids: 1, and almost 0 during a blink every few seconds."""
    starts = np.cumsum(rng.uniform(1.8, 4.5, size=int(seconds) + 1))
    nearest = np.abs(times_s[:, None] - starts).min(1)
    return 1 - 0.92 * np.exp(-((nearest / 0.07) ** 2))


def _make_sound(scene: Scene, affect: Affect, seconds: float, rng: np.random.Generator) -> Sound:
    times_s = np.arange(round(scene.sound_start_s * VOICE_HZ), round(seconds * VOICE_HZ)) / VOICE_HZ
    rate_hz = int(rng.choice([16000, 44100]))
    coarse = np.linspace(times_s[0], times_s[-1], max(2, int(100 * seconds)))
    arousal, valence = (np.interp(times_s, coarse, of(coarse)) for of in (affect.arousal, affect.valence))
    samples = synthesize_voice(draw_voice(rng), arousal, valence, rate_hz, rng)
    return Sound(samples, rate_hz, scene.sound_start_s)


def _draw_frames(
    root: Path,
    scene: Scene,
    subjects: list[_Subject],
    size: tuple[int, int],
    times_s: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """The frames of a scene in order, uint8 RGB (height, width, 3); the organisers' crops are saved on the way."""
    heads = [Head(subject.person) for subject in subjects]
    background = draw_background(
        subjects[0].person, size, [(subject.person, subject.poses[0].x) for subject in subjects]
    )
    light = 1 + 0.07 * Waves(rng, (3.0, 10.0))(times_s)
    grain = rng.normal(0.0, 2.5, (size[1] + 64, size[0] + 64, 3)).round().astype(np.int16)
    for subject in subjects:
        if scene.crops:
            (root / scene.image_root / subject.clip).mkdir(parents=True, exist_ok=True)
    for i in range(len(times_s)):
        frame = background.copy()
        for head, subject in zip(heads, subjects, strict=True):
            paste_head(frame, head.draw(subject.faces[i]), head.alpha, subject.poses[i])
        top, left = rng.integers(64, size=2)
        frame = cv2.convertScaleAbs(frame, alpha=float(light[i]))
        frame = cv2.add(frame, grain[top : top + size[1], left : left + size[0]], dtype=cv2.CV_8U)
        for subject in subjects:
            if scene.crops and subject.has_crop[i]:
                crop = cv2.cvtColor(cut_crop(frame, subject.poses[i]), cv2.COLOR_RGB2BGR)
                path = root / scene.image_root / subject.clip / f"{i + 1:05d}.jpg"
                if not cv2.imwrite(str(path), crop, [cv2.IMWRITE_JPEG_QUALITY, 92]):
                    raise OSError(f"cannot write {path}: is the disk full?")
        yield frame


def _summary(scenes: list[Scene], num_frames: dict[str, int], arguments: dict) -> dict:
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for scene in scenes:
        splits[scene.split] += scene.clips
    return {
        "arguments": arguments,
        "version": VERSION,
        "libraries": {name: version(name) for name in ("av", "numpy", "opencv-python", "scipy")},
        "label_noise": NOISE,
        "contains": {
            **CASES,
            "template_empty_values": "ABAW_VA_test_set_sample.txt",
            "template_dummy_values": "ABAW_EXPR_test_set_sample.txt",
        },
        "splits": splits,
        "num_frames": sum(num_frames.values()),
        "num_videos": len(scenes),
    }
