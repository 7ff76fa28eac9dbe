"""The folder of a run: what was trained, on what, and its scores.

RUN/config.yaml        the complete config as it was used
RUN/run.json           commit, when training began and ended, seed, fold, versions, data set and its kind,
                       recipes, label tasks and videos seen, which steps of a window an output depends on, the labels'
                       hash, split sizes; once it is complete its scores (empty for a refit, which holds nothing out)
                       and the SHA-256 of the weights, of each section of the config, and of itself
RUN/weights/           safetensors; of a continued training also what the first run of its chain ended with, and of any,
                       where it was asked for, the Fisher information
RUN/curves.csv         losses, scores and learning rate of each epoch
RUN/inner/             of a training whose epoch was chosen on an inner part (training.select_on): the curves on it
RUN/post_processing.json   what is fitted after training; empty at first
RUN/predictions/<split>/<task>/   "validation": the clips that this run held out
RUN/robustness-<split>.json   what abaw robustness has measured
RUN/resume.ckpt        Lightning's state at the end of the last epoch, until the run is complete
RUN/.abaw.json         the owner file: which process trained last, and the hash of config.yaml
"""

import hashlib
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from abaw.configs.file import parse_section
from abaw.configs.sections import UNTRAINED, Config
from abaw.dataset.annotations import TimedLabels
from abaw.errors import InputError, NotFoundError
from abaw.files import atomic_write, read_json, sha256, visible, write_json
from abaw.files.names import checked_name
from abaw.files.ownership import Owner, own_folder, read_owner, record_owner
from abaw.files.seals import digest
from abaw.files.yaml import dump_yaml, read_yaml
from abaw.plugins import require
from abaw.postprocessing import check_unchanged
from abaw.results.run_document import find_changed_inputs, network_weights, read_run_document, write_run_document
from abaw.tasks import TASKS
from abaw.tasks.base import Task

if TYPE_CHECKING:
    from abaw.dataset.annotations import Labels

PACKAGES = (
    "abaw", "torch", "torchvision", "torchaudio", "transformers", "lightning", "opencv-python", "soxr", "av", "numpy",
)  # fmt: skip
RESUME = "resume.ckpt"
POST_PROCESSING = "post_processing.json"
CONFIG = "config.yaml"
CURVES = "curves.csv"
# what a training writes before its first epoch ends: loggers and profilers too
FIRST_FILES = (
    CONFIG,
    POST_PROCESSING,
    "run.json",
    CURVES,
    "events.out.tfevents.*",
    "wandb",
    "mlflow.db",
    "mlruns",
    "*profile*",
    "inner",
)
MAY_CHANGE = {"name", "data", "store", "trainer", *UNTRAINED}  # sections of the config that do not change a prediction
OTHER_NAME = "give the run another name (name=...)"


