"""Values of the wrong type or size: the error names the key alone, and what its values may be."""

import pytest

from abaw.configs.file import read_config
from abaw.tasks import TASKS
from extract import ALIGNERS
from fusion.models import FUSION_MODELS

FAULTS = {
    "training.num_workers=many": "num_workers is 'many': input should be a valid integer or input should be 'auto'",
    "training.num_workers=-1": "num_workers is -1: input should be greater than or equal to 0",
    "post_processing.widths=[.inf]": "widths.0 is inf: input should be a finite number",
    "post_processing.widths=[1000000001]": "1000000001 is too wide: give 100001 frames or less",
    "post_processing={unit: seconds, widths: [1.0e12]}": "is too wide: give 3600 seconds or less",
    "pseudo_labels={tables: [a], min_confidence: {va: 2}}": "min_confidence.va is 2: input should be less than or",
    "pseudo_labels={tables: [a], min_confidence: 2}": "min_confidence is 2: input should be less than or",
    "pseudo_labels={tables: [a], min_confidence: {}}": "min_confidence is {}: dictionary should have at least 1 item",
    "pseudo_labels.test_clips=true": "test_clips has no effect without pseudo_labels.tables: name folders of tables",
    "distillation.temperature=3.0": "temperature has no effect without distillation.tables",
    "hidden.cutoff_hz=2.0": "cutoff_hz has no effect without hidden.frequency_attention: set it to dot or linsoftmax",
    "hidden={frequency_attention: dot, cutoff_hz: 0.0}": "cutoff_hz is 0.0: input should be greater than 0",
    "hidden.frequency_attention=fourier": "frequency_attention is 'fourier': input should be 'none', 'dot' or",
}


@pytest.mark.parametrize("override", FAULTS)
def test_a_value_that_a_key_cannot_have_is_named_with_what_it_can_have(override):
    key = override.partition("=")[0]
    with pytest.raises(ValueError, match=f"^command line, {key}=: .*{FAULTS[override]}"):
        read_config("synthetic", [override]).config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)
