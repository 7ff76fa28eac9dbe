"""How a config says that features are aligned: settings that no aligner takes are errors with file and line."""

import pytest

from abaw.configs.file import read_config
from abaw.tasks import TASKS
from extract import ALIGNERS
from fusion.models import FUSION_MODELS

CONFIG = """name: small
data: data
store: store
tasks: {va: {}}
features: {voice: {align: window_mean}}
model: {name: concat}
"""


def read(path, feature):
    path.write_text(CONFIG.replace("{align: window_mean}", feature))
    return read_config(path).config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS).features["voice"]


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        ("{align: linear, width_s: 1.0}", "only align: window_mean has a width_s, not align: linear"),
        ("{align: convolution, width_s: 1.0}", "only align: window_mean has a width_s, not align: convolution"),
        ("{align: window_mean, width_s: 0.0}", "greater than 0"),
        (
            "{align: window_mean, max_gap_s: 0.25, width_s: 1.2}",
            "a mean over 1.2 s takes rows up to 0.6 s from a frame, but max_gap_s is 0.25: set max_gap_s to 0.6",
        ),
    ],
)
def test_a_width_that_means_nothing_is_named_with_file_and_line(tmp_path, feature, words):
    with pytest.raises(ValueError, match=f"small.yaml:5: .*{words}"):
        read(tmp_path / "small.yaml", feature)


def test_a_width_is_read_and_a_config_without_one_is_written_without(tmp_path):
    assert read(tmp_path / "small.yaml", "{align: window_mean, width_s: 1.0}").model_dump()["width_s"] == 1.0
    for feature in ("{align: window_mean}", "{align: linear, width_s: null}"):
        assert "width_s" not in read(tmp_path / "small.yaml", feature).model_dump()
