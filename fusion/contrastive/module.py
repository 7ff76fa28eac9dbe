"""The Lightning module of siamese models: one encoder on the pairs of all tasks, and one for each task alone."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.batches import Batch
from abaw.configs.sections import Config
from abaw.errors import InputError
from abaw.tasks.base import Task
from fusion.base import FusionInput, FusionModel
from fusion.contrastive.pairs import START_OFFSET, START_SCALE, draw_pairs, pair_loss
from fusion.contrastive.relations import Relation, relations_of
from fusion.input_stage import InputStage
from fusion.layers.masks import make_length_mask
from fusion.module import FusionModule, LossTerm, Outputs

JOINT = "joint"  # the encoder that all relations share


class Twin(nn.Module):
    """The encoder of a single relation: an input stage and a model of its own."""

    def __init__(self, input_stage: InputStage, model: FusionModel) -> None:
        super().__init__()
        self.input_stage, self.model = deepcopy(input_stage), deepcopy(model)
        self.scale_and_offset = nn.Parameter(torch.tensor([START_SCALE, START_OFFSET]))


class ContrastiveModule(FusionModule):
    """The training of a siamese model (``FusionModel.is_siamese``).

    The model learns from pairs of steps alone: for each relation of the tasks (``relations_of``) the binary
    cross-entropy of "alike" on the cosine, with a scale and an offset that are learned; the mean over the relations,
    weighted by the tasks' weights. The tasks' heads read the embedding and do not change it.

    Where there are several relations, a single-task twin is trained for each beside the joint encoder: a copy with the
    same initial weights, in the same steps, on the same pairs of its relation. So a run always
    shows whether the joint embedding is better than that of a task alone (``fusion/contrastive/measuring.py``).
    """

    def __init__(self, model: FusionModel, tasks: Mapping[str, Task], config: Config, dims: Mapping[str, int]) -> None:
        super().__init__(model, tasks, config, dims)
        self.relations = {each.name: each for task in tasks.values() for each in relations_of(task)}
        start = [START_SCALE, START_OFFSET]
        self.scales = nn.ParameterDict({_key(name): nn.Parameter(torch.tensor(start)) for name in self.relations})
        alone = self.relations if len(self.relations) > 1 else ()
        self.twins = nn.ModuleDict({_key(name): Twin(self.input_stage, model) for name in alone})

    def encoder_names(self) -> tuple[str, ...]:
        """The encoders there are: "joint", and the relations of the single-task twins."""
        return (JOINT, *(self.relations if len(self.twins) else ()))

    def embed(
        self, batch: Batch, name: str = JOINT
    ) -> tuple[Float[Tensor, "batch time dim"], Bool[Tensor, "batch time"]]:
        """The embedding (batch time dim) by an encoder, and where something was observed (batch time).

        Raises InputError where there is no encoder of that name.
        """
        if name not in self.encoder_names():
            raise InputError(f"no encoder {name!r} in this run: it has {', '.join(self.encoder_names())}")
        encoder = self if name == JOINT else self._twin(name)
        inputs = replace(encoder.input_stage(batch), wants_losses=False)
        inside = make_length_mask(inputs.lengths, inputs.times_s.shape[1])
        return encoder.model(inputs).hidden, torch.stack(list(inputs.observed.values())).any(0) & inside

    def measure(self, batches: Iterable[Batch]) -> None:
        """As the base class; the twins begin with the statistics of the input stage."""
        for name in self.encoder_names()[1:]:
            self._twin(name).input_stage.load_state_dict(self.input_stage.state_dict())
        super().measure(batches)

    def _twin(self, name: str) -> Twin:
        return cast("Twin", self.twins[_key(name)])

    def _fuse(self, inputs: FusionInput) -> Outputs:
        with torch.no_grad():
            hidden = self.model(inputs).hidden
        return self._read(hidden, inputs), {}

    def _loss_terms(self, batch: Batch, passes: list[Outputs]) -> dict[str, LossTerm]:
        return {**super()._loss_terms(batch, passes), **self.pair_terms(batch)}

    def pair_terms(self, batch: Batch) -> dict[str, LossTerm]:
        """The loss of each relation on the joint embedding, and on that of its twin; 0 without labels or pairs."""
        embedding, seen = self.embed(batch)
        weights = {name: self.config.tasks[each.task].weight for name, each in self.relations.items()}
        terms = {}
        for name, relation in self.relations.items():
            target, usable = _labels(relation, batch, seen)
            pairs = draw_pairs(relation, batch.clip_ids, target, usable)
            num = int(usable.any(1).sum()) if len(pairs.is_alike) else 0
            loss = pair_loss(embedding, pairs, self.scales[_key(name)])
            terms[f"pairs/{name}"] = LossTerm(weights[name] / sum(weights.values()), loss, num)
            if len(self.twins):
                alone, _ = self.embed(batch, name)
                loss = pair_loss(alone, pairs, self._twin(name).scale_and_offset)
                terms[f"pairs_alone/{name}"] = LossTerm(1.0, loss, num)
        return terms


def _labels(relation: Relation, batch: Batch, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The task's labels (batch time goal), and the observed steps that have one of this relation (batch time)."""
    target, scored = batch.target.get(relation.task), batch.scored.get(relation.task)
    if target is None or scored is None:
        return seen.new_zeros((*seen.shape, relation.columns.stop), dtype=torch.float32), torch.zeros_like(seen)
    return target, relation.usable(target, scored) & seen


def _key(name: str) -> str:
    """The key of a relation's parameters: one that no module's attribute has, and without a dot."""
    return f"of_{name}".replace(".", "_")
