"""From YAML to a typed config. An unknown key, a wrong type, an unknown part: an error with file and line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from abaw.registry import Registry, nearest

Keys = tuple[str, ...]

OWN_RATE = "convolution"  # the one alignment that is learned: the front reads the track at its own rate


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FeatureConfig(_Strict):
    """How a track comes onto the frame clock, and what the front makes of it before a model reads it.

    ``align`` is an aligner's name, or "convolution": a learned one of ``kernel`` rows at the track's own rate, then
    read on the clock. ``normalise``: by the training split's spread, by a learned layer norm, or not. ``project_dim``
    (0: none) is the width to which a linear layer, or the convolution, brings it. Steps that were not observed, between
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
    seed: int = 0
    refit: bool = False
    drop_leaks: bool = False


class DecodingConfig(_Strict):
    """What ``abaw fit`` tries: gaps filled or not, smoothers over widths (odd, in frames), in which space, and whether
    a bias (for valence and arousal: scale and shift) is fitted after."""

    fills: bool = True
    smoothers: list[Literal["box", "median", "gaussian", "savgol"]] = ["box"]
    widths: list[Annotated[int, Field(ge=1)]] = [1, 5, 11, 25, 51, 101]
    spaces: list[Literal["probabilities", "logits"]] = ["probabilities"]
    bias: bool = True


class TrainingConfig(_Strict):
    """The optimizer and how long it goes on. With "adam" ``weight_decay`` is an L2 penalty, with "adamw" decoupled.

    The learning rate rises over ``warmup_epochs``, then stays, or falls to 0 along a cosine until training ends.
    ``sampling`` "balanced" draws windows so that every kind of label is seen alike. With ``ema_decay`` the weights that
    are scored and kept are an exponential mean over steps (0: the last). ``label_shift``: labels lie so many frames
    after what they are about; predictions are shifted back. ``num_workers`` processes read windows (0: this one).
    """

    seed: int = 0
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
    num_workers: Annotated[int, Field(ge=0)] = 0
    loggers: list[Literal["tensorboard", "wandb", "mlflow"]] = ["tensorboard"]


class Config(_Strict):
    """One training run. Paths are relative to the folder the command is given in.

    ``trainer`` goes to ``lightning.Trainer`` as it is; ``losses`` weighs a model's auxiliary losses (default:
    the weights of its paper). A recipe (``abaw recipe``) also says which ``encoders`` to extract, and which ``members``
    to train: each is laid over this config; ``ensemble`` says how they are combined and ``decoding`` what is fitted
    after training. A single training reads none of these.
    """

    name: Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]
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
    decoding: DecodingConfig = DecodingConfig()
    encoders: list[str] = []
    members: dict[str, dict[str, Any]] = {}
    ensemble: Literal["mean", "weighted", "centred"] = "mean"

    @field_validator("tasks", "features", mode="before")
    @classmethod
    def _bare(cls, parts: Any) -> Any:
        """``va:`` with nothing behind it means all its defaults."""
        return (
            {key: {} if value is None else value for key, value in parts.items()} if isinstance(parts, dict) else parts
        )


