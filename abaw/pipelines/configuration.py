"""A config file opened and checked against every part that exists."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abaw.configs.file import COMMAND_LINE, ConfigFile, as_setting, read_config
from abaw.configs.packaged import packaged_config, packaged_configs
from abaw.configs.sections import Config
from abaw.errors import InputError
from abaw.files import as_list
from abaw.files.trust import RUNS_CODE, check_trusted
from abaw.plugins import load_plugin, loaded
from abaw.tasks import TASKS

Settings = Sequence[str] | Mapping[str, Any]


def open_config(path: str | Path, settings: Settings = (), *, trust: bool = False) -> tuple[ConfigFile, Config]:
    """Read a config, apply ``settings`` over it, and check it against the models, tasks and aligners that exist.

    ``path``: a YAML file, or the name of a config of the package (``list_configs``). ``settings``: ``key=value`` texts
    or a mapping of dotted keys to values. ``trust``: run the plug-ins that the config of a run names.

    Raises InputError with file and line for an unknown key, part or value, and for a plug-in that is not trusted;
    NotFoundError where there is no such config.
    """
    from extract import ALIGNERS
    from fusion.models import FUSION_MODELS

    file = read_config(path, as_texts(settings))
    plugins = file.values.get("plugins") or []
    if not isinstance(plugins, list) or not all(isinstance(each, str) for each in plugins):
        raise file.error(("plugins",), f"plugins is {plugins!r}, expected a list of Python files, as [my_parts.py]")
    if not trust and (file.path.parent / "run.json").is_file():
        check_plugins(file, "the config of a run")
    with file.at("plugins"):
        for plugin in plugins:
            load_plugin(plugin)
    return file, file.config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)


def check_plugins(file: ConfigFile, what: str) -> None:
    """Raise InputError where a config that may be of somebody else names plug-ins.

    Those of the command line and those that are loaded already are the user's own. ``what``: the kind of config.
    """
    known = {str(plugin.path) for plugin in loaded()}
    plugins = [each for each in _of_file(file, "plugins") if os.path.realpath(each) not in known]
    with file.at("plugins"):
        check_trusted([f"the plug-in {each} (allow it alone with --plugin {each})" for each in plugins], what)


def check_encoders(file: ConfigFile, what: str) -> None:
    """Raise InputError where a config that may be of somebody else has encoders run the code of a model."""
    with file.at("encoders"):
        check_trusted([each for each in _of_file(file, "encoders") if RUNS_CODE in each], what)


def _of_file(file: ConfigFile, key: str) -> list[str]:
    """The texts in a list of the file; none where the command line gives the list."""
    listed = file.values.get(key)
    is_given = file.lines.get((key,)) == COMMAND_LINE
    return [] if is_given or not isinstance(listed, list) else [each for each in listed if isinstance(each, str)]


def as_texts(settings: Settings) -> list[str]:
    """Settings as ``key=value`` texts, whether they were given as texts or as a mapping.

    >>> as_texts({"training.seed": 1, "model.name": "mfn"})
    ['training.seed=1', 'model.name="mfn"']
    """
    if isinstance(settings, Mapping):
        return [as_setting(key, value) for key, value in settings.items()]
    texts = as_list(settings, "settings", "key=value texts or a mapping of keys to values")
    if not all(isinstance(each, str) for each in texts):
        raise InputError(f"settings is {settings!r}, expected key=value texts or a mapping of keys to values")
    return texts


def check_training(file: ConfigFile, config: Config) -> None:
    """Check the sections ``model``, ``trainer`` and ``training`` as far as that needs no data.

    Raises InputError, with file and line, where a setting is unknown, of another type, or contradicts another one.
    """
    from fusion.models import FUSION_MODELS
    from fusion.trainer_settings import find_config_errors

    with file.at("model"):
        FUSION_MODELS.check(config.model.name, config.model.settings)
    for keys, message in find_config_errors(config):
        raise file.error(keys, message)


def model_settings(name: str, given: Mapping[str, Any]) -> dict[str, str]:
    """A fusion model's settings with their defaults as texts; ``given``: those in use, which may name an inner model.

    Raises InputError where there is no such model.
    """
    from fusion.models import FUSION_MODELS

    return FUSION_MODELS.settings_of(name, given)


def list_configs() -> list[dict[str, Any]]:
    """The configs that come with the package: name, summary (the first line of the file) and path."""
    return [
        {"name": each.name, "summary": each.summary, "path": str(each.path)} for each in packaged_configs().values()
    ]


def read_config_text(name: str) -> str:
    """The text of a config of the package, with its comments, to be saved and edited.

    Raises NotFoundError, with the names that exist, where there is none of that name.
    """
    return packaged_config(name).path.read_text(encoding="utf-8")
