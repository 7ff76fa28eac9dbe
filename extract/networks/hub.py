"""Pretrained weights: finding them on this machine, downloading on request, hashing, and loading them as data only.

No pickle is executed: weights are safetensors, or torch files read with ``weights_only``. Code that comes with a model
is never run unless ``trust_remote_code`` is given.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError, NotFoundError
from abaw.files import read_json, sha256, visible

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

LOG = logging.getLogger("abaw")

UNUSED_HEADS = ("pooler", "classifier", "masked_spec_embed", "mask_token")  # a hidden layer does not depend on them
# in the order in which transformers looks for them; an index lists the files of a model in several files
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# files besides the weights that can change a value: architecture and preprocessing
CONFIGS = ("config.json", "preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
TEXT_CONFIGS = (
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "vocab.txt", "merges.txt",
)  # fmt: skip
BESIDES = ["*.json", "*.txt", "*.model", "*.py"]  # what a model needs besides its weights

FOUND_AT = ["model", "revision"]  # settings that say where a model was found; its hashes identify it


class MissingWeights(NotFoundError):
    """Weights are not on this machine; the message says how to download them or use a local copy."""


def snapshot(model: str, *, revision: str = "main", download: bool = False) -> Path:
    """The folder of a model, given as a folder or as a hub name; ``download`` gets it where it is not cached.

    A model that is complete in the cache is used without a network connection. Raises MissingWeights where there is no
    such folder, or the cache lacks the model or a part of it and ``download`` is False or fails.
    """
    if Path(model).is_dir():
        return Path(model)
    if Path(model).is_file():
        raise MissingWeights(
            f"no model at {model!r}, which is a file: give the folder that contains it and its config.json"
        )
    try:
        found = _cached(model, revision)
    except MissingWeights:
        if not download:
            raise
        return _fetch(model, revision)
    # another program may have cached the weights without the files for preprocessing
    is_bare = configs_hash(found, text=True).keys() <= {"config.json"}
    return _fetch(model, revision) if download and is_bare else found


def check_cached(model: str) -> None:
    """Raises MissingWeights where nothing of a hub's model is in the cache; takes milliseconds, unlike ``snapshot``."""
    from huggingface_hub.constants import HF_HUB_CACHE

    if not Path(HF_HUB_CACHE, f"models--{model.replace('/', '--')}").is_dir():
        raise MissingWeights(f"no model {model!r} in the cache: get it with --download")


