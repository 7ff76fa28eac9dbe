"""The report of runs and prediction folders: one HTML file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from abaw.dataset.layout import open_once
from abaw.errors import InputError, NotFoundError
from abaw.evaluation import report as scoring
from abaw.evaluation.intervals import DRAWS, SEED, check_draws
from abaw.evaluation.robustness import FILE, Robustness, read_robustness
from abaw.evaluation.wording import summary
from abaw.files import as_path, as_paths, atomic_write
from abaw.pipelines.reporting.gathering import open_run, read_losses, read_training
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results.runs import Run, commit, versions
from abaw.views.report.facts import FolderFacts, ReportFacts, TaskFacts, remarks_of
from abaw.views.report.page import MARK, build_page
from abaw.views.report.stages import measure_stages

NUM_WORST, MAX_WORST = 10, 100
MARK_WITHIN = 20_000  # characters at the beginning of a report


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written to ``path``, of ``num_bytes``, and the ``scores`` that it shows.

    ``remarks``: what a folder lacks of what a report shows, a line each.
    """

    path: Path
    num_bytes: int
    scores: scoring.ScoreReport
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it: where it is, and all scores."""
        return {**asdict(self), "path": str(self.path)}

    def __str__(self) -> str:
        lines = [f"{each.folder} {each.task} {each.split} {summary(each.scores)}" for each in self.scores.results]
        notes = [f"note: {each}" for each in self.remarks]
        return "\n".join([*lines, f"{self.path}: {self.num_bytes / 1e6:.1f} MB", *notes])


@open_once()
def report(
    folders: str | Path | Sequence[str | Path],
    out: str | Path = "report.html",
    *,
    split: str | None = None,
    task: str | None = None,
    data: str | Path | None = None,
    raw: bool = False,
    worst: int = NUM_WORST,
    robustness: bool = False,
    draws: int = DRAWS,
    seed: int = SEED,
    progress: ProgressCallback = silent,
) -> WrittenReport:
    """Write a page about runs or prediction folders: scores, errors, calibration, worst clips, robustness, provenance.

    The page is one file that requests nothing and has no script; it is complete or absent. Of several folders it has
    paired differences. ``split``, ``task``, ``data``, ``raw``, ``draws`` and ``seed``: as for ``score``. ``worst``: how
    many clips of each task are drawn, the worst first. ``robustness``: measure the robustness of each run for which
    that was not done, which needs its weights and the store of its features; what was measured before is shown always.

    Raises what ``score`` raises; InputError for a run that is not complete, and where ``out`` is another file;
    NotFoundError where the folder of ``out`` does not exist.
    """
    path, progress = _check_out(out), as_progress(progress)
    check_draws(draws, seed)
    if isinstance(worst, bool) or not isinstance(worst, int) or not 0 <= worst <= MAX_WORST:
        raise InputError(f"worst is {worst!r}, expected a number of clips from 0 to {MAX_WORST}")
    given = as_paths(folders, "folders")
    runs = {str(folder): open_run(folder) for folder in given}
    opened = scoring.open_folders(given, split=split, task=task, data=data, raw=raw)
    scores = scoring.report(opened, draws, seed)
    found = []
    for i, folder in enumerate(given):
        progress(f"reading {folder}", i, len(given))
        own = [(each, result) for each, result in zip(opened, scores.results, strict=True) if each.folder == folder]
        tasks = tuple(TaskFacts(each, result, measure_stages(each, draws, seed)) for each, result in own)
        found.append(_folder(folder, runs[str(folder)], tasks, measure=robustness, data=data, progress=progress))
    version, state = versions()["abaw"], commit()
    made_with = f"abaw {version}" + (f", commit {state}" if state else "")
    text = build_page(ReportFacts(tuple(found), scores, worst, made_with), progress)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return WrittenReport(path, path.stat().st_size, scores, remarks_of(found))


def _folder(
    folder: Path,
    run: Run | None,
    tasks: tuple[TaskFacts, ...],
    *,
    measure: bool,
    data: str | Path | None,
    progress: ProgressCallback,
) -> FolderFacts:
    losses = read_losses(tasks[0].labelled, run)
    if run is None:
        return FolderFacts(str(folder), tasks, losses=losses)
    training, remarks = read_training(run)
    split = "test" if tasks[0].result.split == "test" else "validation"
    found: Robustness | None = None
    if measure and not (folder / FILE.format(split=split)).is_file():
        from abaw.pipelines.robustness.measuring import measure_robustness

        found = measure_robustness(folder, split=split, data=data, progress=progress)
    elif (folder / FILE.format(split=split)).is_file():
        try:
            found = read_robustness(folder, split)
        except InputError as error:
            remarks.append(str(error))
    return FolderFacts(str(folder), tasks, training, losses, found, tuple(remarks))


def _check_out(out: str | Path) -> Path:
    """The file to write. Raises InputError or NotFoundError where it would be another file, or cannot be there."""
    path = as_path(out, "out")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file, such as {path / 'report.html'}")
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: the suffix is {path.suffix!r}, expected .html, as a report is a page")
    if not path.parent.is_dir():
        raise NotFoundError(f"no folder {path.parent} for the report {path.name}: make it first, or give another place")
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as file:
            is_ours = MARK in file.read(MARK_WITHIN)
        if not is_ours:
            raise InputError(f"{path} is no report of abaw, so it is not replaced: give another name, or remove it")
    return path
