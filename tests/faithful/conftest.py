"""The public toolkit that several models are held against."""

import pytest


@pytest.fixture(scope="session")
def mmsa():
    """MMSA's models (MIT); the extra ``peers`` has it."""
    return pytest.importorskip("MMSA.models.singleTask", reason="MMSA is not installed: the extra peers has it")
