"""What each stage of a recipe does, and running all stages in order.

An action calls the function that the command of the same name calls. It returns whether its stage is done; a stage that
is not done runs again with the next call.
"""

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from abaw.calibration.fit import fit_task
from abaw.challenge import submission, verification
from abaw.competition import ablation
from abaw.competition.encoders import check_weights_of, missing_weights
from abaw.competition.job import Job
from abaw.competition.stages import Stage
from abaw.competition.state import STATE_FILE, StageState, back_up_changed_tables, made_from
from abaw.competition.templates import only
from abaw.ensembling.combining import combine as combine_folders
from abaw.ensembling.pooling import pool as pool_runs
from abaw.errors import InputError
from abaw.evaluation import report
from abaw.files import atomic_write, visible, write_json
from abaw.files.ownership import Owner, own_folder
from abaw.files.yaml import dump_yaml
from abaw.pipelines import extraction, prediction, training
from abaw.pipelines.checking import check as check_data
from abaw.pipelines.configuration import open_config
from abaw.plugins import loaded
from abaw.postprocessing import fitted_document
from abaw.processes import parent_of_trainings
from abaw.progress import ProgressCallback, silent

LOG = logging.getLogger("abaw")


def check(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Write what the data set holds, and what in it would lose or shift rows."""
    found = check_data(job.data, progress=progress)
    with atomic_write(stage.outputs[0]) as temporary:
        temporary.write_text(f"{found}\n", encoding="utf-8")
    LOG.info("%d findings: see %s", len(found.findings), stage.outputs[0])
    return True


def extract(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Extract frame timestamps and features.

    Clips that fail do not stop the recipe; a stage that needs one of them names it. The next call tries them again.
    """
    found = extraction.extract(job.data, job.places.store, job.config.encoders, **job.extraction, progress=progress)
    for failure in found.failed:
        LOG.warning("%s", failure)
    LOG.info("%s: %s", job.places.store, found)
    if found.failed:
        LOG.warning("continuing without the clips that failed; a stage that needs one of them stops and names it")
    return not found.failed


def train(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Train one run; on several devices in a process of its own, which Lightning starts again for each device.

    A run that is complete, but whose tables are damaged, predicts what it held out again.
    """
    settings, runs = job.of_fold(stage.member, stage.fold), job.places.runs
    run = job.run(stage.member, stage.fold)
    if run.is_complete():
        _report_backups(back_up_changed_tables(run))
        training.predict_held_out(run, job.extraction["device"], progress)
        return True
    if open_config(job.path, settings)[1].trainer.get("devices", 1) in (1, "1"):
        training.train(job.path, settings, runs=runs, trust=job.trust, progress=progress)
        return True
    words = [sys.executable, "-m", "abaw", "train", str(job.path), *settings, "--runs", str(runs)]
    words += ["--trust"] * job.trust + [word for plugin in loaded() for word in ("--plugin", str(plugin.path))]
    with parent_of_trainings():
        done = subprocess.run(words, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise InputError(
            f"training {stage.member} fold {stage.fold} ended with exit code {done.returncode}; its messages are above"
        )
    return True


def pool(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Pool what the runs of folds 1 and on predicted for the clips that they held out."""
    pool_runs([job.run(stage.member, fold) for fold in range(1, job.config.folds.number)], stage.outputs[0], {})
    return True


def combine(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Combine the members on the training videos, on which weights are fitted."""
    fits = job.config.ensemble == "weighted"
    data, exclude = (job.data, "validation") if fits else (None, None)
    found = combine_folders(
        stage.inputs,
        stage.outputs[0],
        how=job.config.ensemble,
        fit=fits,
        data=data,
        exclude_split=exclude,
        progress=progress,
    )
    LOG.info("%s", found)
    return True


def fit(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Fit the post-processing on the held-out training videos."""
    options = job.config.post_processing
    found = {
        name: fit_task(stage.inputs[0], name, job.data, options, "validation", progress=progress) for name in job.tasks
    }
    for each in found.values():
        LOG.info("%s", each)
    write_json(stage.outputs[0], fitted_document({name: each.post_processing for name, each in found.items()}))
    return True


def combine_alike(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Combine the members on other clips, with the weights and the post-processing fitted on the training videos."""
    *members, like, post_processing = stage.inputs
    found = combine_folders(members, stage.outputs[0], like=like, post_processing=post_processing, progress=progress)
    LOG.info("%s", found)
    return True


def score(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Score the members, and the ensemble without and with each further step; write the whole report of the last."""
    *folders, ensemble = stage.inputs
    members = dict(zip(job.members, folders, strict=True))
    found = {name: ablation.steps(task, members, ensemble, job.data) for name, task in job.tasks.items()}
    scored = report.score(ensemble, split="validation", data=job.data, progress=progress)
    texts = [line for name, steps in found.items() for line in ablation.lines(name, steps)]
    text, steps_file = stage.outputs
    ablation.write(steps_file, found)
    with atomic_write(text) as temporary:
        temporary.write_text("\n".join([str(scored), *texts]) + "\n", encoding="utf-8")
    return True


def predict(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Predict the test clips with every fold of a member."""
    runs = [job.run(stage.member, fold) for fold in range(job.config.folds.number)]
    members = [prediction.open_member(run, job.places.store, job.extraction["device"]) for run in runs]
    tasks = {name: task for name, task in runs[0].tasks().items() if task.clips(job.dataset, "test")}
    prediction.write_predictions(members, job.dataset, tasks, "test", stage.outputs[0], progress=progress)
    return True


def submit(job: Job, stage: Stage, progress: ProgressCallback) -> bool:
    """Write the challenge file and verify it. Raises InputError where it does not have what the template asks for."""
    (folder, template), (out,), task = stage.inputs, stage.outputs, only(job.tasks)
    limits = job.config.submission.model_dump()
    LOG.info("%s", submission.submit(folder, template, out, task=task, **limits))
    if faults := verification.verify(out, template, task=task):
        raise InputError("\n".join([f"{out} does not have what {template} asks for:", *map(str, faults)]))
    return True


ACTIONS: dict[str, Callable[[Job, Stage, ProgressCallback], bool]] = {
    "check": check,
    "extract": extract,
    "train": train,
    "pool": pool,
    "combine": combine,
    "fit": fit,
    "validate": combine_alike,
    "score": score,
    "predict": predict,
    "combine test": combine_alike,
    "submit": submit,
}


def run_job(job: Job, progress: ProgressCallback = silent) -> None:
    """Run every stage that is not done, in order.

    ``progress`` is called for the items of each stage, such as clips; the stages are logged. Raises InputError where
    another recipe is running in the same folder, NotFoundError before the first stage where weights of the encoders are
    missing, and whatever a stage raises; the next call continues with that stage.
    """
    check_weights_of(lacking_weights(job, StageState(job.places.work)))
    with own_folder(
        job.places.work, "recipe", "a recipe", partial(find_foreign, job), "give another --work or name=..."
    ):
        _keep_config(job)
        state = StageState(job.places.work)
        for number, stage in enumerate(job.stages, start=1):
            place = f"[{number}/{len(job.stages)}] {stage.name}"
            if is_done(job, state, stage):
                LOG.info("%s: done before", place)
                if stage.kind == "extract":
                    state.record_verified(stage)
                continue
            again = why_again(job, state, stage)
            LOG.info("%s: %s%s", place, stage.why, f" (again: {again})" if again else "")
            made = made_from(stage)
            _report_backups(state.invalidate(stage))  # a stop would leave some of its outputs old and some new
            if ACTIONS[stage.kind](job, stage, progress):
                state.record(stage, made)
            if stage.kind == "extract":
                job.check_runs()  # against the features that there are now


def lacking_weights(job: Job, state: StageState) -> dict[str, str]:
    """What the extraction that is to do lacks, by encoder: which weights, how to get them, how to run without."""
    to_do = any(stage.kind == "extract" and not is_done(job, state, stage) for stage in job.stages)
    config, download = job.config, job.extraction["download"]
    return missing_weights(config.encoders, config.members, download=download) if to_do else {}


def is_done(job: Job, state: StageState, stage: Stage) -> bool:
    """Whether a stage is done. For training, the run's own folder decides: it may have been trained by other means."""
    return job.is_trained(stage) if stage.kind == "train" else state.is_done(stage)


def why_again(job: Job, state: StageState, stage: Stage) -> str | None:
    """Why a stage that was done is not done now; None where it is done, or never was."""
    return job.why_again(stage) if stage.kind == "train" else state.why_again(stage)


def _report_backups(moved: Sequence[tuple[Path, Path]]) -> None:
    for path, kept in moved:
        LOG.warning("%s has changed since it was made, and is made again: the changed file is now %s", path, kept)


def find_foreign(job: Job, owner: Owner) -> list[str]:
    """The files in the folder for results that no recipe wrote."""
    work = job.places.work
    if owner or ((work / STATE_FILE).is_file() and job.record.is_file()):  # the second: by an older version
        return []
    return [path.name for path in visible(work, "*")]


def _keep_config(job: Job) -> None:
    text = dump_yaml(job.config.model_dump(mode="json"))
    if not job.record.is_file() or job.record.read_bytes() != text.encode():
        with atomic_write(job.record) as temporary:
            temporary.write_text(text, encoding="utf-8")
