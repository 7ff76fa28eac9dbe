"""What the benchmarks of the seed systems share: claims with the paper's figure, ours and the bound, and results."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from abaw.files import read_json, write_json
from abaw.results.runs import commit, versions
from benchmarks.machine.load import describe_machine

RESULTS = Path(__file__).resolve().parents[1] / "results" / "seed_systems"


@dataclass(frozen=True)
class Claim:
    """One line of a part's table in docs/seeds.md.

    ``says``: what is claimed, with its setting. ``paper``, ``ours`` and ``bound`` are written as a reader sees them:
    figures with their spread; ``paper`` is empty where the paper has no such figure. ``holds``: whether ours meets the
    bound; None where there is no bound, only a report.
    """

    says: str
    paper: str
    ours: str
    bound: str
    holds: bool | None


@dataclass(frozen=True)
class Section:
    """A part's section in docs/seeds.md: its title, a few paragraphs in Markdown, and its claims."""

    title: str
    text: str
    claims: Sequence[Claim]


def write_section(name: str, section: Section, seeds: Sequence[int], results: Path = RESULTS) -> Path:
    """Write the section with commit, versions, processor and seeds to ``<name>.json``; the page is made from it."""
    made = {"commit": commit(), "versions": versions(), "machine": describe_machine(), "seeds": list(seeds)}
    path = results / f"{name}.json"
    write_json(path, {**made, **asdict(section)})
    return path


def read_section(path: Path) -> tuple[Section, dict[str, Any]]:
    """A section as it was written, and what is known of its making."""
    found = read_json(path)
    claims = [Claim(**each) for each in found["claims"]]
    return Section(found["title"], found["text"], claims), found
