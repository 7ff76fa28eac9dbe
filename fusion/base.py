"""The contract of a fusion model: features of several modalities in, one hidden state per step out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

# Types of settings that the registry checks before it calls a builder.
Size = Annotated[int, Field(ge=1)]
DropoutRate = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class FusionInput:
    """Features of every modality at the same steps, for a batch of windows.

    A model always gets every modality it was built with. A modality that is missing at a step is marked by
    ``observed=False``. Values at unobserved steps and in the padding (steps from ``lengths`` on) are undefined and may
    be NaN. ``wants_losses`` is False in validation and prediction: a model may then skip its auxiliary losses.
    """

    features: dict[str, Float[Tensor, "batch time _"]]
    observed: dict[str, Bool[Tensor, "batch time"]]
    times_s: Float[Tensor, "batch time"]
    lengths: Int[Tensor, " batch"]
    wants_losses: bool = True
    vectors: Float[Tensor, "batch embedding"] | None = None  # of persons, for an ``AdaptiveModel``


@dataclass(frozen=True)
class FusionOutput:
    """Hidden states for the task heads, and the model's auxiliary losses.

    ``losses``: if the input ``wants_losses``, a scalar, of observed steps only, for each key of ``loss_weights``.
    """

    hidden: Float[Tensor, "batch time hidden"]
    losses: dict[str, Float[Tensor, ""]] = field(default_factory=dict)


class FusionModel(nn.Module, ABC):
    """Base class of all fusion models; ``tests/contracts/test_fusion_models.py`` checks what each of them must fulfil.

    A model is built by a function ``@FUSION_MODELS.register def name(*, dims, ...)``, where ``dims`` maps each modality
    to its number of features. ``hidden_dim`` is the width of the output. ``loss_weights`` maps the model's auxiliary
    losses to the weights of its paper; the config's ``losses`` overrides them. ``heads_start_at_zero``: the tasks'
    heads are the whole model, and begin at 0 instead of at random. ``cutoff_hz``: the highest frequency that it keeps;
    clips with less than twice as many frames a second are refused. ``is_siamese``: its hidden states have unit length,
    and it is trained on pairs of them (``fusion/contrastive``). Each model file has a literal ``FACTS``:

    - ``paper``: the source;
    - ``context``: on which steps a hidden state may depend: "step" (its own), "past" (also earlier ones) or "window";
    - ``differs``: where the model departs from its paper, and why.
    """

    hidden_dim: int
    loss_weights: Mapping[str, float] = {}
    heads_start_at_zero: bool = False
    cutoff_hz: float | None = None
    is_siamese: bool = False

    def measure(self, windows: Iterable[FusionInput]) -> None:
        """Keep in buffers what must be known of the training windows; called once, in eval mode, before training."""

    @abstractmethod
    def forward(self, inputs: FusionInput) -> FusionOutput: ...
