"""Folders of prediction tables by pretrained recognisers, extracted where the store lacks what they need."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.dataset.layout import SPLITS, open_dataset
from abaw.ensembling import weights
from abaw.errors import InputError
from abaw.files import as_list, as_path, check_once
from abaw.pipelines.analysis.document import note_counted
from abaw.pipelines.extraction import build_detector
from abaw.pipelines.prediction import Predictions
from abaw.pipelines.recognition import (
    RecogniserMember,
    build_encoder_of,
    open_recogniser,
    open_recogniser_member,
    recognise_tables,
    tasks_of,
)
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results import predictions, provenance, replacing
from abaw.results.runs import commit

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset
    from abaw.tasks.base import Task
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig
    from extract.recognisers.base import Recogniser
    from extract.store.store import Failure, FeatureStore, Recipe

AFF_WILD = "affwild"  # also of Aff-Wild2, s-Aff-Wild2 and A/V Aff-Wild2


def recognise(
    recognisers: str | Sequence[str],
    data: str | Path,
    store: str | Path,
    out: str | Path,
    *,
    split: str | None = None,
    clips: Sequence[str] | None = None,
    tasks: str | Sequence[str] | None = None,
    commercial: bool = False,
    device: str = "cpu",
    download: bool = False,
    assume_fps: float | None = None,
    progress: ProgressCallback = silent,
) -> Predictions:
    """Write prediction tables by pretrained recognisers, one a clip, into ``out/<task>``; several are averaged.

    ``recognisers``: ``NAME`` or ``NAME:setting=value,...``, one or several (``list_recognisers``). ``data``: a data
    set, a media file or a folder of media. Outputs that ``store`` lacks are extracted into it, with the default options
    of ``extract``; those that it has are taken however their faces were chosen. Either ``split`` ("train", "validation"
    or "test") or ``clips`` (names) says which clips. ``tasks``: by default all that the recognisers answer and, for a
    split, that have clips in it. ``commercial``: refuse a recogniser whose licence does not allow commercial use.
    ``download``: fetch weights that are not here. ``assume_fps``: the frame rate of clips without a video, by
    default 25 where neither labels nor test lists count their frames.

    A clip that cannot be read is among the result's ``failed``. Raises InputError for a wrong recogniser, setting, map,
    task, split or clip, and for a licence; NotFoundError for missing data or weights.
    """
    from extract.losses import summarize
    from extract.store.store import FeatureStore

    as_progress(progress)
    named = [] if clips is None else as_list(clips, "clips", "a clip's name or a list of them")
    names = None if tasks is None else as_list(tasks, "tasks", "a task's name or a list of them")
    texts = as_list(recognisers, "recognisers", "NAME:setting=value or a list of these")
    to, opened_store = as_path(out, "out"), FeatureStore(as_path(store, "store"))
    if not texts:
        raise InputError("no recogniser: give one or several (abaw list recognisers names them)")
    check_once(texts, "recogniser")
    if assume_fps is not None and not 0 < assume_fps < math.inf:
        raise InputError(f"--assume-fps is {assume_fps}, expected a number of frames per second above 0")
    if (split is not None) + bool(named) != 1:
        raise InputError("give either --split NAME or --clips ID (one or several): one of them")
    if split is not None and split not in SPLITS:
        raise InputError(f"no split {split!r}: there are {', '.join(SPLITS)}")
    opened = [open_recogniser(text, download=download, commercial=commercial) for text in texts]
    dataset = open_dataset(data)
    tasks_known = tasks_of(opened, dataset, names)
    of_task = _choose_clips(dataset, tasks_known, split, named, every=names is not None)
    bound = {name: tasks_known[name] for name in of_task}
    _check_use(opened, bound)
    clip_ids = list(dict.fromkeys(clip_id for each in of_task.values() for clip_id in each))
    specs = [build_encoder_of(each, device=device, download=download) for each in opened]
    with replacing.hold_tables_of(to, of_task) as replace_tables_of:  # before hours of extraction
        recipes, failed = _extract(dataset, opened_store, specs, clip_ids, assume_fps, progress)
        members = [
            open_recogniser_member(each, recipe, opened_store, bound)
            for each, recipe in zip(opened, recipes, strict=True)
        ]
        lost = {failure.clip for failure in failed}
        chosen = {name: [clip_id for clip_id in each if clip_id not in lost] for name, each in of_task.items()}
        with replace_tables_of(chosen):
            for clip_id, tables in recognise_tables(members, chosen, progress):
                for name, table in tables.items():
                    predictions.write_table(to / name, clip_id, table, bound[name])
            for name, task in bound.items():
                of_members = [member for member in members if name in member.columns]
                about = {"task": name, "split": split, **_about(of_members, task, data)}
                predictions.write_metadata(to / name, about)
    notes = [line for name in bound for member in members if name in member.columns for line in member.notes(name)]
    good = [clip_id for clip_id in clip_ids if clip_id not in lost]
    notes += note_counted(dataset, opened_store, good)
    losses = {clip_id: opened_store.losses(clip_id) for clip_id in good}
    notes += summarize(losses, len(losses), f"abaw store info {opened_store.root} --losses")
    return Predictions(to, bound, tuple(notes), tuple(failed))


def _choose_clips(
    dataset: "Dataset", tasks: "Mapping[str, Task]", split: str | None, named: Sequence[str], *, every: bool
) -> dict[str, list[str]]:
    """The clips of each task that has any. ``every``: each task must have some.

    Raises InputError where a task has none, or no task has any, and for an unknown clip.
    """
    for clip_id in named:
        if clip_id not in dataset.clips:
            raise InputError(f"no clip {clip_id!r} in {dataset.root}: see abaw check {dataset.root}")
    found = {name: list(named) if split is None else list(task.clips(dataset, split)) for name, task in tasks.items()}
    lacking = [name for name, clips in found.items() if not clips]
    if lacking and (every or len(lacking) == len(found)):
        wanted = "; ".join(f"for {name}, {tasks[name].wanted(split or 'test')}" for name in lacking)
        raise InputError(
            f"{dataset.root} has no {split} clips of {', '.join(lacking)} (expected, {wanted}): name clips with --clips"
        )
    return {name: clips for name, clips in found.items() if clips}


def _check_use(recognisers: "Sequence[Recogniser]", tasks: "Mapping[str, Task]") -> None:
    """Raises InputError where a recogniser answers none of the tasks."""
    from extract.recognisers.columns import answers

    for each in recognisers:
        if not any(answers(each, task) for task in tasks.values()):
            raise InputError(
                f"{each.name} answers none of {', '.join(tasks)}: its outputs are {', '.join(each.names)}; leave it "
                "out, or name its task with --task"
            )


def _extract(
    dataset: "Dataset",
    store: "FeatureStore",
    specs: "Sequence[EncoderSpec]",
    clip_ids: Sequence[str],
    assume_fps: float | None,
    progress: ProgressCallback,
) -> "tuple[list[Recipe], list[Failure]]":
    """The recipe of each encoder's tracks, which are in the store afterwards, and the clips that failed."""
    from extract.engine import run
    from extract.engine.plan import DEFAULT_ROWS_HZ

    recipes: list[Recipe] = []
    failed: dict[str, Failure] = {}
    rows_hz = None if dataset.challenges or dataset.test_lists or dataset.listings else DEFAULT_ROWS_HZ

    def has_other_rate(clip_id: str) -> bool:
        wanted, known = dataset.clips[clip_id].fps or assume_fps, store.clock_metadata(clip_id).get("assumed_fps")
        return wanted is not None and known is not None and float(known) != wanted

    for spec in specs:
        spec, config, fill = _as_stored(store, spec, clip_ids)
        recipe = spec.recipe(config, fill)
        lacking = [clip_id for clip_id in clip_ids if not store.has(recipe, clip_id) or has_other_rate(clip_id)]
        if lacking:
            report = run.extract(
                dataset,
                store,
                [spec],
                config,
                fill=fill,
                clip_ids=lacking,
                assume_fps=assume_fps,
                rows_hz=rows_hz,
                progress=progress,
            )
            failed |= {failure.clip: failure for failure in report.failed}
        recipes.append(recipe)
    if len(failed) == len(clip_ids):
        raise InputError(f"none of {len(clip_ids)} clips can be read, the first: {next(iter(failed.values()))}")
    return recipes, list(failed.values())


