"""The folder of a run: what was trained, on what, and its scores.

RUN/config.yaml        the complete config as it was used
RUN/run.json           commit, seed, fold, versions, recipes, label tasks and videos seen, the labels' hash, split
                       sizes; scores once it is complete (empty for a refit, which holds nothing out)
RUN/weights/           safetensors
RUN/post_processing.json   what is fitted after training; empty at first
RUN/predictions/<split>/<task>/   "validation": the clips that this run held out
RUN/resume.ckpt        Lightning's state at the end of the last epoch, until the run is complete
"""

import hashlib
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from abaw.configs.file import parse_section
from abaw.configs.sections import UNTRAINED, Config
from abaw.errors import InputError, NotFoundError
from abaw.files import atomic_write, read_json, visible, write_json
from abaw.files.yaml import dump_yaml, read_yaml
from abaw.plugins import require
from abaw.tasks import TASKS
from abaw.tasks.base import Task

if TYPE_CHECKING:
    from abaw.dataset.annotations import Labels

PACKAGES = (
    "abaw",
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "lightning",
    "opencv-python",
    "soxr",
    "av",
    "numpy",
)
RESUME = "resume.ckpt"
POST_PROCESSING = "post_processing.json"


@dataclass(frozen=True)
class Run:
    """The folder of a training: its config, what it was trained on, its weights and scores.

    ``folder`` may be missing: a method that needs a file raises NotFoundError then. Files are read when
    needed, and again only after they have changed.
    """

    folder: Path

    def config(self) -> Config:
        """The config it was trained with. Raises NotFoundError where the folder is no run."""
        path = self.folder / "config.yaml"
        if not path.is_file():
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

    def has_begun(self) -> bool:
        """Whether the folder holds a run, complete or not."""
        return (self.folder / "run.json").is_file()

    def require_plugins(self) -> None:
        """Load the plug-ins that the run was trained with. Raises InputError where one has changed or is missing."""
        require(self.document().get("plugins", ()), str(self.folder))

    def tasks(self) -> dict[str, Task]:
        """Its tasks, with what they took from the training split (class weights, say)."""
        self.require_plugins()
        return {name: TASKS.build(name, **settings) for name, settings in self.document()["tasks"].items()}

    def post_processing(self) -> dict[str, dict[str, Any]]:
        """Task -> what `abaw fit` wrote, which ``parse_post_processing`` reads. Raises InputError for other content."""
        path = self.folder / POST_PROCESSING
        document = read_json(path) if path.is_file() else {}
        if not isinstance(document, dict) or not all(isinstance(each, dict) for each in document.values()):
            raise InputError(
                f"{path}: expected a JSON object with post-processing for each task: write it with abaw fit"
            )
        return document

    def predictions(self, split: str) -> Path:
        """The folder of a split's prediction tables; "validation" are the clips that this run held out."""
        return self.folder / "predictions" / split

    def begin(self, config: Config, facts: Mapping[str, Any]) -> None:
        """Write config.yaml, run.json and an empty post_processing.json."""
        with atomic_write(self.folder / "config.yaml") as temporary:
            temporary.write_text(dump_yaml(config.model_dump(mode="json")), encoding="utf-8")
        write_json(self.folder / POST_PROCESSING, {})
        about = {"name": config.name, "seed": config.training.seed, "commit": commit(), "versions": versions()}
        write_json(self.folder / "run.json", {**about, **facts})

    def finish(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Add the scores on what was held out ({} where nothing was), which completes the run; remove resume.ckpt."""
        write_json(self.folder / "run.json", {**self.document(), "scores": scores})
        (self.folder / RESUME).unlink(missing_ok=True)

    def state(self, config: Config) -> str:
        """One of "new", "begun" and "complete". Raises InputError where the folder holds another run or other files.

        A stopped run may be continued with another ``trainer``: for longer, or on another device. Sections that a
        training does not read (``UNTRAINED``) may always differ.
        """
        if not (self.folder / "config.yaml").is_file() or not (self.folder / "run.json").is_file():
            self._check_free()
            return "new"
        state = "complete" if "scores" in self.document() else "begun"
        before, now = (c.model_dump(mode="json", exclude=set(UNTRAINED)) for c in (self.config(), config))
        changed = [key for key in now if before.get(key) != now[key] and (state, key) != ("begun", "trainer")]
        if changed:
            raise InputError(
                f"{self.folder} holds a run with another {', '.join(changed)}: give this one another name (name=...), "
                "or delete that folder"
            )
        return state

    def _check_free(self) -> None:
        """Raises InputError where the folder holds other files than a run that was stopped while it began."""
        others = {path.name for path in visible(self.folder, "*")} - {"config.yaml", POST_PROCESSING, "run.json"}
        if others:
            raise InputError(
                f"{self.folder} is no run and holds {', '.join(sorted(others)[:3])}: "
                "give the run another name (name=...)"
            )

    def discard_unless_trained(self) -> None:
        """Remove the folder of a run that failed before its first epoch ended, so that its name is free again."""
        if not (self.folder / RESUME).exists() and not (self.folder / "weights").exists():
            shutil.rmtree(self.folder, ignore_errors=True)


Parsed = TypeVar("Parsed")


def _unchanged(read: Callable[[Path, tuple[int, int, int]], Parsed], path: Path) -> Parsed:
    """A file's content, parsed again only where the file has changed."""
    stat = path.stat()
    return read(path, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


@lru_cache(maxsize=64)
def _document(path: Path, _version: tuple[int, int, int]) -> dict[str, Any]:
    document: dict[str, Any] = read_json(path)
    return document


@lru_cache(maxsize=64)
def _config(path: Path, _version: tuple[int, int, int]) -> Config:
    return parse_section(Config, read_yaml(path).values, str(path))


def labels_hash(labels: Mapping[str, Mapping[str, Mapping[str, "Labels"]]]) -> str:
    """Hash of the labels that a run is trained and scored on: split -> task -> clip, in any order."""
    found = hashlib.sha256()
    places = [(split, name, clip_id) for split in labels for name in labels[split] for clip_id in labels[split][name]]
    for split, name, clip_id in sorted(places):
        clip = labels[split][name][clip_id]
        found.update(repr((split, name, clip_id, clip.values.shape)).encode())
        found.update(np.ascontiguousarray(clip.values, "<f4").tobytes())
        found.update(np.ascontiguousarray(clip.scored, bool).tobytes())
    return found.hexdigest()[:16]


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