@dataclass(frozen=True)
class Run:
    """The folder of a training: its config, what it was trained on, its weights and scores.

    ``folder`` may be missing: a method that needs a file raises NotFoundError then. Files are read when
    needed, and again only after they have changed. ``trusted``: the plug-ins that run.json names may be run.
    """

    folder: Path
    trusted: bool = False

    def config(self) -> Config:
        """The config it was trained with. Raises NotFoundError where the folder is no run."""
        path = self.folder / CONFIG
        if not path.is_file():
            if self.has_begun():
                raise NotFoundError(f"{path} is missing: restore it, or delete {self.folder} and train again")
            raise NotFoundError(f"no run at {self.folder}: train one with abaw train CONFIG")
        return _unchanged(_config, path)

    def document(self) -> dict[str, Any]:
        """run.json. Raises NotFoundError where training has not begun."""
        path = self.folder / "run.json"
        if not path.is_file():
            raise NotFoundError(f"no run at {self.folder}: train one with abaw train CONFIG")
        return dict(_unchanged(_document, path))

    def finished(self) -> dict[str, Any]:
        """run.json of a complete run. Raises InputError where training was stopped before its end."""
        document = self.document()
        if not {"scores", "recipes", "tasks"} <= document.keys():
            raise InputError(
                f"the run {self.folder} is not complete: continue it with abaw train {self.folder / 'config.yaml'}"
            )
        return document

    def place(self, what: str) -> Path:
        """The "data" or "store" that the config names. Raises NotFoundError where it is not there."""
        path = Path(getattr(self.config(), what))
        if not path.exists():
            where = f"go to the folder in which it was trained, or name the {what} with --{what}"
            raise NotFoundError(f"no {path} in {Path.cwd()}, which is the {what} of {self.folder}: {where}")
        return path

    def has_begun(self) -> bool:
        """Whether the folder holds a run, complete or not."""
        return (self.folder / "run.json").is_file()

    def is_complete(self) -> bool:
        """Whether the folder holds a run that was trained to its end."""
        return self._has_files() and "scores" in self.document()

    def require_plugins(self) -> None:
        """Load the plug-ins that the run was trained with.

        Raises InputError where one has changed, is missing, or is not loaded yet and the run is not trusted.
        """
        require(self.document().get("plugins", ()), str(self.folder), trusted=self.trusted)

    def tasks(self) -> dict[str, Task]:
        """Its tasks, with what they took from the training split (class weights, say)."""
        self.require_plugins()
        return {name: self.task(name) for name in self.document().get("tasks", {})}

    def task(self, name: str) -> Task:
        """One of its tasks. Raises InputError, naming run.json, where its settings cannot be used."""
        try:
            built: Task = TASKS.build(name, **self.document()["tasks"][name])
        except InputError as error:
            raise InputError(f"{self.folder / 'run.json'}: {error}") from error
        return built

    def post_processing(self) -> dict[str, dict[str, Any]]:
        """Task -> what `abaw fit` wrote, which ``parse_post_processing`` reads. Raises InputError for other content."""
        path = self.folder / POST_PROCESSING
        document = read_json(path) if path.is_file() else {}
        if not isinstance(document, dict) or not all(isinstance(each, dict) for each in document.values()):
            raise InputError(
                f"{path}: expected a JSON object with post-processing for each task: write it with abaw fit"
            )
        return check_unchanged(document, path)

    def predictions(self, split: str) -> Path:
        """The folder of a split's prediction tables; "validation" are the clips that this run held out."""
        return self.folder / "predictions" / split

    @property
    def inner(self) -> Path:
        """The folder of the training in which the epoch is chosen on an inner part of the training side."""
        return self.folder / "inner"

    @contextmanager
    def hold(self, work: str = "a training", advice: str = OTHER_NAME) -> Iterator[None]:
        """Hold the folder for a training, or for other ``work``; ``advice``: what else can be done where it is held.

        Where a training fails before its first epoch has ended, the folder is as before.

        Raises InputError, before anything is written, where another process trains in the folder, or where it holds
        files that are not of a run.
        """
        with own_folder(self.folder, "run", work, self._foreign, advice):
            before = {path.name for path in self.folder.iterdir()}
            try:
                yield
            except Exception:  # whatever it was, a run without a finished epoch must not block its name
                folders = self.folder, self.inner
                if not any((each / name).exists() for each in folders for name in (RESUME, "weights")):
                    self._remove_new(before)
                raise

    def begin(self, config: Config, facts: Mapping[str, Any]) -> None:
        """Write config.yaml, run.json and an empty post_processing.json; files that have this content stay.

        Raises InputError where a training that was stopped would go on with other labels, tables of teachers, or run
        that it continues.
        """
        earlier = self.document() if self.has_begun() else {}
        was_stopped = any((folder / RESUME).exists() for folder in (self.folder, self.inner))
        if was_stopped and (changed := find_changed_inputs(earlier, facts)):
            raise InputError(
                f"{self.folder} was begun with other {' and '.join(changed)}: restore them, or delete that folder to "
                "train again"
            )
        text, path = dump_yaml(config.model_dump(mode="json")), self.folder / CONFIG
        record_owner(self.folder, "run", config=hashlib.sha256(text.encode()).hexdigest())
        if not path.is_file() or self.config() != config:
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        if not (self.folder / POST_PROCESSING).is_file():
            write_json(self.folder / POST_PROCESSING, {})
        times = {"began_at": earlier.get("began_at") or now()}
        about = {"name": config.name, "seed": config.training.seed, "commit": commit(), "versions": versions()}
        write_json(self.folder / "run.json", {**about, **times, **facts})

    def finish(self, scores: Mapping[str, Mapping[str, float]], about: Mapping[str, Any] | None = None) -> None:
        """Add ``about``, the hashes of weights and config and the scores on what was held out ({} where nothing was),
        which completes the run; remove resume.ckpt, and of an inner training all but its curves."""
        hashes = {path.name: sha256(path) for path in visible(self.folder / "weights", "*")}
        facts = {"weights": hashes, "config": self._config_hashes(), "scores": scores}
        document = {"ended_at": now(), **self.document(), **(about or {}), **facts}  # scored again: trained when it was
        write_run_document(self.folder / "run.json", document)
        for folder in (self.folder, self.inner):
            (folder / RESUME).unlink(missing_ok=True)
        shutil.rmtree(self.inner / "weights", ignore_errors=True)

    def state(self, config: Config) -> str:
        """One of "new", "begun" and "complete". Raises InputError where the folder holds another run or other files.

        A stopped run may be continued with another ``trainer``: for longer, or on another device. Sections that a
        training does not read (``UNTRAINED``) may always differ.
        """
        if not self._has_files():
            if foreign := self._foreign(read_owner(self.folder, "run")):
                raise InputError(f"{self.folder} is no run and holds {', '.join(foreign[:3])}: {OTHER_NAME}")
            return "new"
        state = "complete" if self.is_complete() else "begun"
        before, now = (c.model_dump(mode="json", exclude=set(UNTRAINED)) for c in (self.config(), config))
        changed = [key for key in now if before.get(key) != now[key] and (state, key) != ("begun", "trainer")]
        if changed:
            raise InputError(
                f"{self.folder} holds a run with another {', '.join(changed)}: give this one another name (name=...), "
                "or delete that folder"
            )
        return state

    def check_weights(self, *, content: bool = True) -> None:
        """Raises InputError where the weights, or the settings in config.yaml that the model was trained with, are not
        those that run.json names; runs of older versions name none. Without ``content`` weights need only be there."""
        for name, recorded in network_weights(self.document()).items():
            path = self.folder / "weights" / checked_name(name, f"weights in {self.folder / 'run.json'}")
            if not path.is_file():
                raise NotFoundError(f"no weights at {path}: copy them there, or delete the run and train again")
            if content and sha256(path) != recorded:
                raise InputError(
                    f"{path} is damaged or of another training: its SHA-256 differs from the one in "
                    f"{self.folder / 'run.json'}: restore the file, or delete the run and train again"
                )

        recorded, now = self.document().get("config", {}), self._config_hashes()
        if changed := [
            key for key in sorted(recorded.keys() | now.keys()) if recorded and recorded.get(key) != now.get(key)
        ]:
            raise InputError(
                f"{self.folder / CONFIG}: {', '.join(changed)} changed since the run was trained: restore the file, or "
                "train a run of another name with these settings"
            )

    def _config_hashes(self) -> dict[str, str]:
        """The hash of every section of config.yaml that a training reads. Where the run is, which data set and store
        it reads, and on which device may change."""
        values = _unchanged(_values, self.folder / CONFIG)
        return {key: digest({key: value}) for key, value in values.items() if key not in MAY_CHANGE}

    def _has_files(self) -> bool:
        return (self.folder / CONFIG).is_file() and (self.folder / "run.json").is_file()

    def _foreign(self, owner: Owner) -> list[str]:
        """The names of visible files that no training wrote; none in a run, or one that was stopped while it began."""
        if self._has_files() and "seed" in self.document():
            return []
        ours = {POST_PROCESSING} if owner else set()
        if owner and (self.folder / CONFIG).is_file() and sha256(self.folder / CONFIG) == owner.get("config"):
            ours.add(CONFIG)
        return [path.name for path in visible(self.folder, "*") if path.name not in ours]

    def _remove_new(self, before: set[str]) -> None:
        """Remove what a training has written that failed before its first epoch ended."""
        for path in list(self.folder.iterdir()):
            if path.name not in before and any(fnmatch(path.name, name) for name in FIRST_FILES):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


