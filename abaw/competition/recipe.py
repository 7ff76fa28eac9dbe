"""A whole competition by one call: plan it, or run it and get its results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from abaw.competition import ablation
from abaw.competition.ablation import Step
from abaw.competition.actions import is_done, lacking_weights, run_job, why_again
from abaw.competition.forecast import Forecast, forecast
from abaw.competition.job import Job, open_job
from abaw.competition.stages import Stage
from abaw.competition.state import StageState, depends
from abaw.dataset.layout import open_once
from abaw.files import as_path, as_paths
from abaw.pipelines.configuration import Settings, as_texts
from abaw.pipelines.training import RUNS
from abaw.postprocessing import PostProcessing
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results import predictions

WORK = Path("work")


@dataclass(frozen=True)
class RecipePlan:
    """The stages of a recipe in their order, and whether each is done. As text: one line for each stage.

    ``reasons``: what each stage is for. ``again``: why a stage that was done before is to be done again.
    ``missing``: encoder -> which weights it lacks, how to get them, and how to run without it; the recipe would not
    begin. ``forecast``: hours and gigabytes of what is to do; None where they were not measured.
    """

    stages: Mapping[str, bool]
    reasons: Mapping[str, str]
    again: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    forecast: Forecast | None = None

    def __str__(self) -> str:
        lines = [
            f"{'done ' if is_done else 'to do'}  {name}: {self.reasons[name]}"
            + (f" (again: {self.again[name]})" if name in self.again else "")
            for name, is_done in self.stages.items()
        ]
        lacking = [f"missing weights: {why}" for why in self.missing.values()]
        costs = [] if self.forecast is None else [str(self.forecast)]
        return "\n".join([*lines, *lacking, *costs, f"{sum(self.stages.values())} of {len(lines)} stages are done"])


@dataclass(frozen=True)
class RecipeResult:
    """What a recipe made. ``steps``: for each task, the score of every step on the official validation split.

    ``submissions``: the challenge files, verified: the mean of ``num_folds`` folds' networks with the post-processing
    ``submitted`` (by task). ``folder`` holds everything else, with scores.txt. As text: a table of the steps, the
    files, what was scored and what is submitted, and last the folder with the final scores.
    """

    folder: Path
    steps: Mapping[str, Sequence[Step]]
    submissions: tuple[Path, ...]
    num_folds: int
    submitted: Mapping[str, PostProcessing] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for name, steps in self.steps.items():
            yield from ablation.lines(name, steps)
        yield from map(str, self.submissions)
        yield "scored: the networks of fold 0, one of each member, on the official validation split"
        if self.submissions:
            matched = [name for name, each in self.submitted.items() if each.match_scale]
            how = f"; mean and spread of {', '.join(matched)} matched to those of single folds" if matched else ""
            yield (
                f"submitted: the mean of {self.num_folds} folds' networks of each member, with the same weights and "
                f"post-processing{how}; no labels have scored this mean"
            )
        ranks = [f"{name} {next(iter(steps[-1].scores))} {steps[-1].rank:.4f}" for name, steps in self.steps.items()]
        said = dict.fromkeys(steps[-1].selection for steps in self.steps.values() if steps[-1].selection)
        yield "; ".join([f"{self.folder} {', '.join(ranks)}", *said])


@open_once()
def run_recipe(
    config: str | Path,
    settings: Settings = (),
    *,
    data: str | Path | None = None,
    runs: str | Path = RUNS,
    work: str | Path = WORK,
    templates: Sequence[str | Path] = (),
    device: str = "cpu",
    faces: str = "centerface",
    download: bool = False,
    assume_fps: float | None = None,
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> RecipeResult:
    """Run a whole competition: extract, train, combine, post-process, score, and write the challenge files.

    ``config``: a YAML file, or the name of a config of the package, such as "va". ``settings``: as for ``train``, for
    all members. ``data``: the data set; default: the config's. ``templates``: sample prediction files to fill;
    default: those in the data set. ``device``: for encoders and predictions. ``faces``, ``download``, ``assume_fps``:
    as for ``extract``. ``trust``: run the plug-ins and the code of models that the config file and the runs name, which
    may be of somebody else. Runs are folders of ``runs``, everything else is in ``work/<name>``. Stages that are done
    are skipped, so that the same call continues a recipe that was stopped.

    Raises InputError or NotFoundError before the first stage for whatever can be known without weights, media and
    features: a wrong config, member, option or template, a leak, runs of other labels or features.
    """
    as_progress(progress)
    job = _open(config, settings, data, runs, work, templates, device, faces, download, assume_fps, trust)
    run_job(job, progress)
    submissions = tuple(stage.outputs[0] for stage in job.stages if stage.kind == "submit")
    steps = ablation.read(job.places.work / "steps.json")
    tables = {name: job.places.work / "test" / "ensemble" / name for name in job.tasks} if submissions else {}
    submitted = {name: predictions.post_processing_of(where) for name, where in tables.items()}
    known = {name: each for name, each in submitted.items() if each is not None}
    return RecipeResult(job.places.work, steps, submissions, job.config.folds.number, known)


def plan_recipe(
    config: str | Path,
    settings: Settings = (),
    *,
    data: str | Path | None = None,
    runs: str | Path = RUNS,
    work: str | Path = WORK,
    templates: Sequence[str | Path] = (),
    device: str = "cpu",
    faces: str = "centerface",
    download: bool = False,
    assume_fps: float | None = None,
    trust: bool = False,
    measure: bool = False,
) -> RecipePlan:
    """Check a recipe and say which of its stages are done. Nothing is written; arguments and errors as ``run_recipe``.

    ``measure``: also run the encoders and train the members for a few seconds, and forecast the hours and gigabytes of
    what is to do on this machine. This takes about a minute.

    A stage that reads what an unfinished stage makes is not done either.
    """
    job = _open(config, settings, data, runs, work, templates, device, faces, download, assume_fps, trust)
    state = StageState(job.places.work)
    to_do: list[Stage] = []
    again: dict[str, str] = {}
    for stage in job.stages:
        first = next((on.name for on in to_do if depends(stage, on)), None)
        why, done = why_again(job, state, stage), is_done(job, state, stage)
        if first or not done:
            to_do.append(stage)
        if first and (done or why):
            again[stage.name] = f"it reads what {first} makes"
        elif why:
            again[stage.name] = why
    return RecipePlan(
        {stage.name: stage not in to_do for stage in job.stages},
        {stage.name: stage.why for stage in job.stages},
        again,
        lacking_weights(job, state),
        forecast(job, to_do) if measure and to_do else None,
    )


def _open(
    config: str | Path,
    settings: Settings,
    data: str | Path | None,
    runs: str | Path,
    work: str | Path,
    templates: Sequence[str | Path],
    device: str,
    faces: str,
    download: bool,
    assume_fps: float | None,
    trust: bool,
) -> Job:
    extraction = {"device": device, "faces": faces, "download": download, "assume_fps": assume_fps}
    given = as_path(data, "data", optional=True)
    paths = as_paths(templates, "templates")
    places = as_path(runs, "runs"), as_path(work, "work")
    return open_job(config, as_texts(settings), given, *places, paths, extraction, trust=trust)
