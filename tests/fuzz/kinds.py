"""The kinds of inputs: which files are damaged, how, which commands then read them, and what must hold."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import mutations, oracles
from tests.fuzz.mutations import by_bytes, either

Words = tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """``files``: patterns below the world's folder. ``commands``: one of them is run, its outputs go to {out}.

    ``says``: words of which one must stand in a refusal where it does not name the file. ``oracle`` finds what is wrong
    with a result although the command accepted the input. ``trained``: it needs a world with a store and a run.
    """

    files: Words
    mutate: Callable
    commands: tuple[Words, ...]
    oracle: Callable = oracles.nothing
    says: Words = ()
    trained: bool = False


SCORE = ("score", "predictions", "--data", "data", "--json", "--draws", "100", "--task")
MEDIA = ("extract", "data", "--store", "{out}/store", "--encoder", "onnx:file=net.onnx,crop=none,as=net", "--encoder", "voice_mel")
KINDS = {
    "labels": Kind(
        ("data/annotations/VA_*/*/clip_gamma.txt", "data/annotations/EXPR_*/*/clip_gamma.txt", "data/annotations/AU_*/*/clip_gamma.txt"),
        either(by_bytes, mutations.by_text),
        ((*SCORE, "va"), ("check", "data", "--json"), ("fit", "predictions", "--out", "{out}/post.json", "--task", "va", "--data", "data", "--trust")),
        oracles.labels,
    ),
    "lists": Kind(
        ("data/test_set/*.txt", "data/multitask/*.txt", "set.yaml"),
        either(by_bytes, mutations.by_text),
        (("check", "data", "--json"), ("check", "set.yaml", "--json")),
        oracles.same_rows_or_said,
    ),
    "templates": Kind(
        ("template.txt",),
        either(by_bytes, mutations.by_text),
        (
            ("submit", "predictions", "--template", "template.txt", "--out", "{out}/a.txt"),
            ("verify", "submission.txt", "--template", "template.txt"),
        ),
        oracles.template,
        says=("clip_delta", "template"),
    ),
    "submissions": Kind(
        ("submission.txt",), either(by_bytes, mutations.by_text),
        (("verify", "submission.txt", "--template", "template.txt"),), oracles.submission,
    ),
    "configs": Kind(
        ("config.yaml", "space.yaml", "set.yaml"),
        either(by_bytes, mutations.by_yaml),
        (
            ("recipe", "config.yaml", "--dry-run"),
            ("search", "config.yaml", "data=nowhere", "--space", "space.yaml", "--trials", "1", "--runs", "{out}/runs"),
            ("train", "config.yaml", "data=nowhere", "--runs", "{out}/runs"),
            ("fit", "predictions", "--out", "{out}/p.json", "--task", "va", "--data", "set.yaml", "--config", "config.yaml", "--trust"),
        ),
        says=("nowhere", "set.yaml", "data", "store"),
    ),
    "tables": Kind(
        ("predictions/va/clip_delta.parquet",),
        either(by_bytes, mutations.by_columns),
        (("submit", "predictions", "--template", "template.txt", "--out", "{out}/a.txt"),),
        oracles.table,
        says=("clip_delta",),
    ),
    "json": Kind(
        ("predictions/va/predictions.json",),
        either(by_bytes, mutations.by_json),
        (
            (*SCORE, "va"),
            ("submit", "predictions", "--template", "template.txt", "--out", "{out}/a.txt"),
            ("combine", "predictions", "others", "--out", "{out}/both", "--task", "va"),
        ),
        oracles.document,
    ),
    "post_processing": Kind(
        ("post.json",),
        either(by_bytes, mutations.by_json),
        (("combine", "predictions", "others", "--out", "{out}/both", "--post-processing", "post.json", "--task", "va"),),
        oracles.document,
    ),
    "media": Kind(
        ("data/videos/batch1/*",), by_bytes, (MEDIA, ("check", "data", "--json")), oracles.media, says=("clip_",)
    ),
    "onnx": Kind(("net.onnx",), by_bytes, (MEDIA,), says=("clip_",)),
    "runs": Kind(
        ("runs/synthetic/run.json", "runs/synthetic/config.yaml", "runs/synthetic/post_processing.json", "runs/synthetic/weights/*",
         "runs/synthetic/predictions/validation/va/predictions.json"),
        by_bytes,
        (
            ("score", "runs/synthetic", "--draws", "100"),
            ("predict", "runs/synthetic", "--split", "validation", "--out", "{out}/p"),
            ("train", "runs/synthetic/config.yaml"),
        ),
        oracles.same_or_said,
        says=("runs/synthetic",),
        trained=True,
    ),
    "run_json": Kind(
        ("runs/synthetic/run.json", "runs/synthetic/post_processing.json", "runs/synthetic/predictions/validation/va/predictions.json"),
        mutations.by_json,
        (
            ("score", "runs/synthetic", "--draws", "100"),
            ("predict", "runs/synthetic", "--split", "validation", "--out", "{out}/p"),
        ),
        oracles.document,
        says=("runs/synthetic",),
        trained=True,
    ),
    "tracks": Kind(
        ("store/clock/*.safetensors", "store/net-*/*.safetensors", "store/voice_mel-*/*.safetensors"),
        either(by_bytes, mutations.by_tensors),
        (
            ("store", "verify", "store"),
            ("store", "export", "store", "{out}/npy", "--encoder", "net", "--aligned"),
            ("predict", "runs/synthetic", "--split", "validation", "--out", "{out}/p"),
            ("store", "info", "store"),
        ),
        oracles.same_or_said,
        says=("clip_",),
        trained=True,
    ),
    "recipes": Kind(
        ("store/*/recipe.json", "store/failed.jsonl"),
        either(by_bytes, mutations.by_json),
        (("store", "verify", "store"), ("store", "info", "store"), MEDIA[:2] + ("--store", "store") + MEDIA[4:]),
        says=("store",),
        trained=True,
    ),
}  # fmt: skip
