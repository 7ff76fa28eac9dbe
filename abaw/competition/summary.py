"""A recipe as text: its plan before it runs, its results after."""

from collections.abc import Iterator

from abaw.competition import ablation
from abaw.competition.actions import is_done
from abaw.competition.job import Job
from abaw.competition.stages import Stage
from abaw.competition.state import StageState, depends


def plan_lines(job: Job) -> Iterator[str]:
    """One line a stage, done or to do. A stage that reads from one that is to do is to do as well."""
    state = StageState(job.places.work)
    to_do: list[Stage] = []
    for stage in job.stages:
        if any(depends(stage, on) for on in to_do) or not is_done(job, state, stage):
            to_do.append(stage)
        yield f"{'to do' if stage in to_do else 'done '}  {stage.name}: {stage.why}"
    yield f"{len(job.stages) - len(to_do)} of {len(job.stages)} stages are done"


def result_lines(job: Job) -> Iterator[str]:
    """What each step after training is worth, the challenge files, and last the folder with the final scores."""
    found = ablation.read(job.places.work / "steps.json")
    for name, steps in found.items():
        yield from ablation.lines(name, steps)
    for stage in job.stages:
        if stage.kind == "submit":
            yield str(stage.outputs[0])
    ranks = [f"{name} {next(iter(steps[-1].scores))} {steps[-1].rank:.4f}" for name, steps in found.items()]
    yield f"{job.places.work} {', '.join(ranks)}"
