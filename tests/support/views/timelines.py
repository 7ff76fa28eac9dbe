"""Timelines of clips without media, for tests of what is drawn and written of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from abaw.files import write_json
from abaw.views.timeline import Block, PersonRows, Timeline, read_timeline

BOX = (10.0, 20.0, 30.0, 40.0)
CLASSES = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")
SIDES = ("face_x_px", "face_y_px", "face_width_px", "face_height_px")


def make_person(labels, *, person=None, values=None, units=None, classes=("Neutral", "Fear"), deviation=None):
    """A person with a class a frame; "" is a frame in which nothing was observed and no face was seen."""
    labels = np.array(labels, object)
    num, there = len(labels), labels != ""
    one_hot = np.where(there[:, None], labels[:, None] == np.array(classes, object), np.nan).astype(np.float32)
    columns = {f"p_{name}": one_hot[:, i] for i, name in enumerate(classes)}
    columns["valence"] = np.where(there, np.zeros(num) if values is None else values, np.nan)
    if deviation is not None:
        columns["valence_sd"] = np.where(there, deviation, np.nan)
    if units is not None:
        columns["AU1"] = np.where(there, units, np.nan)
    boxes = np.where(there[:, None], np.array(BOX), np.nan)
    numbers = np.where(there, person or 0, -1)
    return PersonRows(person, there, there, boxes, numbers, columns, {"expression": labels})


def make_timeline(persons, times_s, *, clip_id="clip", sources=(), warnings=(), voice=None, faces_sought=True):
    """The timeline of persons that ``make_person`` made."""
    names = tuple(name for name in persons[0].columns if name.startswith("p_"))
    blocks = [
        Block("expr", "classes", names, ((0.0, 1.0),) * len(names), "expression"),
        Block("va", "values", ("valence",), ((-1.0, 1.0),)),
    ]
    if "AU1" in persons[0].columns:
        blocks.append(Block("au", "units", ("AU1",), ((0.0, 1.0),)))
    about = {"media": None, "losses": "", "no_prediction": None}
    document = {"clips": {clip_id: about}, "sources": list(sources), "warnings": list(warnings)}
    times_s = np.asarray(times_s, float)
    voice = np.zeros(len(times_s), bool) if voice is None else np.asarray(voice, bool)
    return Timeline(clip_id, Path("out"), times_s, voice, faces_sought, tuple(blocks), tuple(persons), document)


def write_analysis(
    folder, clip_id, times_s, *, persons=(None,), media=None, hidden=(), sources=("expr by a test",), noise=0.0
) -> Timeline:
    """A folder as analyze writes it: valence, arousal with a standard deviation, and eight classes.

    Nothing is observed in the frames ``hidden``, counted from 0. ``persons``: their numbers; None for the target.
    Each later one is seen a tenth of the clip later. ``noise``: around smooth values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = [_rows(np.asarray(times_s, float), place, person, hidden, noise) for place, person in enumerate(persons)]
    table = pa.concat_tables(tables).sort_by([("frame", "ascending"), ("person", "ascending")])
    with (folder / f"{clip_id}.parquet").open("wb") as file:
        parquet.write_table(table, file)
    about = {
        "media": None if media is None else str(media),
        "table": f"{clip_id}.parquet",
        "times": "timestamps of the pictures in the container",
        "losses": "",
        "no_prediction": None,
        "persons": [{"person": person} for person in persons],
    }
    values = {"task": "va", "kind": "values", "columns": ["valence", "arousal"], "ranges": [[-1, 1]] * 2}
    classes = {"task": "expr", "kind": "classes", "columns": [f"p_{name}" for name in CLASSES]}
    blocks = [values | {"chosen": None}, classes | {"ranges": [[0, 1]] * len(CLASSES), "chosen": "expression"}]
    document = {"sources": list(sources), "warnings": [], "notes": [], "blocks": blocks, "commit": None}
    write_json(folder / "analysis.json", {**document, "clips": {clip_id: about}})
    return read_timeline(folder, clip_id)


def _rows(times_s, place, person, hidden, noise):
    num = len(times_s)
    random = np.random.default_rng(place)
    there = np.ones(num, bool)
    there[list(hidden)] = False
    there[: place * num // 10] = False
    phases = times_s[:, None] / 3 + np.arange(len(CLASSES)) + place
    logits = 3 * np.sin(phases) + noise * random.normal(size=phases.shape)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns = {
        "frame": np.arange(1, num + 1),
        "time_s": times_s,
        "person": np.full(num, -1 if person is None else person),
        "observed": there,
        "face_seen": there,
        "voice_heard": np.sin(times_s) > 0,
        **{side: np.full(num, 10.0) for side in SIDES},
    }
    predicted = {
        "valence": np.tanh(np.sin(times_s / 2 + place) + noise * random.normal(size=num)),
        "arousal": np.tanh(np.cos(times_s / 5 + place) + noise * random.normal(size=num)),
        "arousal_sd": np.full(num, 0.1),
        **{f"p_{name}": probabilities[:, k] for k, name in enumerate(CLASSES)},
        "expression": np.array(CLASSES)[probabilities.argmax(axis=1)],
    }
    found = {name: pa.array(values) for name, values in columns.items()}
    return pa.table(found | {name: pa.array(values, mask=~there) for name, values in predicted.items()})
