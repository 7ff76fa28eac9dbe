"""Analysis of any media with recognisers or trained runs: a table of every frame."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.dataset.layout import Dataset, open_dataset
from abaw.dataset.media_files import Streams, names_by_folder
from abaw.dataset.synthetic import are_synthetic
from abaw.errors import InputError
from abaw.files import as_list, as_path, as_paths, check_once, visible, write_json
from abaw.files.names import first_few
from abaw.files.ownership import Owner, own_folder, read_owner, record_owner
from abaw.numbers import format_count
from abaw.pipelines.analysis.answers import Answers, check_real, open_answers
from abaw.pipelines.analysis.choice import choose_recognisers
from abaw.pipelines.analysis.document import describe, note_counted
from abaw.pipelines.analysis.encoders import encoders_of_runs
from abaw.pipelines.analysis.persons import check_persons, check_takes_face, find_persons, note_voice
from abaw.pipelines.analysis.presence import VOICE_RULES, VoiceRule, choose_voice_rule, inputs_of, measure_presence
from abaw.pipelines.analysis.results import DOCUMENT, Analysis
from abaw.pipelines.analysis.tables import PersonTables, final_table, summarize, write_frames
from abaw.pipelines.rebuilding import WeightPlaces
from abaw.pipelines.recognition import build_encoder_of, open_recogniser
from abaw.pipelines.viewing.writing import Viewing, remove_outdated
from abaw.probabilities.contexts import contexts_of
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results.runs import Run
from abaw.views.exports.subtitles import SHORTEST_S

if TYPE_CHECKING:
    from abaw.dataset.clip import Clip
    from abaw.pipelines.analysis.presence import Presence
    from abaw.results.predictions import Table
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig
    from extract.recognisers.base import Recogniser
    from extract.store.store import FeatureStore, Recipe

SUFFIXES = (".parquet", ".csv")
BETTER_VOICE = "with abaw weights fetch vad a network recognises speech"


def analyze(
    media: str | Path | Sequence[str | Path],
    runs: str | Path | Sequence[str | Path] = (),
    out: str | Path = "analysis",
    *,
    recognisers: str | Sequence[str] = (),
    persons: str = "target",
    views: str | Sequence[str] = ("page",),
    embed: bool = False,
    shortest_subtitle_s: float = SHORTEST_S,
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
    progress: ProgressCallback = silent,
) -> Analysis:
    """Predict every frame of any media; a table a clip, as Parquet and CSV, and ``analysis.json`` in ``out``.

    ``media``: video or sound files, or folders of them. ``runs``: trained runs, and ``recognisers``: pretrained ones,
    each ``NAME`` or ``NAME:setting=value,...``. Those of one task are averaged, in each frame over those for which the
    face or voice that they take was there; where there was none, cells are empty. Without both, the best recognisers
    whose weights are on this machine are taken (``PREFERRED`` in ``choice.py``); ``commercial``: only those whose
    licence is known to allow commercial use. ``anyway``: let a run that was trained on the synthetic data set answer
    about other media.

    ``persons``: "target", a row for each frame, of the person that ``target`` chooses, or "all", a row for each person
    seen in a frame; what is heard is the same for all of them. ``views``: what to write beside the tables, of ``VIEWS``
    in ``abaw/pipelines/viewing/writing.py``; with ``embed`` the video becomes part of the page. Subtitles that would be
    shown for less than ``shortest_subtitle_s`` are left out, and the report counts them. ``faces`` and
    ``target``: as in ``extract``; by default as the runs were trained. Features go to ``out/store``. ``download``:
    fetch weights that are not on this machine.
    ``assume_fps``: rows per second of the table of a file that is sound alone, by default ``DEFAULT_ROWS_HZ``.
    ``video_stream`` and ``audio_stream``: the streams to read of every file, counted from 0 within their kind; by
    default those that players choose. ``weights``: where weights are now that lay elsewhere when the runs were trained,
    each ``OLD=NEW``, or a folder in which they are searched by name and SHA-256, and those of recognisers by name.
    ``trust``: use what the runs name that can run code or lead to any file: plug-ins, ``trust_remote_code``, absolute
    paths.

    Tables are named after the files, and where several have one name, after their folders too. Media that cannot be
    read do not stop the others: they are in the report with their reasons. Raises InputError where the runs chose faces
    in different ways, ``faces`` is not that of the runs, ``persons`` is "all" and no model takes a face, a run of the
    synthetic data set meets other media, or a run asks for something that is not trusted; NotFoundError where weights
    are missing.
    """
    as_progress(progress)
    check_persons(persons)
    viewing = Viewing.of(views, embed=embed, shortest_subtitle_s=shortest_subtitle_s)
    out = as_path(out, "out")
    check_once(as_paths(runs, "runs"), "run")
    opened = [Run(folder, trust) for folder in as_paths(runs, "runs")]
    texts = as_list(recognisers, "recognisers", "NAME:setting=value or a list of these")
    check_once(texts, "recogniser")
    clips, ignored = _clips(as_paths(media, "media"))
    dataset = Dataset(out, clips).with_streams(Streams(video_stream, audio_stream))
    files = [path for clip in dataset.clips.values() if (path := clip.media or clip.images) is not None]
    check_real(opened, are_synthetic(files) if files else False, anyway)
    given = as_list(weights, "weights", "OLD=NEW, a folder, or a list")
    places = WeightPlaces.of([run.folder for run in opened], given)
    if places.moved and not opened:
        raise InputError("--weights OLD=NEW is for the encoders of runs: without --run give a folder to search")
    specs, config, fill = encoders_of_runs(opened, device, places, faces, target, download)
    named = [open_recogniser(text, download=download, commercial=commercial) for text in texts]
    with_encoders = [(each, build_encoder_of(each, device=device, download=download)) for each in named]
    better: tuple[str, ...] = ()
    if not opened and not named:
        choice = choose_recognisers(device=device, download=download, commercial=commercial, folders=places.folders)
        with_encoders, better = list(choice.chosen), choice.better
    for run in opened:  # before hours of extraction
        run.check_weights()
    if persons == "all":
        check_takes_face([*specs, *(spec for _, spec in with_encoders)], config)
    job = _Job(
        dataset,
        opened,
        with_encoders,
        specs,
        config,
        fill,
        choose_voice_rule(device, download),
        better,
        persons == "all",
        ignored,
        viewing,
    )
    suffixes = [*SUFFIXES, *(suffix for view in viewing.views for suffix in (view.suffix, *view.beside))]
    tables = [*(f"{clip_id}{suffix}" for clip_id in dataset.clips for suffix in suffixes), DOCUMENT]
    advice = "give another --out"
    with own_folder(out, "analysis", "abaw analyze", partial(_foreign, out, [*tables, "store"]), advice):
        before = read_owner(out, "analysis").get("tables", [])
        record_owner(out, "analysis", tables=sorted({*before, *tables, "store"}))
        return _analyze(job, device, assume_fps, target, progress)


def _foreign(out: Path, names: Sequence[str], owner: Owner) -> list[str]:
    """Those of the files to write that are there already and were not written by an analysis."""
    by_us = owner.get("tables", [])
    if not owner and (out / "store/clock").is_dir():  # by a version without owner files: tables of both kinds
        pairs = [[path.with_suffix(suffix).name for suffix in SUFFIXES] for path in visible(out, "*.parquet")]
        by_us = [name for pair in pairs if all((out / name).is_file() for name in pair) for name in (*pair, "store")]
    return [name for name in names if name not in by_us and (out / name).exists()]


@dataclass(frozen=True)
class _Job:
    """What to analyse, and with what."""

    dataset: Dataset
    runs: list[Run]
    recognisers: "list[tuple[Recogniser, EncoderSpec]]"
    specs: "list[EncoderSpec]"
    config: "TargetConfig"
    fill: bool
    voice: "tuple[VoiceRule, EncoderSpec]"
    better: tuple[str, ...]
    all_persons: bool
    ignored: tuple[str, ...]
    viewing: Viewing

    def encoders(self, *, with_voice_rule: bool = True) -> "list[EncoderSpec]":
        """All encoders, each once; without that of the voice rule, those whose features are predicted from."""
        found: dict[str, EncoderSpec] = {}
        rule = [self.voice[1]] if with_voice_rule else []
        for spec in [*self.specs, *(spec for _, spec in self.recognisers), *rule]:
            found.setdefault(repr(self.recipe(spec)), spec)
        return list(found.values())

    def recipe(self, spec: "EncoderSpec") -> "Recipe":
        return spec.recipe(self.config, self.fill)


def _analyze(
    job: _Job, device: str, assume_fps: float | None, target: str | None, progress: ProgressCallback
) -> Analysis:
    """Extract and predict, in the folder of the data set's root, which the caller holds."""
    from abaw.pipelines.prediction import post_processing_of
    from extract.engine import run as extraction
    from extract.engine.plan import DEFAULT_ROWS_HZ
    from extract.store.store import FeatureStore

    out, config, specs = job.dataset.root, job.config, job.encoders()
    store = FeatureStore(out / "store")
    settings: dict[str, Any] = {
        "assume_fps": assume_fps,
        "fill": job.fill,
        "rows_hz": DEFAULT_ROWS_HZ,
        "progress": lambda name, done, total: progress(f"extracting from {name}", done, total),
    }
    extract: Callable[..., Any] = partial(extraction.extract, job.dataset, store, **settings)
    report = extract(specs, config)
    good = [clip_id for clip_id in job.dataset.clips if clip_id in {*report.made, *report.present}]
    kept, summaries, unobserved, unanswered = post_processing_of(job.runs, None), {}, {}, {}
    answers = open_answers(job.runs, job.recognisers, store, config, job.fill, device)
    if target is not None and job.runs:
        answers = answers.of_faces(store, config)
    notes = [*job.ignored, *note_counted(job.dataset, store, good)]
    if job.voice[0] is not VOICE_RULES[0]:
        notes.append(f"voice_heard: {job.voice[0].meaning}; {BETTER_VOICE}")
    views: dict[int | None, tuple[TargetConfig, Sequence[str]]] = {None: (config, good)}
    if job.all_persons:
        found = find_persons(store, config, good)
        notes += [*found.notes, *note_voice(job.encoders(with_voice_rule=False), config, found)]
        views = {person: (each, clips) for person, (each, clips) in found.views(config, good).items()}
        of_faces = [spec for spec in specs if "crop" in job.recipe(spec)]
        for each, clips in views.values():
            if each is not config and of_faces:
                extract(of_faces, each, clip_ids=clips)
    streams = {person: _predict(job, answers, store, view) for person, view in views.items()}
    sources = answers.sources(job.better)
    contexts: dict[str, Counter[str]] = {name: Counter() for name in kept}
    written, removed = set(read_owner(out, "analysis").get("tables", [])), list[str]()
    for done, clip_id in enumerate(good):
        progress(f"predicting {clip_id}", done, len(good))
        made = []
        for person, (_, clips) in views.items():
            if clip_id in clips:
                tables, presence = next(streams[person])
                final = {
                    name: final_table(answers.tasks[name], table, kept.get(name)) for name, table in tables.items()
                }
                made.append(PersonTables(person, final, presence))
                for name in kept.keys() & tables.keys():
                    contexts[name].update(contexts_of(tables[name].modalities, len(tables[name].frames)).tolist())
        lost, trained = str(report.losses.get(clip_id, "")), "\n".join(sources)
        remove = partial(lambda clip_id: removed.extend(remove_outdated(out, clip_id, written)), clip_id)
        write_frames(out, clip_id, answers.tasks, made, lost, trained, remove)
        summaries[clip_id] = [summarize(answers.tasks, each) for each in made]
        answered = [each.answered for each in made]
        num = max(int(each.sum()) for each in answered)
        unobserved[clip_id] = len(answered[0]) - num, len(answered[0])
        if not num:
            unanswered[clip_id] = _reason(answers)
    maps = {name: each.calibration for name, each in kept.items() if each.calibration}
    notes += [f"{name} {remark}" for name, each in maps.items() if (remark := each.remark(contexts[name]))]
    analysis = Analysis(out, tuple(good), report, sources, summaries, unobserved, unanswered, tuple(notes))
    write_json(out / DOCUMENT, describe(analysis, job.dataset, answers, store, config, job.voice[0]))
    remarks, failed = job.viewing.write(job.dataset, store, good, progress)
    notes += remarks
    if gone := [name for name in removed if not (out / name).exists()]:
        notes.append(f"removed, because they showed an earlier analysis: {first_few(gone)}")
    return replace(analysis, notes=tuple(notes), views_failed=tuple(failed))


