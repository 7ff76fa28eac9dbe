"""Rerun recordings, read by Rerun's own reader."""

import builtins

import numpy as np
import pytest

from abaw.errors import InputError
from abaw.pipelines.viewing.writing import check_views
from abaw.views.exports.recording import write_rrd
from tests.support.views.timelines import BOX, make_person, make_timeline

NASTY = "<script> a/b\n=1"


@pytest.fixture(scope="module")
def chunks(tmp_path_factory):
    """Entity -> (times in seconds, columns) of a recording of two persons."""
    pytest.importorskip("rerun", reason="the extra rerun is not installed")
    from rerun.chunk import RrdReader

    path = tmp_path_factory.mktemp("rrd") / "clip.rrd"
    persons = [
        make_person(["Fear", "Fear", "", NASTY], person=0, values=[0.1, 0.2, 0.0, 0.4], classes=("Fear", NASTY)),
        make_person(["Fear", "", "", ""], person=1, classes=("Fear", NASTY)),
    ]
    assert write_rrd(make_timeline(persons, [0.0, 0.04, 0.09, 0.5], clip_id=NASTY, sources=["made by a"]), path) == ""
    found = {}
    for chunk in RrdReader(path).stream().collect().stream().to_chunks():
        columns = chunk.to_record_batch().to_pydict()
        times = [each.total_seconds() for each in columns.pop("container_time", [])]
        found[chunk.entity_path] = times, columns
    return found


def test_scalars_are_at_the_timestamps_and_a_gap_is_not_a_number(chunks):
    times, columns = chunks["/person_0/valence"]
    assert times == [0.0, 0.04, 0.09, 0.5]
    np.testing.assert_allclose(columns["Scalars:scalars"], [[0.1], [0.2], [np.nan], [0.4]])


def test_boxes_are_there_where_a_face_was(chunks):
    _, columns = chunks["/person_0/face"]
    x, y, width, height = BOX
    assert columns["Boxes2D:centers"] == [[[x + width / 2, y + height / 2]]] * 2 + [[]] + [
        [[x + width / 2, y + height / 2]]
    ]
    assert columns["Boxes2D:half_sizes"][0] == [[width / 2, height / 2]]


def test_each_change_of_the_class_is_a_line_of_the_log(chunks):
    times, columns = chunks["/person_0/expression"]
    assert times == [0.0, 0.5]
    assert columns["TextLog:text"] == [["Fear for 0.09 s"], ["<script> a/b =1 for 0.05 s"]]
    assert chunks["/about"][1]["TextDocument:text"] == [["made by a"]]


def test_a_missing_package_is_an_error_with_the_command_before_anything_is_done(monkeypatch):
    real = builtins.__import__

    def without_rerun(name, *args, **kwargs):
        if name.partition(".")[0] == "rerun":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr("importlib.import_module", lambda name: without_rerun(name) and __import__("sys").modules[name])
    with pytest.raises(InputError, match=r"needs the package rerun-sdk: pip install ('rerun-sdk>=[\d.]+'|rerun-sdk)$"):
        check_views(["rrd"])
