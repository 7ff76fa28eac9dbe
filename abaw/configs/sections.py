"""What a config says, section by section: types, defaults, and what may not be said together."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from abaw.errors import InputError

UNTRAINED = frozenset(
    {"plugins", "post_processing", "encoders", "members", "ensemble"}
)  # what a single training does not read
OWN_RATE = "convolution"  # the one alignment that is learned: the front reads the track at its own rate
FolderName = Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FeatureConfig(_Strict):
    """How a track comes onto the frame clock, and what the front makes of it before a model reads it.

    ``align`` is an aligner's name, or "convolution": a learned one of ``kernel`` rows at the track's own rate, then
    read on the clock. ``normalise``: by the training split's spread, by a learned layer norm, or not. ``project_dim``
    (0: none) is the width to which a linear layer, or the convolution, brings it. FusionInput that were not observed, between
    two that were and lie at most ``fill_gap_s`` apart, are taken from the line between them. In training alone: noise
    of ``noise_std`` is added to every feature, a window loses the whole modality (``modality_dropout``) or single steps
    of it (``step_dropout``), before gaps are filled.
    """

    align: str = "linear"
    max_gap_s: Annotated[float, Field(gt=0)] = 0.5
    kernel: Annotated[int, Field(ge=1)] = 3
    normalise: Literal["split", "learned", "none"] = "split"
    project_dim: Annotated[int, Field(ge=0)] = 0
    fill_gap_s: Annotated[float, Field(ge=0)] = 0.0
    noise_std: Annotated[float, Field(ge=0)] = 0.0
    modality_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    step_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_serializer(mode="wrap")
    def _without_what_has_no_meaning(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A run's config.yaml can be given to abaw train again: a kernel without a convolution would be refused."""
        return {key: value for key, value in handler(self).items() if key != "kernel" or self.align == OWN_RATE}


class PartConfig(BaseModel):
    """A part by name; every other key is one of its settings, checked by its registry."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class TaskConfig(BaseModel):
    """A task's weight in the loss; every other key is one of the task's settings."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)
    weight: Annotated[float, Field(ge=0)] = 1.0

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class WindowConfig(_Strict):
    """Windows in steps of the frame clock. Where several cover a step, ``overlap`` says how their outputs are averaged:
    all alike, or by how near the step is to each one's centre."""

    length: Annotated[int, Field(ge=1)] = 150
    stride: Annotated[int, Field(ge=1)] = 75
    overlap: Literal["mean", "centre"] = "mean"


class FoldsConfig(_Strict):
    """Which clips are trained on. ``num`` folds of whole videos, of which ``fold`` is held out; fold 0 is the official
    split, the others part its training videos by kind of label, ``seed`` says how. ``refit``: nothing is held out.

    A video on both sides is an error, or (``drop_leaks``) is left out of the training side.
    """

    num: Annotated[int, Field(ge=1)] = 1
    fold: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0
    refit: bool = False
    drop_leaks: bool = False

    @field_validator("fold")
    @classmethod
    def _is_there(cls, fold: int, info: ValidationInfo) -> int:
        num = info.data.get("num", fold + 1)
        if fold >= num:
            raise InputError(f"there are the folds 0 .. {num - 1}: give one of them, or set folds.num higher")
        return fold

    @field_validator("refit")
    @classmethod
    def _holds_nothing_out(cls, refit: bool, info: ValidationInfo) -> bool:
        if refit and info.data.get("fold"):
            raise InputError(f"a refit holds nothing out, but folds.fold is {info.data['fold']}: leave out one of them")
        return refit


class PostProcessingConfig(_Strict):
    """What ``abaw fit`` tries: gaps filled or not, smoothers over widths (odd, in frames), in which space, and whether
    a bias (for valence and arousal: scale and shift) is fitted after."""

    fill_gaps: bool = True
    smoothers: Annotated[list[Literal["box", "median", "gaussian", "savgol"]], Field(min_length=1)] = ["box"]
    widths: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = [1, 5, 11, 25, 51, 101]
    spaces: Annotated[list[Literal["probabilities", "logits"]], Field(min_length=1)] = ["probabilities"]
    bias: bool = True

    @field_validator("widths")
    @classmethod
    def _are_odd(cls, widths: list[int]) -> list[int]:
        even = [width for width in widths if width % 2 == 0]
        if even:
            raise InputError(f"{even[0]} is even and has no middle: give odd numbers of frames (1: no smoothing)")
        return widths


class TrainingConfig(_Strict):
    """The optimizer and how long it goes on. With "adam" ``weight_decay`` is an L2 penalty, with "adamw" decoupled.

    The learning rate rises over ``warmup_epochs``, then stays, or falls to 0 along a cosine until training ends.
    ``sampling`` "balanced" draws windows so that every kind of label is seen alike. With ``ema_decay`` the weights that
    are scored and kept are an exponential mean over steps (0: the last). ``label_shift``: labels lie so many frames
    after what they are about; predictions are shifted back. ``num_workers`` processes read windows (0: this one).
    """

    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    optimizer: Literal["adamw", "adam"] = "adamw"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    schedule: Literal["constant", "cosine"] = "constant"
    patience_epochs: Annotated[int, Field(ge=1)] = 10
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    label_shift: Annotated[int, Field(ge=0)] = 0
    num_workers: Annotated[int, Field(ge=0, le=128)] = 0
    loggers: list[Literal["tensorboard", "wandb", "mlflow"]] = ["tensorboard"]


class Config(_Strict):
    """One training run. Paths are relative to the folder the command is given in.

    ``plugins``: Python files with parts of your own, loaded before anything else. ``trainer`` goes to ``lightning.Trainer`` as it is; ``losses`` weighs a model's auxiliary losses (default:
    the weights of its paper). A recipe (``abaw recipe``) also says which ``encoders`` to extract, and which ``members``
    to train: each is laid over this config; ``ensemble`` says how they are combined and ``post_processing`` what is fitted
    after training. A single training reads none of these (``UNTRAINED``).
    """

    plugins: list[str] = []
    name: FolderName
    data: str
    store: str
    tasks: Annotated[dict[str, TaskConfig], Field(min_length=1)]
    features: Annotated[dict[str, FeatureConfig], Field(min_length=1)]
    model: PartConfig
    losses: dict[str, float] = {}
    window: WindowConfig = WindowConfig()
    training: TrainingConfig = TrainingConfig()
    trainer: dict[str, Any] = {}
    folds: FoldsConfig = FoldsConfig()
    post_processing: PostProcessingConfig = PostProcessingConfig()
    encoders: list[str] = []
    members: dict[FolderName, dict[str, Any]] = {}
    ensemble: Literal["mean", "weighted", "centred"] = "mean"

    @field_validator("tasks")
    @classmethod
    def _learns(cls, tasks: dict[str, TaskConfig]) -> dict[str, TaskConfig]:
        if not any(task.weight for task in tasks.values()):
            raise InputError("every task weighs 0: nothing would be learned")
        return tasks

    @field_validator("tasks", "features", mode="before")
    @classmethod
    def _bare(cls, parts: Any) -> Any:
        """``va:`` with nothing behind it means all its defaults."""
        return (
            {key: {} if value is None else value for key, value in parts.items()} if isinstance(parts, dict) else parts
        )
