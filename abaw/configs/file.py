"""From YAML to a typed config. An unknown key, a wrong type, an unknown part: an error with file and line."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from abaw.configs.optional_sections import DistillationConfig, PseudoLabelsConfig
from abaw.configs.packaged import config_path
from abaw.configs.sections import OWN_RATE, Config, FeatureConfig
from abaw.errors import InputError
from abaw.files.yaml import Keys, parse_yaml, read_yaml
from abaw.registry import Registry, nearest

Section = TypeVar("Section", bound=BaseModel)
# sections whose keys are names: there null on the command line removes one
NAMED = (("features",), ("tasks",), ("members",), ("losses",))
COMMAND_LINE = 0  # the line of a key that is not from the file


@dataclass(frozen=True)
class ConfigFile:
    """The values of a config as they were given, and ``lines``, where each key stands: errors name the place."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[Keys, int]

    def config(self, *, models: Registry, tasks: Registry, aligners: Registry) -> Config:
        """The typed config. Raises InputError with file and line for an unknown key, part, setting, type or value."""
        try:
            config = Config.model_validate(self.values)
        except ValidationError as error:
            raise self.error(*_explain(error, Config, self.values)) from error
        self._check_unused(config)
        with self.at("model", "name"):
            models.part(config.model.name)
        self._check_settings(models, config.model.name, config.model.settings, "model")
        for name, task in config.tasks.items():
            with self.at("tasks", name):
                tasks.part(name)
            self._check_settings(tasks, name, task.settings, "tasks", name)
        for name, feature in config.features.items():
            self._check_feature(name, feature, aligners)
        if config.window.stride > config.window.length:
            raise self.error(
                ("window", "stride"),
                f"a stride of {config.window.stride} steps skips steps between windows of {config.window.length}: "
                "use a stride up to the length",
            )
        return config

    def _check_feature(self, name: str, feature: FeatureConfig, aligners: Registry) -> None:
        known = [*aligners.names(), OWN_RATE]
        if feature.align not in known:
            listing = f"{nearest(feature.align, known)} known: {', '.join(known)}"
            raise self.error(("features", name, "align"), f"no aligner named {feature.align!r}{listing}")
        if "kernel" in feature.model_fields_set and feature.align != OWN_RATE:
            raise self.error(
                ("features", name, "kernel"), f"only align: {OWN_RATE} has a kernel, not align: {feature.align}"
            )
        if feature.width_s is None:
            return
        place = ("features", name, "width_s")
        having = [each.name for each in aligners.parts() if "width_s" in each.settings]
        if feature.align not in having:
            raise self.error(place, f"only align: {' or '.join(having)} has a width_s, not align: {feature.align}")
        if feature.width_s / 2 > feature.max_gap_s:
            raise self.error(
                place,
                f"a mean over {feature.width_s:g} s takes rows up to {feature.width_s / 2:g} s from a frame, but "
                f"max_gap_s is {feature.max_gap_s:g}: set max_gap_s to {feature.width_s / 2:g} or more",
            )

    def _check_unused(self, config: Config) -> None:
        """Raises InputError where a key is set that has no effect without another one of its section."""
        for kind, needed, off, keys in (
            ("pseudo_labels", "tables", [], PseudoLabelsConfig.model_fields),
            ("distillation", "tables", [], DistillationConfig.model_fields),
            ("hidden", "frequency_attention", "none", ("cutoff_hz", "head_dim", "num_repeats")),
        ):
            section = getattr(config, kind)
            for key in keys:
                if getattr(section, needed) == off and getattr(section, key) != type(section).model_fields[key].default:
                    what = "name folders of tables" if needed == "tables" else "set it to dot or linsoftmax"
                    why = f"{kind}.{key} has no effect without {kind}.{needed}: {what}, or remove {key}"
                    raise self.error((kind, key), why)

        continuing = config.continuing
        if continuing.run is None and continuing.penalty != type(continuing).model_fields["penalty"].default:
            why = "continuing.penalty has no effect without continuing.run: name a run, or remove penalty"
            raise self.error(("continuing", "penalty"), why)

    def _check_settings(self, registry: Registry, name: str, settings: Mapping[str, Any], *place: str) -> None:
        for key in settings:
            with self.at(*place, key):
                registry.check_settings(name, [key], settings)

    def error(self, keys: Keys, message: str) -> InputError:
        """An error that begins with the file and the line of the key, or of the innermost group that holds it."""
        known = next((keys[:n] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), None)
        if known is not None and self.lines[known] == COMMAND_LINE:
            return InputError(f"command line, {'.'.join(known)}=: {message}")
        return InputError(f"{self.path}:{self.lines[known] if known else 1}: {message}")

    @contextmanager
    def at(self, *keys: str) -> Iterator[None]:
        """Add the place of ``keys`` to the message of a ValueError that is raised inside."""
        try:
            yield
        except ValueError as error:
            raise self.error(keys, str(error)) from error


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> ConfigFile:
    """Read a config and apply ``overrides``, texts of the form ``key.key=value``, over it.

    ``features.NAME=null`` removes a feature; likewise a task, a member, or the weight of a loss.

    ``path``: a YAML file, or the name of a config of the package. Raises NotFoundError where there is neither, and
    InputError where the file is no YAML, gives a key twice, or is no mapping.
    """
    path = config_path(path)
    document = read_yaml(path)
    values, lines = document.values, dict(document.lines)
    if not isinstance(values, dict):
        raise InputError(f"{path}:1: a config is a mapping of keys to values; abaw config synthetic shows one")
    for override in overrides:
        _apply(values, lines, override)
    return ConfigFile(path, values, lines)


