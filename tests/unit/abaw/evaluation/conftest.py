"""Labels on disk for tests of evaluation."""

import pytest

from tests.support.abaw.reports import TRAIN, VALIDATION, write_labels


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Label files alone: VA follows a slow wave, EXPR stays a while; every fifth frame is unscored."""
    root = tmp_path_factory.mktemp("labels")
    write_labels(root, {"Validation_Set": VALIDATION, "Train_Set": TRAIN})
    return root
