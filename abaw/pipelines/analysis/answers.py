"""What predicts in an analysis: trained runs, recognisers, or both, and what each of them takes and was trained on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.dataset.synthetic import is_synthetic_folder
from abaw.ensembling import weights
from abaw.errors import InputError
from abaw.pipelines.analysis.presence import Presence, inputs_of
from abaw.pipelines.analysis.tables import spreads_of
from abaw.pipelines.recognition import RecogniserMember, mean_of_observed, open_recogniser_member
from abaw.registry import REQUIRED
from abaw.results.posteriors import has_posterior
from abaw.results.runs import Run
from abaw.tasks import TASKS

if TYPE_CHECKING:
    from abaw.pipelines.prediction import Member
    from abaw.results.predictions import Table
    from abaw.tasks.base import Task
    from extract.engine.plan import EncoderSpec
    from extract.faces.target import TargetConfig
    from extract.recognisers.base import Recogniser
    from extract.store.store import FeatureStore, Recipe

    PresenceOf = Callable[[str], Presence]

SYNTHETIC = "drawn faces and synthesised voices, so that its answers about real people mean nothing"


@dataclass(frozen=True)
class Answers:
    """Runs and recognisers with the tracks of a store, whose predictions of one task are averaged.

    ``tasks``: all that they predict. In a frame those members count for which something was there that they take.
    """

    runs: "tuple[Member, ...]"
    recognisers: tuple[RecogniserMember, ...]
    tasks: "Mapping[str, Task]"

    def tables(self, clip_ids: Sequence[str], presence: "PresenceOf") -> "Iterator[tuple[str, dict[str, Table]]]":
        """Clip by clip, a table for each task; ``observed``: whether there was anything to predict from."""
        from_recognisers = [member.tables(clip_ids) for member in self.recognisers]
        from_runs = iter(self._run_tables(clip_ids)) if self.runs else None
        for clip_id in clip_ids:
            of_runs = next(from_runs)[1] if from_runs else {}
            yield clip_id, self.average(presence(clip_id), of_runs, [next(stream) for stream in from_recognisers])

    @cached_property
    def _inputs(self) -> "list[tuple[set[str], tuple[str, ...]]]":
        """The tasks of each run, and what it takes."""
        return [(set(run.tasks()), inputs_of(run.finished()["recipes"].values())) for run, _, _ in self.runs]

    def average(
        self,
        there: Presence,
        of_runs: "Mapping[str, Sequence[Table]]",
        of_recognisers: "Sequence[Mapping[str, Table]]",
    ) -> "dict[str, Table]":
        """One table for each task: the mean, and the spread over the members where there are several.

        ``of_runs``: by task the table of each run that knows it, in their order; ``of_recognisers``: of each recogniser
        its table by task.
        """
        found: dict[str, list[Table]] = {name: [] for name in self.tasks}
        members: dict[str, list[Table]] = {name: [] for name in self.tasks}
        for name, tables in of_runs.items():
            takes = [each for names, each in self._inputs if name in names]
            members[name] += [_limited(there, each, table) for each, table in zip(takes, tables, strict=True)]
            times = len(tables) if any(name in each.columns for each in self.recognisers) else 1
            of_any = sorted({kind for each in takes for kind in each})
            found[name] += [_limited(there, of_any, weights.mean(len(tables)).table(tables))] * times
        for member, by_task in zip(self.recognisers, of_recognisers, strict=True):
            for name, table in by_task.items():
                limited = _limited(there, inputs_of([member.recipe]), table)
                found[name].append(limited)
                members[name].append(limited)
        return {
            name: replace(mean_of_observed(tables), spreads=spreads_of(self.tasks[name], members[name]))
            for name, tables in found.items()
        }

    def spreading(self) -> list[str]:
        """The tasks that several members answer, whose tables have the spread over them."""
        known = [*(run.tasks() for run, _, _ in self.runs), *(member.columns for member in self.recognisers)]
        return [name for name in self.tasks if sum(name in each for each in known) > 1]

    def sources(self, better: Sequence[str] = ()) -> tuple[str, ...]:
        """What predicts, and what it was trained on: the first lines that the user reads.

        ``better``: recognisers that are better than these, which were chosen because they are on this machine.
        """
        lines = [describe_run(run) for run, _, _ in self.runs]
        lines += [line for member in self.recognisers for name in member.columns for line in member.notes(name)]
        if self.recognisers and not self.runs and better:
            lines.append("these are the best on this machine; you can get better ones (see abaw list recognisers):")
            lines += [f"  {line}" for line in better]
        return tuple(lines)

    def deviating(self) -> list[str]:
        """The tasks whose tables have standard deviations: every member is a run that stores its posterior."""
        found = []
        for name, task in self.tasks.items():
            runs = [run for run, _, _ in self.runs if name in run.tasks()]
            is_alone = not any(name in member.columns for member in self.recognisers)
            if task.linear_columns and runs and is_alone and all(has_posterior(run, name) for run in runs):
                found.append(name)
        return found

    def _run_tables(self, clip_ids: Sequence[str]) -> "Iterator[tuple[str, dict[str, list[Table]]]]":
        from abaw.pipelines.prediction import predict_tables

        names = [name for name in self.tasks if any(name in run.tasks() for run, _, _ in self.runs)]
        tasks = {name: self.tasks[name] for name in names}
        return predict_tables(self.runs, tasks, dict.fromkeys(names, clip_ids), deviation=True)

    def of_faces(self, store: "FeatureStore", config: "TargetConfig") -> "Answers":
        """The same with the tracks of another person's faces."""
        from extract.store.source import AlignedSource

        runs = []
        for run, module, _ in self.runs:
            recipes = {name: with_target(recipe, config) for name, recipe in run.finished()["recipes"].items()}
            runs.append((run, module, AlignedSource(store, run.config().features, recipes)))
        recognisers = [
            open_recogniser_member(member.recogniser, with_target(member.recipe, config), store, self.tasks)
            for member in self.recognisers
        ]
        return replace(self, runs=tuple(runs), recognisers=tuple(recognisers))


