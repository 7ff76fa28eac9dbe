"""Adaptation of a model to persons: in a training step to those of the batch, and of a trained model to one person.

LiMAML (Wang et al. 2024, arXiv 2403.00803): gradient descent on labelled steps of a person, the support, changes the
parameters of ``AdaptiveModel.person_block`` alone. In training the loss of other steps of the same person, the query,
goes through these updates (MAML, Finn et al. 2017, arXiv 1703.03400).
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from abaw.batches import Batch
from abaw.configs.optional_sections import AdaptationConfig
from abaw.errors import InputError
from abaw.tasks.base import Task
from fusion.base import FusionInput, FusionModel

Raw = Mapping[str, Tensor]  # raw outputs (batch time out) of every task
Masks = dict[str, Tensor]  # task -> which steps count (batch time)


class AdaptiveModel(FusionModel):
    """A model that reads a vector of the person whose window it gets, and adapts it to labelled steps of the person.

    The vector is ``person_block(describe(inputs))``. Adaptation (``adapt``) changes the parameters of
    ``person_block`` and nothing else; its result, the vector, is all that is kept of it. ``forward`` uses
    ``inputs.vectors``, one for each window; where they are None or NaN, the vector without adaptation.
    """

    person_block: nn.Module
    has_description: bool = False  # whether ``describe`` reads the features, of all windows of a person

    @abstractmethod
    def describe(
        self, inputs: FusionInput, persons: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "person description"]:
        """What ``person_block`` gets, without labels: a row for each window or, with ``persons`` (the number of each
        window's person, from 0), one for each person, of all his windows."""


@dataclass(frozen=True)
class Episode:
    """A batch as tasks of meta-learning: the number of each window's person, from 0, and the steps of both losses.

    A person with too few labels in the batch has no support: he is not adapted to, and all his labels are query.
    """

    persons: Int[Tensor, " batch"]
    support: Masks
    query: Masks


@dataclass(frozen=True)
class Adapted:
    """What adaptation gives: the vector of each person, and his parameters of ``person_block`` (the first axis)."""

    vectors: Float[Tensor, "person embedding"]
    parameters: dict[str, Tensor]


def draw_episode(
    batch: Batch, person_of: Mapping[str, str], tasks: Mapping[str, Task], settings: AdaptationConfig
) -> Episode:
    """Draw the support of each person in a batch; the query are the labelled steps of other clips, or ``gap_s`` away.

    The first half of a person's labelled steps, in order of time or against it and with his clips in random order, are
    candidates, so that a query remains. Where a task is clip-level, whole clips are support or query.
    ``person_of``: clip -> person; a clip that it does not name is a person of its own.
    """
    of_clips = any(task.resolution == "clip" for task in tasks.values())
    names = [person_of.get(clip_id, clip_id) for clip_id in batch.clip_ids]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    persons = torch.tensor([numbers[name] for name in names], device=batch.lengths.device)
    scored = {name: batch.scored[name] for name in tasks if name in batch.scored}
    support = {name: torch.zeros_like(mask) for name, mask in scored.items()}
    query = {name: mask.clone() for name, mask in scored.items()}
    if scored:
        labelled = torch.stack(list(scored.values())).any(0)
        clips = list(dict.fromkeys(batch.clip_ids))
        clip_of_row = torch.tensor([clips.index(clip_id) for clip_id in batch.clip_ids], device=persons.device)
        for number in numbers.values():
            rows = (persons == number).nonzero()[:, 0]
            own = _draw_support(labelled[rows], clip_of_row[rows], batch.times_s[rows], of_clips, settings)
            away = _find_query(own, clip_of_row[rows], batch.times_s[rows], of_clips, settings.gap_s)
            if not (away & labelled[rows]).any():
                continue
            for name, mask in scored.items():
                support[name][rows], query[name][rows] = mask[rows] & own, mask[rows] & away
    return Episode(persons, support, query)


def _draw_support(
    labelled: Bool[Tensor, "row time"],
    clips: Int[Tensor, " row"],
    times_s: Float[Tensor, "row time"],
    of_clips: bool,
    settings: AdaptationConfig,
) -> Bool[Tensor, "row time"]:
    """The support among the labelled steps of one person's windows."""
    there = clips[labelled.any(1)].unique()
    order = there[torch.randperm(len(there)).to(there.device)]
    if of_clips:
        chosen = order[: min(settings.num_support, len(order) // 2)]
        return labelled & torch.isin(clips, chosen)[:, None]
    rows, steps = labelled.nonzero(as_tuple=True)
    sign = 1.0 if torch.rand(()) < 0.5 else -1.0
    place = torch.argsort(order)[torch.searchsorted(there, clips[rows])]
    earlier = torch.argsort(sign * times_s[rows, steps], stable=True)
    sequence = earlier[torch.argsort(place[earlier], stable=True)]
    candidates = sequence[: len(sequence) // 2]
    chosen = candidates[torch.randperm(len(candidates))[: settings.num_support].to(candidates.device)]
    support = torch.zeros_like(labelled)
    support[rows[chosen], steps[chosen]] = True
    return support


def _find_query(
    support: Bool[Tensor, "row time"],
    clips: Int[Tensor, " row"],
    times_s: Float[Tensor, "row time"],
    of_clips: bool,
    gap_s: float,
) -> Bool[Tensor, "row time"]:
    """The steps that are in another clip than every support step, or at least ``gap_s`` from it."""
    away = torch.ones_like(support)
    for clip in clips[support.any(1)].unique():
        own = clips == clip
        at_s = times_s[own][support[own]]
        near = (times_s[own][..., None] - at_s).abs().amin(-1) < gap_s
        # a step of the support in an overlapping window is at the same time: never both, also with a gap of 0
        near |= torch.isin(times_s[own], at_s)
        away[own] = ~near if not of_clips else False
    return away


def adapt(
    model: AdaptiveModel,
    run: Callable[[FusionInput], Raw],
    inputs: FusionInput,
    persons: Int[Tensor, " batch"],
    loss: Callable[[Raw], Tensor],
    settings: AdaptationConfig,
    *,
    is_training: bool,
) -> Adapted:
    """Adapt copies of the person block's parameters to each person of a batch; the model stays as it is.

    ``persons``: the number of each window's person, from 0. ``run`` gives the raw outputs of the network, without
    dropout, for inputs with vectors; ``loss`` the sum of the persons' losses on their support, of which none may depend
    on another person's outputs. With ``is_training`` the vectors have a gradient: through all steps or, with
    ``first_order``, as if the steps were constant shifts.
    """
    block, description = model.person_block, model.describe(inputs, persons)
    keep = torch.clone if is_training else _leaf
    parameters = {name: keep(each.expand(len(description), *each.shape)) for name, each in block.named_parameters()}
    with plain_kernels(), torch.enable_grad():
        for _ in range(settings.steps):
            vectors = _vectors(block, parameters, description)
            value = loss(run(replace(inputs, vectors=vectors[persons], wants_losses=False)))
            if not value.requires_grad:  # no label at all
                break
            of_each = [*parameters.values()]
            slopes = torch.autograd.grad(value, of_each, create_graph=is_training and not settings.first_order)
            parameters = {
                name: each - settings.rate * slope
                for (name, each), slope in zip(parameters.items(), slopes, strict=True)
            }
            if not is_training:
                parameters = {name: _leaf(each) for name, each in parameters.items()}
        if is_training:
            return Adapted(_vectors(block, parameters, description), parameters)
    # each alone, as the network with these parameters computes it: in a common product the last bits may differ
    own = [{name: each[i] for name, each in parameters.items()} for i in range(len(description))]
    each = zip(own, description[:, None], strict=True)
    with torch.no_grad():
        return Adapted(torch.cat([functional_call(block, one, (about,)) for one, about in each]), parameters)


def support_loss(
    tasks: Mapping[str, Task], weights: Mapping[str, float], batch: Batch, episode: Episode
) -> Callable[[Raw], Tensor]:
    """The loss for ``adapt``: of every person and task, on the support, with the weights of the tasks."""
    rows = [(episode.persons == number).nonzero()[:, 0] for number in range(int(episode.persons.max()) + 1)]

    def loss(raw: Raw) -> Tensor:
        pieces = [
            weights[name] * tasks[name].loss(raw[name][own], batch.target[name][own], mask[own])
            for name, mask in episode.support.items()
            for own in rows
        ]
        return torch.stack(pieces).sum() if pieces else torch.zeros(())

    return loss


def stack_vectors(vectors: Mapping[str, Tensor], batch: Batch) -> Tensor | None:
    """The vectors (batch embedding) of the persons of a batch, given by clip, NaN for others; None without vectors."""
    if not vectors:
        return None
    unknown = torch.full_like(next(iter(vectors.values())), torch.nan)
    return torch.stack([vectors.get(clip_id, unknown) for clip_id in batch.clip_ids]).to(batch.times_s.device)


@contextmanager
def without_dropout(*modules: nn.Module) -> Iterator[None]:
    """With the modules in eval mode: dropout would make an adaptation random."""
    modes = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)


def _leaf(parameter: Tensor) -> Tensor:
    return parameter.detach().clone().requires_grad_()


def _vectors(
    block: nn.Module, parameters: dict[str, Tensor], description: Float[Tensor, "person description"]
) -> Float[Tensor, "person embedding"]:
    """Each person's vector, by his own parameters."""
    return torch.vmap(lambda own, about: functional_call(block, own, (about[None],))[0])(parameters, description)


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Without cuDNN's recurrent layers and fused attention, whose gradients have no gradient."""
    with torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
        yield


def check_adaptation(model: FusionModel, dims: Mapping[str, int], settings: AdaptationConfig) -> None:
    """Raises InputError where ``adaptation`` is set for a model that does not adapt, or needs second derivatives that
    the model does not have. ``dims``: features of each modality, after the input stage."""
    if not isinstance(model, AdaptiveModel):
        if settings != AdaptationConfig():
            raise InputError("this model does not adapt to persons (limaml does): remove the section, or change model")
        return
    if settings.first_order or not settings.steps:
        return
    model.eval()
    features = {name: torch.ones(1, 2, dim) for name, dim in dims.items()}  # random numbers would change training
    observed = dict.fromkeys(features, torch.ones(1, 2, dtype=torch.bool))
    inputs = FusionInput(features, observed, torch.tensor([[0.0, 0.04]], dtype=torch.float64), torch.tensor([2]))
    with plain_kernels():
        vectors = model.person_block(model.describe(inputs)).detach().requires_grad_()
        hidden = model(replace(inputs, vectors=vectors, wants_losses=False)).hidden
        try:
            (gradient,) = torch.autograd.grad(hidden.square().sum(), vectors, create_graph=True)
            # not autograd.grad: it leaves out, without a word, what a function of once_differentiable hides
            gradient.square().sum().backward()
            model.zero_grad()
        except RuntimeError as error:
            raise InputError(
                f"the inner model has no second derivative ({str(error).splitlines()[0]}): set "
                "adaptation.first_order to true, or take another inner model"
            ) from error
