"""Live analysis of a camera, or of a file that is played like one: a row for each frame as soon as it can be known."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.dataset.media_files import Streams
from abaw.dataset.synthetic import are_synthetic
from abaw.errors import InputError, NotFoundError
from abaw.files import as_list, as_path, as_paths, check_once
from abaw.numbers import check_fps
from abaw.pipelines.analysis.answers import check_real, open_answers
from abaw.pipelines.analysis.choice import choose_recognisers
from abaw.pipelines.analysis.document import describe_answers
from abaw.pipelines.analysis.encoders import encoders_of_runs
from abaw.pipelines.analysis.presence import LIVE_VOICE_RULES, choose_voice_rule
from abaw.pipelines.live.answering import VOICE, FrameAnswers, key_of, tracks_of
from abaw.pipelines.live.causality import causal_recognisers, check_causal
from abaw.pipelines.live.latency import LatencyMeter, LatencySummary
from abaw.pipelines.live.rows import RowFile, check_out, columns_of
from abaw.pipelines.rebuilding import WeightPlaces
from abaw.pipelines.recognition import build_encoder_of, open_recogniser
from abaw.results.runs import Run, commit, versions

if TYPE_CHECKING:
    from abaw.pipelines.analysis.answers import Answers
    from abaw.pipelines.analysis.presence import VoiceRule
    from abaw.postprocessing import PostProcessing
    from extract.engine.live.extraction import LiveExtraction, LiveFrame
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig
    from extract.media.live.sources import LiveSource

MAX_DELAY_S = 0.1


def live(
    source: str | Path | int = 0,
    runs: str | Path | Sequence[str | Path] = (),
    *,
    recognisers: str | Sequence[str] = (),
    out: str | Path | None = None,
    real_time: bool = True,
    microphone: str | None = None,
    max_s: float | None = None,
    max_delay_s: float = MAX_DELAY_S,
    smoothed: bool = True,
    faces: str | None = None,
    target: str | None = None,
    commercial: bool = False,
    anyway: bool = False,
    device: str = "cpu",
    download: bool = False,
    assume_fps: float | None = None,
    video_stream: int | None = None,
    audio_stream: int | None = None,
    weights: str | Sequence[str] = (),
    trust: bool = False,
) -> "LiveSession":
    """Predict each frame of a camera or a file as it arrives; iterate over the result to get the rows.

    ``source``: a camera (its number, or its path as "/dev/video0") or a video file. A file is played in real time:
    frames that are late are dropped for newer ones and counted; without ``real_time`` it is read as fast as it can be
    analysed, and nothing is dropped. ``microphone``: of a camera; None takes the system's, "none" no sound.
    ``runs`` and ``recognisers``: as in ``analyze``. Only what depends on nothing after a frame can be used;
    ``max_delay_s``: how much sound after a frame may be waited for. The numbers are those of an analysis of the file,
    except that windows of a model are not moved to end with the clip, and that a voice counts as heard by the second
    before a frame.
    ``smoothed``: refuse a run with smoothing after it, which depends on later frames; else leave the smoothing out.

    ``out``: a file for the rows, ``.csv`` or ``.jsonl``; each row is complete in it as soon as it is known, and the
    columns are explained in ``<out>.json``. Without a row both are removed. ``max_s``: end after so many seconds. The
    other options are those of ``analyze``. Use the result in a ``with`` statement, or ``close`` it.

    Raises InputError that names everything that depends on later frames, with its reason; NotFoundError where the
    camera, the file, a run or weights are missing.
    """
    check_once(as_paths(runs, "runs"), "run")
    texts = as_list(recognisers, "recognisers", "NAME:setting=value or a list of these")
    check_once(texts, "recogniser")
    to = as_path(out, "out", optional=True)
    _check_numbers(max_s, max_delay_s)
    if assume_fps is not None:
        check_fps(assume_fps, "--assume-fps")
    opened = [Run(folder, trust) for folder in as_paths(runs, "runs")]
    given = as_list(weights, "weights", "OLD=NEW, a folder, or a list")
    places = WeightPlaces.of([run.folder for run in opened], given)
    if to is not None:
        check_out(to)
    path = _file_of(source)
    opened_source = _open_source(source, path, microphone, Streams(video_stream, audio_stream), assume_fps)
    try:
        check_real(opened, path is not None and are_synthetic([path]), anyway)
        parts = _choose(opened, texts, places, (faces, target), max_delay_s, smoothed, commercial, device, download)
        return _start(parts, opened_source, real_time=real_time, out=to, max_s=max_s)
    except BaseException:
        opened_source.close()
        raise


@dataclass(frozen=True)
class _Parts:
    """What predicts: ``specs`` by ``key_of`` their recipes. ``kept``: post-processing by task."""

    answers: "Answers"
    specs: "Mapping[str, EncoderSpec]"
    config: "TargetConfig"
    fill: bool
    voice: "tuple[VoiceRule, EncoderSpec]"
    kept: "Mapping[str, PostProcessing]"
    sources: tuple[str, ...]
    notes: tuple[str, ...]


def _choose(
    runs: list[Run],
    recognisers: Sequence[str],
    places: WeightPlaces,
    persons: tuple[str | None, str | None],
    max_delay_s: float,
    smoothed: bool,
    commercial: bool,
    device: str,
    download: bool,
) -> _Parts:
    """Load what predicts, and refuse what depends on later frames. ``persons``: face detector and target."""
    from abaw.pipelines.prediction import post_processing_of
    from extract.store.store import FeatureStore

    specs, config, fill = encoders_of_runs(runs, device, places, *persons, download)
    named = [open_recogniser(text, download=download, commercial=commercial) for text in recognisers]
    chosen = [(each, build_encoder_of(each, device=device, download=download)) for each in named]
    better: tuple[str, ...] = ()
    notes: list[str] = []
    if not runs and not named:
        choice = choose_recognisers(device=device, download=download, commercial=commercial, folders=places.folders)
        (chosen, notes), better = causal_recognisers(choice.chosen, max_delay_s), choice.better
    for run in runs:
        run.check_weights()
    answers = open_answers(runs, chosen, FeatureStore(Path()), config, fill, device)
    kept = post_processing_of(runs, None)
    if not smoothed:
        kept = {name: replace(each, smoother="none") for name, each in kept.items()}
    all_specs = {key_of(spec.recipe(config, fill), config): spec for spec in [*specs, *(spec for _, spec in chosen)]}
    by_owner = {
        str(run.folder): [all_specs[key_of(each, config)] for each in run.finished()["recipes"].values()]
        for run in runs
    }
    by_owner |= {each.name: [spec] for each, spec in chosen}
    check_causal(answers, by_owner, config, kept, fill, max_delay_s)
    voice = choose_voice_rule(device, download, LIVE_VOICE_RULES)
    return _Parts(answers, all_specs, config, fill, voice, kept, answers.sources(better), tuple(notes))


def _start(
    parts: _Parts, source: "LiveSource", *, real_time: bool, out: Path | None, max_s: float | None
) -> "LiveSession":
    """Make everything ready, so that nothing is loaded once frames arrive."""
    from extract.engine.live.extraction import LiveExtraction

    answers, config, (rule, voice) = parts.answers, parts.config, parts.voice
    takes_faces = any("crop" in spec.recipe(config, parts.fill) for spec in parts.specs.values())
    tracks, watched = tracks_of(answers, parts.specs, config), {VOICE: (voice, rule.before_s)}
    extraction = LiveExtraction(source, tracks, watched, config, real_time=real_time)
    new_answers = partial(FrameAnswers, answers, rule, parts.kept, takes_faces)
    columns_of(new_answers().row(extraction.warm_up(config)))  # thrown away, because it keeps what it has seen
    about = {"source": source.name, **describe_answers(answers, config, rule)}
    return LiveSession(extraction, new_answers(), source, out, parts.sources, parts.notes, max_s, about)


@dataclass(frozen=True)
class LiveRow:
    """A frame's row. ``columns``: as in a table of ``analyze``, None in empty cells.

    ``latency_s``: from the arrival of the frame to this row. ``is_dropped``: it came too late; its cells are empty.
    ``short``: the most probable classes and the values, in a few words.
    """

    frame: int
    time_s: float
    columns: Mapping[str, Any]
    latency_s: float
    is_dropped: bool
    short: str
    shown: "LiveFrame" = field(repr=False, compare=False)


class LiveSession:
    """The rows of a live analysis as they become known, once; ``summary`` says at any time what it took and lost.

    ``sources``: what predicts, and what it was trained on, a line each. ``notes``: what else to know.
    """

    def __init__(
        self,
        extraction: "LiveExtraction",
        answers: FrameAnswers,
        source: "LiveSource",
        out: Path | None,
        sources: tuple[str, ...],
        notes: tuple[str, ...],
        max_s: float | None,
        about: Mapping[str, Any],
    ) -> None:
        self.sources, self._notes, self._about = sources, notes, about
        self._extraction, self._answers, self._source = extraction, answers, source
        self._max_s = max_s
        self._meter, self._started_s = LatencyMeter(), time.monotonic()
        self._stopped_s: float | None = None
        self._frames = extraction.frames()
        self._file = None if out is None else RowFile(out)
        try:
            self._explain(None)  # the columns, also for rows of a process that is killed
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "LiveSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[LiveRow]:
        first_s: float | None = None
        for frame in self._frames:
            first_s = frame.time_s if first_s is None else first_s
            if self._max_s is not None and frame.time_s - first_s >= self._max_s:
                break
            yield self._row(frame)
        self.close()

    def _row(self, frame: "LiveFrame") -> LiveRow:
        start_s = time.monotonic()
        made = self._answers.row(frame)
        predicted_s = time.monotonic()
        if self._file is not None:
            self._file.add(made)
        columns, now_s = columns_of(made), time.monotonic()
        latency_s, meter = now_s - frame.arrived_s, self._meter
        meter.num_frames += 1
        meter.num_dropped += frame.is_dropped
        if not frame.is_dropped:
            meter.num_unobserved += not columns["observed"]
            meter.num_undecodable += frame.rgb is None
            parts_s = {**frame.parts_s, "prediction": predicted_s - start_s, "writing": now_s - predicted_s}
            meter.add(latency_s, parts_s)
        return LiveRow(frame.number, frame.time_s, columns, latency_s, frame.is_dropped, self._describe(columns), frame)

    def _describe(self, columns: Mapping[str, Any]) -> str:
        if not columns["observed"]:
            return "nothing to predict from"
        words = [columns[block["chosen"]] for block in self.blocks if block["chosen"]]
        values = [name for block in self.blocks if block["kind"] == "values" for name in block["columns"]]
        return ", ".join([*filter(None, words), *(f"{n} {columns[n]:+.2f}" for n in values if columns[n] is not None)])

    @property
    def blocks(self) -> Sequence[Mapping[str, Any]]:
        """The columns that belong together, as analysis.json describes them."""
        found: Sequence[Mapping[str, Any]] = self._about["blocks"]
        return found

    @property
    def num_dropped(self) -> int:
        """How many frames came too late so far."""
        return self._meter.num_dropped

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._notes, *self._source.remarks())

    @property
    def summary(self) -> LatencySummary:
        """What it took and lost so far."""
        seconds = (self._stopped_s or time.monotonic()) - self._started_s
        return self._meter.summary(
            seconds, self._extraction.arrivals.num_without_sound, self.notes, self._extraction.real_time
        )

    def close(self) -> None:
        """Stop reading and complete the files. It may be called again."""
        if self._stopped_s is not None:
            return
        self._stopped_s = time.monotonic()
        self._frames.close()
        self._extraction.arrivals.close()
        if self._file is not None and self._file.close():
            self._explain(self.summary)

    def _explain(self, summary: LatencySummary | None) -> None:
        """Write what explains the table, where there is one. ``summary``: None until the end."""
        if self._file is None:
            return
        self._file.explain(
            {
                "sources": list(self.sources),
                **self._about,
                "notes": list(self.notes),
                "latency": summary and summary.document(),
                "commit": commit(),
                "versions": versions(),
            }
        )


def _check_numbers(max_s: float | None, max_delay_s: float) -> None:
    for name, value in (("max_s", max_s), ("max_delay_s", max_delay_s)):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 <= value < float("inf")):
            raise InputError(f"{name} is {value!r}, expected seconds, 0 or more")


def _file_of(source: str | Path | int) -> Path | None:
    """The file that the source is; None for a camera. Raises InputError for anything else."""
    from extract.media.live.cameras import is_camera

    if isinstance(source, bool) or not isinstance(source, str | Path | int):
        raise InputError(f"source is {source!r}, expected the number or path of a camera, or a video file")
    return None if is_camera(str(source)) else as_path(source, "source")  # type: ignore[arg-type]


def _open_source(
    source: str | Path | int, path: Path | None, microphone: str | None, streams: Streams, assume_fps: float | None
) -> "LiveSource":
    from extract.media.live.cameras import CameraSource
    from extract.media.live.sources import FileSource

    if path is None:
        return CameraSource(str(source), microphone)
    if not path.is_file():
        raise NotFoundError(f"no video file {path}: check the path, or give a camera with --camera")
    if microphone is not None:
        raise InputError(f"--microphone is for a camera, but {path} is a file with a sound of its own: leave it out")
    return FileSource(path, streams, assume_fps)
