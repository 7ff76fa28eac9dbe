"""A small data set in Aff-Wild2's layout whose answers are known: drawn faces, sung voices.

Valence shows mostly in the face (mouth, brows, cheeks), arousal mostly in the voice (pitch, level, pace, tilt), and
expression is a place on their plane, so it needs both. Eye opening and formants carry a little of the other one;
blinks, talking, gaze, head, light and intonation carry nothing. Action units are what the drawing shows (synth_units).
Every clip has a person of its own. Labels are the truth at the frame's real time plus a stated noise; the truth itself
lies in ``truth/``, for analysis only.

What is planted, and the clip that shows it (synth.json repeats it under "contains"):

    two_subjects_left, _right     130-25-1280x720_left, _right: one video, one voice, one arousal
    base_of_right_only, right_only  10-60-1280x720 and 10-60-1280x720_right of one video (test): there is no _left
    turned_away                   video49: the back of the head for some seconds; no crops, labels go on
    labelled_frames_without_jpg   107: single crops are missing (in every clip that has crops)
    sentinel_rows                 107: a span of -5 (VA) and one of -1 (EXPR); also in every third plain clip
    fps_7_5, fps_25, fps_29_97    46-30-484x360, 102, 10-60-1280x720: real rates
    misleading_fps_in_name        122-60-1920x1080-3: really 29.97
    variable_fps                  video12: bursts of frames are missing
    late_sound                    107: the sound track starts at 0.8 s
    no_sound                      102
    video_only, video_only_test   video45_1 (train), 451 (test): no crops in any image root
    one_label_line_more           122-60-1920x1080-3: one line beyond the decoded frames
    label_lines_fewer             video12: four lines short of them
    crlf                          28-30-1280x720-1: annotations with CRLF line ends
    va_only, expr_only            46-30-484x360, 102: labels of one task
    au_one_unit_unlabelled        107: a row of action units with a single -1; also in every third plain clip
    au_unlabelled_where_turned_away  video49: no face, no action units: -1
    mtl_repeated_rows             130-25-1280x720_left: rows that are twice in s-Aff-Wild2's training file
    mtl_trains_on_validation_video  28-30-1280x720-1: validated on by VA, EXPR and AU, trained on by MTL
    template_one_row_more         136-30-1920x1080: the VA template asks for one row beyond the frames
    template_empty_values         the VA template has nothing after its one comma, as the 5th edition's
    template_dummy_values         the EXPR and AU templates have a class in every row, as the 6th edition's

``multitask/`` is s-Aff-Wild2's: some of the clips' images, and what they are labelled with; often a part is not.
"""

import json
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
from extract.media import Sound
from extract.synthetic.face import Head, Look, Person, Pose, cut_crop, draw_person, make_wall, paste_head
from extract.synthetic.labels import NOISE, Images, write_labels, write_truth
from extract.synthetic.lists import split_images, write_multitask, write_test_set
from extract.synthetic.scenes import CASES, MIN_CLIPS, Mood, Scene, Waves, cast_scenes
from extract.synthetic.units import measures
from extract.synthetic.voice import SUNG_HZ, draw_voice, sing
from extract.synthetic.write_clip import write_clip

VERSION = 3  # raise it when the same arguments make other data
MIN_SECONDS = 2.0
MAX_SECONDS = 600.0
HEIGHT_PX = 192  # of a picture; a face is about 110 of them tall
SINGLE_MISSING = 0.015  # share of crops missing one by one


@dataclass(frozen=True)
class _Act:
    """One subject in one scene: who it is, what it feels, how it moves, and which frames lack what."""

    clip: str
    person: Person
    mood: Mood
    poses: list[Pose]
    looks: list[Look]
    has_crop: np.ndarray
    labels: np.random.Generator


