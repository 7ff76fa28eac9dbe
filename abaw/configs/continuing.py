"""The section of a config that continues the training of an earlier run."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from abaw.files import as_path


class ContinuingConfig(BaseModel):
    """A training that starts from the weights of a complete run and stays near them, on new clips.

    ``run``: the folder of that run, its parent, which has the same features, model and tasks. The loss has one more
    term, ``penalty`` / 2 times the sum over all weights of their squared distance from those of the parent, each
    multiplied by its Fisher information: how strongly the parent's loss on its own training clips depends on it. Where
    the parent itself continues another run, ``alpha`` is the part of the first run of the chain, in the weights at the
    start and in the penalty; with 0 the parent alone counts. ``save_fisher``: keep the Fisher information of this run
    with its weights, so that a later training can continue it without its clips; otherwise it is measured then.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    run: Annotated[str, AfterValidator(lambda given: str(as_path(given, "path")))] | None = None
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    penalty: Annotated[float, Field(ge=0)] = 100.0
    save_fisher: bool = False