def _limited(there: Presence, takes: Sequence[str], table: "Table") -> "Table":
    """The table, observed only where something was there that its member takes."""
    return replace(table, observed=there.allows(takes, table))


def with_target(recipe: "Recipe", config: "TargetConfig") -> "Recipe":
    """The recipe of the same features of another person's faces."""
    return recipe | {"faces": recipe["faces"] | {"target": config.target}} if "faces" in recipe else recipe


def open_answers(
    runs: Sequence[Run],
    recognisers: "Sequence[tuple[Recogniser, EncoderSpec]]",
    store: "FeatureStore",
    config: "TargetConfig",
    fill: bool,
    device: str,
) -> Answers:
    """The runs with their networks, and the recognisers with the tasks that they answer."""
    tasks = choose_tasks(runs, [each for each, _ in recognisers])
    members = []
    if runs:  # its imports take seconds
        from abaw.pipelines.prediction import open_member

        members = [open_member(run, store.root, device) for run in runs]
    answering = [open_recogniser_member(each, spec.recipe(config, fill), store, tasks) for each, spec in recognisers]
    return Answers(tuple(members), tuple(answering), tasks)


def choose_tasks(runs: Sequence[Run], recognisers: "Sequence[Recogniser]") -> "dict[str, Task]":
    """The tasks of the runs, and for recognisers those of them that they answer, else those of the challenge.

    Where a recogniser answers a task of the runs, a task of the challenge with a column of it is left out. Raises
    InputError where a recogniser answers none, or two tasks have a column of one name, which a table can hold once.
    """
    from extract.recognisers.columns import answers

    tasks = {name: task for run in runs for name, task in run.tasks().items()}
    usual = {name: TASKS.build(name) for name in ("va", "expr", "au")}
    for recogniser in recognisers:
        own = [name for name, task in tasks.items() if answers(recogniser, task)]
        taken = {column for name in own for column in tasks[name].columns}
        others = [name for name, task in usual.items() if name not in own and not taken & set(task.columns)]
        found = own + [name for name in others if answers(recogniser, usual[name])]
        if not found:
            found = [name for name in _others([*tasks, *usual]) if answers(recogniser, TASKS.build(name))][:1]
        if not found:
            raise InputError(
                f"{recogniser.name} answers none of the known tasks: its outputs are {', '.join(recogniser.names)}"
            )
        tasks |= {name: usual.get(name) or TASKS.build(name) for name in found if name not in tasks}
    _check_columns(tasks)
    return tasks


def _check_columns(tasks: "Mapping[str, Task]") -> None:
    known: dict[str, str] = {}
    for name, task in tasks.items():
        for column in task.columns:
            if column in known:
                raise InputError(
                    f"{known[column]} and {name} both have the column {column!r}, which a table can hold only once: "
                    "analyze twice, each time with the runs and recognisers of one of them, and another --out"
                )
            known[column] = name


def _others(known: Sequence[str]) -> list[str]:
    return [part.name for part in TASKS.parts() if part.name not in known and REQUIRED not in part.settings.values()]


def data_of(run: Run) -> dict[str, Any]:
    """What a run was trained on: the path of its data set, and its kind, None where it is not known.

    A run of an earlier version does not record the kind; then its data set says it, if it is still there.
    """
    recorded = run.document().get("data")
    if isinstance(recorded, Mapping):
        return {"path": str(recorded.get("path", "")), "kind": recorded.get("kind")}
    path = Path(run.config().data)
    places = (
        [path] if path.is_absolute() else [base / path for base in (Path(), *list(run.folder.absolute().parents)[:3])]
    )
    is_synthetic = any(is_synthetic_folder(place if place.is_dir() else place.parent) for place in places)
    return {"path": str(path), "kind": "synthetic" if is_synthetic else None}


def describe_run(run: Run) -> str:
    """What predicts, and what it was trained on, in a line."""
    document, data = run.document(), data_of(run)
    commit = f" (commit {document['commit']})" if document.get("commit") else ""
    line = f"{', '.join(run.tasks())} by the run {run.folder}{commit}, trained on {data['path']}"
    if data["kind"] == "synthetic":
        return f"{line}, the synthetic data set: {SYNTHETIC}"
    return f"{line} ({data['kind'] or 'what kind of data set that is, is not recorded'})"


def check_real(runs: Sequence[Run], is_synthetic: bool, anyway: bool) -> None:
    """Raises InputError where a run of the synthetic data set is to answer about other media, and not ``anyway``."""
    for run in runs:
        if data_of(run)["kind"] == "synthetic" and not (is_synthetic or anyway):
            raise InputError(
                f"{run.folder} was trained on the synthetic data set: {SYNTHETIC}. Leave --run out for a pretrained "
                "recogniser, give a run trained on real data, or give --anyway for tables that only show the format"
            )
