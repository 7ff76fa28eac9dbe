"""The embedding of a run as features of a store: ``abaw embed``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.dataset.layout import open_dataset
from abaw.dataset.seen import Seen
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path
from abaw.files.names import checked_name, first_few
from abaw.numbers import format_count
from abaw.pipelines.embedding.pair_scores import PAIRS, describe_pairs
from abaw.pipelines.embedding.seen import CHOSEN_ON, TRAINED_ON
from abaw.pipelines.persons.groups import within_groups
from abaw.pipelines.prediction import open_member
from abaw.pipelines.rebuilding import find_stored, notes_of_types
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results.run_document import network_weights
from abaw.results.runs import Run
from abaw.results.selection import chosen_on

if TYPE_CHECKING:
    from abaw.pipelines.prediction import Member
    from extract.store.store import FeatureStore

NAME = "joint_embedding"
ENCODER = "embedding"  # in the recipe
VERSION = 1
STORED_DTYPE = "float16"


@dataclass
class EmbedReport:
    """What ``embed`` wrote. ``pairs``: relation -> pair AUC on held-out clips, joint and alone; {} for a refit.

    ``skipped``: clips that had this embedding before. ``lacking``: clips of the data set without the run's features.
    ``notes``: which features were read in another type than the run was trained on, as int8.
    """

    folder: str
    encoder: str
    dim: int
    written: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    num_rows: int = 0
    num_unobserved: int = 0
    notes: tuple[str, ...] = ()
    pairs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from describe_pairs(self.pairs)
        if not self.pairs:
            yield "pair AUC: not measured, the run holds nothing out"
        yield from self._verdict()
        yield from self.notes
        if self.lacking:
            what = format_count(len(self.lacking), "clip")
            yield f"{what} of the data set without the run's features left out: {first_few(self.lacking)}"
        yield f"{format_count(self.num_rows, 'frame')}, {self.num_unobserved} of them not observed"
        done = f", {len(self.skipped)} done before" if self.skipped else ""
        yield f"{self.folder}: {format_count(len(self.written), 'clip')} of {self.dim} numbers a frame written{done}"

    def _verdict(self) -> Iterator[str]:
        """Which embedding won for which task, and what to do where a single-task one did."""
        compared = {name: each for name, each in self.pairs.items() if None not in (each["joint"], each["alone"])}
        won = [name for name, each in compared.items() if each["joint"] > each["alone"]]
        lost = [name for name, each in compared.items() if each["joint"] < each["alone"]]
        if compared:
            yield f"the joint embedding won for {', '.join(won) or 'no task'}"
        if lost:
            advice = " or ".join(f"--task {name}" for name in lost)
            yield f"the single-task embedding won for {', '.join(lost)}: give {advice} to export it"


def embed(
    run: str | Path,
    store: str | Path,
    *,
    data: str | Path | None = None,
    task: str | None = None,
    name: str | None = None,
    device: str = "cpu",
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> EmbedReport:
    """Write the embedding of a siamese run as features of the store: a row of unit length for each frame of a clip.

    ``store``: it must have the features that the run was trained on, by their recipes, or the same in another type, as
    int8; the embedding is written there.
    ``data``: the data set whose clips are embedded, by default every clip of the store that has these features.
    ``task``: instead of the joint embedding, that of the encoder that was trained on this task alone. ``name``: of the
    features, by default ``joint_embedding``, or ``<task>_embedding``. A clip that has this embedding already is
    skipped. The recipe holds the hashes of the run's weights and of the recipes of its features, and which videos the
    run was trained on; a frame in which nothing was observed is unobserved.

    Raises InputError for a run of another model, an unknown task, and a store with features of other settings;
    NotFoundError where the run or the features are missing.
    """
    from extract.store.store import FeatureStore
    from fusion.contrastive.module import JOINT, ContrastiveModule

    as_progress(progress)
    opened, to = Run(as_path(run, "run"), trust), FeatureStore(as_path(store, "store"))
    document, to_name = opened.finished(), name
    to.check_exists()
    recipes = {feature: find_stored(to, recipe) for feature, recipe in document["recipes"].items()}
    _check_features(to, opened, recipes)
    member = open_member(opened, to.root, device)
    module = member[1]
    if not isinstance(module, ContrastiveModule):
        raise InputError(
            f"{opened.folder} is a run of the model {opened.config().model.name}, which has no embedding to export: "
            "train one with abaw train contrastive, or with model={name: multitask_contrastive}"
        )
    encoder = JOINT if task is None else task
    if encoder not in module.encoder_names():
        known = ", ".join(module.encoder_names()[1:])
        why = f"it has {known}" if known else "it was trained on a single task: leave --task away"
        raise InputError(f"{opened.folder} has no embedding of {task!r} alone: {why}")
    if to_name is None:
        to_name = NAME if encoder == JOINT else f"{encoder.replace('/', '_')}_embedding"
    checked_name(to_name, "the name of the features")
    clips, lacking = _clips_of_store(to, recipes), []
    groups: Mapping[str, str] = {}
    if data is not None or any(each.normalise == "group" for each in opened.config().features.values()):
        dataset, there = open_dataset(opened.place("data") if data is None else data), set(clips)
        clips = [clip_id for clip_id in dataset.clips if clip_id in there]
        lacking, groups = [clip_id for clip_id in dataset.clips if clip_id not in there], dataset.groups
    if not clips:
        raise NotFoundError(
            f"{to.root} has no clip with all features of {opened.folder} ({', '.join(recipes)}): run abaw "
            f"extract DATA --store {to.root} first"
        )
    sources = {feature: to.folder(each).name for feature, each in recipes.items()}
    recipe = _recipe(opened, document, sources, to_name, encoder)
    report = EmbedReport(
        str(to.folder(recipe)),
        encoder,
        module.model.hidden_dim,
        lacking=lacking,
        notes=tuple(notes_of_types([member])),
        pairs=document.get(PAIRS, {}),
    )
    _write_clips(to, recipe, within_groups([member], groups)[0], clips, report, progress)
    return report


def _write_clips(
    store: "FeatureStore",
    recipe: dict[str, Any],
    member: "Member",
    clips: list[str],
    report: EmbedReport,
    progress: ProgressCallback,
) -> None:
    from fusion.contrastive.measuring import embed_clips
    from fusion.contrastive.module import ContrastiveModule

    _, module, source = member
    assert isinstance(module, ContrastiveModule)
    about = {clip_id: store.clock_metadata(clip_id).get("source") for clip_id in clips}
    report.skipped.extend(clip_id for clip_id in clips if store.has(recipe, clip_id, about[clip_id]))
    wanted = [clip_id for clip_id in clips if clip_id not in set(report.skipped)]
    for done, (clip_id, made) in enumerate(embed_clips(module, source, wanted, (report.encoder,))):
        progress(clip_id, done, len(wanted))
        values, observed = made[report.encoder]
        metadata = {"tool": f"abaw {version('abaw')}", "rows": str(len(values))}
        metadata |= {} if (text := about[clip_id]) is None else {"source": text}
        with store.writer(recipe, clip_id, report.dim) as writer:
            writer.add(values[observed])
            writer.finish(source.clock(clip_id).times_s, observed, metadata)
        report.written.append(clip_id)
        report.num_rows += len(values)
        report.num_unobserved += int((~observed).sum())


def _recipe(
    run: Run, document: Mapping[str, Any], sources: Mapping[str, str], name: str, encoder: str
) -> dict[str, Any]:
    """Everything that can change a number of the embedding; the run's place does not count.

    ``sources``: the folder, with its hash, of each of the features that are read.
    """
    config = run.config()
    seen, chosen = Seen.of_side(document, "train"), chosen_on(document)
    features = {
        feature: {**each.model_dump(mode="json"), "recipe": sources[feature]}
        for feature, each in config.features.items()
    }
    return {
        "name": name,
        "stored_dtype": STORED_DTYPE,
        "encoder": ENCODER,
        "settings": {"run": str(run.folder), "embedding": encoder},
        "found_at": ["run"],
        "version": VERSION,
        "modality": "joint",
        "span": 1,
        "weights": network_weights(document),  # not a posterior, which a later prediction may add
        "features": features,
        TRAINED_ON: {
            "videos": list(seen.videos),
            "groups": list(seen.groups),
            "label_tasks": list(document["label_tasks_seen"]),
        },
        CHOSEN_ON: {"videos": list(chosen.videos), "groups": list(chosen.groups)},
    }


def _check_features(store: "FeatureStore", run: Run, recipes: Mapping[str, dict[str, Any]]) -> None:
    """Raises InputError where the store has features of these names with other settings or weights."""
    stored = store.recipes()
    for name, recipe in recipes.items():
        wanted = store.folder(recipe).name
        others = [folder for folder, each in stored.items() if each["name"] == name and folder != wanted]
        if wanted not in stored and others:
            raise InputError(
                f"{store.root} has {name} of other settings or weights ({', '.join(others)}) than {run.folder} was "
                f"trained on ({wanted}): give the store that it was trained with, or train on these features"
            )
        if wanted not in stored:
            raise NotFoundError(
                f"{store.root} has no features {wanted}, on which {run.folder} was trained: run abaw extract DATA "
                f"--store {store.root} with the same encoder"
            )


def _clips_of_store(store: "FeatureStore", recipes: Mapping[str, dict[str, Any]]) -> list[str]:
    """The clips that have a clock and all of these features, sorted."""
    from extract.store.listing import track_paths

    folders = [store.root / "clock", *(store.folder(recipe) for recipe in recipes.values())]
    return sorted(set.intersection(*(set(track_paths(folder)) for folder in folders)))
