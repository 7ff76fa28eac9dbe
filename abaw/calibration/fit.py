"""Fitting post-processing on a folder of held-out tables: the function behind `abaw fit`, and its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from abaw.calibration.choosing_maps import MapReport, choose_maps
from abaw.calibration.fitting import choose, groups_of
from abaw.calibration.gains import MIN_GROUPS, ExpectedGain, Gain
from abaw.configs.sections import PostProcessingConfig
from abaw.dataset.layout import open_once
from abaw.dataset.seen import groups_in, unit_of
from abaw.errors import InputError
from abaw.evaluation.labelled_tables import dataset_of, read_held_out, run_of, task_of
from abaw.evaluation.labels import labels_to_fit_on
from abaw.evaluation.leaks import fitted_on_of, selection_words
from abaw.evaluation.wording import summary
from abaw.files import as_path, write_json
from abaw.postprocessing import PostProcessing, fitted_document
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results import predictions
from abaw.results.run_tables import held_out_tables
from abaw.results.runs import Run
from abaw.results.selection import to_ending

STAGES = {"raw": "raw", "smoothed": "smoothed", "biased": "smoothed, with scale and bias"}  # as reported
CALIBRATED = {
    "raw": "calibrated", "smoothed": "smoothed, calibrated", "biased": "smoothed, calibrated, with scale and bias",
}  # fmt: skip


@dataclass(frozen=True)
class FitResult:
    """What was fitted for one task, and its scores on clips that it was not fitted on.

    ``scores`` are the official scores by stage: "raw" tables, "smoothed" (gaps filled and smoothed) and "biased" (bias
    or scale added). The last two are cross-fitted over ``num_groups`` groups of clips; the highest of them is too high
    where it was chosen for that. ``kept``: the stage that is kept, because its gain over the one kept before is more
    than its standard error over videos (``gains``). ``strength``: the share of its scale and bias that is kept.
    ``expected``: the gain of what is kept on other videos; None where there were too few videos, so that nothing was
    fitted. ``refused``: that of what is not kept, because it is not more than its standard error. ``selection`` says
    where the epoch of a run was chosen on the clips that are scored. ``maps``: the calibration, where one was asked
    for; where maps are kept, all stages, "raw" too, are calibrated, and ``maps`` has the score without them.
    """

    task: str
    post_processing: PostProcessing
    scores: dict[str, dict[str, float]]
    num_clips: int
    num_groups: int
    kept: str = "raw"
    strength: float = 1.0
    gains: Mapping[str, Gain] = field(default_factory=dict)
    expected: ExpectedGain | None = None
    refused: ExpectedGain | None = None
    remarks: tuple[str, ...] = ()
    selection: str = ""
    maps: MapReport | None = None

    def __str__(self) -> str:
        lines = [f"fitted on {self.num_clips} clips of {self._units()}: {self.post_processing}"]
        lines += [str(self.maps)] if self.maps else []
        before = "raw"
        names = CALIBRATED if self.post_processing.calibration else STAGES
        for stage, scores in self.scores.items():
            gain = f", {self.gains[stage]} over {names[before]}" if stage in self.gains else ""
            fitted = " (cross-fitted)" * (names[stage] != "raw")
            lines.append(f"{names[stage]} {summary(scores)}{gain}{fitted}{to_ending(self.selection)}")
            before = stage if stage in self.gains and self.gains[stage].is_clear else before
        if self.expected is None:
            few = f"nothing is fitted on fewer than {MIN_GROUPS} videos or groups: one to score, two to choose"
            return self._joined([*lines, f"kept: raw: {few}"])
        if self.refused is not None:
            unclear = f"what was chosen is not expected to gain more than its standard error: {self.refused}"
            return self._joined([*lines, f"kept: {names['raw']}: {unclear}{to_ending(self.selection)}"])
        why = "gains" if self.kept != "raw" else "nothing gains"
        share = f" ({self.strength:.2f} of them)" if self.kept == "biased" else ""
        lines.append(f"kept: {names[self.kept]}{share}: {why} more than its standard error over {self._units()}")
        lines.append(f"gain to expect on other videos: {self.expected}{to_ending(self.selection)}")
        return self._joined(lines)

    def _joined(self, lines: Sequence[str]) -> str:
        return "\n".join(f"{self.task} {line}" for line in (*lines, *self.remarks))

    def _units(self) -> str:
        groups = self.post_processing.fitted_on_groups
        return f"{len(groups)} groups" if groups else f"{len(self.post_processing.fitted_on)} videos"


@dataclass(frozen=True)
class FitReport:
    """What ``fit`` found for each task, and the file it wrote (None: none was asked for)."""

    results: dict[str, FitResult]
    out: Path | None = None

    def __str__(self) -> str:
        lines = [str(each) for each in self.results.values()]
        return "\n".join([*lines, str(self.out)] if self.out else lines)


@open_once()
def fit(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    task: str | None = None,
    data: str | Path | None = None,
    options: PostProcessingConfig | None = None,
    exclude_split: str | None = None,
    calibrate: bool = False,
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> FitReport:
    """Fit gap filling, smoothing, calibration, class biases, thresholds, scale and bias on held-out predictions.

    ``folder``: a run, or a folder of held-out prediction tables. ``out``: the JSON file to write, which ``predict`` and
    ``combine`` take. ``task``: one task; by default every task the folder has tables of. ``data``: the data set with
    the labels; by default the run's. ``options``: what is tried; by default as the run's config says.
    ``exclude_split``: a split to leave out, so that it may be scored with what was fitted. ``calibrate``: also fit maps
    of the probabilities of classes and units, as ``calibration: true`` in the options does. ``trust``: take tables that
    do not say whether they are held out.

    Only what gains more than its standard error over videos on clips it was not fitted on is kept. Raises InputError
    for tables by runs that were trained on these videos, and for a data set without labels; NotFoundError where there
    are no tables.
    """
    as_progress(progress)
    folder, out = as_path(folder, "folder"), as_path(out, "out", optional=True)
    if out is not None and out.is_dir():
        raise InputError(f"{out} is a folder, expected the path of a JSON file (--out)")
    tables = held_out_tables(Run(folder)) if (folder / "run.json").is_file() else folder
    names = [task] if task else predictions.tasks_in(tables)
    dataset = as_path(data, "data", optional=True)
    results = {
        name: fit_task(
            tables, name, dataset, options, exclude_split, calibrate=calibrate, trust=trust, progress=progress
        )
        for name in names
    }
    if out is not None:
        write_json(out, fitted_document({name: each.post_processing for name, each in results.items()}))
    return FitReport(results, out)


def fit_task(
    folder: Path,
    name: str,
    data: Path | None,
    options: PostProcessingConfig | None,
    exclude_split: str | None,
    *,
    calibrate: bool = False,
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> FitResult:
    """Fit one task's post-processing and score it by cross-fitting; see ``fit``."""
    where = predictions.resolve(folder, name)
    run, dataset = run_of(where), dataset_of(where, data)
    task = task_of(where, name, dataset=dataset)
    labels = labels_to_fit_on(dataset, task, exclude_split)
    clips = read_held_out(where, task, labels, trust=trust)
    about = predictions.read_metadata(where)
    groups = groups_of(clips, about.get("made_by") or {})
    options = options or (run.config().post_processing if run else PostProcessingConfig())
    maps = choose_maps(task, clips, groups) if options.calibration or calibrate else None
    found, choice = choose(task, clips, options, groups, maps.choice if maps else None, progress)
    remarks = []
    scored = groups_in({clip_id: clip.labels for clip_id, clip in clips.items()})
    if fitted_on_of(about.get("ensemble") or {}).find(scored):
        unit = unit_of(scored.values())
        remarks.append(f"note: the ensemble's weights were fitted on these {unit}s too, so these scores are too high")
    scores = {stage: task.score(pairs) for stage, pairs in choice.tried.items()}
    decision = choice.kept, choice.strength, choice.gains, choice.expected, choice.refused
    words = selection_words(about, scored)
    return FitResult(name, found, scores, len(clips), len(set(groups.values())), *decision, tuple(remarks), words, maps)
