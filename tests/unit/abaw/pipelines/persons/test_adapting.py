"""A trained module is adapted to a person under the conditions of a prediction."""

import pytest

from abaw.configs.optional_sections import AdaptationConfig, HiddenConfig
from abaw.errors import InputError
from abaw.pipelines.persons.adapting import adapt_to_person
from fusion.checkpoint import build_module
from tests.support.memory import LENGTHS, make_config, make_labels, make_source, make_tasks


def test_a_cut_off_above_half_the_frame_rate_of_a_labelled_clip_is_refused():
    source = make_source(LENGTHS)
    labels = {"va": {"both": make_labels(source)["train"]["va"]["both"]}}
    hidden = HiddenConfig(frequency_attention="dot", cutoff_hz=12.6)
    config = make_config("limaml", tasks=("va",)).model_copy(update={"hidden": hidden})
    module = build_module(config, make_tasks("va"), {"face": 3, "voice": 2})
    with pytest.raises(InputError, match=r"hidden.cutoff_hz is 12.6 Hz, but clip 'both' has 25 frames a second"):
        adapt_to_person(module, source, labels, AdaptationConfig())
