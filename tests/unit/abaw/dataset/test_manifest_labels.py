"""Labels of frames, times and spans in a file for each clip of a manifest."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from abaw.dataset.manifests.labels import read_manifest_labels
from abaw.errors import InputError, NotFoundError
from abaw.tasks import TASKS
from tests.support.abaw.manifests import CLASSES, VALUES, open_manifest

TABLE = "path,labels,split\na.wav,a.csv,train\nb.wav,,test\n"
TIMES_S = np.arange(6) * 0.1


def read_labels(folder, text, keys=VALUES, table=TABLE):
    folder.mkdir(exist_ok=True)
    (folder / "a.csv").write_text(text)
    found = open_manifest(folder, table, keys, media=("a.wav", "b.wav"))
    kind = "values" if found.manifest.values else "classes"
    return found, read_manifest_labels(found.manifest, kind, "train")["a"]


def test_rows_of_frames_are_labels_of_frames(tmp_path):
    found, labels = read_labels(tmp_path, "frame,effort,pain\n3,2,1\n1,0,10\n4,,\n")
    assert labels.values.tolist() == [[10, 0], [0, 0], [1, 2], [0, 0]]
    assert labels.scored.tolist() == [True, False, True, False]
    assert labels.at(TIMES_S) is labels
    assert found.num_label_rows("a") == 4
    assert read_manifest_labels(found.manifest, "values", "test") == {}  # a clip without labels


SUGGESTED = """clip,frame,time_s,why,effort,pain,predicted_effort,predicted_pain,effort_sd,pain_sd
b,3,0.08,explore,1,2,0,0,1,1
'=a,2,0.04,explore,3,4,0,0,1,1
b,1,0.00,exploit,5,6,0,0,1,1
'=a,5,0.16,explore,,,0,0,1,1
"""


def test_each_clip_takes_its_rows_of_a_filled_in_file_of_suggestions(tmp_path):
    (tmp_path / "filled.csv").write_text(SUGGESTED)
    table = "path,clip,labels\na.wav,=a,filled.csv\nb.wav,,filled.csv\n"
    found = open_manifest(tmp_path, table, VALUES, media=("a.wav", "b.wav"))
    labels = read_manifest_labels(found.manifest, "values", "train")
    assert {clip: (np.flatnonzero(each.scored) + 1).tolist() for clip, each in labels.items()} == {
        "=a": [2],
        "b": [1, 3],
    }
    assert labels["b"].values[[0, 2]].tolist() == [[6, 5], [2, 1]]
    assert [found.num_label_rows(clip) for clip in ("=a", "b")] == [5, 3]


def test_a_clip_that_its_file_of_labels_does_not_name_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"a.csv:1: no row of the clip 'a'.* names other, b: empty the clip's cell"):
        read_labels(tmp_path, "clip,frame,effort,pain\nother,1,2,3\nb,1,2,3\n")


def test_a_parquet_file_of_several_clips_may_have_columns_that_nobody_reads(tmp_path):
    far = pa.array([2**60, 0], pa.timestamp("ms"))  # a year that Python's datetime lacks
    columns = {"clip": ["b", "a"], "frame": [2, 1], "effort": [1.0, 2.0], "pain": [3.0, 4.0], "recorded": far}
    pq.write_table(pa.table(columns), tmp_path / "both.parquet")
    found = open_manifest(tmp_path, TABLE.replace("a.csv", "both.parquet"), VALUES, media=("a.wav", "b.wav"))
    assert read_manifest_labels(found.manifest, "values", "train")["a"].values.tolist() == [[4, 2]]


def test_a_wrong_row_of_several_clips_is_named_by_its_line(tmp_path):
    with pytest.raises(InputError, match="a.csv:4: pain is 11, outside"):
        read_labels(tmp_path, "clip,frame,effort,pain\na,1,2,3\nb,1,2,99\na,2,2,11\n")


def test_classes_at_a_time_reach_half_way_to_their_neighbours(tmp_path):
    _, labels = read_labels(tmp_path, "time_s,emotion\n0,angry\n0.2,happy\n0.4,neutral\n", CLASSES)
    found = labels.at(np.array([0.0, 0.09, 0.11, 0.29, 0.31, 0.49, 0.51]))
    assert found.values[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 0]
    assert found.scored.tolist() == [True] * 6 + [False]


def test_values_at_times_are_interpolated_between_near_ones_and_end_with_them(tmp_path):
    text = "time_s,pain,effort\n0,1,1\n0.2,3,2\n0.4,,\n0.6,5,5\n1.6,7,0\n2.8,9,1\n"
    _, labels = read_labels(tmp_path, text)
    found = labels.at(np.array([0.0, 0.05, 0.15, 0.2, 0.35, 0.6, 1.1, 2.2, 2.8, 3.5]))
    np.testing.assert_allclose(found.values[:, 0], [1, 1.5, 2.5, 3, 0, 5, 6, 0, 9, 0], atol=1e-6)
    assert found.scored.tolist() == [True, True, True, True, False, True, True, False, True, False]


def test_spans_hold_their_start_and_not_their_stop(tmp_path):
    text = "start_s,stop_s,emotion\n0.3,0.4,hap\n0.1,0.2,angry\n0.4,0.5,\n"
    found, labels = read_labels(tmp_path, text, CLASSES)
    at = labels.at(TIMES_S)
    assert at.values[:, 0].tolist() == [0, 0, 0, 1, 0, 0]
    assert at.scored.tolist() == [False, True, False, True, False, False]
    assert found.num_label_rows("a") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,pain,effort\n1,3,3\n2,11,3\n", "a.csv:3: pain is 11, outside"),
        ("time_s,pain,effort\n0,3,3\n1.7e9,3,3\n", "a.csv:3: time_s is 1.7e.09, expected seconds from the start"),
        ("start_s,stop_s,pain,effort\n0,1e300,3,3\n", "a.csv:2: stop_s is 1e.300, expected seconds from the start"),
        ("frame,pain,effort\n1,3,3\n1,1,3\n", "a.csv:3: frame 1 has a row already, .*a.csv:2"),
        ("frame,pain,effort\n0,3,3\n", "a.csv:2: frame 0 is not one of 1 .. 9999999"),
        ("frame,pain,effort\n10000000,3,3\n", "a.csv:2: frame 10000000 is not one of 1 .. 9999999"),
        ("time_s,pain,effort\n-5,3,3\n-4,3,3\n", "a.csv:2: the label ends at -4.5 s, expected a time after 0"),
        ("start_s,stop_s,pain,effort\n0,1,3,3\n-2,0,3,3\n", "a.csv:3: the label ends at 0 s"),
        ("frame,pain,effort\n1.5,3,3\n", "a.csv:2: '1.5' is not an integer"),
        ("frame,pain\n1,3\n", "a.csv:1: the table has no column 'effort'"),
        ("pain,effort\n1,3\n", "a.csv:1: the columns are pain, effort, expected a column frame"),
        ("start_s,pain,effort\n1,3,3\n", "a.csv:1: the columns are start_s, pain"),
        ("time_s,pain,effort\n1,3,3\n1,3,3\n", "a.csv:3: the time 1 s is not after"),
        (
            "start_s,stop_s,pain,effort\n0,2,3,3\n1,3,3,3\n",
            "a.csv:3: the label starts at 1 s, inside that of .*a.csv:2",
        ),
        ("start_s,stop_s,pain,effort\n2,2,3,3\n", "a.csv:2: the label stops at 2 s"),
        ("frame,pain,effort\n", "a.csv:1: the table has no row"),
    ],
)
def test_wrong_files_of_labels_are_refused_with_their_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path, text)


def test_a_label_after_the_end_of_the_clip_is_refused_with_its_line(tmp_path):
    _, labels = read_labels(tmp_path, "start_s,stop_s,pain,effort\n0,1,3,3\n1.5,2,3,3\n")
    with pytest.raises(InputError, match="a.csv:3: the label starts at 1.5 s, after the end of the clip"):
        labels.at(TIMES_S)


def test_labels_of_a_whole_file_serve_its_parts(tmp_path):
    table = "path,start_s,stop_s,labels,clip\na.wav,0,0.5,a.csv,a\n"
    _, labels = read_labels(tmp_path, "start_s,stop_s,pain,effort\n0,0.3,3,3\n1.5,2,3,3\n", table=table)
    assert labels.at(TIMES_S).scored.tolist() == [True] * 3 + [False] * 3


def test_frames_are_counted_within_the_part_that_is_the_clip(tmp_path):
    """At 25 a second: a row of any length is no frame, and what is outside the clip counts for nothing."""
    text = "start_s,stop_s,pain,effort\n0,2,3,3\n2,2.01,3,3\n3,9,,\n10,1e6,3,3\n"
    _, whole = read_labels(tmp_path, text)
    assert whole.count_frames().tolist() == [50, 1, 0, 9_999_999]
    table = "path,start_s,stop_s,labels,clip\na.wav,1.5,12,a.csv,a\n"
    assert read_labels(tmp_path, text, table=table)[1].count_frames().tolist() == [13, 1, 0, 50]
    _, framewise = read_labels(tmp_path, "frame,pain,effort\n3,3,3\n1,,\n")
    assert framewise.count_frames().tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,labels,pain,effort\na.wav,a.csv,1,1\n", "clips.csv:1: the table has the labels of clips and the column"),
        ("path,labels,pain\na.wav,a.csv,1\n", "clips.csv:1: the table has no column 'effort'"),
        ("path\na.wav\n", "clips.csv:1: the table has no column 'pain'.*need a column labels"),
        ("path,labels\na.wav,b.csv\n", "clips.csv:2: labels is 'b.csv', but nothing is at "),
    ],
)
def test_labels_of_clips_and_of_frames_are_not_mixed(tmp_path, table, message):
    with pytest.raises((InputError, NotFoundError), match=message):
        read_labels(tmp_path, "frame,pain,effort\n1,1,1\n", table=table)


def test_one_column_cannot_be_in_both_tables(tmp_path):
    table = "path,labels,emotion\na.wav,a.csv,hap\n"
    with pytest.raises(InputError, match="a.csv:1: 'emotion' is a column of .*clips.csv as well"):
        read_labels(tmp_path, "frame,emotion,pain,effort\n1,hap,1,1\n", CLASSES + VALUES, table)


def test_label_files_of_the_violence_challenge_are_read_by_a_manifest(tmp_path):
    """``Frame_Number,Label``, a file for each video: see `abaw list editions`."""
    labels = tmp_path / "Training/annotations/0001.csv"
    labels.parent.mkdir(parents=True)
    labels.write_text("Frame_Number,Label\n1,0\n2,1\n4,1\n")
    keys = "columns: {frame: Frame_Number}\nclasses: {column: Label, names: ['0', '1']}\n"
    table = "path,labels,split\n0001.mp4,Training/annotations/0001.csv,train\n"
    found = open_manifest(tmp_path, table, keys, media=["0001.mp4"])
    read = TASKS.build("classes").for_dataset(found).read_labels(found, "train")["0001"]
    assert read.scored.tolist() == [True, True, False, True]
    assert read.values[:, 0].tolist() == [0, 1, 0, 1]