def _predict(
    job: _Job, answers: Answers, store: "FeatureStore", view: "tuple[TargetConfig, Sequence[str]]"
) -> "Iterator[tuple[Mapping[str, Table], Presence]]":
    """Tables and what is there, of one person, clip by clip."""
    from extract.engine.plan import faces_recipe

    config, clip_ids = view
    of_person = answers if config is job.config else answers.of_faces(store, config)
    face_tracks = [spec.recipe(config, job.fill) for spec in job.encoders()]
    face_track = next((recipe for recipe in face_tracks if "crop" in recipe), None)
    voice = job.voice[0], job.recipe(job.voice[1])
    found: dict[str, Presence] = {}

    def presence(clip_id: str) -> "Presence":
        clock = store.clock(clip_id)
        found[clip_id] = measure_presence(store, clip_id, clock, faces_recipe(config), face_track, voice)
        return found[clip_id]

    for clip_id, tables in of_person.tables(clip_ids, presence):
        yield tables, found.pop(clip_id)


def _reason(answers: Answers) -> str:
    recipes = [recipe for run, _, _ in answers.runs for recipe in run.finished()["recipes"].values()]
    takes = inputs_of([*recipes, *(member.recipe for member in answers.recognisers)])
    words = {"face": "no face was found", "voice": "no voice is heard", "picture": "no picture could be read"}
    return " and ".join(words[kind] for kind in takes)


def _clips(media: list[Path]) -> "tuple[dict[str, Clip], tuple[str, ...]]":
    """The clips of all the media, and a line for each folder with other files.

    Clips of one name in several folders are named by their folders as well.
    """
    by_name: dict[str, dict[Path, Clip]] = {}
    ignored = []
    for path in media:
        found = open_dataset(path)
        if found.num_ignored:
            num = format_count(found.num_ignored, "other file")
            ignored.append(f"{path}: {num} left out; give the path of a picture beside videos to have it read")
        for clip_id, clip in found.clips.items():
            by_name.setdefault(clip_id, {})[(clip.media or clip.images or path).absolute()] = clip
    clips: dict[str, Clip] = {}
    taken = set(by_name)
    for clip_id, clips_of_name in by_name.items():
        names = {clip_id: next(iter(clips_of_name))}
        if len(clips_of_name) > 1:
            names = names_by_folder(clip_id, list(clips_of_name), Path("/"), taken)
            taken |= names.keys()
        clips |= {name: replace(clips_of_name[path], clip_id=name) for name, path in names.items()}
    return clips, tuple(ignored)
