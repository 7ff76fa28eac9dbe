"""Sections of a config that do nothing by default: layers after the model, teachers, an earlier run, adaptation."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from abaw.files import as_path

Place = Annotated[str, AfterValidator(lambda given: str(as_path(given, "path")))]  # ~ is the home folder
# of all sections: an unknown key or another type is an error, and values do not change
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Strict(BaseModel):
    model_config = STRICT


class HiddenConfig(_Strict):
    """Layers between the fusion model and the heads of the tasks, for any model; by default there are none.

    ``frequency_attention``: attention over the window at the low frequencies of the hidden states, by dot products
    ("dot") or by the linearised softmax of cosines ("linsoftmax"). Every output then depends on the whole window, also
    that of a causal model. ``cutoff_hz``: the frequencies up to it are kept; at most half the frame rate of every clip.
    ``head_dim``: the width of queries and keys. ``num_repeats``: how often the layer is applied, with the same weights.
    ``gating``: after that, each feature is multiplied by a gate that depends on all features of the step.
    """

    frequency_attention: Literal["none", "dot", "linsoftmax"] = "none"
    cutoff_hz: Annotated[float, Field(gt=0)] = 1.5
    head_dim: Annotated[int, Field(ge=1)] = 32
    num_repeats: Annotated[int, Field(ge=1)] = 2
    gating: bool = False


Share = Annotated[float, Field(ge=0, le=1)]


class PseudoLabelsConfig(_Strict):
    """Labels for frames that have none, from prediction tables, above a confidence.

    ``tables``: folders that ``abaw predict`` or ``abaw combine`` wrote; their mean gives the label. Only clips of the
    training side get labels. ``min_confidence``, from 0 to 1: of classes the probability of the most probable one, of
    action units that of the decision (each unit by itself), of values how well two or more tables agree, 1 - their
    largest difference as a part of half the range; or such a number for each task by name, and other tasks get no
    labels. ``min_share``: at least this share of the frames of each class gets its label, the most confident first,
    whatever ``min_confidence`` is. ``weight``: the factor of the loss on these frames beside that on labels.
    ``align_clips``: in clips without labels, each value is shifted by a constant, so that the means of these clips vary
    as little as those of the clips with labels. ``test_clips``: also clips of the test list, or of no split, which are
    an error otherwise.
    """

    tables: list[Place] = []
    min_confidence: Share | Annotated[dict[str, Share], Field(min_length=1)] = 0.9
    min_share: Share = 0.0
    align_clips: bool = False
    weight: Annotated[float, Field(gt=0)] = 1.0
    test_clips: bool = False


class DistillationConfig(_Strict):
    """Training towards the outputs in prediction tables, in all frames of the clips that may be trained on.

    ``tables``, ``align_clips`` and ``test_clips``: as in ``pseudo_labels``. The loss is added to that on labels with
    ``weight``: for classes and units the divergence at ``temperature``, for values 1 - CCC plus the squared error.
    """

    tables: list[Place] = []
    temperature: Annotated[float, Field(gt=0)] = 2.0
    align_clips: bool = False
    weight: Annotated[float, Field(gt=0)] = 1.0
    test_clips: bool = False


class ContinuingConfig(_Strict):
    """A training that starts from the weights of a complete run and stays near them, on new clips.

    ``run``: the folder of that run, its parent, which has the same features, model and tasks. The loss has one more
    term, ``penalty`` / 2 times the sum over all weights of their squared distance from those of the parent, each
    multiplied by its Fisher information: how strongly the parent's loss on its own training clips depends on it. Where
    the parent itself continues another run, ``alpha`` is the part of the first run of the chain, in the weights at the
    start and in the penalty; with 0 the parent alone counts. ``save_fisher``: keep the Fisher information of this run
    with its weights, so that a later training can continue it without its clips; otherwise it is measured then.
    """

    run: Place | None = None
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    penalty: Annotated[float, Field(ge=0)] = 1000.0
    save_fisher: bool = False


class AdaptationConfig(_Strict):
    """How a model that adapts to persons (``limaml``) does it: in every step of training, and in ``abaw personalise``.

    Adaptation is ``steps`` of gradient descent with ``rate`` on the loss of labelled frames of a person. In training
    these are ``num_support`` frames of a clip (of a group, where the data set names groups; clips of it, where a clip
    has one label), the loss that trains is that of his frames at least ``gap_s`` seconds from them, and ``num_windows``
    of a person are in a batch together. ``first_order``: without second derivatives.
    """

    steps: Annotated[int, Field(ge=0, le=1000)] = 3
    rate: Annotated[float, Field(ge=0)] = 0.3
    num_support: Annotated[int, Field(ge=1)] = 10
    gap_s: Annotated[float, Field(ge=0)] = 1.0
    num_windows: Annotated[int, Field(ge=1)] = 4
    first_order: bool = False
