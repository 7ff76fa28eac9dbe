"""Which weights an encoder lacks on this machine, said before it is built: nothing is loaded or downloaded."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from extract.encoders import ENCODERS
from extract.networks.hub import MissingWeights, snapshot
from extract.networks.package_weights import find_file, folders
from extract.presets import PRESETS, facts_of, resolve
from extract.weights import list_weights

OF_HUB = {"hf_vision": ("model",), "hf_audio": ("model",), "audeering_dim": ("model",), "words": ("model", "text")}


def find_missing(name: str, settings: Mapping[str, Any], *, download: bool = False) -> str | None:
    """What an encoder or preset lacks on this machine, with size, licence and how to get it; None where it has all.

    ``download``: count as present what could be fetched from a hub or the package index. Weights of the encoders timm,
    torchvision and torchaudio that come from a hub are not looked for. Raises InputError where there is no such
    encoder.
    """
    try:
        family, chosen = resolve(name, settings)
        for key in ("file", "weights"):
            if isinstance(chosen.get(key), str) and Path(chosen[key]).suffix:
                _check_file(chosen[key])
        if not download:
            for key in OF_HUB.get(family, ()):
                model = chosen[key] if key in chosen else ast.literal_eval(ENCODERS.part(family).settings[key])
                snapshot(model, revision=str(chosen.get("text_" * (key == "text") + "revision", "main")))
    except MissingWeights as error:
        preset = PRESETS.get(name)
        if preset is None:
            return f"{name}: {error}"
        if preset.needs and preset.needs not in settings:  # the error has all of the preset's facts
            return str(error)
        return f"{name} ({facts_of(preset)}): {error}" + (f"; {preset.note}" if preset.needs else "")
    if download or chosen.get("file"):
        return None
    lacking = [row["summary"] for row in list_weights() if row["name"] == name and row["path"] is None]
    return f"{name} needs {' and '.join(lacking)}: get it with --download" if lacking else None


def _check_file(file: str) -> None:
    if find_file(file).is_file():
        return
    if Path(file).name != file:
        raise MissingWeights(f"no file {file}: give the path of the file")
    places = ", ".join(map(str, folders()))
    raise MissingWeights(f"no file {file} in the current folder, nor in {places}: put it into one of these")
