"""What every test may use."""

import logging
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The command line logs to the stderr of its process, which is another one in the next test."""
    root, ours = logging.getLogger(), logging.getLogger("abaw")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    for handler in [each for each in root.handlers if type(each) is logging.StreamHandler and each not in handlers]:
        root.removeHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