def make_dataset(
    out: Path,
    *,
    num_clips: int = 36,
    seconds: float = 12.0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Write the data set to ``out`` and return what synth.json says of it.

    ``out`` is complete or absent: all is written beside it and renamed at the end. Where it is complete already and was
    made with the same arguments, nothing is done. The same arguments give the same bytes on one machine and one set of
    library versions. ``progress(done, total)`` counts videos. Raises ValueError for arguments that cannot hold every
    planted case and for a folder that holds anything else.
    """
    out = Path(out)
    arguments = {"num_clips": num_clips, "seconds": float(seconds), "seed": seed}
    _check_arguments(num_clips, seconds, seed)
    done = _read_finished(out, arguments)
    if done is not None:
        return done
    partial = out.parent / f".{out.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # what a killed run left
    partial.mkdir(parents=True)
    try:
        scenes = cast_scenes(num_clips)
        num_frames: dict[str, int] = {}
        images: Images = {}
        # Threads, not processes: most of the time is spent in cv2 and the codecs, which let others run.
        with ThreadPoolExecutor(2) as pool:
            acted = pool.map(lambda scene: _film(partial, scene, float(seconds), seed), scenes)
            for done_scenes, (scene, (num, listed)) in enumerate(zip(scenes, acted, strict=True), start=1):
                num_frames.update(dict.fromkeys(scene.clips, num))
                images |= listed
                if progress:
                    progress(done_scenes, len(scenes))
        write_test_set(partial / "test_set", scenes, num_frames)
        multitask = split_images(scenes, images)
        write_multitask(partial, multitask)
        summary = _summarise(scenes, num_frames, arguments)
        summary["multitask_splits"] = {split: list(clips) for split, clips in multitask.items()}
        (partial / "synth.json").write_text(json.dumps(summary, indent=2) + "\n")
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return summary


def _check_arguments(num_clips: int, seconds: float, seed: int) -> None:
    if num_clips < MIN_CLIPS:
        raise InputError(f"{num_clips} clips cannot hold every planted case: ask for at least {MIN_CLIPS}")
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise InputError(
            f"clips of {seconds} s: ask for {MIN_SECONDS} s (late sound and missing spans must fit) to {MAX_SECONDS} s"
        )
    if seed < 0:
        raise InputError(f"the seed is {seed}: give a whole number of 0 or more")


def _read_finished(out: Path, arguments: dict) -> dict | None:
    """The summary of a complete data set of the same arguments; None where there is nothing yet."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = out / "synth.json"
    if not record.is_file():
        raise InputError(f"{out} exists and is not a synthetic data set: name a folder that is empty or absent")
    summary = json.loads(record.read_text())
    found = {"version": summary.get("version"), **summary.get("arguments", {})}
    asked = {"version": VERSION, **arguments}
    if found != asked:
        raise InputError(f"{out} was made with {found}, now asked for {asked}: remove it or name another folder")
    return summary


def _film(root: Path, scene: Scene, seconds: float, seed: int) -> tuple[int, Images]:
    """Write everything of one scene but the lists and templates; returns its number of frames, and MTL's images."""
    streams = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(scene.video.encode()),)).spawn(6)
    stage, voice, first, second, *of_units = (np.random.default_rng(stream) for stream in streams)
    times_s = _frame_times(scene, seconds, stage)
    width, seats = (256, [128.0]) if len(scene.subjects) == 1 else (400, [104.0, 296.0])
    acts: list[_Act] = []
    for clip, seat, rng in zip(scene.clips, seats, (first, second), strict=False):
        mood = Mood(rng, shared=acts[0].mood if acts else None)
        acts.append(_rehearse(scene, clip, mood, seat, times_s, seconds, rng))
    sound = _record_sound(scene, acts[0].mood, seconds, voice) if scene.sound else None
    video = root / "videos" / scene.batch / (scene.video + scene.suffix)
    video.parent.mkdir(parents=True, exist_ok=True)
    write_clip(video, _shoot(root, scene, acts, (width, HEIGHT_PX), times_s, stage), times_s.tolist(), sound, crf=24)
    images: Images = {}
    for act, rng in zip(acts, of_units, strict=False):
        hidden = np.array([look.hidden for look in act.looks])
        units = measures(act.looks)
        write_truth(root, act.clip, act.mood, units, hidden, times_s)
        units[hidden] = np.nan
        images[act.clip] = write_labels(
            root, scene, act.clip, act.mood, units, act.has_crop, times_s, (act.labels, rng)
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


def _rehearse(
    scene: Scene, clip: str, mood: Mood, seat: float, times_s: np.ndarray, seconds: float, rng: np.random.Generator
) -> _Act:
    """A new person with every pose and look of the scene."""
    person = draw_person(rng)
    valence, arousal = mood.valence(times_s), mood.arousal(times_s)

    def motion(size: float, low_s: float, high_s: float) -> np.ndarray:
        return size * Waves(rng, (low_s, high_s))(times_s)

    smile, brow, cheek = (value * valence + motion(0.07, 0.8, 4) for value in (1.0, 0.9, 1.0))
    lids = 0.92 + 0.07 * arousal + motion(0.1, 1.0, 5.0)  # the little of arousal that a face shows
    lids *= _blinks(times_s, seconds, rng)
    talking = np.clip(2 * motion(1.0, 2.0, 6.0), 0, 1)  # mouth and voice are independent: reading lips tells no arousal
    jaw = talking * np.clip(0.35 + motion(0.3, 0.2, 0.5), 0, 1)
    gaze, hidden = motion(0.5, 1.0, 4.0), np.zeros(len(times_s), bool)
    if scene.turns_away:
        for start, stop in ((0.2, 0.32), (0.6, 0.7)):
            hidden |= (times_s >= start * seconds) & (times_s < stop * seconds)
    x, y = seat + motion(5.0, 3, 9), 84.0 + motion(3.0, 3, 9)
    scale, roll = rng.uniform(0.84, 0.92) + motion(0.012, 3, 9), motion(0.03, 2, 8)
    moments = np.stack([smile, brow, cheek, lids, jaw, gaze], 1).tolist()
    looks = [Look(*moment, hidden=bool(away)) for moment, away in zip(moments, hidden, strict=True)]
    poses = [Pose(*place) for place in np.stack([x, y, scale, roll], 1).tolist()]
    has_crop = ~hidden & (rng.uniform(size=len(times_s)) >= SINGLE_MISSING)
    has_crop[rng.integers(len(times_s))] = False  # at least one, however short the clip
    return _Act(clip, person, mood, poses, looks, has_crop, rng)


def _blinks(times_s: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A factor on the opening of the lids: 1, and nearly 0 in a blink every few seconds."""
    starts = np.cumsum(rng.uniform(1.8, 4.5, size=int(seconds) + 1))
    nearest = np.abs(times_s[:, None] - starts).min(1)
    return 1 - 0.92 * np.exp(-((nearest / 0.07) ** 2))


def _record_sound(scene: Scene, mood: Mood, seconds: float, rng: np.random.Generator) -> Sound:
    times_s = np.arange(round(scene.sound_start_s * SUNG_HZ), round(seconds * SUNG_HZ)) / SUNG_HZ
    rate_hz = int(rng.choice([16000, 44100]))
    coarse = np.linspace(times_s[0], times_s[-1], max(2, int(100 * seconds)))
    arousal, valence = (np.interp(times_s, coarse, of(coarse)) for of in (mood.arousal, mood.valence))
    samples = sing(draw_voice(rng), arousal, valence, rate_hz, rng)
    return Sound(samples, rate_hz, scene.sound_start_s)


def _shoot(
    root: Path, scene: Scene, acts: list[_Act], size: tuple[int, int], times_s: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The pictures of a scene in order, uint8 RGB; on the way the organisers' crops are cut and saved."""
    heads = [Head(act.person) for act in acts]
    wall = make_wall(acts[0].person, size, [(act.person, act.poses[0].x) for act in acts])
    light = 1 + 0.07 * Waves(rng, (3.0, 10.0))(times_s)
    grain = rng.normal(0.0, 2.5, (size[1] + 64, size[0] + 64, 3)).round().astype(np.int16)
    for act in acts:
        if scene.crops:
            (root / scene.image_root / act.clip).mkdir(parents=True, exist_ok=True)
    for i in range(len(times_s)):
        picture = wall.copy()
        for head, act in zip(heads, acts, strict=True):
            paste_head(picture, head.draw(act.looks[i]), head.alpha, act.poses[i])
        top, left = rng.integers(64, size=2)
        picture = cv2.convertScaleAbs(picture, alpha=float(light[i]))
        picture = cv2.add(picture, grain[top : top + size[1], left : left + size[0]], dtype=cv2.CV_8U)
        for act in acts:
            if scene.crops and act.has_crop[i]:
                crop = cv2.cvtColor(cut_crop(picture, act.poses[i]), cv2.COLOR_RGB2BGR)
                path = root / scene.image_root / act.clip / f"{i + 1:05d}.jpg"
                if not cv2.imwrite(str(path), crop, [cv2.IMWRITE_JPEG_QUALITY, 92]):
                    raise OSError(f"cannot write {path}: is the disk full?")
        yield picture


def _summarise(scenes: list[Scene], num_frames: dict[str, int], arguments: dict) -> dict:
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
