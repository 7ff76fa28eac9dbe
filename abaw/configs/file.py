"""From YAML to a typed config. An unknown key, a wrong type, an unknown part: an error with file and line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from abaw.configs.sections import (
    OWN_RATE,
    Config,
    FeatureConfig,
    FoldsConfig,
    PostProcessingConfig,
    TrainingConfig,
    WindowConfig,
)
from abaw.errors import InputError, NotFoundError
from abaw.registry import Registry, nearest

Keys = tuple[str, ...]


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
            # an unknown key first: a misspelt one may be why another is missing, or out of its bounds
            first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
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
            return InputError(f"command line, {'.'.join(known)}=: {message}")
        return InputError(f"{self.path}:{self.lines[known] if known else 1}: {message}")

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
        raise NotFoundError(f"no config at {path}: give a YAML file, for example abaw/configs/synthetic.yaml")
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text)
        lines = _lines_by_key(yaml.compose(text), path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}:1: a config is a mapping of keys to values; see abaw/configs/synthetic.yaml")
    for override in overrides:
        _lay_over(values, lines, override)
    return ConfigFile(path, values, lines)


def parse_setting(text: str) -> tuple[str, Any]:
    """``key=value`` with the value read as YAML, so that 3, 0.5, true and words get their types."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"{text!r} is no setting, expected key=value")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"the value of {text!r} is not readable as YAML: {error}") from error


def as_setting(key: str, value: Any) -> str:
    """``key=value`` as the command line takes it: the inverse of ``parse_setting``."""
    # not JSON, which writes 1e-05: to YAML that is a word
    return f"{key}={yaml.safe_dump([value], default_flow_style=True, width=float('inf')).strip()[1:-1]}"


def _lay_over(values: dict[str, Any], lines: dict[Keys, int], override: str) -> None:
    dotted, value = parse_setting(override)
    *parents, last = dotted.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise InputError(f"command line, {dotted}=: {parent} is a value, not a group of keys")
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
            raise InputError(
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
        return f"the key {'.'.join(keys)} is missing: add it (abaw/configs/synthetic.yaml explains every key)"
    if error["type"] == "value_error":  # one of ours
        return f"{'.'.join(keys)} is {error['input']!r}: {error['ctx']['error']}"
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
        "post_processing": PostProcessingConfig,
    }
    if parents:
        model = groups[parents[0]]
    return list(model.model_fields)
