"""What every test may use."""

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("house", deadline=None)  # a test never asserts a wall-clock time
hypothesis.settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def media() -> Path:
    """Real clips, nasty containers and small weights, kept outside the project."""
    folder = Path(os.environ.get("ABAW_MEDIA", ROOT.parent / "shared" / "media"))
    if not folder.is_dir():
        pytest.skip(f"no real media at {folder}: set ABAW_MEDIA to their folder")
    return folder
