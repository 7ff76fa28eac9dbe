"""Weights: found here or fetched when asked, whole or refused, read as data and never run."""

import json
import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

from extract.networks.hub import (
    MissingWeights,
    load_model,
    load_processor,
    load_tensors,
    snapshot,
    weights_files,
    weights_hash,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A tiny ViT as a folder with safetensors."""
    import transformers as tf
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    folder = tmp_path_factory.mktemp("vit")
    tf.ViTModel(
        tf.ViTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=8,
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(vit, tmp_path):
    return Path(shutil.copytree(vit, tmp_path / "copy"))


@pytest.fixture
def pickled(copy):
    """The same with its weights as a pickle."""
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    return copy


class Hub:
    """A hub of one model at one revision, and the cache on this machine."""

    def __init__(self, cache, files):
        self.folder, self.files, self.calls = cache / "snapshots" / COMMIT, files, []

    def snapshot_download(self, model, *, revision, allow_patterns, local_files_only=False, dry_run=False):
        self.calls.append("look" if local_files_only else "list" if dry_run else "fetch")
        if local_files_only:
            if not self.folder.exists():
                raise LocalEntryNotFoundError("not in the cache")
            return str(self.folder)
        if (model, revision) != ("owner/model", "main"):
            raise OSError("404: no such model")
        if dry_run:
            return [
                SimpleNamespace(filename=name, file_size=len(content), will_download=True)
                for name, content in self.files.items()
            ]
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in allow_patterns:
            (self.folder / name).write_bytes(self.files[name])
        return str(self.folder)


@pytest.fixture
def hub(vit, tmp_path, monkeypatch):
    files = {path.name: path.read_bytes() for path in vit.iterdir()}
    made = Hub(
        tmp_path / "cache", files | {"pytorch_model.bin": b"the same again", "model.fp32.safetensors": b"and again"}
    )
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    return made


def test_a_folder_is_used_without_the_hub(vit, hub):
    assert snapshot(str(vit)) == vit
    assert hub.calls == []


def test_nothing_is_downloaded_by_default(hub):
    wanted = r"no model 'owner/model' on this machine.*--download or `hf download owner/model --revision main`"
    with pytest.raises(MissingWeights, match=wanted):
        snapshot("owner/model")
    assert hub.calls == ["look"]
    assert not hub.folder.exists()


def test_a_download_fetches_the_weights_in_one_format_and_is_found_the_next_time(hub, caplog):
    caplog.set_level("INFO", "abaw")
    hub.files["preprocessor_config.json"] = b"{}"
    folder = snapshot("owner/model", download=True)
    names = ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert "downloading owner/model, revision main: 0 MB" in caplog.text
    load_model(folder)
    hub.calls.clear()
    assert snapshot("owner/model") == snapshot("owner/model", download=True) == folder
    assert hub.calls == ["look", "look"]


def test_a_download_completes_a_cache_that_has_only_weights(hub):
    folder = snapshot("owner/model", download=True)
    hub.files["preprocessor_config.json"] = b"{}"
    assert snapshot("owner/model") == folder
    assert not (folder / "preprocessor_config.json").exists()
    snapshot("owner/model", download=True)
    assert (folder / "preprocessor_config.json").exists()


def test_only_the_needed_files_of_a_repository_are_downloaded():
    from extract.networks.hub import _needed

    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    others = ["config.json", "vocab.txt"]
    whisper = ["model.safetensors", "model.fp32-00001-of-00002.safetensors", "pytorch_model.bin", "onnx/model.bin"]
    assert _needed([*others, *whisper]) == [*others, "model.safetensors"]
    assert _needed([*others, *shards, "pytorch_model.bin"]) == [*others, *shards]
    assert _needed([*others, "pytorch_model.bin", "training_args.bin"]) == [*others, "pytorch_model.bin"]
    assert _needed([*others, "strange.safetensors"]) == [*others, "strange.safetensors"]


def test_an_interrupted_download_is_an_error_and_can_be_repeated(hub):
    hub.folder.mkdir(parents=True)
    (hub.folder / "config.json").write_bytes(hub.files["config.json"])
    with pytest.raises(MissingWeights, match=r"'owner/model' is in the hub's cache only in part .*--download"):
        snapshot("owner/model")
    assert (snapshot("owner/model", download=True) / "model.safetensors").exists()


def test_a_failed_download_gives_the_reason(hub, monkeypatch):
    with pytest.raises(
        MissingWeights, match=r"'owner/other' \(revision main\) could not be downloaded \(404: no such model\)"
    ):
        snapshot("owner/other", download=True)

    def gated(model, *, local_files_only=False, **rest):
        if local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        raise GatedRepoError.__new__(GatedRepoError)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", gated)
    with pytest.raises(MissingWeights, match="'owner/model' is available only to those who accept its licence"):
        snapshot("owner/model", download=True)


def test_an_invalid_hub_name_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(MissingWeights, match="it is neither a folder nor a valid hub name"):
        snapshot("./nowhere/at/all")
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(MissingWeights, match="which is a file: give the folder that contains it"):
        snapshot(str(file))


def test_the_hash_covers_exactly_the_weights_that_are_used(copy):
    before = weights_hash(copy)
    assert list(before) == ["model.safetensors"]
    (copy / "pytorch_model.bin").write_bytes(b"a second copy")
    (copy / "optimizer.bin").write_bytes(b"something else")
    assert weights_hash(copy) == before
    (copy / "model.safetensors").write_bytes(b"other weights")
    assert weights_hash(copy) != before


def test_weights_in_several_files_are_all_hashed_and_none_may_be_missing(copy):
    (copy / "model.safetensors").rename(copy / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        MissingWeights, match="lacks model-00002-of-00002.safetensors, which its model.safetensors.index"
    ):
        weights_hash(copy)
    (copy / "model-00002-of-00002.safetensors").write_bytes(b"the rest")
    assert [path.name for path in weights_files(copy)] == sorted(index["weight_map"].values())
    (copy / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match="is not an index of weights"):
        weights_hash(copy)


def test_a_folder_without_weights_says_what_was_expected(copy):
    (copy / "model.safetensors").unlink()
    (copy / "flax_model.msgpack").write_bytes(b"x")
    with pytest.raises(MissingWeights, match=r"has no weights: expected model\.safetensors \(or pytorch_model\.bin\)"):
        load_model(copy)


def test_a_pickle_of_tensors_loads_as_the_same_model_with_a_warning(vit, pickled, caplog):
    same, expected = (dict(load_model(folder).named_parameters()) for folder in (pickled, vit))
    assert same.keys() == expected.keys()
    assert all(np.array_equal(same[name].detach(), expected[name].detach()) for name in same)
    assert "is a pickle: only its tensors are read; safetensors would be safer" in caplog.text


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_weights_are_refused(copy, share):
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match="are damaged or truncated"):
        load_model(copy)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_pickle_is_refused(pickled, share):
    whole = (pickled / "pytorch_model.bin").read_bytes()
    (pickled / "pytorch_model.bin").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"pytorch_model.bin is damaged, truncated or not a torch file"):
        load_model(pickled)


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(pickled, tmp_path, is_zip):
    import torch

    file, trace = pickled / "pytorch_model.bin", tmp_path / "it ran"
    if is_zip:
        torch.save({"weight": Bomb(trace)}, file)
    else:
        file.write_bytes(pickle.dumps({"weight": Bomb(trace)}, protocol=2))
    with pytest.raises(ValueError, match=r"contains code \(\w+\.mkdir\), and only tensors are read"):
        load_model(pickled)
    with pytest.raises(ValueError, match="pytorch_model.bin"):
        load_tensors(file)
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["AutoModel", "AutoImageProcessor", "AutoTokenizer", "AutoConfig"])
def test_code_that_comes_with_a_model_is_not_run_by_default(copy, tmp_path, kind):
    trace = tmp_path / "it ran"
    (copy / "own.py").write_text(f"import os\nos.mkdir({str(trace)!r})\n")
    ours = dict.fromkeys(("AutoModel", "AutoConfig", "AutoImageProcessor"), "own.Own")
    config = {"model_type": "own", "auto_map": {**ours, "AutoTokenizer": ["own.Own", None]}}
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        (copy / name).write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match=r"needs code of its own \(own.py\), which is not run by default.*trust_remote_code=true"
    ):
        load_model(copy) if kind == "AutoModel" else load_processor(kind, copy)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: "{", "is not a model that transformers can load"),
        (lambda config: json.dumps({**config, "model_type": "nonsense"}), "is not a model that transformers can load"),
        (lambda config: json.dumps({**config, "hidden_size": 24}), "is not a model that transformers can load"),
        (
            lambda config: json.dumps({**config, "num_hidden_layers": 2}),
            r"lack \d+ tensors, .*use a complete checkpoint",
        ),
    ],
    ids=["damaged", "unknown", "another size", "deeper"],
)
def test_a_folder_of_another_architecture_is_refused(copy, change, words):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(change(config))
    with pytest.raises(ValueError, match=words):
        load_model(copy)


def test_a_folder_without_a_processor_names_the_file(vit):
    with pytest.raises(ValueError, match=r"has no AutoImageProcessor \(preprocessor_config.json\): copy it"):
        load_processor("AutoImageProcessor", vit)
    with pytest.raises(ValueError, match=r"has no AutoTokenizer \(tokenizer.json\): copy it"):
        load_processor("AutoTokenizer", vit)


@pytest.mark.parametrize("part", [None, "model", "state_dict", "model_state_dict"])
def test_named_tensors_are_read_from_a_state_dict_or_the_part_of_a_checkpoint(tmp_path, part):
    import torch

    tensors = {"weight": torch.arange(3.0)}
    file = tmp_path / "weights.pt"
    torch.save({part: tensors, "epoch": 3} if part else tensors, file)
    found = load_tensors(file)
    assert found.keys() == {"weight"}
    assert found["weight"].tolist() == [0, 1, 2]


def test_tensors_are_refused_where_there_are_none(tmp_path):
    import torch

    with pytest.raises(MissingWeights, match="no weights file at .*none.pt: check the path"):
        load_tensors(tmp_path / "none.pt")
    torch.save({"epoch": 3}, tmp_path / "none.bin")
    with pytest.raises(ValueError, match="contains no state dict"):
        load_tensors(tmp_path / "none.bin")
    (tmp_path / "cut.safetensors").write_bytes(b"\x08")
    with pytest.raises(ValueError, match="cut.safetensors is damaged or truncated"):
        load_tensors(tmp_path / "cut.safetensors")
    for seed in range(20):
        (tmp_path / "noise.pt").write_bytes(np.random.default_rng(seed).bytes(1000))
        with pytest.raises(ValueError, match="noise.pt is damaged, truncated or not a torch file"):
            load_tensors(tmp_path / "noise.pt")
