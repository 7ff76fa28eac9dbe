"""Timelines of clips without media, for tests of what is drawn and written of them."""

from pathlib import Path

import numpy as np

from abaw.views.timeline import Block, PersonRows, Timeline

BOX = (10.0, 20.0, 30.0, 40.0)


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
