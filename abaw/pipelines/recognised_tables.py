"""Folders of prediction tables by pretrained recognisers, extracted where the store lacks what they need."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.dataset.layout import SPLITS, open_dataset
from abaw.ensembling import weights
from abaw.errors import InputError
from abaw.files import as_list, as_path
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
from abaw.results import predictions, provenance
from abaw.results.runs import commit

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset
    from abaw.tasks.base import Task
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig
    from extract.recognisers.base import Recogniser
    from extract.store.store import Failure, FeatureStore, Recipe

AFF_WILD2 = "affwild2"


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
    ``download``: fetch weights that are not on this machine. ``assume_fps``: the frame rate of clips without a video.

    A clip that cannot be read is among the result's ``failed``. Raises InputError for a wrong recogniser, setting, map,
    task, split or clip, and for a licence; NotFoundError for missing data or weights.
    """
    from extract.store.store import FeatureStore

    as_progress(progress)
    named = [] if clips is None else as_list(clips, "clips", "a clip's name or a list of them")
    names = None if tasks is None else as_list(tasks, "tasks", "a task's name or a list of them")
    texts = as_list(recognisers, "recognisers", "NAME:setting=value or a list of these")
    to, opened_store = as_path(out, "out"), FeatureStore(as_path(store, "store"))
    if not texts:
        raise InputError("no recogniser: give one or several (abaw list recognisers names them)")
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
    recipes, failed = _extract(dataset, opened_store, specs, clip_ids, assume_fps, progress)
    members = [
        open_recogniser_member(each, recipe, opened_store, bound) for each, recipe in zip(opened, recipes, strict=True)
    ]
    lost = {failure.clip for failure in failed}
    chosen = {name: [clip_id for clip_id in each if clip_id not in lost] for name, each in of_task.items()}
    with predictions.replace_tables_of(to, chosen):
        for clip_id, tables in recognise_tables(members, chosen, progress):
            for name, table in tables.items():
                predictions.write_table(to / name, clip_id, table, bound[name])
        for name, task in bound.items():
            of_members = [member for member in members if name in member.columns]
            about = {"task": name, "split": split, **_about(of_members, task, data, chosen[name])}
            predictions.write_metadata(to / name, about)
    notes = [line for name in bound for member in members if name in member.columns for line in member.notes(name)]
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
    """The recipe of each encoder's tracks, all of which are in the store afterwards, and the clips that failed."""
    from extract.engine import run
    from extract.faces.target import TargetConfig

    config = TargetConfig(build_detector("centerface"))
    recipes = [_stored_recipe(store, spec, config, clip_ids) for spec in specs]
    lacking: list[EncoderSpec] = []
    for spec, recipe in zip(specs, recipes, strict=True):  # two recognisers may read one track in two ways
        if recipe is None and all(spec.recipe(config) != other.recipe(config) for other in lacking):
            lacking.append(spec)
    failed: list[Failure] = []
    if lacking:
        report = run.extract(
            dataset, store, lacking, config, clip_ids=clip_ids, assume_fps=assume_fps, progress=progress
        )
        failed = report.failed
        if len(failed) == len(clip_ids):
            raise InputError(f"none of {len(clip_ids)} clips can be read, the first: {failed[0]}")
    made = [recipe or spec.recipe(config) for spec, recipe in zip(specs, recipes, strict=True)]
    return made, failed


def _stored_recipe(
    store: "FeatureStore", spec: "EncoderSpec", config: "TargetConfig", clip_ids: Sequence[str]
) -> "Recipe | None":
    """The recipe of tracks of all these clips by the encoder, faces chosen in any way; None where there is none.

    Where there are several, the one with the default choice of faces; None where that is not among them.
    """
    wanted = spec.recipe(config)
    stored = store.recipes().values() if store.root.is_dir() else ()
    found = [
        recipe
        for recipe in stored
        if _without_faces(recipe) == _without_faces(wanted) and all(store.has(recipe, clip_id) for clip_id in clip_ids)
    ]
    usual = [recipe for recipe in found if store.folder(recipe) == store.folder(wanted)]
    return usual[0] if usual else found[0] if len(found) == 1 else None


def _without_faces(recipe: "Recipe") -> "Recipe":
    from extract.store.store import without_locations

    kept = without_locations(recipe)
    return {key: value for key, value in kept.items() if key not in ("name", "faces", "fill_missing_faces")}


def _about(
    members: Sequence[RecogniserMember], task: "Task", data: str | Path, clip_ids: Sequence[str]
) -> dict[str, Any]:
    """predictions.json of the members' mean, without its task and split."""
    abouts: list[dict[str, Any]] = [
        {
            "run": [],
            "commit": commit(),
            "seeds": [],
            "label_tasks_seen": [] if _is_apart(member.recogniser.trained_on, data) else None,
            "videos_seen": [] if _is_apart(member.recogniser.trained_on, data) else None,
            "subject_adapted": False,
            "held_out": True if _is_apart(member.recogniser.trained_on, data) else None,
            "recognisers": [member.about(task.name)],
            "made_by": {},
        }
        for member in members
    ]
    ensemble = weights.mean(len(members)).document([member.recogniser.name for member in members])
    return {
        **provenance.merged(abouts),
        "data": str(data),
        "post_processing": {},
        "ensemble": ensemble if len(members) > 1 else {},
        **predictions.settings_of(task),
    }


def _is_apart(trained_on: Sequence[str] | None, data: str | Path) -> bool:
    """Whether the network has not seen videos of the data set as far as is known: it names what it was trained on, and
    that is neither Aff-Wild2 nor of the name of the data set's file or folders.
    """
    if trained_on is None:
        return False
    here = {_letters(part) for part in (Path(data).stem, *Path(data).resolve().parts[-3:])}
    return not any(_letters(name) in here | {AFF_WILD2} for name in trained_on)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
