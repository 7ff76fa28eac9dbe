"""Features and labels in memory, for tests of training."""

import pytest

from tests.support.memory import LENGTHS, make_labels, make_source


@pytest.fixture
def source():
    return make_source(LENGTHS)


@pytest.fixture
def labels(source):
    return make_labels(source)
