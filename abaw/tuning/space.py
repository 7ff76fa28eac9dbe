"""What a search may vary: the key of a setting and the values it may take."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from abaw.errors import InputError, NotFoundError
from abaw.files.yaml import parse_yaml, read_yaml
from abaw.numbers import INTEGER, parse_integer, parse_number

FORMS = "LOW:HIGH, log:LOW:HIGH or a list [A, B, ...]"


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, integers where both are; ``is_log``: each order of magnitude is as likely."""

    key: str
    low: float
    high: float
    is_log: bool
    place: str = field(default="", repr=False, compare=False)  # where it is given, for messages

    def samples(self) -> tuple[Any, ...]:
        """The values that are checked before anything is trained."""
        return self.low, self.high

    def draw(self, trial: Any) -> Any:
        """Draw a number from a trial of Optuna."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, log=self.is_log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.is_log)


@dataclass(frozen=True)
class Choice:
    """One of some values; a value may be a whole group of settings."""

    key: str
    values: tuple[Any, ...]
    place: str = field(default="", repr=False, compare=False)  # where it is given, for messages

    def samples(self) -> tuple[Any, ...]:
        """The values that are checked before anything is trained."""
        return self.values

    def draw(self, trial: Any) -> Any:
        """Draw a value from a trial of Optuna. Optuna stores no groups of settings, so values go through as JSON."""
        return json.loads(trial.suggest_categorical(self.key, [json.dumps(value) for value in self.values]))


Vary: TypeAlias = Range | Choice


def read_space(file: Path | None, vary: Mapping[str, Any] | Sequence[str] = ()) -> list[Vary]:
    """What is varied: the keys of a YAML file and those of ``vary``, the model first.

    ``vary``: texts ``key=values``, or a mapping of keys to values. Values are LOW:HIGH, log:LOW:HIGH or a list. Raises
    NotFoundError where there is no such file, and InputError where a key is given twice, values have none of these
    forms, or nothing is varied.

    >>> read_space(None, ["model.dropout=0:0.6"])
    [Range(key='model.dropout', low=0, high=0.6, is_log=False)]
    """
    given = _of_file(file) if file else []
    if isinstance(vary, Mapping):
        given += [(key, values, "vary") for key, values in vary.items()]
    else:
        given += [(*_split(text), "--vary") for text in vary]
    if not given:
        raise InputError(f"nothing is varied: give --vary key=values (as {FORMS}), or --space FILE")
    keys = [key for key, _, _ in given]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise InputError(f"{twice} is varied twice: remove one of them")
    # the model comes first: which settings are drawn depends on it
    return sorted((_parse(*each) for each in given), key=lambda each: each.key not in ("model", "model.name"))


def _of_file(file: Path) -> list[tuple[str, Any, str]]:
    if not file.is_file():
        raise NotFoundError(f"no search space at {file}: give a YAML file with key: values, values as {FORMS}")
    document = read_yaml(file)
    if not isinstance(document.values, dict):
        raise InputError(f"{file}:1: expected key: values, one a line, values as {FORMS}")
    return [
        (str(key), values, f"{file}:{document.lines.get((str(key),), 1)}") for key, values in document.values.items()
    ]


def _split(text: str) -> tuple[str, Any]:
    key, equals, values = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--vary {text!r}: expected key=values, values as {FORMS}")
    return key.strip(), parse_yaml(values, f"--vary {text!r}").values


def _parse(key: str, values: Any, place: str) -> Vary:
    if isinstance(values, (list, tuple)):
        if len(values) < 2 or any(value in values[:i] for i, value in enumerate(values)):
            raise InputError(f"{place}: {key} is {values!r}: a list needs two values or more, each once")
        return Choice(key, tuple(values), place)
    *log, low, high = str(values).split(":") if ":" in str(values) else ("", "", "")
    try:
        found = Range(key, _number(low), _number(high), log == ["log"], place)
    except ValueError:
        raise InputError(f"{place}: {key} is {values!r}, expected {FORMS}") from None
    if log not in ([], ["log"]):
        raise InputError(f"{place}: {key} is {values!r}, expected {FORMS}")
    if not found.low < found.high:
        raise InputError(f"{place}: {key} goes from {low} to {high}: give the lower end first")
    if found.is_log and found.low <= 0:
        raise InputError(f"{place}: {key} begins at {low}: log needs a low end above 0")
    return found


def _number(text: str) -> float:
    text = text.strip()
    return parse_integer(text) if INTEGER.fullmatch(text) else parse_number(text)
