"""Features and labels in memory, for tests of training; plug-ins that end with their test."""

import pytest

from tests.support.memory import LENGTHS, make_labels, make_source
from tests.support.plugins import forget_plugins


@pytest.fixture
def source():
    return make_source(LENGTHS)


@pytest.fixture
def labels(source):
    return make_labels(source)


@pytest.fixture
def without_plugins():
    """No plug-in outlives the test."""
    with forget_plugins():
        yield
