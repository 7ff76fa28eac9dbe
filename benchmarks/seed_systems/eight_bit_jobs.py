"""What ``eight_bit`` measures on whole jobs: scores of runs from both stores, real tracks, and the speed of reading."""

import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import abaw
from abaw.commands.synth import synth
from abaw.configs.sections import FeatureConfig
from abaw.errors import NotFoundError
from abaw.files import read_json, write_json
from benchmarks.machine.load import describe_load
from benchmarks.reading.windows import DIMS, make_store, read_batch
from benchmarks.seed_systems.rows import Claim
from extract.store.eight_bit.convert import convert
from extract.store.listing import track_paths
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
from extract.store.track_file import TrackFile

CONFIG = Path(abaw.__file__).parent / "configs" / "synthetic.yaml"
ENCODERS = ("face_hog", "voice_mel")
SCORES = {"CCC": ("va", "CCC"), "F1": ("expr", "F1")}
VOICES = ("egemaps", "ge2e", "speech_embedding", "voice_mel")
FACES = ("face_hog", "fer_mini_xception")
OTHERS = ("mfcc",)
MAX_MOVE = 0.002


def run_seed(seed: int, work: Path) -> dict[str, dict[str, float]]:
    """Scores on the validation split: trained on float16 and read in both types, and trained and read in int8.

    What is done already in ``work`` is not done again.
    """
    data, stores = work / f"data-{seed}", {each: work / f"{each}-{seed}" for each in ("float16", "int8")}
    if not (work / f"extracted-{seed}").exists():
        synth(data, seed=seed)
        abaw.extract(data, stores["float16"], list(ENCODERS))
        (work / f"extracted-{seed}").touch()
    shutil.copytree(stores["float16"], stores["int8"], dirs_exist_ok=True)
    for name in ENCODERS:
        report = convert(FeatureStore(stores["int8"]), name)
        shutil.rmtree(stores["int8"] / report.before)
    found = {}
    for trained in stores:
        settings = [f"name={trained}-{seed}", f"data={data}", f"store={stores[trained]}", f"training.seed={seed}"]
        run = abaw.train(CONFIG, settings, runs=work / "runs")
        for read in [trained, *(["int8"] if trained == "float16" else [])]:
            out = work / f"tables-{trained}-{read}-{seed}"
            abaw.predict(run.folder, out, split="validation", store=stores[read])
            scores = {result.task: result.scores for result in abaw.score(out).results}
            found[f"trained on {trained}, read in {read}"] = {
                name: scores[task][key] for name, (task, key) in SCORES.items()
            }
    return found


def measure_runs(work: Path, seeds: Sequence[int]) -> Iterator[Claim]:
    """The synthetic main job; what is done already in ``work`` is not done again."""
    found = {}
    for seed in seeds:
        path = work / f"runs-{seed}.json"
        if not path.exists():
            write_json(path, run_seed(seed, work))
        found[seed] = read_json(path)
    for name in SCORES:
        same, read, both = ([each[key][name] for each in found.values()] for key in next(iter(found.values())))
        moves = [abs(a - b) for a, b in zip(same, read, strict=True)]
        yield Claim(
            f"synthetic main job, run trained on float16: {name} read from int8, by seed",
            "",
            f"moves by {', '.join(f'{move:.5f}' for move in moves)} (from {', '.join(f'{each:.3f}' for each in same)})",
            f"at most {MAX_MOVE}",
            max(moves) <= MAX_MOVE,
        )
        yield Claim(
            f"the same, trained and read in int8: {name}, mean over the seeds; on float16",
            "",
            f"{statistics.mean(both):.3f} ({min(both):.3f} to {max(both):.3f}); {statistics.mean(same):.3f} "
            f"({min(same):.3f} to {max(same):.3f})",
            "",
            None,
        )


