"""The Multimodal Cyclic Translation Network: what one modality says is learned by telling it in the others' words."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings, mean_over, ordered, seen
from fusion.layers.recurrent import Recurrent
from fusion.layers.translation import Translator
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Pham et al. 2019, Found in Translation: Learning Robust Joint Representations by Cyclic Translations "
    "Between Modalities, arXiv 1812.07809; sizes as in Wen et al. 2024, arXiv 2403.15044",
    "context": "window",
    "differs": "The decoder carries its LSTM's state and starts from a step of zeros, and in training each step is the "
    "truth with probability teacher_forcing, else (in evaluation always) its own last prediction; public code begins "
    "every step at a zero state, is given the first step, and feeds the truth throughout (always_truth). For the cycle "
    "the narrower modality is padded with zeros, since a learned projection of a target could shrink to nothing; an "
    "error counts a target's own features at observed steps. Only the source reaches the hidden state, as in the "
    "paper: the others are learned from.",
}


@FUSION_MODELS.register
def mctn(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 256,
    dropout: float = 0.2,
    teacher_forcing: float = 0.3,
    always_truth: bool = False,
    targets: Sequence[str] = (),
) -> FusionModel:
    """Translates one modality into the others and back; a bidirectional LSTM over the joint states."""
    return Mctn(dims, hidden_dim, dropout, teacher_forcing, always_truth, targets)


class Mctn(FusionModel):
    """Pham et al. 2019 (arXiv 1812.07809), as in Wen et al. 2024 (arXiv 2403.15044): a chain of translators.

    The first translates the source into the first target, and its translation back into the source (the cycle); its
    joint states are the source of the next translator, to the next target, and so on; the last joint states go through
    a bidirectional LSTM. ``hidden_dim`` is the width of one direction and of joint states, the fused width twice that.
    ``targets`` come in their order, the modalities not named after them, but for the first of these: it is the source.
    A single modality is translated into itself. Losses, weighing 0.5 each: mean squared errors ``translation``,
    ``cycle``, and for further targets ``translation_2`` and so on.
    Raises ValueError for settings that make no sense, and for targets that are unknown, twice, or all there is.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        dropout: float,
        teacher_forcing: float,
        always_truth: bool,
        targets: Sequence[str],
    ) -> None:
        super().__init__()
        check_settings("mctn", dropout=dropout, hidden_dim=hidden_dim)
        if not 0 <= teacher_forcing <= 1:
            raise InputError(f"mctn: teacher_forcing is {teacher_forcing}, expected a probability, 0 to 1")
        self.chain = chain(ordered(dims), targets)
        self.teacher_forcing, self.always_truth = teacher_forcing, always_truth
        self.hidden_dim = 2 * hidden_dim
        source, first, *others = (dims[name] for name in self.chain)
        both_ways = max(source, first)
        self.translators = nn.ModuleList([Translator(both_ways, both_ways, hidden_dim, dropout)])
        self.translators.extend(Translator(hidden_dim, dim, hidden_dim, dropout) for dim in others)
        self.over_time = Recurrent(nn.LSTM, hidden_dim, hidden_dim, bidirectional=True)
        further = (f"translation_{number}" for number in range(2, len(self.chain)))
        self.loss_weights = dict.fromkeys(["translation", "cycle", *further], 0.5)

    def forward(self, steps: FusionInput) -> FusionOutput:
        if not steps.wants_losses:  # then nobody needs to hear the translations
            return FusionOutput(self.over_time(self._joint(steps), steps.lengths))
        source, first, *others = (seen(steps, name) for name in self.chain)
        there, *later = self.translators
        joint, translation = there(source[0], steps.lengths, first[0], self._told(first[1]))
        _, back = there(translation, steps.lengths, source[0], self._told(source[1]))
        errors = [_error(translation, *first), _error(back, *source)]
        for translate, (truth, observed) in zip(later, others, strict=True):
            joint, translation = translate(joint, steps.lengths, truth, self._told(observed))
            errors.append(_error(translation, truth, observed))
        return FusionOutput(self.over_time(joint, steps.lengths), dict(zip(self.loss_weights, errors, strict=True)))

    def _joint(self, steps: FusionInput) -> Float[Tensor, "batch time hidden"]:
        """The last joint states without a word of translation: each translator reads the states of the one before."""
        joint = seen(steps, self.chain[0])[0]
        for translator in self.translators:
            assert isinstance(translator, Translator)
            joint, _ = translator.read(joint, steps.lengths)
        return joint

    def _told(self, observed: Bool[Tensor, "batch time"]) -> Bool[Tensor, "batch time"]:
        """The steps after which the truth is read: never one that was not observed."""
        if self.always_truth:
            return observed
        if not self.training:
            return torch.zeros_like(observed)
        return observed & (torch.rand(observed.shape, device=observed.device) < self.teacher_forcing)


def chain(names: Sequence[str], targets: Sequence[str]) -> tuple[str, ...]:
    """The source, then the targets in the order of translation. ValueError for targets that leave no such order."""
    for name in targets:
        if name not in names:
            raise InputError(f"mctn: no modality {name!r} to translate into, known: {', '.join(names)}")
    if len(set(targets)) < len(targets):
        raise InputError(f"mctn: targets {list(targets)} name a modality twice, expected each once")
    source, *rest = [name for name in names if name not in targets] or [""]
    if not source:
        raise InputError("mctn: targets name every modality, expected one left over: the source")
    return (source, *targets, *rest) if len(names) > 1 else (source, source)


def _error(
    said: Float[Tensor, "batch time dim"], truth: Float[Tensor, "batch time dim"], observed: Bool[Tensor, "batch time"]
) -> Float[Tensor, ""]:
    return mean_over((said - truth).square(), observed)
