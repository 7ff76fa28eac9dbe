"""Multimodal Cyclic Translation Network: joint representations learned by translating between modalities."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, masked_mean, sort_modalities
from fusion.layers.recurrences.translation import Translator
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Pham et al. 2019, Found in Translation: Learning Robust Joint Representations by Cyclic Translations "
    "Between Modalities, arXiv 1812.07809; sizes as in Wen et al. 2024, arXiv 2403.15044",
    "context": "window",
    "differs": "The decoder keeps its LSTM state over time and starts from an input of zeros. In training its input is "
    "the target with probability teacher_forcing, else its own last output; in evaluation always the latter. Public "
    "code has a bidirectional LSTM that forgets its state after every step (decoder one_step), always feeds the target "
    "(always_truth), starts from the true first step and leaves its translation at 0. For the cycle the narrower "
    "modality is padded with zeros, because a learned projection of the target could shrink to 0. Errors are computed "
    "over observed steps. As in the paper, only the source influences the output; the other modalities are used in "
    "training only.",
}


@FUSION_MODELS.register
def mctn(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 256,
    dropout: DropoutRate = 0.2,
    teacher_forcing: float = 0.3,
    always_truth: bool = False,
    decoder: Literal["lstm", "one_step"] = "lstm",
    targets: Sequence[str] = (),
) -> FusionModel:
    """Translates one modality into the others and back; bidirectional LSTM over the joint states."""
    return Mctn(dims, hidden_dim, dropout, teacher_forcing, always_truth, decoder, targets)


class Mctn(FusionModel):
    """MCTN of Pham et al. 2019 (arXiv 1812.07809), as used by Wen et al. 2024 (arXiv 2403.15044).

    A chain of translators. The first translates the source into the first target, and this translation back into the
    source (the cycle). Its joint states are the source of the next translator, and so on. The last joint states go
    through a bidirectional LSTM. ``hidden_dim`` is the width of the joint states and of each direction; the output has
    twice as many features.

    The first modality that ``targets`` does not name is the source. The targets follow in the given order, then the
    remaining modalities. A single modality is translated into itself. Auxiliary losses are the mean squared errors
    ``translation``, ``cycle`` and, for further targets, ``translation_2`` and so on, each with weight 0.5.

    Raises InputError where ``teacher_forcing`` is not a probability, or ``targets`` names an unknown modality, one
    twice, or all.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        dropout: float,
        teacher_forcing: float,
        always_truth: bool,
        decoder: Literal["lstm", "one_step"],
        targets: Sequence[str],
    ) -> None:
        super().__init__()
        if not 0 <= teacher_forcing <= 1:
            raise InputError(f"mctn: teacher_forcing is {teacher_forcing}, expected a probability, 0 to 1")
        self.chain = make_chain(sort_modalities(dims), targets)
        self.teacher_forcing, self.always_truth = teacher_forcing, always_truth
        self.hidden_dim = 2 * hidden_dim
        source, first, *others = (dims[name] for name in self.chain)
        both_ways = max(source, first)
        widths = [(both_ways, both_ways), *((hidden_dim, dim) for dim in others)]
        self.translators = nn.ModuleList(
            Translator(dim, out_dim, hidden_dim, dropout, one_step=decoder == "one_step") for dim, out_dim in widths
        )
        self.over_time = Recurrent(nn.LSTM, hidden_dim, hidden_dim, bidirectional=True)
        further = (f"translation_{number}" for number in range(2, len(self.chain)))
        self.loss_weights = dict.fromkeys(["translation", "cycle", *further], 0.5)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        if not inputs.wants_losses:  # translations are needed for the losses only
            return FusionOutput(self.over_time(self._encode(inputs), inputs.lengths))
        source, first, *others = (mask_features(inputs, name) for name in self.chain)
        cyclic, *further_translators = self.translators
        joint, translation = cyclic(source[0], inputs.lengths, first[0], self._draw_teacher_forcing(first[1]))
        _, back = cyclic(translation, inputs.lengths, source[0], self._draw_teacher_forcing(source[1]))
        errors = [_translation_error(translation, *first), _translation_error(back, *source)]
        for translate, (target, observed) in zip(further_translators, others, strict=True):
            joint, translation = translate(joint, inputs.lengths, target, self._draw_teacher_forcing(observed))
            errors.append(_translation_error(translation, target, observed))
        return FusionOutput(self.over_time(joint, inputs.lengths), dict(zip(self.loss_weights, errors, strict=True)))

    def _encode(self, inputs: FusionInput) -> Float[Tensor, "batch time hidden"]:
        """The last joint states, computed by the encoders alone: each reads the joint states of the one before."""
        joint = mask_features(inputs, self.chain[0])[0]
        for translator in self.translators:
            assert isinstance(translator, Translator)
            joint, _ = translator.encode(joint, inputs.lengths)
        return joint

    def _draw_teacher_forcing(self, observed: Bool[Tensor, "batch time"]) -> Bool[Tensor, "batch time"]:
        """True at the steps after which a decoder receives the target; never at unobserved steps."""
        if self.always_truth:
            return observed
        if not self.training:
            return torch.zeros_like(observed)
        return observed & (torch.rand(observed.shape, device=observed.device) < self.teacher_forcing)


def make_chain(names: Sequence[str], targets: Sequence[str]) -> tuple[str, ...]:
    """The source, then the targets in the order of translation.

    >>> make_chain(("face", "voice", "words"), targets=("words",))
    ('face', 'words', 'voice')
    """
    for name in targets:
        if name not in names:
            raise InputError(f"mctn: targets names {name!r}, which is not a modality; known: {', '.join(names)}")
    if len(set(targets)) < len(targets):
        raise InputError(f"mctn: targets names a modality twice, got {list(targets)}: expected each once")
    source, *rest = [name for name in names if name not in targets] or [""]
    if not source:
        raise InputError("mctn: targets names every modality: leave out the one that is the source")
    return (source, *targets, *rest) if len(names) > 1 else (source, source)


def _translation_error(
    translation: Float[Tensor, "batch time dim"],
    target: Float[Tensor, "batch time dim"],
    observed: Bool[Tensor, "batch time"],
) -> Float[Tensor, ""]:
    return masked_mean((translation - target).square(), observed)
