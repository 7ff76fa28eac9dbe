"""Recognisers as members beside runs: networks that were trained elsewhere, whose own outputs are the predictions.

``open_recogniser`` builds one from text, ``build_encoder_of`` the encoder for an extraction, ``open_recogniser_member``
takes the tracks that it made, and ``recognise_tables`` gives their mean in tables like those of runs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abaw.ensembling import weights
from abaw.errors import InputError
from abaw.pipelines.extraction import parse_part
from abaw.progress import ProgressCallback, silent
from abaw.registry import REQUIRED
from abaw.results import predictions
from abaw.tasks import TASKS, for_dataset

if TYPE_CHECKING:
    import numpy as np

    from abaw.batches import FeatureSource
    from abaw.dataset.layout import Dataset
    from abaw.registry import Part
    from abaw.results.predictions import Table
    from abaw.tasks.base import Task
    from abaw.tracks import Track
    from extract.engine.plan import EncoderSpec
    from extract.recognisers.base import Recogniser
    from extract.recognisers.columns import Columns
    from extract.store.store import FeatureStore, Recipe


@dataclass(frozen=True)
class RecogniserMember:
    """A recogniser with its tracks, and how its outputs fill the columns of each task: a member beside runs.

    ``recipe``: that of its tracks in the store.
    """

    recogniser: "Recogniser"
    recipe: "Recipe"
    source: "FeatureSource"
    columns: "Mapping[str, Columns]"

    def tables(self, clip_ids: Iterable[str]) -> "Iterator[dict[str, Table]]":
        """Clip by clip, a table for each of its tasks. Raises NotFoundError where the store lacks a track."""
        for clip_id in clip_ids:
            clock = self.source.clock(clip_id)
            first_s, last_s = (clock.times_s[0], clock.times_s[-1]) if len(clock) else (0.0, 0.0)
            track = self.source.read(self.recogniser.label, clip_id, float(first_s), float(last_s))
            yield self.tables_of(track, clock.frames, clip_id)

    def tables_of(self, track: "Track", frames: "np.ndarray", clip_id: str) -> "dict[str, Table]":
        """A table for each of its tasks, of its outputs at these frames."""
        found = {}
        for name, columns in self.columns.items():
            try:
                values = columns.table(track.values, track.observed)
            except InputError as error:
                raise InputError(f"{self.recogniser.name}, clip {clip_id!r}: {error}") from error
            found[name] = predictions.Table(frames, track.times_s, track.observed, values, columns.task.columns)
        return found

    def about(self, task: str) -> dict[str, Any]:
        """What predictions.json records of it."""
        from extract.recognisers import RECOGNISERS

        columns, plugin = self.columns[task], RECOGNISERS.plugin(self.recogniser.name)
        return {
            "name": self.recogniser.name,
            **({} if plugin is None else {"plugin": plugin.record()}),
            "recipe": dict(self.recipe),
            "outputs": list(self.recogniser.names),
            "map": dict(columns.goals),
            "left_out": list(columns.left_out),
            "never_predicted": list(columns.unknown),
            "licence": self.recogniser.licence,
            "commercial": self.recogniser.commercial,
            "trained_on": None if self.recogniser.trained_on is None else list(self.recogniser.trained_on),
        }

    def notes(self, task: str) -> list[str]:
        """What a user must know of its predictions of a task, in a line each."""
        columns, name = self.columns[task], self.recogniser.name
        known = self.recogniser.trained_on
        trained = "on data that are not named" if known is None else f"on {', '.join(known)}"
        lines = [f"{task} by {name}, trained {trained}; licence: {self.recogniser.licence}"]
        if self.recogniser.limits:
            lines.append(f"{task}: {name} {self.recogniser.limits}")
        if columns.unknown:
            lines.append(f"{task}: {name} never predicts {', '.join(columns.unknown)}: its probability is always 0")
        if columns.left_out:
            lines.append(f"{task}: the outputs {', '.join(columns.left_out)} of {name} are left out")
        return lines


def open_recogniser(text: str, *, download: bool = False, commercial: bool = False) -> "Recogniser":
    """A recogniser from ``NAME`` or ``NAME:setting=value,...``, without its encoder.

    The setting ``map`` says what becomes of its classes (``map=contempt:Other/calm:-``). ``commercial``: the use is
    commercial. Raises InputError for a wrong name, setting or map, and where the licence does not allow the use.
    """
    from extract.recognisers import RECOGNISERS

    if not isinstance(text, str):
        raise InputError(f"recogniser is {text!r}, expected NAME or NAME:setting=value,...")
    name, settings = parse_part(text)
    is_mapped = "map" in settings
    chosen = settings.pop("map", None)
    if is_mapped and chosen in (None, ""):
        raise InputError(
            f"map is empty in {text!r}: give what becomes of the classes, as map=contempt:Other/calm:-, or leave it out"
        )
    given = {"download": download} if "download" in RECOGNISERS.part(name).given else {}
    found: Recogniser = RECOGNISERS.build(name, **settings, **given)
    if chosen is not None:
        found = found.with_map(str(chosen))
    if commercial and found.commercial is not True:
        doubt = "does not allow" if found.commercial is False else "is not known to allow"
        raise InputError(
            f"the licence of {found.name} ({found.licence}) {doubt} commercial use: use another recogniser (see abaw "
            "list recognisers), or leave out --commercial where your use is not commercial or you have another licence"
        )
    return found


def build_encoder_of(recogniser: "Recogniser", *, device: str = "cpu", download: bool = False) -> "EncoderSpec":
    """The recogniser's encoder, for an extraction.

    Raises InputError where its network has other outputs than the recogniser names, MissingWeights where the weights
    are not on this machine.
    """
    from extract import presets
    from extract.engine.plan import EncoderSpec

    encoder = presets.build(recogniser.encoder, device=device, download=download, **recogniser.settings)
    recogniser.check_outputs(encoder.dim, encoder.recipe().get("classes") or ())
    return EncoderSpec(recogniser.label, encoder, "float32")


def tasks_of(
    recognisers: "Sequence[Recogniser]", dataset: "Dataset", names: Sequence[str] | None = None
) -> "dict[str, Task]":
    """The tasks that at least one recogniser answers, as they are for the data set; ``names``: these.

    Of a data set that names its own classes or values, only these. A task of which a recogniser knows only a part of
    its classes is left out. Raises InputError where no task is left, or one of ``names`` is not answered: it names the
    outputs whose meaning is not said.
    """
    from extract.recognisers.columns import answers, columns_of

    chosen = list(names) if names is not None else [part.name for part in TASKS.parts() if _is_buildable(part)]
    tasks: dict[str, Task] = {name: TASKS.build(name) for name in chosen}
    if names is not None:
        tasks = for_dataset(tasks, dataset)
    else:
        tasks = {name: task.for_dataset(dataset) for name, task in tasks.items()}
        tasks = {name: task for name, task in tasks.items() if any(answers(each, task) for each in recognisers)}
        of_dataset = {name: task for name, task in tasks.items() if task.is_of_dataset}
        tasks = of_dataset or tasks
    found, problems = {}, []
    for name, task in tasks.items():
        try:
            for each in [each for each in recognisers if answers(each, task)] or recognisers[:1]:
                columns_of(each, task)
        except InputError as error:
            if names is not None:
                raise
            problems.append(error)
        else:
            found[name] = task
    if not found and problems:
        raise problems[0]
    if not found:
        outputs = "; ".join(f"{each.name}: {', '.join(each.names)}" for each in recognisers)
        raise InputError(
            f"no task has columns of the names of these outputs ({outputs}): name the task with --task, and say what "
            "the outputs are with the setting map=OUTPUT:COLUMN/..."
        )
    return found


def _is_buildable(part: "Part") -> bool:
    """Whether a part needs no setting."""
    return REQUIRED not in part.settings.values()


def open_recogniser_member(
    recogniser: "Recogniser", recipe: "Recipe", store: "FeatureStore", tasks: "Mapping[str, Task]"
) -> RecogniserMember:
    """The recogniser with its tracks of this recipe, for those of the tasks that it answers."""
    from abaw.configs.sections import FeatureConfig
    from extract.recognisers.columns import answers, columns_of
    from extract.store.source import AlignedSource

    how = FeatureConfig(align=recogniser.align, max_gap_s=recogniser.max_gap_s)
    source = AlignedSource(store, {recogniser.label: how}, {recogniser.label: recipe})
    columns = {name: columns_of(recogniser, task) for name, task in tasks.items() if answers(recogniser, task)}
    return RecogniserMember(recogniser, recipe, source, columns)


def recognise_tables(
    members: Sequence[RecogniserMember], of_task: Mapping[str, Sequence[str]], progress: ProgressCallback = silent
) -> "Iterator[tuple[str, dict[str, Table]]]":
    """Clip by clip, a table for each task that asks for the clip.

    A frame is the mean over the members that know the task and observed something in it.
    """
    clip_ids = list(dict.fromkeys(clip_id for clips in of_task.values() for clip_id in clips))
    streams = [member.tables(clip_ids) for member in members]
    for done, clip_id in enumerate(clip_ids):
        progress(clip_id, done, len(clip_ids))
        made = [next(stream) for stream in streams]
        wanted = [name for name in of_task if clip_id in of_task[name]]
        yield clip_id, {name: mean_of_observed([each[name] for each in made if name in each]) for name in wanted}


def mean_of_observed(tables: "Sequence[Table]") -> "Table":
    """The mean of a clip's tables, in each frame of those that observed something; of all where none did.

    It has no standard deviations unless it is of a single table: recognisers have none.
    """
    import numpy as np

    if len(tables) == 1:
        return tables[0]
    weights.check_agreement(tables, [f"member {i + 1}" for i in range(len(tables))])
    observed = np.stack([table.observed for table in tables])
    counted = observed | ~observed.any(axis=0)
    shares = (counted / counted.sum(axis=0))[..., None]
    values = (shares * np.stack([table.values for table in tables])).sum(axis=0).astype(np.float32)
    first, any_observed = tables[0], np.asarray(observed.any(axis=0))
    return predictions.Table(first.frames, first.times_s, any_observed, values, first.columns)
