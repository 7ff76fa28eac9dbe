"""What the command line changes of a config: names that null removes, numbers."""

import pytest

from abaw.configs.file import read_config
from tests.unit.abaw.configs.test_file import load, write


def test_null_on_the_command_line_removes_what_has_a_name(tmp_path):
    overrides = (
        "features.voice_mel=null",
        "tasks.va=null",
        "losses={likelihood: 1.0, contrastive: 0.5}",
        "losses.likelihood=null",
    )
    config = load(write(tmp_path), *overrides)
    assert (list(config.features), list(config.tasks), config.losses) == (["face_hog"], ["expr"], {"contrastive": 0.5})
    members = "members={first: {}, second: {name: other}}"
    assert list(read_config(write(tmp_path), [members, "members.first=null"]).values["members"]) == ["second"]


def test_removing_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(
        ValueError, match="features.voice_mle=: features has no 'voice_mle' to remove; did you mean 'voice_mel'"
    ):
        load(write(tmp_path), "features.voice_mle=null")


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "0.001", "1.0e-3", ".001", "+1e-3"])
def test_numbers_with_an_exponent_are_numbers(tmp_path, text):
    changed = write(tmp_path, ("training:\n", f"training:\n  learning_rate: {text}\n"))
    assert load(changed).training.learning_rate == 0.001
    assert load(write(tmp_path), f"training.learning_rate={text}").training.learning_rate == 0.001