@dataclass(frozen=True)
class ConfigFile:
    """A config's text, kept so that an error can say where it lies. ``lines``: key path -> line from 1."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[Keys, int]

    def config(self, *, models: Registry, tasks: Registry, aligners: Registry) -> Config:
        """The typed config; ValueError names file, line, what was given and what is known."""
        try:
            config = Config.model_validate(self.values)
        except ValidationError as error:
            first = error.errors()[0]
            keys = tuple(str(key) for key in first["loc"] if key != "[key]")
            raise self.error(keys, _explain(first, keys)) from error
        with self.at("model", "name"):
            models.part(config.model.name)
        self._check_settings(models, config.model.name, config.model.settings, "model")
        for name, task in config.tasks.items():
            with self.at("tasks", name):
                tasks.part(name)
            self._check_settings(tasks, name, task.settings, "tasks", name)
        for name, feature in config.features.items():
            self._check_feature(name, feature, [*aligners.names(), OWN_RATE])
        if config.window.stride > config.window.length:
            raise self.error(
                ("window", "stride"),
                f"a stride of {config.window.stride} steps skips steps between windows of {config.window.length}: "
                "use a stride up to the length",
            )
        return config

    def _check_feature(self, name: str, feature: FeatureConfig, aligners: Sequence[str]) -> None:
        if feature.align not in aligners:
            listing = f"{nearest(feature.align, aligners)} known: {', '.join(aligners)}"
            raise self.error(("features", name, "align"), f"no aligner named {feature.align!r}{listing}")
        if "kernel" in feature.model_fields_set and feature.align != OWN_RATE:
            raise self.error(
                ("features", name, "kernel"), f"only align: {OWN_RATE} has a kernel, not align: {feature.align}"
            )

    def _check_settings(self, registry: Registry, name: str, settings: Mapping[str, Any], *place: str) -> None:
        for key in settings:
            with self.at(*place, key):
                registry.check_settings(name, [key])

    def error(self, keys: Keys, message: str) -> ValueError:
        """A ValueError that begins with the file and the line of the key, or of the nearest one above it."""
        known = next((keys[:n] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), None)
        if known is not None and self.lines[known] == 0:
            return ValueError(f"command line, {'.'.join(known)}=: {message}")
        return ValueError(f"{self.path}:{self.lines[known] if known else 1}: {message}")

    @contextmanager
    def at(self, *keys: str) -> Iterator[None]:
        """ValueErrors raised inside get the place of ``keys``."""
        try:
            yield
        except ValueError as error:
            raise self.error(keys, str(error)) from error


def read_config(path: Path, overrides: Sequence[str] = ()) -> ConfigFile:
    """The file's values with ``key.key=value`` laid over them. ValueError or FileNotFoundError where unreadable."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no config at {path}: give a YAML file, for example configs/synthetic.yaml")
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text)
        lines = _lines_by_key(yaml.compose(text), path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}:1: a config is a mapping of keys to values; see configs/synthetic.yaml")
    for override in overrides:
        _lay_over(values, lines, override)
    return ConfigFile(path, values, lines)


def parse_setting(text: str) -> tuple[str, Any]:
    """``key=value`` with the value read as YAML, so that 3, 0.5, true and words get their types."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"{text!r} is no setting, expected key=value")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"the value of {text!r} is not readable as YAML: {error}") from error


def _lay_over(values: dict[str, Any], lines: dict[Keys, int], override: str) -> None:
    dotted, value = parse_setting(override)
    *parents, last = dotted.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise ValueError(f"command line, {dotted}=: {parent} is a value, not a group of keys")
    values[last] = value
    path = (*parents, last)
    lines[path] = 0  # 0: not from the file
    for depth in range(1, len(path)):
        lines.setdefault(path[:depth], 0)


def _lines_by_key(node: yaml.Node | None, file: Path) -> dict[Keys, int]:
    """ValueError where a key stands twice: YAML would take the last and forget the first."""
    lines: dict[Keys, int] = {}
    for keys, line in _lines(node):
        if keys in lines:
            raise ValueError(
                f"{file}:{line}: {'.'.join(keys)} is given twice, first on line {lines[keys]}: take one out"
            )
        lines[keys] = line
    return lines


def _lines(node: yaml.Node | None, keys: Keys = ()) -> Iterator[tuple[Keys, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*keys, str(key.value))
            yield path, key.start_mark.line + 1
            yield from _lines(value, path)


def _explain(error: Any, keys: Keys) -> str:
    """One of pydantic's errors in our words: what was given, what was expected, what to do."""
    if error["type"] == "extra_forbidden":
        known = _known(keys[:-1])
        return f"unknown key {keys[-1]!r}{nearest(keys[-1], known)} known: {', '.join(known)}"
    if error["type"] == "missing":
        return f"the key {'.'.join(keys)} is missing: add it (configs/synthetic.yaml explains every key)"
    hint = "; YAML takes 1e-3 for a word: write 0.001 or 1.0e-3" if _is_number_in_words(error["input"]) else ""
    return f"{'.'.join(keys)} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}{hint}"


def _is_number_in_words(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value) is not None


def _known(parents: Keys) -> list[str]:
    model: type[BaseModel] = Config
    groups: dict[str, type[BaseModel]] = {
        "window": WindowConfig,
        "training": TrainingConfig,
        "features": FeatureConfig,
        "folds": FoldsConfig,
        "decoding": DecodingConfig,
    }
    if parents:
        model = groups[parents[0]]
    return list(model.model_fields)