def _as_stored(
    store: "FeatureStore", spec: "EncoderSpec", clip_ids: Sequence[str]
) -> "tuple[EncoderSpec, TargetConfig, bool]":
    """The encoder with the name of its tracks, and the choice of faces, that the store has most of these clips of.

    Where there are several, or none, the default choice counts first.
    """
    from extract.engine.plan import EncoderSpec
    from extract.faces.detectors import rebuild_detector
    from extract.faces.target import TargetConfig

    found = [(spec, TargetConfig(build_detector("centerface")), False)]
    wanted = spec.recipe(found[0][1])
    for recipe in store.recipes(must_exist=False).values():  # an extraction that was killed may have left its folder
        faces = recipe.get("faces")
        if _without_faces(recipe) == _without_faces(wanted):
            config = TargetConfig(rebuild_detector(faces), faces["target"], faces["every"]) if faces else found[0][1]
            named = EncoderSpec(recipe["name"], spec.encoder, spec.stored_dtype)
            found.append((named, config, "fill_missing_faces" in recipe))
    return max(found, key=lambda each: sum(store.has(each[0].recipe(*each[1:]), clip_id) for clip_id in clip_ids))


def _without_faces(recipe: "Recipe") -> "Recipe":
    from extract.store.store import without_locations

    kept = without_locations(recipe)
    return {key: value for key, value in kept.items() if key not in ("name", "faces", "fill_missing_faces")}


def _about(members: Sequence[RecogniserMember], task: "Task", data: str | Path) -> dict[str, Any]:
    """predictions.json of the members' mean, without its task and split."""
    abouts: list[dict[str, Any]] = [
        {
            "run": [],
            "commit": commit(),
            "seeds": [],
            "label_tasks_seen": [] if is_apart else None,
            "videos_seen": [] if is_apart else None,
            "subject_adapted": False,
            "held_out": True if is_apart else None,
            "recognisers": [member.about(task.name)],
            "made_by": {},
            "data": str(data),
        }
        for member, is_apart in ((each, _is_apart(each.recogniser.trained_on, data)) for each in members)
    ]
    ensemble = weights.mean(len(members)).document([member.recogniser.name for member in members])
    return {
        **provenance.merged(abouts),
        "post_processing": {},
        "ensemble": ensemble if len(members) > 1 else {},
        **predictions.settings_of(task),
    }


def _is_apart(trained_on: Sequence[str] | None, data: str | Path) -> bool:
    """Whether the network has not seen videos of the data set as far as is known: it names what it was trained on, and
    that is neither Aff-Wild nor of the name of the data set's file or folders.
    """
    if trained_on is None:
        return False
    here = {_letters(part) for part in (Path(data).stem, *Path(data).resolve().parts[-3:])}
    return not any(_letters(name) in here or AFF_WILD in _letters(name) for name in trained_on)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
