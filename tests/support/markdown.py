"""The project's pages and what they contain: code blocks, links, inline code.

``python -m tests.support.markdown FOLDER`` writes the parts that the pages define, for mypy.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
HISTORY = "CHANGELOG.md"  # names what there was before


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the line on which its text begins."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def defines_part(self) -> str | None:
        """The name of the part that the block registers; None where it registers none."""
        found = re.search(r"^@\w+\.register\ndef (\w+)\(", self.text, re.M)
        return found.group(1) if found else None


def all_blocks(*pages: Path) -> list[Block]:
    """The fenced blocks of all pages or of these."""
    found = []
    for page in pages or PAGES:
        text = page.read_text(encoding="utf-8")
        for each in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
            found.append(Block(page, text[: each.start()].count("\n") + 2, each.group(1), each.group(2)))
    return found


def blocks(language: str, *pages: Path) -> list[Block]:
    """The fenced blocks of a language ("" where none is named), of all pages or of these."""
    return [block for block in all_blocks(*pages) if block.language == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```\w*\n.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def part(name: str) -> Block:
    """The block that registers the part of this name."""
    (found,) = (block for block in blocks("python") if block.defines_part() == name)
    return found


def write_parts(folder: Path) -> dict[str, Path]:
    """Write every part that a page defines to a file of its own, as printed; its path by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {block.defines_part(): block.text for block in blocks("python")}
    paths = {name: folder / f"{name}.py" for name in found if name}
    for name, path in paths.items():
        path.write_text(found[name], encoding="utf-8")
    return paths


if __name__ == "__main__":
    write_parts(Path(sys.argv[1]))
