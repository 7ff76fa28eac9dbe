"""The robustness of a run: scores without a modality and on worse features, and what the run costs."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from abaw.dataset.layout import open_dataset, open_once
from abaw.errors import InputError
from abaw.evaluation.intervals import (
    DRAWS,
    SEED,
    MeanScores,
    compare,
    correct,
    group_by_video,
    measure_mean,
    unit_drawn,
)
from abaw.evaluation.labelled_tables import LabelledPredictions, open_labelled_predictions, tasks_in
from abaw.evaluation.labels import labels_of
from abaw.evaluation.robustness import (
    Ablation,
    Curve,
    Measured,
    Point,
    Robustness,
    TaskRobustness,
    write_robustness,
)
from abaw.files import as_path
from abaw.pipelines.persons.groups import within_groups
from abaw.pipelines.prediction import open_member, post_processing_of, predict_tables, write_predictions
from abaw.pipelines.rebuilding import notes_of_types
from abaw.pipelines.robustness.conditions import AblationPlan, CurvePlan, find_inputs, plan_ablations, plan_curves
from abaw.pipelines.robustness.costs import measure_cost
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results.run_document import network_weights
from abaw.results.runs import Run, commit, now

if TYPE_CHECKING:
    from abaw.batches import FeatureSource
    from abaw.pipelines.prediction import Member
    from abaw.results.predictions import Table
    from abaw.tasks.base import PredictionPair
    from extract.store.source import AlignedSource

    Pairs = Mapping[str, Mapping[str, PredictionPair]]  # task -> clip -> predictions beside labels

SPLITS = ("validation", "test")


@open_once()
def measure_robustness(
    run: str | Path,
    *,
    split: str = "validation",
    data: str | Path | None = None,
    store: str | Path | None = None,
    num_seeds: int = 3,
    stretch_s: float = 2.0,
    device: str = "cpu",
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> Robustness:
    """Score a run with each modality absent and alone, and on features that are dropped, noisy or shifted in time.

    The features in the store are changed when they are read; nothing is extracted again. The result is written to
    ``RUN/robustness-<split>.json``, complete or not at all, with what the run costs. Every score has the
    post-processing of the run.

    ``split``: "validation", what the run held out, or "test", of a manifest with labels of test clips. ``num_seeds``:
    how often what is random is repeated. ``stretch_s``: length of the stretches in which sound and faces are dropped.
    ``data`` and ``store``: by default those of the run. ``trust``: run the plug-ins that the run names.

    Raises InputError for a run that is not complete or whose folder another process holds, and where there are no
    labels; NotFoundError where weights or features are missing.
    """
    as_progress(progress)
    if split not in SPLITS:
        raise InputError(f"no split {split!r} to measure robustness on: there are {', '.join(SPLITS)}")
    if isinstance(num_seeds, bool) or not isinstance(num_seeds, int) or num_seeds < 1:
        raise InputError(f"num_seeds is {num_seeds!r}, expected a whole number, 1 or more")
    if isinstance(stretch_s, str | bool) or not 0 < float(stretch_s) < float("inf"):
        raise InputError(f"stretch_s is {stretch_s!r}, expected seconds above 0")
    opened = Run(as_path(run, "run"), trust)
    opened.finished()
    member = open_member(opened, as_path(store, "store", optional=True), device)
    where = as_path(data, "data", optional=True) or opened.place("data")
    with opened.hold("a measurement of robustness", "give another run"):
        labelled = _open_labelled(member, split, where)
        groups = open_dataset(where).groups
        found = _Measurement(member, labelled, groups, list(range(num_seeds)), float(stretch_s), progress).run(split)
        write_robustness(opened.folder, found)
    return found


def _open_labelled(member: "Member", split: str, data: Path) -> dict[str, LabelledPredictions]:
    """By task the tables of the run and their labels; tables of test clips are made here, and not kept."""
    run = member[0]
    if split == "validation":
        names = tasks_in(run.folder, split)
        return {name: open_labelled_predictions(run.folder, split, name, data) for name in names}
    dataset, tasks = open_dataset(data), run.tasks()
    for task in tasks.values():  # no labels is an error before anything is predicted
        labels_of(dataset, task, split)
    with TemporaryDirectory(prefix="abaw-robustness-") as aside:
        out = Path(aside)
        write_predictions([member], dataset, tasks, split, out, post_processing_of([run], None))
        return {name: open_labelled_predictions(out, split, name, data) for name in tasks}


class _Measurement:
    """A run, the features that it reads and the labels it is scored with; ``run`` measures everything."""

    def __init__(
        self,
        member: "Member",
        labelled: Mapping[str, LabelledPredictions],
        groups: Mapping[str, str],
        seeds: Sequence[int],
        stretch_s: float,
        progress: ProgressCallback,
    ) -> None:
        self._own: AlignedSource = member[2]  # type: ignore[assignment]  # open_member makes it
        self._run, self._module, self._source = within_groups([member], groups)[0]
        self._labelled, self._seeds, self._stretch_s = labelled, list(seeds), stretch_s
        self._clips = list(dict.fromkeys(clip_id for each in labelled.values() for clip_id in each.tables))
        self._progress, self._num_done, self._num_passes = progress, 0, 1
        self.remarks: list[str] = list(notes_of_types([member]))

    def run(self, split: str) -> Robustness:
        """Every score, one prediction of all clips after the other."""
        inputs = find_inputs(self._own.recipes)
        is_of_stills = all(len(self._source.clock(clip_id)) < 2 for clip_id in self._clips)
        ablations = plan_ablations(self._source)
        curves = plan_curves(
            self._source, inputs, self._shifted, self._std(), self._seeds, self._stretch_s, is_of_stills=is_of_stills
        )
        self.remarks += _remarks(list(self._source.names()), inputs, is_of_stills)
        self._num_passes += len(ablations) + sum(len(by_seed) for curve in curves for _, by_seed in curve.points)
        began_s = time.perf_counter()
        unchanged = self._predict("features as they are", self._source)
        cost = measure_cost(self._run, self._module, self._own, self._clips, time.perf_counter() - began_s)
        measured_ablations = self._measure_ablations(ablations, unchanged)
        measured_curves = [self._measure_curve(curve, unchanged) for curve in curves]
        document = self._run.document()
        return Robustness(
            run=str(self._run.folder),
            split=split,
            measured_at=now(),
            commit=commit(),
            run_commit=document.get("commit"),
            run_seed=document.get("seed"),
            seeds=self._seeds,
            stretch_s=self._stretch_s,
            modalities=inputs,
            tasks=[
                self._of_task(name, unchanged[name], measured_ablations[name], [each[name] for each in measured_curves])
                for name in self._labelled
            ],
            cost=cost,
            weights=network_weights(document),
            post_processing=self._run.post_processing(),
            remarks=self.remarks,
        )

    def _of_task(
        self, name: str, pairs: "Mapping[str, PredictionPair]", ablation: list[Ablation], curves: list[Curve]
    ) -> TaskRobustness:
        unchanged = _measured(self._mean(name, [pairs], pairs))
        return TaskRobustness(
            task=name,
            score=next(iter(unchanged.scores)),
            num_clips=len(pairs),
            num_videos=len(group_by_video(pairs)),
            unit=unit_drawn(pairs),
            unchanged=unchanged,
            ablation=ablation,
            curves=[self._with_origin(each, unchanged) for each in curves],
        )

    def _with_origin(self, curve: Curve, unchanged: Measured) -> Curve:
        """The curve with the point of strength 0."""
        origin = Point(**vars(unchanged), strength=0.0)
        return replace(curve, points=sorted([*curve.points, origin], key=lambda point: point.strength))

    def _measure_ablations(self, plans: Sequence[AblationPlan], unchanged: "Pairs") -> dict[str, list[Ablation]]:
        found: dict[str, list[Ablation]] = {name: [] for name in self._labelled}
        for plan in plans:
            pairs = self._predict(plan.name, plan.make())
            for name, labelled in self._labelled.items():
                means = _measured(self._mean(name, [pairs[name]], unchanged[name]))
                p = compare(labelled.task, unchanged[name], pairs[name], DRAWS, SEED).p
                found[name].append(Ablation(**vars(means), name=plan.name, observed=plan.observed, p=p, corrected_p=p))
        return {
            name: [
                replace(each, corrected_p=p)
                for each, p in zip(several, correct([one.p for one in several]), strict=True)
            ]
            for name, several in found.items()
        }

    def _measure_curve(self, plan: CurvePlan, unchanged: "Pairs") -> dict[str, Curve]:
        points: dict[str, list[Point]] = {name: [] for name in self._labelled}
        for strength, by_seed in plan.points:
            seeds = [seed for seed in by_seed if seed is not None]
            words = f"{plan.name} {strength:g} {plan.unit}"
            several = [
                self._predict(words if seed is None else f"{words}, seed {seed}", make())
                for seed, make in by_seed.items()
            ]
            for name, labelled in self._labelled.items():
                systems = [pairs[name] for pairs in several]
                ranks = [next(iter(labelled.task.score(each).values())) for each in systems]
                means = self._mean(name, systems, unchanged[name])
                points[name].append(
                    Point(**vars(means), strength=strength, seeds=seeds, by_seed=ranks if seeds else [])
                )
        return {name: Curve(plan.name, plan.unit, plan.meaning, plan.modalities, each) for name, each in points.items()}

    def _mean(
        self, name: str, systems: "Sequence[Mapping[str, PredictionPair]]", unchanged: "Mapping[str, PredictionPair]"
    ) -> MeanScores:
        return measure_mean(self._labelled[name].task, systems, unchanged)

    def _predict(self, condition: str, source: "FeatureSource") -> "Pairs":
        """The predictions of all clips from these features, post-processed, beside their labels."""
        tasks = {name: each.task for name, each in self._labelled.items()}
        of_task = {name: list(each.tables) for name, each in self._labelled.items()}
        tables: dict[str, dict[str, Table]] = {name: {} for name in tasks}

        def report(clip_id: str, done: int, total: int) -> None:
            self._progress(f"{condition}: {clip_id}", self._num_done + done, self._num_passes * total)

        for clip_id, found in predict_tables([(self._run, self._module, source)], tasks, of_task, report):
            for name, (table,) in found.items():
                tables[name][clip_id] = table
        self._num_done += len(self._clips)
        return {
            name: replace(labelled, tables=tables[name]).pairs(post_processed=True)
            for name, labelled in self._labelled.items()
        }

    def _shifted(self, shifts_s: Mapping[str, float]) -> "FeatureSource":
        """The features with tracks moved in time; persons' statistics stay those of the features as they are."""
        from fusion.normalisation.group_source import GroupSource

        moved = self._own.shifted(shifts_s)
        return self._source.over(moved) if isinstance(self._source, GroupSource) else moved

    def _std(self) -> dict[str, np.ndarray]:
        """The standard deviation of each feature as the network gets it from the source, the unit of noise."""
        from fusion.normalisation.statistics import measure_statistics

        statistics, found, lacking = self._module.input_stage.statistics(), {}, []
        for name, feature in self._run.config().features.items():
            if feature.normalise == "split":
                found[name] = statistics[name].std
            elif feature.normalise == "group":  # such rows are standardised when they are read
                found[name] = np.ones(self._source.dim(name))
            else:
                lacking.append(name)
        if lacking:
            measured = measure_statistics(self._source, self._clips, lacking)
            found |= {name: measured[name].std for name in lacking}
            self.remarks.append(
                f"noise in {', '.join(lacking)}: in standard deviations over the clips that are scored, since the run "
                "does not standardise them by its training clips"
            )
        return found


def _remarks(names: Sequence[str], inputs: Mapping[str, str], is_of_stills: bool) -> Iterator[str]:
    """What must be known of the ablation and the curves of a run."""
    if len(names) == 1:
        yield f"the run has one modality, {names[0]}: there is no ablation by modality"
    for kind, made_of, words in (("sound", "sound", "sound dropped or shifted"), ("face", "faces", "faces dropped")):
        if kind not in inputs.values():
            yield f"no modality of the run is made of {made_of}: no curve of {words}"
    if is_of_stills:
        yield "the clips are still pictures, which have no time: pictures are dropped whole, and sound is not shifted"
    if unknown := [name for name in names if not inputs.get(name)]:
        yield f"{', '.join(unknown)}: made of several modalities or of unknown ones: only in ablation and noise"


def _measured(means: MeanScores) -> Measured:
    return Measured(**vars(means))
