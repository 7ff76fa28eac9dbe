"""A fast share of the kill harness: a command that was stopped and started again ends as one that never was.

``./run.sh fuzz`` stops every command a hundred times by each signal.
"""

import random
import signal

import pytest

from tests.fuzz.kills import Stopper, is_left_over
from tests.fuzz.world import make_world


@pytest.fixture(scope="module")
def stopper(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("kills")
    return Stopper(make_world(scratch / "world", trained=False), scratch)


@pytest.mark.parametrize(
    ("name", "signum"),
    [("extract", signal.SIGKILL), ("extract", signal.SIGINT), ("combine", signal.SIGKILL)],
)
def test_a_command_that_was_stopped_goes_on_and_leaves_nothing(stopper, name, signum):
    assert stopper.stop(name, signum, random.Random(name)) == []


def test_planted_left_overs_are_seen(tmp_path):
    assert is_left_over(tmp_path / f".abaw-{8 * '0'}-{16 * 'f'}-a.safetensors")
    assert not is_left_over(tmp_path / "a.safetensors")
