"""The project's files, for the tests of its own rules."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("abaw", "extract", "fusion")


def tracked(*folders):
    """The project's files, those not yet committed included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", *folders]
    names = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def module_of(place):
    """The dotted name of a source file."""
    return place.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


SOURCES = {place: (ROOT / place).read_text(encoding="utf-8") for place in tracked(*PACKAGES) if place.endswith(".py")}
MODULES = {module_of(place): place for place in SOURCES}