Parsed = TypeVar("Parsed")


def _unchanged(read: Callable[[Path, tuple[int, int, int]], Parsed], path: Path) -> Parsed:
    """A file's content, parsed again only where the file has changed."""
    stat = path.stat()
    return read(path, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


@lru_cache(maxsize=64)
def _document(path: Path, _version: tuple[int, int, int]) -> dict[str, Any]:
    return read_run_document(path)


@lru_cache(maxsize=64)
def _values(path: Path, _version: tuple[int, int, int]) -> dict[str, Any]:
    return dict(read_yaml(path).values)


@lru_cache(maxsize=64)
def _config(path: Path, version: tuple[int, int, int]) -> Config:
    return parse_section(Config, _values(path, version), str(path))


def labels_hash(labels: Mapping[str, Mapping[str, Mapping[str, "Labels"]]]) -> str:
    """Hash of the labels that a run is trained and scored on: split -> task -> clip, in any order."""
    found = hashlib.sha256()
    places = [(split, name, clip_id) for split in labels for name in labels[split] for clip_id in labels[split][name]]
    for split, name, clip_id in sorted(places):
        clip = labels[split][name][clip_id]
        found.update(repr((split, name, clip_id, clip.values.shape)).encode())
        found.update(np.ascontiguousarray(clip.values, "<f4").tobytes())
        found.update(np.ascontiguousarray(clip.scored, bool).tobytes())
        if isinstance(clip, TimedLabels):
            found.update(np.ascontiguousarray(clip.spans_s, "<f8").tobytes())
    return found.hexdigest()[:16]


def now() -> str:
    """The time now, UTC, as ISO 8601 has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def commit() -> str | None:
    """The project's commit, with ``+`` where files differ from it; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # installed: a repository further up is another project's
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
