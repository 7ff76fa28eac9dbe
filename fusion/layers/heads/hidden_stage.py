"""The layers between a fusion model and the heads of the tasks, which a config may add to any model."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn

from abaw.batches import FeatureSource
from abaw.configs.optional_sections import HiddenConfig
from fusion.base import FusionInput
from fusion.layers.frequency import FrequencySelfAttention, check_cutoff, count_coefficients
from fusion.layers.gating import DenseGating


class HiddenStage(nn.Module):
    """What the section ``hidden`` of a config asks for; by default the hidden states stay as they are.

    ``cutoff_hz`` is that of the frequency attention, None without one.
    """

    def __init__(self, dim: int, config: HiddenConfig) -> None:
        super().__init__()
        mode = config.frequency_attention
        self.cutoff_hz = None if mode == "none" else config.cutoff_hz
        self.attention = (
            None
            if mode == "none"
            else FrequencySelfAttention(dim, head_dim=config.head_dim, mode=mode, num_repeats=config.num_repeats)
        )
        self.gate = DenseGating(dim) if config.gating else nn.Identity()

    def forward(self, hidden: Float[Tensor, "batch time dim"], inputs: FusionInput) -> Float[Tensor, "batch time dim"]:
        if self.attention is not None and self.cutoff_hz is not None:
            num = count_coefficients(inputs.times_s, inputs.lengths, self.cutoff_hz)
            hidden = self.attention(hidden, inputs.lengths, num)
        return self.gate(hidden)


def check_cutoffs(
    model_hz: float | None, hidden_hz: float | None, source: FeatureSource, clip_ids: Iterable[str], window_steps: int
) -> list[str]:
    """Remarks on clips of which the cut-off of a model, or of the section ``hidden``, keeps little.

    Raises InputError where one is above half the frame rate of a clip.
    """
    cutoffs = {"model.cutoff_hz": model_hz, "hidden.cutoff_hz": hidden_hz}
    given = {setting: cutoff_hz for setting, cutoff_hz in cutoffs.items() if cutoff_hz is not None}
    clocks = {clip_id: source.clock(clip_id) for clip_id in clip_ids} if given else {}
    return [remark for each in given.items() if (remark := check_cutoff(*each, clocks, window_steps))]
