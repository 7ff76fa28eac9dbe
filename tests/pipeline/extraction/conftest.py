"""Clips for tests of extraction."""

import pytest

from tests.support.extract.many_clips import write


@pytest.fixture(scope="session")
def six(tmp_path_factory):
    """Six clips of 10, 11 ... 15 pictures, each with its own brightness."""
    folder = tmp_path_factory.mktemp("six")
    for i in range(6):
        write(folder / f"c{i}.mp4", [80 + 20 * i] * (10 + i), 0.6)
    return folder
