"""What the page of ``abaw app`` offers, and its limits: checked before a server is started."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from abaw.dataset.media_files import MEDIA_SUFFIXES
from abaw.errors import InputError, NotFoundError
from abaw.files import visible
from abaw.pipelines.analysis.choice import choose_recognisers, find_recognisers
from abaw.pipelines.analysis.limits import MediaLimits
from abaw.pipelines.viewing.writing import VIEWS, check_views
from abaw.results.runs import Run

LOOPBACK = "127.0.0.1"
BEST = "the best on this machine"
MIN_PASSWORD = 12  # characters
MAX_PASSWORD_BYTES = 1000  # of its file


@dataclass(frozen=True)
class Offer:
    """What users can choose to predict with: ``label`` is what they see, the rest goes to ``analyze``."""

    label: str
    recognisers: tuple[str, ...] = ()
    runs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class AppSettings:
    """A checked set of choices and limits.

    ``examples``: media that users can analyse without an upload. ``max_at_once``: analyses at a time; others wait.
    ``analysis``: further arguments of ``analyze``, such as the device. ``password``: "" only on a loopback address.
    """

    offers: tuple[Offer, ...]
    limits: MediaLimits
    examples: tuple[Path, ...] = ()
    host: str = LOOPBACK
    port: int | None = None
    password: str = field(default="", repr=False)
    max_at_once: int = 1
    analysis: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.offers:
            raise InputError("there is nothing to predict with: give --recogniser NAME or --run RUN")
        if not is_loopback(self.host) and not self.password:
            raise InputError(
                f"--host {self.host} lets other machines in, so a password is needed: give --password-file FILE, or "
                "set ABAW_APP_PASSWORD"
            )
        if self.password and len(self.password) < MIN_PASSWORD:
            raise InputError(
                f"the password has {len(self.password)} characters, expected at least {MIN_PASSWORD}: anyone who can "
                "reach this page can try others"
            )
        if self.port is not None and not 1 <= self.port <= 65535:
            raise InputError(f"--port is {self.port}, expected 1 to 65535")
        if self.max_at_once < 1:
            raise InputError(f"--at-once is {self.max_at_once}, expected 1 or more")


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def make_settings(
    *,
    runs: Sequence[Path] = (),
    recognisers: Sequence[str] = (),
    examples: Path | None = None,
    commercial: bool = False,
    anyway: bool = False,
    device: str = "cpu",
    weights: Sequence[str] = (),
    trust: bool = False,
    **others: Any,
) -> AppSettings:
    """Settings from what a user gives; ``others``: further ones of ``AppSettings``. Errors as in ``find_offers``."""
    common = {"device": device, "commercial": commercial}
    folders = [Path(text) for text in weights if "=" not in text]
    offers = find_offers(runs, recognisers, trust=trust, folders=folders, **common)
    analysis = {**common, "anyway": anyway, "weights": tuple(weights), "trust": trust}
    return AppSettings(offers, examples=find_examples(examples), analysis=analysis, **others)


def find_offers(
    runs: Sequence[Path], recognisers: Sequence[str], *, trust: bool = False, **settings: Any
) -> tuple[Offer, ...]:
    """What users may choose: the runs and recognisers that are named, else every recogniser of this machine.

    ``settings``: ``device``, ``commercial`` and ``folders`` as in ``choose_recognisers``. Raises NotFoundError where
    there is none, or a run or its weights are missing.
    """
    offers = []
    for folder in runs:
        run = Run(folder, trust)
        run.finished()
        run.check_weights()
        offers.append(Offer(f"run {folder.name}", (), (folder,)))
    offers += [Offer(text.partition(":")[0], (text,)) for text in recognisers]
    if not offers:
        found = find_recognisers(**settings)
        if not found:
            choose_recognisers(**settings)  # raises: it says what can be had
        offers = [Offer(name or BEST, texts) for name, texts in found.items()]
    return tuple(offers)


def find_examples(folder: Path | None) -> tuple[Path, ...]:
    """The video and sound files in a folder. Raises NotFoundError where there is none."""
    if folder is None:
        return ()
    if not folder.is_dir():
        raise NotFoundError(f"--examples {folder} is not a folder: give the folder of video or sound files")
    found = [path for path in visible(folder, "*") if path.is_file() and path.suffix.lower() in MEDIA_SUFFIXES]
    if not found:
        raise NotFoundError(f"--examples {folder} has no video or sound files")
    return tuple(sorted(found))


def read_password(file: Path | None, given: str) -> str:
    """The password: the first line of a file, else what the environment gives; "" for none.

    Raises NotFoundError for a missing file, InputError for an empty one.
    """
    if file is None:
        return given
    if not file.is_file():
        raise NotFoundError(f"--password-file {file} is missing: write the password into it, in one line")
    with file.open("rb") as opened:
        lines = opened.read(MAX_PASSWORD_BYTES).decode("utf-8", "replace").splitlines()
    if not lines or not lines[0].strip():
        raise InputError(f"--password-file {file} is empty: write the password into it, in one line")
    return lines[0].strip()


@lru_cache(maxsize=1)
def offered_views() -> dict[str, str]:
    """Views besides the page that users can ask for, those whose packages are installed: name -> meaning."""
    return {name: view.meaning for name, view in VIEWS.items() if name != "page" and _is_installed(name)}


def _is_installed(view: str) -> bool:
    try:
        check_views([view])
    except InputError:
        return False
    return True
