"""The sections of a config: keys, types, defaults, bounds, and values that exclude each other."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from abaw.configs.optional_sections import (
    STRICT,
    AdaptationConfig,
    ContinuingConfig,
    DistillationConfig,
    HiddenConfig,
    Place,
    PseudoLabelsConfig,
)
from abaw.errors import InputError

# keys that do not change what a single training computes
UNTRAINED = frozenset({"plugins", "post_processing", "encoders", "members", "ensemble", "submission"})
BY_GROUP = "groups"  # instead of a number of folds: each group is held out once
# of observed rows, to standardise within a group: with less, a few sentences would decide what is usual for a person
MIN_GROUP_S = 30.0
STILL_S = 1.0  # what the row of a still picture counts as
OWN_RATE = "convolution"  # the one alignment that is learned: the input stage reads the track at its own rate
Overlap = Literal["mean", "centre"]  # how the outputs of overlapping windows are averaged
Calibration = Literal["none", "isotonic"]  # of a task's head
Pooling = Literal["mean", "attention", "statistics"]  # of a clip-level task's head, over the steps of a window
Smoother = Literal["box", "median", "gaussian", "savgol"]
Space = Literal["probabilities", "logits"]  # in which columns are smoothed
WidthUnit = Literal["frames", "seconds", "images"]  # of smoothing; images: the frames with labels, or rows in a list
# of smoothing: more changes nothing in a clip, but would take memory without end
MAX_WIDTHS: dict[WidthUnit, int] = {"frames": 100_001, "images": 100_001, "seconds": 3600}
EnsembleMethod = Literal["mean", "weighted", "centred"]
FolderName = Annotated[str, Field(pattern=r"^[\w-][\w.-]*$", max_length=200)]


class _Strict(BaseModel):
    model_config = STRICT


class FeatureConfig(_Strict):
    """How a track is aligned to frames, and what the input stage does with it before a fusion model reads it.

    ``align``: the name of an aligner, or "convolution", a learned convolution over ``kernel`` rows at the track's own
    rate whose output is then interpolated to the frames. A row further than ``max_gap_s`` seconds from a frame does not
    count for it. ``width_s``, of window_mean: the mean is over the rows of so many seconds around each frame (1.0: half
    a second before and after), by default over the frame's own interval. ``normalise``: by the mean and standard
    deviation of the training split ("split"), by those of the clip's group, a speaker or subject, over all his
    unlabelled material, test clips included ("group"), by a learned layer norm ("learned"), or not at all ("none").
    ``project_dim``: number of features after a linear layer or the convolution; 0 keeps them as they are.
    ``fill_gap_s``: steps that were not observed are interpolated between two observed ones at most so many seconds
    apart.

    In training only: ``noise_std`` is the standard deviation of Gaussian noise added to every feature;
    ``modality_dropout`` is the probability that a window loses the whole modality, ``step_dropout`` that a step does,
    both before gaps are filled.
    """

    align: str = "linear"
    max_gap_s: Annotated[float, Field(gt=0)] = 0.5
    width_s: Annotated[float, Field(gt=0)] | None = None
    kernel: Annotated[int, Field(ge=1)] = 3
    normalise: Literal["split", "group", "learned", "none"] = "split"
    project_dim: Annotated[int, Field(ge=0)] = 0
    fill_gap_s: Annotated[float, Field(ge=0)] = 0.0
    noise_std: Annotated[float, Field(ge=0)] = 0.0
    modality_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    step_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_serializer(mode="wrap")
    def _without_unused_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an unused kernel or width: config.yaml of a run can then be given to ``abaw train`` again."""
        unused = {"kernel" if self.align != OWN_RATE else "", "width_s" if self.width_s is None else ""}
        return {key: value for key, value in handler(self).items() if key not in unused}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the aligner beside ``max_gap_s``: ``width_s`` where it is given."""
        return {} if self.width_s is None else {"width_s": self.width_s}


class PartConfig(BaseModel):
    """A part by its name. Every other key is one of its settings, which its registry checks."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by name, as they were given."""
        return dict(self.model_extra or {})


