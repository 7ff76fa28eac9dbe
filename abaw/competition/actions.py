"""What each stage of a recipe does: the verbs' own functions. True where it is done, False: to be tried again."""

import logging
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from abaw.competition.job import Job
from abaw.errors import InputError
from abaw.pipelines.training import open_config

if TYPE_CHECKING:
    from abaw.competition.stages import Stage
    from abaw.competition.state import StageState

LOG = logging.getLogger("abaw")


def check(job: Job, stage: "Stage") -> bool:
    """What the data set holds, in a file."""
    from abaw.files import atomic_write
    from abaw.progress import Progress
    from extract.dataset_check import check as checking

    with Progress("check") as progress:
        report = checking.check(job.dataset, progress=progress)
    with atomic_write(stage.outputs[0]) as temporary:
        temporary.write_text(checking.render(report) + "\n", encoding="utf-8")
    LOG.info("%d things that will hurt: see %s", len(report.findings), stage.outputs[0])
    return True


def extract(job: Job, stage: "Stage") -> bool:
    """Clips that fail do not stop the recipe: whatever needs one will say so. They are tried again next time."""
    import typer

    from abaw.commands.extract import extract as run

    try:
        run(job.data, job.places.store, list(job.config.encoders), **job.extraction)
    except typer.Exit:
        LOG.warning("going on without the clips that failed; a stage that needs one of them will stop and name it")
        return False
    return True


def train(job: Job, stage: "Stage") -> bool:
    """One run. On several devices it is a command of its own: Lightning starts that once more for each of them."""
    from abaw.pipelines.training import train_run

    settings, runs = job.of_fold(stage.member, stage.fold), job.places.runs
    if open_config(job.path, settings)[1].trainer.get("devices", 1) in (1, "1"):
        train_run(job.path, settings, runs)
        return True
    words = [sys.executable, "-m", "abaw", "train", str(job.path), *settings, "--runs", str(runs)]
    done = subprocess.run(words, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:  # it has said why
        raise SystemExit(done.returncode)
    return True


def pool(job: Job, stage: "Stage") -> bool:
    from abaw.ensembling.pooling import pool

    pool([job.run(stage.member, fold) for fold in range(1, job.config.folds.num)], stage.outputs[0], {})
    return True


def combine(job: Job, stage: "Stage") -> bool:
    """Members on the training videos; here weights are fitted."""
    from abaw.commands.combine import combine as run

    fits = job.config.ensemble == "weighted"
    options: dict[str, Any] = {"fit": True, "data": job.data, "exclude_split": "validation"} if fits else {}
    run(list(stage.inputs), stage.outputs[0], how=job.config.ensemble, **options)
    return True


def fit(job: Job, stage: "Stage") -> bool:
    from abaw.calibration.fitting import fit_task
    from abaw.files import write_json

    found = {name: fit_task(stage.inputs[0], name, job.data, job.record, "validation") for name in job.tasks}
    write_json(stage.outputs[0], {name: post_processing.document() for name, post_processing in found.items()})
    return True


def alike(job: Job, stage: "Stage") -> bool:
    """Members on other clips, with the weights and the post-processing of the training videos."""
    from abaw.commands.combine import combine as run

    *members, like, post_processing = stage.inputs
    run(members, stage.outputs[0], like=like, post_processing=post_processing)
    return True


def score(job: Job, stage: "Stage") -> bool:
    """Each stage without and with it, then all that ``abaw score`` says of the last."""
    from abaw.competition import ablation
    from abaw.evaluation import report
    from abaw.evaluation.report import open_all, report
    from abaw.files import atomic_write

    *folders, ensemble = stage.inputs
    members = dict(zip(job.members, folders, strict=True))
    found = {name: ablation.steps(task, members, ensemble, job.data) for name, task in job.tasks.items()}
    told = report(open_all(ensemble, "validation", None, job.data), draws=1000, seed=0)
    texts = [line for name, steps in found.items() for line in ablation.lines(name, steps)]
    text, steps_file = stage.outputs
    ablation.write(steps_file, found)
    with atomic_write(text) as temporary:
        temporary.write_text("\n".join([*report.lines(told), *texts]) + "\n", encoding="utf-8")
    return True


def predict(job: Job, stage: "Stage") -> bool:
    from abaw.pipelines.prediction import open_member, write_predictions

    device = job.extraction["device"]
    runs = [job.places.run(stage.member, fold) for fold in range(job.config.folds.num)]
    members = [open_member(folder, job.places.store, device) for folder in runs]
    tasks = {name: task for name, task in members[0][0].tasks().items() if task.clips(job.dataset, "test")}
    write_predictions(members, job.dataset, tasks, "test", stage.outputs[0])
    return True


def submit(job: Job, stage: "Stage") -> bool:
    """The challenge file, and whether it is what the template asks for. ValueError where it is not."""
    from abaw.challenge import submission, verification
    from abaw.competition.templates import only

    (folder, template), (out,), task = stage.inputs, stage.outputs, only(job.tasks)
    LOG.info("%s", submission.submit(folder, template, out, task))
    faults = verification.verify(out, template, task)
    if faults:
        raise InputError("\n".join([f"{out} is not what {template} asks for:", *faults]))
    return True


ACTIONS: dict[str, Callable[[Job, "Stage"], bool]] = {
    "check": check,
    "extract": extract,
    "train": train,
    "pool": pool,
    "combine": combine,
    "fit": fit,
    "validate": alike,
    "score": score,
    "predict": predict,
    "combine test": alike,
    "submit": submit,
}


def run_recipe(job: "Job") -> None:
    """Every stage that is not done, in order. ValueError where another recipe works in the same folder."""
    from abaw.competition.state import StageState
    from abaw.plans.lock import alone

    with alone(job.places.work, "a recipe"):
        _keep_config(job)
        _run_stages(job, StageState(job.places.work))


def _run_stages(job: "Job", ledger: "StageState") -> None:
    from abaw.competition.actions import ACTIONS
    from abaw.competition.state import made_from

    for number, stage in enumerate(job.stages, start=1):
        place = f"[{number}/{len(job.stages)}] {stage.name}"
        if _is_done(job, ledger, stage):
            LOG.info("%s: done before", place)
            continue
        LOG.info("%s: %s", place, stage.why)
        made = made_from(stage)
        ledger.strike(stage)  # until its action has ended well
        if ACTIONS[stage.kind](job, stage):
            ledger.note(stage, made)
        if stage.kind == "extract":
            job.check_runs()  # of the features that there are now


def _keep_config(job: "Job") -> None:
    import yaml

    from abaw.files import atomic_write

    text = yaml.safe_dump(job.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    if not job.record.is_file() or job.record.read_text(encoding="utf-8") != text:
        with atomic_write(job.record) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _is_done(job: "Job", ledger: "StageState", stage: "Stage") -> bool:
    """A run says itself whether it is complete: it may have been trained elsewhere."""
    return job.is_trained(stage) if stage.kind == "train" else ledger.is_done(stage)
