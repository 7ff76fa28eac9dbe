"""abaw config: the configs of the package listed, and printed as they are."""

import subprocess
import sys

import pytest

import abaw
from abaw.commands.config import config
from abaw.configs.packaged import packaged_configs


def test_without_a_name_every_config_is_listed_with_its_summary(capsys):
    config()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(packaged_configs())
    for line, row in zip(lines, abaw.list_configs(), strict=True):
        assert line.endswith(f"  {row['summary']}")
        assert 20 < len(row["summary"]) <= 120
        assert not row["summary"].startswith("#")


@pytest.mark.parametrize("name", packaged_configs())
def test_a_config_is_printed_byte_for_byte_so_that_it_can_be_saved(name, tmp_path):
    if name != "synthetic":
        assert abaw.read_config_text(name).encode() == packaged_configs()[name].path.read_bytes()
        return
    done = subprocess.run([sys.executable, "-m", "abaw", "config", name], capture_output=True, check=True)
    assert done.stdout == packaged_configs()[name].path.read_bytes()


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        abaw.NotFoundError, match="no config named 'vaa'; did you mean 'va'\\? known: au, classes, contrastive, expr, "
    ):
        config("vaa")
    with pytest.raises(abaw.NotFoundError, match="no config named"):
        config("abaw/configs/va.yaml")  # a path is no name: the file is there already