def _cached(model: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    how = f"get it with --download or `hf download {model} --revision {revision}`, or give model=FOLDER of a local copy"
    try:
        # one file is enough to find the folder: a repository may hold the weights in formats that are not needed
        found = Path(snapshot_download(model, revision=revision, local_files_only=True, allow_patterns="config.json"))
    except HFValidationError as error:
        raise MissingWeights(
            f"no model {model!r} on this machine: it is neither a folder nor a valid hub name (OWNER/NAME): check the "
            "spelling"
        ) from error
    except OSError as error:
        raise MissingWeights(
            f"no model {model!r} on this machine, neither a folder nor in the hub's cache (revision {revision}): {how}"
        ) from error
    try:
        weights_files(found)
    except MissingWeights as error:
        raise MissingWeights(f"the model {model!r} is in the hub's cache only in part ({error}): {how}") from error
    return found


def _fetch(model: str, revision: str) -> Path:
    """Downloads the weights in one format, with the configuration files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError
    from huggingface_hub.utils import httpx

    try:
        listed = snapshot_download(
            model, revision=revision, allow_patterns=[*BESIDES, "*.safetensors", "*.bin"], dry_run=True
        )
        wanted = _needed([each.filename for each in listed])
        size_mb = sum(each.file_size or 0 for each in listed if each.filename in wanted and each.will_download) / 1e6
        LOG.info("downloading %s, revision %s: %.0f MB into the hub's cache", model, revision, size_mb)
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except GatedRepoError as error:
        raise MissingWeights(
            f"the model {model!r} is available only to those who accept its licence: accept it on the model's page, "
            "run `hf auth login` and try again"
        ) from error
    except (OSError, ValueError, httpx.HTTPError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MissingWeights(
            f"the model {model!r} (revision {revision}) could not be downloaded ({reason}): check the name and the "
            "network connection, or give model=FOLDER of a local copy"
        ) from error
    weights_files(folder)
    return folder


def _needed(names: Sequence[str]) -> list[str]:
    """The files of a repository to download: all but the same weights in a second format or precision."""
    weights = [name for name in names if name.endswith((".safetensors", ".bin"))]
    kept = weights
    for first in WEIGHTS:
        if first in names:
            stem, dot, suffix = first.removesuffix(".index.json").rpartition(".")
            parts = re.compile(rf"{stem}(-\d+-of-\d+)?\{dot}{suffix}")
            kept = [first] if first in weights else [name for name in weights if parts.fullmatch(name)]
            break
    return [name for name in names if name not in weights or name in kept]


def weights_files(folder: Path) -> list[Path]:
    """The weights files that transformers would load from a model's folder; all of them where none has a usual name.

    Raises MissingWeights where there is none, or where one that the model's index lists is missing.
    """
    for name in WEIGHTS:
        path = folder / name
        if path.is_file():
            files = [folder / part for part in _parts(path)] if path.suffix == ".json" else [path]
            absent = [file.name for file in files if not file.is_file()]
            if absent:
                raise MissingWeights(f"{folder} lacks {absent[0]}, which its {name} lists: copy the whole model")
            return files
    files = visible(folder, "*.safetensors") or visible(folder, "*.bin")
    if not files:
        raise MissingWeights(
            f"{folder} has no weights: expected model.safetensors (or pytorch_model.bin) next to config.json"
        )
    return files


def _parts(index: Path) -> list[str]:
    """The files that an index of weights lists."""
    found = read_json(index)
    places = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        raise InputError(
            f"{index} is not an index of weights (expected a weight_map from names to files): copy it again"
        )
    return sorted({Path(place).name for place in places.values()})


def configs_hash(folder: Path, *, trust_remote_code: bool = False, text: bool = False) -> dict[str, str]:
    """SHA-256 of the files besides the weights that can change a value; with ``text`` also those of a tokenizer."""
    names = [*CONFIGS, *(TEXT_CONFIGS if text else ())]
    code = visible(folder, "*.py") if trust_remote_code else []
    return {path.name: sha256(path) for path in [*(folder / name for name in names), *code] if path.is_file()}


def weights_hash(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of ``weights_files``."""
    return {path.name: sha256(path) for path in weights_files(folder)}


def load_model(
    folder: Path,
    *,
    trust_remote_code: bool = False,
    auto: str = "AutoModel",
    unused: Sequence[str] = UNUSED_HEADS,
    advice: str = "use a complete checkpoint",
) -> PreTrainedModel:
    """The model, loaded by one of transformers' auto classes, float32, on the CPU.

    ``unused``: parts of the names of weights that the checkpoint may lack, because no result depends on them.
    ``advice``: what to do where others are missing. Raises InputError where the folder is not a model, a file is
    damaged, weights are missing (transformers would initialise them at random), or the model needs code of its own that
    is not trusted.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    for file in weights_files(folder):
        if file.suffix != ".safetensors":
            _read_torch_file(file)  # for a clearer message where the file is damaged; memory-mapped, so cheap
    try:
        with quiet():
            model, report = getattr(transformers, auto).from_pretrained(
                folder,
                local_files_only=True,
                output_loading_info=True,
                dtype=torch.float32,
                trust_remote_code=trust_remote_code,
            )
    except SafetensorError as error:
        raise InputError(f"the weights in {folder} are damaged or truncated ({error}): download them again") from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        _refuse_remote_code(folder, error)
        raise InputError(f"{folder} is not a model that transformers can load: {error}") from error
    missing = [key for key in report["missing_keys"] if not any(part in key for part in unused)]
    if missing:
        raise InputError(f"the weights in {folder} lack {len(missing)} tensors, the first is {missing[0]!r}: {advice}")
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing progress bars, hints, and a report of weights that the checkpoint has besides.

    What concerns the result is checked here and is an error: weights that are missing.
    """
    from transformers.utils import logging as messages

    verbosity, shows_bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        messages.set_verbosity(verbosity)
        if shows_bars:
            messages.enable_progress_bar()


def load_processor(kind: str, folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The model's own AutoImageProcessor, AutoFeatureExtractor, AutoTokenizer or AutoConfig (``kind``).

    Raises InputError where the folder has none.
    """
    import transformers

    load: Callable[..., Any] = getattr(transformers, kind).from_pretrained
    try:
        with quiet():
            return load(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        _refuse_remote_code(folder, error)
        files = {"AutoTokenizer": "tokenizer.json", "AutoConfig": "config.json"}
        needed = files.get(kind, "preprocessor_config.json")
        advice = "copy it from the model's page, or get it with --download"
        raise InputError(f"{folder} has no {kind} ({needed}): {advice}: {error}") from error


def _refuse_remote_code(folder: Path, error: Exception) -> None:
    """Raises InputError where transformers refused because the model brings code of its own."""
    if "trust_remote_code" in str(error):
        files = ", ".join(path.name for path in visible(folder, "*.py")) or "in another repository of the hub"
        raise InputError(
            f"{folder} needs code of its own ({files}), which is not run by default: read it and, if you trust it, "
            "give trust_remote_code=true"
        ) from error


def load_tensors(file: Path, *, is_known: bool = False) -> dict[str, Tensor]:
    """The named tensors of a weights file: ``.safetensors``, or a torch file with a state dict, read as data only.

    From a training checkpoint the part ``model``, ``state_dict``, ``model_state_dict`` or ``model_state`` is taken.
    ``is_known``: the file's hash was checked, so that there is no warning about a pickle. Raises MissingWeights where
    there is no such file; InputError where it is damaged, contains more than tensors, or is not a state dict.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise MissingWeights(f"no weights file at {file}: check the path")
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file} is damaged or truncated ({error}): download it again") from error
    found = _read_torch_file(file, is_known)
    for part in ("model", "state_dict", "model_state_dict", "model_state"):
        if isinstance(found, dict) and isinstance(found.get(part), dict):
            found = found[part]
    if not isinstance(found, dict) or not found or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise InputError(f"{file} contains no state dict (names and tensors): give a file of weights only")
    return found


def _read_torch_file(file: Path, is_known: bool = False) -> Any:
    """The content of a torch file, read without running its pickle. Raises InputError where it cannot be read."""
    import torch

    if not is_known:
        LOG.warning("%s is a pickle: only its tensors are read; safetensors would be safer", file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=_is_zip(file))
    except Exception as error:  # a damaged pickle can raise anything
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise InputError(
                f"{file} contains code ({code[1]}), and only tensors are read: if you trust it, convert it to "
                "safetensors"
            ) from error
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{file} is damaged, truncated or not a torch file ({reason}): download it again") from error


def _is_zip(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(2) == b"PK"