def measure_tracks(work: Path, data: Path | None, store: Path | None, media: Path | None) -> Iterator[Claim]:
    """Real tracks: those of RAVDESS with what a linear probe makes of them, and of clips extracted in both types."""
    if data is None or store is None or media is None:
        raise NotFoundError("the part tracks needs --ravdess FILE, --ravdess-store STORE and --media FOLDER")
    work.mkdir(parents=True, exist_ok=True)
    after = work / "ravdess"  # a copy: the store may only be read
    if not after.exists():
        shutil.copytree(store, after)
    for name in VOICES:
        convert(FeatureStore(after), name)
    clips = work / "clips"
    abaw.extract(media, clips, [f"{name}:stored_dtype=float32" for name in (*FACES, *OTHERS)])
    for name in (*FACES, *OTHERS):
        convert(FeatureStore(clips), _folder(clips, name, "float32"))
    yield from (_claim_of_tracks(after, name, "RAVDESS, 720 takes") for name in VOICES)
    yield from (_claim_of_tracks(clips, name, "faces and voices of the clips") for name in (*FACES, *OTHERS))
    if not (work / "probes.json").exists():
        write_json(work / "probes.json", _probe(data, after))
    for name, (one, other) in read_json(work / "probes.json").items():
        yield Claim(
            f"linear probe of {name} on RAVDESS, macro-F1 in float16 and int8",
            "",
            f"{one:.3f} and {other:.3f}",
            "",
            None,
        )


def _probe(data: Path, store: Path) -> dict[str, tuple[float, float]]:
    """The score of every voice encoder in float16 and in int8."""
    folders = {name: [_folder(store, name, each) for each in ("float16", "int8")] for name in VOICES}
    report = abaw.probe(data, store, encoders=[each for both in folders.values() for each in both], draws=100)
    scores = {result.encoder: next(iter(result.scores.values())) for result in report.results}
    return {name: (scores[one], scores[other]) for name, (one, other) in folders.items()}


def _folder(store: Path, name: str, stored_dtype: str) -> str:
    """The folder of features by their name and type."""
    return next(
        folder
        for folder, recipe in FeatureStore(store).recipes().items()
        if recipe["name"] == name and recipe["stored_dtype"].startswith(stored_dtype)
    )


def _claim_of_tracks(store: Path, name: str, where: str) -> Claim:
    from extract.store.eight_bit.summary import Int8Track, summarise

    paths = track_paths(store / _folder(store, name, "int8"))
    found = summarise([Int8Track.of(TrackFile(path)) for path in paths.values()])
    assert found is not None
    return Claim(
        f"{name} ({where}): largest error of a track over the deviation of rows and of a column; size beside float16",
        "",
        f"{found.worst.rows:.4f} and {found.worst.columns:.4f}; {found.size:.1%}; columns standardised in "
        f"{found.num_standardised} of {found.num_tracks} tracks",
        "errors at most 0.02",
        found.worst.largest <= 0.02,
    )


@dataclass(frozen=True)
class Speed:
    """How long batches of windows took to read, align and collate, from two stores in turn; ``what``: of which rows."""

    what: str
    float16_s: float
    int8_s: float
    ratio: float

    def claim(self, load: dict[str, Any]) -> Claim:
        """The line of this figure, with the load of the machine."""
        return Claim(
            f"reading batches of 32 windows of 300 frames, 768 + 1,024 features, from the page cache, {self.what}: "
            "rate of int8 over that of float16",
            "",
            f"{self.ratio:.2f} ({1e3 * self.float16_s:.0f} and {1e3 * self.int8_s:.0f} ms; {describe_load(load)})",
            "at least 1.00",
            None if load["is_busy"] else self.ratio >= 1,
        )


def measure_speed(num_batches: int) -> list[Speed]:
    """Both stores in turn in one process with one thread; the first batch, which reads from the disk, is left out."""
    torch.set_num_threads(1)
    found = []
    for what, uneven in (("columns as they are", False), ("columns standardised", True)):
        times: dict[str, list[float]] = {"float16": [], "int8": []}
        with tempfile.TemporaryDirectory() as folder:
            sources = {
                each: AlignedSource(
                    make_store(Path(folder) / each, each, uneven), {name: FeatureConfig() for name in DIMS}
                )
                for each in times
            }
            for seed in range(num_batches + 1):
                for each, source in sources.items():
                    read_s, collate_s, _ = read_batch(source, seed)
                    times[each].append(read_s + collate_s)
        medians = [statistics.median(each[1:]) for each in times.values()]
        ratios = [a / b for a, b in zip(times["float16"][1:], times["int8"][1:], strict=True)]
        found.append(Speed(what, *medians, float(np.median(ratios))))
    return found
