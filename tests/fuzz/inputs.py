"""The kinds of inputs: which files are damaged, how, which commands then read them, and what must hold."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import mutations, oracles
from tests.fuzz.mutations import by_bytes, either
from tests.fuzz.world import ENCODERS


@dataclass(frozen=True)
class InputKind:
    """``files``: patterns below the world's folder. ``commands``: one of them is run, its outputs go to {out}.

    ``says``: words of which one must stand in a refusal that does not name the file. ``oracle`` finds what is wrong
    with a result although the command accepted the input. ``slow``: it needs a store and a trained run, or trains.
    """

    files: tuple[str, ...]
    mutate: Callable
    commands: tuple[str, ...]
    oracle: Callable = oracles.nothing
    says: tuple[str, ...] = ()
    slow: bool = False


FIT = "fit predictions --out {out}/fitted.json --task va --trust --data"
SCORE = "score predictions --data data --json --draws 100 --task va"
SUBMIT = "submit predictions --template template.txt --out {out}/a.txt"
VERIFY = "verify submission.txt --template template.txt"
COMBINE = "combine predictions others --out {out}/both --task va"
EXTRACT = f"extract data {' '.join(ENCODERS)} --store"
EXTRACT_FILM = f"extract {{target}} {' '.join(ENCODERS)} --store"
CHECK = "check data --json"
CHECK_FILM = "check {target} --json"
EXPORT = "store export store {out}/npy --encoder net --aligned"
SCORE_RUN = "score runs/synthetic --draws 100"
PREDICT = "predict runs/synthetic --split validation --out {out}/p"
RUN_JSON = (
    "runs/synthetic/run.json",
    "runs/synthetic/post_processing.json",
    "runs/synthetic/predictions/validation/va/predictions.json",
)
INPUTS = {
    "labels": InputKind(
        tuple(f"data/annotations/{task}_*/*/clip_gamma.txt" for task in ("VA", "EXPR", "AU")),
        either(by_bytes, mutations.by_text),
        (SCORE, CHECK, f"{FIT} data"),
        oracles.labels,
    ),
    "lists": InputKind(
        ("data/test_set/*.txt", "data/multitask/*.txt", "set.yaml"),
        either(by_bytes, mutations.by_text),
        (CHECK, "check set.yaml --json"),
        oracles.same_rows_or_said,
    ),
    "templates": InputKind(
        ("template.txt",), either(by_bytes, mutations.by_text), (SUBMIT, VERIFY), oracles.template, ("clip_delta",)
    ),
    "submissions": InputKind(("submission.txt",), either(by_bytes, mutations.by_text), (VERIFY,), oracles.submission),
    "configs": InputKind(
        ("config.yaml", "set.yaml"),
        either(by_bytes, mutations.by_yaml),
        ("recipe config.yaml --dry-run --template template.txt", f"{FIT} set.yaml --config config.yaml"),
        says=("set.yaml", "data", "store"),
    ),
    "training_configs": InputKind(
        ("config.yaml", "space.yaml"),
        either(by_bytes, mutations.by_yaml),
        (
            "search config.yaml data=nowhere --space space.yaml --trials 1 --runs {out}/runs",
            "train config.yaml data=nowhere --runs {out}/runs",
        ),
        says=("nowhere",),
        slow=True,
    ),
    "tables": InputKind(
        ("predictions/va/clip_delta.parquet",), either(by_bytes, mutations.by_columns), (SUBMIT,), oracles.table
    ),
    "json": InputKind(
        ("predictions/va/predictions.json",),
        either(by_bytes, mutations.by_json),
        (SCORE, SUBMIT, COMBINE),
        oracles.document,
    ),
    "post_processing": InputKind(
        ("post.json",),
        either(by_bytes, mutations.by_json),
        (f"{COMBINE} --post-processing post.json",),
        oracles.document,
    ),
    "media": InputKind(
        ("data/videos/batch1/*",), by_bytes, (f"{EXTRACT} {{out}}/store", CHECK), oracles.media, ("clip_",)
    ),
    "containers": InputKind(("films/*",), by_bytes, (f"{EXTRACT_FILM} {{out}}/store", CHECK_FILM), oracles.places),
    "real_clips": InputKind(
        ("real/*",), by_bytes, (f"{EXTRACT_FILM} {{out}}/store", CHECK_FILM), oracles.places, ("real",)
    ),
    "onnx": InputKind(("net.onnx",), by_bytes, (f"{EXTRACT} {{out}}/store",), says=("clip_",)),
    "runs": InputKind(
        ("runs/synthetic/config.yaml", "runs/synthetic/weights/*", *RUN_JSON),
        by_bytes,
        (SCORE_RUN, PREDICT, "train runs/synthetic/config.yaml"),
        oracles.same_or_said,
        ("runs/synthetic",),
        slow=True,
    ),
    "run_json": InputKind(
        RUN_JSON, mutations.by_json, (SCORE_RUN, PREDICT), oracles.document, ("runs/synthetic",), slow=True
    ),
    "tracks": InputKind(
        ("store/clock/*.safetensors", "store/net-*/*.safetensors", "store/voice_mel-*/*.safetensors"),
        either(by_bytes, mutations.by_tensors),
        ("store verify store", EXPORT, PREDICT, "store info store"),
        oracles.same_or_said,
        ("clip_",),
        slow=True,
    ),
    "int8": InputKind(
        ("small/voice_mel-*/*.safetensors",),
        either(by_bytes, mutations.by_tensors),
        ("store verify small", "store export small {out}/npy --encoder voice_mel --aligned", "store info small"),
        oracles.same_or_said,
        ("clip_",),
        slow=True,
    ),
    "flipped_bits": InputKind(
        (
            *("runs/synthetic/weights/*", *RUN_JSON, "runs/synthetic/predictions/validation/*/*.parquet"),
            *("store/clock/*.safetensors", "store/net-*/*", "store/voice_mel-*/*", "store/media/*"),
            *("predictions/va/*.parquet", "predictions/va/predictions.json", "predicted/*/*"),
        ),
        mutations.by_one_bit,
        (SCORE_RUN, PREDICT, EXPORT, SUBMIT, "score predicted --split validation --data data --json --draws 100"),
        oracles.same_or_said,
        ("clip_", "runs/synthetic"),
        slow=True,
    ),
    "recipes": InputKind(
        ("store/*/recipe.json", "store/failed.jsonl"),
        either(by_bytes, mutations.by_json),
        ("store verify store", "store info store", f"{EXTRACT} store"),
        says=("store",),
        slow=True,
    ),
}
