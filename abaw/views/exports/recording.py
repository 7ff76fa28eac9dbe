"""Rerun recordings (.rrd) by the Rerun SDK, an extra."""

from pathlib import Path
from typing import Any

import numpy as np

from abaw.files import atomic_write
from abaw.optional import import_optional
from abaw.views.exports.annotations import class_blocks
from abaw.views.segments import class_segments
from abaw.views.text import plain_text
from abaw.views.timeline import PersonRows, Timeline

TIME = "container_time"  # the name of the time axis in the recording


def check_installed() -> Any:
    """The Rerun SDK. Raises InputError, which says how to install it, where it is not there."""
    return import_optional("rerun", needed_by="a Rerun recording (.rrd)", extra="rerun", package="rerun-sdk")


def write_rrd(timeline: Timeline, path: Path) -> str:
    """Write a clip as a Rerun recording; what its reader must know, or "".

    Of each person, at the timestamps of the frames: every column as a series of scalars (NaN where nothing was
    observed), the face as a box (none in frames without one), and each change of the most probable class as a line of
    a text log; of the clip, whether a voice was heard, and what predicted. Pictures are not part of it. Raises
    InputError where the Rerun SDK is not installed.
    """
    rr = check_installed()
    stream = rr.RecordingStream("abaw", recording_id=plain_text(timeline.clip_id), send_properties=False)
    memory = stream.memory_recording()
    times = _times(rr, timeline.times_s)
    rr.log("about", rr.TextDocument("\n".join([*timeline.sources, *timeline.remarks])), static=True, recording=stream)
    _scalars(rr, stream, "voice_heard", times, timeline.voice_heard)
    for person in timeline.persons:
        place = "" if len(timeline.persons) == 1 else f"person_{person.person}/"
        _write_person(rr, stream, timeline, person, place)
    content = memory.drain_as_bytes()
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return ""


def _write_person(rr: Any, stream: Any, timeline: Timeline, person: PersonRows, place: str) -> None:
    times = _times(rr, timeline.times_s)
    for name, values in person.columns.items():
        column = rr.new_entity_path([*place.split("/")[:-1], plain_text(name)])
        _scalars(rr, stream, column, times, np.where(person.observed, values, np.nan))
    if timeline.faces_sought:
        _scalars(rr, stream, f"{place}face_seen", times, person.face_seen)
        there = np.isfinite(person.boxes).all(axis=1)
        boxes = person.boxes[there].astype(np.float64)
        columns = rr.Boxes2D.columns(centers=boxes[:, :2] + boxes[:, 2:] / 2, half_sizes=boxes[:, 2:] / 2)
        columns = columns.partition(lengths=there.astype(np.uint32))
        rr.send_columns(f"{place}face", indexes=[times], columns=columns, recording=stream)
    for block in class_blocks(timeline):
        assert block.chosen is not None
        found = class_segments(timeline, person, block.chosen)
        if found:
            starts = _times(rr, np.array([each.start_s for each in found]))
            texts = [f"{plain_text(each.label)} for {each.length_s:.2f} s" for each in found]
            path = rr.new_entity_path([*place.split("/")[:-1], plain_text(block.chosen)])
            rr.send_columns(path, indexes=[starts], columns=rr.TextLog.columns(text=texts), recording=stream)


def _times(rr: Any, times_s: np.ndarray) -> Any:
    return rr.TimeColumn(TIME, duration=np.asarray(times_s, np.float64))


def _scalars(rr: Any, stream: Any, place: str, times: Any, values: np.ndarray) -> None:
    columns = rr.Scalars.columns(scalars=np.asarray(values, np.float64))
    rr.send_columns(place, indexes=[times], columns=columns, recording=stream)
