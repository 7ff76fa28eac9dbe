"""What combining members found and wrote, as values and as text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abaw.ensembling.strength import Strength
from abaw.ensembling.weights import EnsembleWeights
from abaw.results.selection import to_ending


@dataclass(frozen=True)
class CombineResult:
    """The ensemble of one task: its weights, the members' folders in their order, and remarks.

    ``strength``: what each member scores, those in ``dropped`` too, and how alike they are. ``scores``, where there are
    labels: the official ranking score of the kept members by folder and of the ensemble: "mean", "centred", "weighted"
    (cross-fitted) beside the "mean" where weights were fitted, "like" where they were taken over. ``selection`` says
    where an epoch was chosen on the clips that these are of. ``remarks`` say what the fit is expected to gain.
    """

    task: str
    weights: EnsembleWeights
    members: tuple[str, ...]
    strength: Strength
    dropped: tuple[str, ...] = ()
    num_tables: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    selection: str = ""
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [*self.strength.lines()]
        for name, value in self.scores.items():
            if name not in self.members:  # whose lines stand above
                fitted = " (cross-fitted)" * (name == "weighted")
                how = "weights taken over" if name == "like" else name
                score = f"{self.strength.metric} {value:.4f}"
                lines.append(f"ensemble, {how}: {score}{fitted}{to_ending(self.selection)}")
        for member, each in zip(self.members, self.weights.weights, strict=True):
            numbers = ", ".join(f"{weight:.3f}" for weight in each)
            lines.append(f"weight {numbers} ({self.weights.how}): {member}")
        return "\n".join(f"{self.task} {line}" for line in (*lines, *self.remarks))

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "task": self.task,
            "ensemble": self.weights.document(self.members),
            "dropped": list(self.dropped),
            "strength": self.strength.document(),
            "num_tables": self.num_tables,
            "scores": dict(self.scores),
            "selection": self.selection,
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True)
class CombineReport:
    """What ``combine`` made: a result for each task, and the folder of the tables."""

    results: dict[str, CombineResult]
    out: Path

    @property
    def num_tables(self) -> int:
        """How many tables were written."""
        return sum(each.num_tables for each in self.results.values())

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {"out": str(self.out), "results": {name: each.to_dict() for name, each in self.results.items()}}

    def __str__(self) -> str:
        return "\n".join([*map(str, self.results.values()), f"{self.out}: {self.num_tables} tables"])