class TaskConfig(BaseModel):
    """A task's weight in the loss, and how its head pools. Every other key is one of the task's settings, which its
    registry checks.

    ``pooling``, of a clip-level task: the mean of the head's outputs at all steps ("mean"), or a head on the mean of
    the hidden states weighted by an attention that is learned ("attention"), or on their mean and standard deviation
    ("statistics"), over the steps of a window in which something was observed. ``calibration`` "isotonic": a monotone
    map of each class's or unit's output, for each set of observed features, is trained with the head (``Calibrator``).
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)
    weight: Annotated[float, Field(ge=0)] = 1.0
    pooling: Pooling = "mean"
    calibration: Calibration = "none"

    @model_serializer(mode="wrap")
    def _without_usual_head(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the usual pooling and calibration: config.yaml of a run without them has no such keys."""
        usual = {("pooling", "mean"), ("calibration", "none")}
        return {
            key: value for key, value in handler(self).items() if key not in dict(usual) or (key, value) not in usual
        }

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by name, as they were given."""
        return dict(self.model_extra or {})


class WindowConfig(_Strict):
    """The windows in which a clip is read: ``length`` and ``stride`` in frames.

    Where windows overlap, their outputs are averaged: with equal weights ("mean"), or weighted by how near the frame is
    to the centre of each window ("centre").
    """

    length: Annotated[int, Field(ge=1)] = 150
    stride: Annotated[int, Field(ge=1)] = 75
    overlap: Overlap = "mean"


class FoldsConfig(_Strict):
    """Which groups (speakers, sessions, subjects; without such a column, videos) are trained on and which are held out.

    Of ``num`` folds of whole groups, ``fold`` is held out. Fold 0 is the official validation split; folds 1 and on are
    parts of the official training split, drawn with ``seed`` and stratified by their labels. Where the data set has no
    validation split, fold 0 is such a part too. ``num`` "groups": each group is held out once. ``refit``: nothing is
    held out. A group in both training and validation is an error, or is left out of training (``drop_leaks``).
    """

    num: int | Literal["groups"] = 1
    fold: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0
    refit: bool = False
    drop_leaks: bool = False

    @property
    def number(self) -> int:
        """``num`` where a number is needed. Raises InputError where it is "groups"."""
        if isinstance(self.num, str):
            raise InputError(f"folds.num is {BY_GROUP}, expected a number of folds here")
        return self.num

    @field_validator("num", mode="plain")
    @classmethod
    def _is_number_or_word(cls, num: Any) -> Any:
        if num != BY_GROUP and (isinstance(num, bool) or not isinstance(num, int) or num < 1):
            raise InputError(f"expected a number of folds, 1 or more, or the word {BY_GROUP} (each group is one)")
        return num

    @field_validator("fold")
    @classmethod
    def _exists(cls, fold: int, info: ValidationInfo) -> int:
        num = info.data.get("num", fold + 1)
        if num != BY_GROUP and fold >= num:
            raise InputError(f"expected a fold from 0 to {num - 1}: give one of them, or increase folds.num")
        return fold

    @field_validator("refit")
    @classmethod
    def _holds_nothing_out(cls, refit: bool, info: ValidationInfo) -> bool:
        if refit and info.data.get("fold"):
            raise InputError(f"a refit holds nothing out, but folds.fold is {info.data['fold']}: remove one of the two")
        return refit


class PostProcessingConfig(_Strict):
    """What ``abaw fit`` tries: gap filling, ``smoothers`` of ``widths`` on probabilities or logits (``spaces``), a
    ``calibration`` of the probabilities of classes and units, and then a ``bias`` (for valence and arousal, a scale and
    a bias).

    ``unit`` of the widths: "frames" or "images", odd numbers (1: no smoothing), or "seconds" (0: no smoothing). Images
    are the labelled frames, or those that a challenge file asks for: of s-Aff-Wild2 1 frame in 13 on average.
    """

    fill_gaps: bool = True
    smoothers: Annotated[list[Smoother], Field(min_length=1)] = ["box"]
    unit: WidthUnit = "frames"
    widths: Annotated[list[Annotated[int | float, Field(ge=0)]], Field(min_length=1)] = [1, 5, 11, 25, 51, 101]
    spaces: Annotated[list[Space], Field(min_length=1)] = ["probabilities"]
    calibration: bool = False
    bias: bool = True

    @field_validator("widths")
    @classmethod
    def _are_odd(cls, widths: list[int | float], info: ValidationInfo) -> list[int | float]:
        unit = info.data.get("unit", "frames")
        even = [] if unit == "seconds" else [width for width in widths if width % 2 != 1]
        if even:
            raise InputError(f"{even[0]} is even or no whole number: give odd numbers of {unit} (1: no smoothing)")
        if unit in MAX_WIDTHS and max(widths, default=0) > MAX_WIDTHS[unit]:
            raise InputError(f"{max(widths)} is too wide: give {MAX_WIDTHS[unit]} {unit} or less")
        return widths

    @model_validator(mode="after")
    def _has_seconds(self) -> "PostProcessingConfig":
        if self.unit == "seconds" and "widths" not in self.model_fields_set:
            raise InputError("unit is seconds: give widths in seconds, [0, 0.5, 1, 2, 4] say (0: no smoothing)")
        return self


class SubmissionConfig(_Strict):
    """What a challenge file may hold: the shares of rows, of each clip and of all, that may be after the clip's last
    frame (``max_held``) or of frames in which nothing was observed (``max_filled``)."""

    max_held: Annotated[float, Field(ge=0, le=1)] = 0.01
    max_filled: Annotated[float, Field(ge=0, le=1)] = 0.5


class TrainingConfig(_Strict):
    """The optimizer and the course of training.

    With "adam", ``weight_decay`` is an L2 penalty; with "adamw" it is decoupled. It applies to the weights of
    linear, convolutional and recurrent layers, not to biases, norms, positions and the like. The learning rate
    rises linearly over ``warmup_epochs`` and then stays constant, or falls to 0 along a cosine; with "plateau" it
    falls to a tenth whenever more than 10 validations in a row (one an epoch) bring no better score. Training stops
    after ``patience_epochs`` without a better validation score. ``sampling`` "balanced" draws windows so that all
    classes (or strata of valence and arousal) are equally frequent. ``ema_decay``: the weights that are scored and
    kept are an exponential moving average over optimizer steps (0: no average). ``label_shift``: labels lag behind
    the video by so many frames; predictions are shifted back. ``num_workers``: processes that read windows (0: only
    this process; "auto": up to 4 where a GPU would wait for them, of the cores that each of several training processes
    has and as far as shared memory allows; else 0).

    ``select_on``: on which clips the epoch is chosen whose weights are kept. "validation": on the clips that the run
    holds out and is scored on, which flatters the score. "inner": on a part of the training side, about a fifth of its
    groups; the network is then trained again on the whole training side for as many epochs ("refit"), and only then the
    held-out clips are predicted. "last": none is chosen, the last weights are kept. "auto": "validation" where the data
    set has a validation split and ``folds.num`` is a number, "last" for ``folds.refit``, else "inner".
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    optimizer: Literal["adamw", "adam"] = "adamw"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    patience_epochs: Annotated[int, Field(ge=1)] = 10
    select_on: Literal["auto", "validation", "inner", "last"] = "auto"
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    label_shift: Annotated[int, Field(ge=0)] = 0
    num_workers: Annotated[int, Field(ge=0, le=128)] | Literal["auto"] = "auto"
    loggers: list[Literal["tensorboard", "wandb", "mlflow"]] = ["tensorboard"]


