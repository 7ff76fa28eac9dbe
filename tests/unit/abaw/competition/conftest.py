"""The data set of a recipe."""

import pytest

from tests.support.recipes import write_data


@pytest.fixture
def data(tmp_path):
    """A data set of valence-arousal and expressions by its files alone: labels, a test list, samples."""
    return write_data(tmp_path / "data")
