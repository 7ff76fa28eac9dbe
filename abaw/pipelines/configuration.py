"""A config file opened and checked against every part that exists."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abaw.configs.file import ConfigFile, as_setting, read_config
from abaw.configs.packaged import packaged_config, packaged_configs
from abaw.configs.sections import Config
from abaw.errors import InputError
from abaw.files import as_list
from abaw.plugins import load_plugin
from abaw.tasks import TASKS

Settings = Sequence[str] | Mapping[str, Any]


def open_config(path: str | Path, settings: Settings = ()) -> tuple[ConfigFile, Config]:
    """Read a config, apply ``settings`` over it, and check it against the models, tasks and aligners that exist.

    ``path``: a YAML file, or the name of a config of the package (``list_configs``). ``settings``: ``key=value`` texts
    or a mapping of dotted keys to values. Raises InputError with file and line for an unknown key, part or value, and
    NotFoundError where there is no such config.
    """
    from extract import ALIGNERS
    from fusion.models import FUSION_MODELS

    file = read_config(path, as_texts(settings))
    plugins = file.values.get("plugins") or []
    if not isinstance(plugins, list) or not all(isinstance(each, str) for each in plugins):
        raise file.error(("plugins",), f"plugins is {plugins!r}, expected a list of Python files, as [my_parts.py]")
    with file.at("plugins"):
        for plugin in plugins:
            load_plugin(plugin)
    return file, file.config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)


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


def check_model(config: Config) -> None:
    """Check the fusion model's settings and their types. Raises InputError where one is unknown or of another type."""
    from fusion.models import FUSION_MODELS

    FUSION_MODELS.check(config.model.name, config.model.settings)


def model_settings(name: str) -> dict[str, str]:
    """A fusion model's settings with their defaults as texts. Raises InputError where there is no such model."""
    from fusion.models import FUSION_MODELS

    return FUSION_MODELS.part(name).settings


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