class Config(_Strict):
    """One training run, or a recipe: a whole competition. Paths are relative to the working directory.

    ``plugins``: Python files with parts of your own, loaded before anything else. ``trainer`` is passed to
    ``lightning.Trainer``; ``losses`` are the weights of the model's auxiliary losses (default: those of its paper).

    Only ``abaw recipe`` and ``abaw fit`` read ``post_processing``, what is fitted after training; only ``abaw recipe``
    reads ``encoders``, the encoders to extract with, ``members``, the models to train, each with its settings applied
    over this config, ``ensemble``, how members are combined, and ``submission``, what a challenge file may hold.
    """

    name: FolderName
    data: Place
    store: Place
    plugins: list[str] = []
    tasks: Annotated[dict[str, TaskConfig], Field(min_length=1)]
    features: Annotated[dict[str, FeatureConfig], Field(min_length=1)]
    model: PartConfig
    losses: dict[str, float] = {}
    hidden: HiddenConfig = HiddenConfig()
    window: WindowConfig = WindowConfig()
    training: TrainingConfig = TrainingConfig()
    trainer: dict[str, Any] = {}
    folds: FoldsConfig = FoldsConfig()
    pseudo_labels: PseudoLabelsConfig = PseudoLabelsConfig()
    distillation: DistillationConfig = DistillationConfig()
    continuing: ContinuingConfig = ContinuingConfig()
    adaptation: AdaptationConfig = AdaptationConfig()
    post_processing: PostProcessingConfig = PostProcessingConfig()
    encoders: list[str] = []
    members: dict[FolderName, dict[str, Any]] = {}
    ensemble: EnsembleMethod = "mean"
    submission: SubmissionConfig = SubmissionConfig()

    @field_validator("tasks")
    @classmethod
    def _have_a_weight(cls, tasks: dict[str, TaskConfig]) -> dict[str, TaskConfig]:
        if not any(task.weight for task in tasks.values()):
            raise InputError("every task has the weight 0: nothing would be learned")
        return tasks

    @field_validator("tasks", "features", mode="before")
    @classmethod
    def _with_defaults(cls, parts: Any) -> Any:
        """A part without settings, as in ``va:``, has its defaults."""
        return (
            {key: {} if value is None else value for key, value in parts.items()} if isinstance(parts, dict) else parts
        )