def parse_setting(text: str) -> tuple[str, Any]:
    """Key and value of ``key=value``; the value is read as YAML. Raises InputError where it is not of this form.

    >>> parse_setting("training.learning_rate=1e-3")
    ('training.learning_rate', 0.001)
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"{text!r} is not a setting, expected key=value")
    return key.strip(), parse_yaml(value, f"the value of {text!r}").values


def as_setting(key: str, value: Any) -> str:
    """``key=value`` as the command line takes it: the inverse of ``parse_setting``. The value is written as JSON.

    >>> as_setting("model", {"name": "mfn", "dropout": 0.3})
    'model={"name": "mfn", "dropout": 0.3}'
    """
    try:
        return f"{key}={json.dumps(value, ensure_ascii=False, allow_nan=False, default=os.fspath)}"
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the value of {key} is {value!r}: "
            "expected text, a finite number, True, False, None, or lists or dicts of these"
        ) from error


def _apply(values: dict[str, Any], lines: dict[Keys, int], override: str) -> None:
    dotted, value = parse_setting(override)
    *parents, last = dotted.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise InputError(f"command line, {dotted}=: {parent} is a value, not a group of keys")
    path = (*parents, last)
    if value is None and tuple(parents) in NAMED:
        if last not in values:
            raise InputError(
                f"command line, {dotted}=: {parents[0]} has no {last!r} to remove{nearest(last, values)} "
                f"known: {', '.join(values)}"
            )
        del values[last]
    else:
        values[last] = value
    for below in [keys for keys in lines if keys[: len(path)] == path]:
        del lines[below]  # what the file gave below this key is replaced
    lines[path] = COMMAND_LINE
    for depth in range(1, len(path)):
        lines.setdefault(path[:depth], COMMAND_LINE)


def parse_section(section: type[Section], values: Any, place: str) -> Section:
    """A config, or a section of one, from a mapping. Raises InputError, which begins with ``place``."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{place}: {_explain(error, section, values)[1]}") from error


def _explain(error: ValidationError, section: type[BaseModel], values: Any) -> tuple[Keys, str]:
    """The keys that one of pydantic's errors is about, and the error in our words."""
    # an unknown key first: a misspelt key may be the reason why another one is missing
    first: Any = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    keys, is_union = _keys(first, values)
    if is_union:  # an error for each type that a value may have: one of the type that is given says more
        same = [each for each in error.errors() if _keys(each, values)[0][: len(keys)] == keys]
        kinds = ("_type", "literal_error")
        first = next((each for each in same if not each["type"].endswith(kinds)), None)
        if first is None:
            first = {**same[0], "msg": " or ".join(dict.fromkeys(each["msg"].lower() for each in same))}
        keys = _keys(first, values)[0]
    return keys, _message(first, keys, section)


def _keys(error: Any, values: Any) -> tuple[Keys, bool]:
    """The keys of an error, and whether pydantic names a type of several beside them, which no config has as a key."""
    keys, place = list[str](), error["loc"]
    for i, key in enumerate(place):
        is_last = i == len(place) - 1
        if isinstance(values, dict) and (key in values or (is_last and error["type"] == "missing")):
            values = values.get(key)
        elif isinstance(values, list) and isinstance(key, int) and key < len(values):
            values = values[key]
        else:
            continue
        keys.append(str(key))
    return tuple(keys), len(keys) < len([key for key in place if key != "[key]"])


def _message(error: Any, keys: Keys, section: type[BaseModel]) -> str:
    """What was given, what was expected, what to do."""
    if not keys:
        return f"a {type(error['input']).__name__} is given, expected a mapping of keys to values"
    if error["type"] == "extra_forbidden":
        known = list(_section(section, keys[:-1]).model_fields)
        return f"unknown key {keys[-1]!r}{nearest(keys[-1], known)} known: {', '.join(known)}"
    if error["type"] == "missing":
        return f"the key {'.'.join(keys)} is missing: add it (abaw config synthetic explains every key)"
    if error["type"] == "value_error":  # one of ours
        return f"{'.'.join(keys)} is {error['input']!r}: {error['ctx']['error']}"
    if error["type"] == "string_pattern_mismatch":  # of FolderName
        return f"{'.'.join(keys)} is {error['input']!r}, expected letters, digits, '_', '-' and '.', and no '.' first"
    return f"{'.'.join(keys)} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _section(root: type[BaseModel], keys: Keys) -> type[BaseModel]:
    """The section that lies at ``keys`` below ``root``."""
    found: Any = root
    for key in keys:
        is_section = isinstance(found, type) and issubclass(found, BaseModel)
        found = found.model_fields[key].annotation if is_section else get_args(found)[1]  # of dict[str, section]
    return found
