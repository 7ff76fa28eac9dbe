"""What every test may use."""

from pathlib import Path

import hypothesis
import pytest

from tests.support.extract.real_media import real_media

hypothesis.settings.register_profile("house", deadline=None)  # a test never asserts a wall-clock time
hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def media() -> Path:
    """Real clips, nasty containers and small weights, kept outside the project."""
    folder = real_media()
    if not folder.is_dir():
        pytest.skip(f"no real media at {folder}: set ABAW_MEDIA to their folder")
    return folder
