"""What a search may vary: the key of a setting and the values it may take."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from abaw.errors import InputError, NotFoundError

WHOLE = re.compile(r"[+-]?\d+")
FORMS = "LOW:HIGH, log:LOW:HIGH or a list [A, B, ...]"


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, whole ones where both are; ``is_log``: each order of magnitude alike."""

    key: str
    low: float
    high: float
    is_log: bool

    def samples(self) -> tuple[Any, ...]:
        """Values of which all must be right before anything is trained."""
        return self.low, self.high

    def draw(self, trial: Any) -> Any:
        """From one of Optuna's trials."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, log=self.is_log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.is_log)


@dataclass(frozen=True)
class Choice:
    """One of some values; a value may be a whole group of settings."""

    key: str
    values: tuple[Any, ...]

    def samples(self) -> tuple[Any, ...]:
        """Values of which all must be right before anything is trained."""
        return self.values

    def draw(self, trial: Any) -> Any:
        """From one of Optuna's trials, which takes no groups: they travel as text."""
        return json.loads(trial.suggest_categorical(self.key, [json.dumps(value) for value in self.values]))


Vary: TypeAlias = Range | Choice


def read_space(file: Path | None, settings: Sequence[str]) -> list[Vary]:
    """What is varied, from a YAML file of ``key: values`` and from ``key=values``; the model comes first.

    ValueError where a key is given twice, values are in none of the forms, or nothing is varied.
    """
    given = [(key, text, str(file)) for key, text in _pairs(file)] if file else []
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--vary {setting!r}: expected key=values, values as {FORMS}")
        given.append((key.strip(), text.strip(), "--vary"))
    if not given:
        raise InputError(f"nothing is varied: give --vary key=values (as {FORMS}), or --space FILE")
    keys = [key for key, _, _ in given]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise InputError(f"{twice} is varied twice: take one out")
    # which settings are drawn after it depends on the model
    return sorted((parse(*each) for each in given), key=lambda vary: vary.key not in ("model", "model.name"))


def parse(key: str, text: str, place: str) -> Vary:
    """One key's values: LOW:HIGH, log:LOW:HIGH, [A, B, ...]. ValueError names the place and what is wrong."""
    if text.startswith("["):
        return _choice(key, text, place)
    *log, low, high = text.split(":") if ":" in text else ("", "", "")
    try:
        found = Range(key, _number(low), _number(high), log == ["log"])
    except ValueError:
        raise InputError(f"{place}: {key} is {text!r}, expected {FORMS}") from None
    if log not in ([], ["log"]):
        raise InputError(f"{place}: {key} is {text!r}, expected {FORMS}")
    if not found.low < found.high:
        raise InputError(f"{place}: {key} goes from {low} to {high}: give the lower end first")
    if found.is_log and found.low <= 0:
        raise InputError(f"{place}: {key} begins at {low}: log needs a low end above 0")
    return found


def _choice(key: str, text: str, place: str) -> Choice:
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{place}: {key} is {text!r}, not readable as a list: {error}") from error
    if len(values) < 2 or any(value in values[:i] for i, value in enumerate(values)):
        raise InputError(f"{place}: {key} is {text!r}: a list needs two values or more, each once")
    return Choice(key, tuple(values))


def _number(text: str) -> float:
    return int(text) if WHOLE.fullmatch(text.strip()) else float(text)


def _pairs(file: Path) -> list[tuple[str, str]]:
    """Keys and texts as they stand there: to YAML 0:59 would be a time of day, and 1e-3 a word."""
    if not file.is_file():
        raise NotFoundError(f"no space at {file}: give a YAML file with key: values, values as {FORMS}")
    text = file.read_text(encoding="utf-8")
    try:
        node = yaml.compose(text)
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not readable as YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{file}:1: expected key: values, one a line, values as {FORMS}")
    return [(key.value, text[value.start_mark.index : value.end_mark.index].strip("'\"")) for key, value in node.value]
