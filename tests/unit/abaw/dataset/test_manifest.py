"""Manifests: what one says, and what is refused."""

import json
import re
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from abaw.dataset.layout import open_dataset
from abaw.dataset.manifests.labels import read_manifest_labels
from abaw.errors import InputError, NotFoundError
from tests.support.abaw.manifests import CLASSES, VALUES, open_manifest, write_manifest

MEDIA = ("a.wav", "b.wav", "sub/a.wav", "photo.jpg")
TABLE = "path,emotion,split,group\na.wav,hap,train,s1\nb.wav,angry,val,s2\nphoto.jpg,,test,s3\n"


def test_a_table_gives_clips_splits_groups_and_labels(tmp_path):
    found = open_manifest(tmp_path, TABLE, media=MEDIA)
    assert list(found.clips) == ["a", "b", "photo"]
    assert found.clips["a"].media == tmp_path / "a.wav"
    assert found.manifest.splits == {"a": "train", "b": "validation", "photo": "test"}
    assert found.groups == {"a": "s1", "b": "s2", "photo": "s3"}
    labels = read_manifest_labels(found.manifest, "classes", "train")
    assert labels["a"].values.tolist() == [[1.0]]
    assert labels["a"].group == "s1"
    assert read_manifest_labels(found.manifest, "classes", "test") == {}  # a clip without a label
    assert found.num_label_rows("a") == 0  # a clip-level label says nothing of frames


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ('\ufeffpath;emotion;note\r\na.wav;hap;"two\nlines"\r\n\r\nb.wav;angry;\r\n', "clips.csv"),
        ("path\temotion\na.wav\thappy\nb.wav\tangry\n".encode("utf-16"), "clips.tsv"),
        ('{"path": "a.wav", "emotion": "happy"}\n{"path": "b.wav", "emotion": "angry", "fps": null}\n', "clips.jsonl"),
    ],
)
def test_text_tables_are_read_in_their_usual_forms(tmp_path, table, name):
    found = open_manifest(tmp_path, table, media=MEDIA, name=name)
    labels = read_manifest_labels(found.manifest, "classes", "train")
    assert {clip: each.values.tolist() for clip, each in labels.items()} == {"a": [[1.0]], "b": [[0.0]]}


def test_a_parquet_table_is_read(tmp_path):
    path = write_manifest(tmp_path, "", VALUES, media=MEDIA, name="clips.parquet")
    columns = {"path": ["a.wav", "b.wav"], "pain": [1.5, None], "effort": [3, None], "fps": [float("nan"), 25.0]}
    parquet.write_table(pa.table(columns), tmp_path / "clips.parquet")
    found = open_dataset(path)
    labels = read_manifest_labels(found.manifest, "values", "train")
    assert labels["a"].values.tolist() == [[1.5, 3.0]]
    assert "b" not in labels
    assert [clip.fps for clip in found.clips.values()] == [None, 25]


def test_a_parquet_table_that_is_no_text_or_has_a_column_twice_is_refused(tmp_path):
    path = write_manifest(tmp_path, "", media=MEDIA, name="clips.parquet")
    broken = pa.array([b"\xff\xfe"]).view(pa.string())
    parquet.write_table(pa.table({"path": ["a.wav"], "emotion": broken}), tmp_path / "clips.parquet")
    with pytest.raises(InputError, match="clips.parquet: not readable as Parquet .*UTF8"):
        open_dataset(path)
    names = ["path", "emotion", "emotion"]
    parquet.write_table(pa.table([["a.wav"], ["happy"], ["angry"]], names), tmp_path / "clips.parquet")
    with pytest.raises(InputError, match="clips.parquet: the column 'emotion' is there twice"):
        open_dataset(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"path": "a.wav", "emotion": "happy", "group": NaN}', "the group is empty"),
        ('{"path": "a.wav", "emotion": "happy", "group": "\\ud800"}', "group is .* a character that is no text"),
        ('{"path": "a\\u0000.wav", "emotion": "happy"}', "path is .* a character that is no text"),
        ('{"path": "a.wav", "emotion": ["happy"]}', "emotion is of type list, expected text or a number"),
        ('{"path": "a.wav", "emotion": "happy", "group": {"id": 1}}', "group is of type dict, expected text"),
    ],
)
def test_json_that_is_no_text_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(InputError, match=f"clips.jsonl:1: {message}"):
        open_manifest(tmp_path, row, media=MEDIA, name="clips.jsonl")


def test_columns_of_other_types_matter_only_where_they_are_used(tmp_path):
    row = {"path": "a.wav", "emotion": "happy", "boxes": [[0, 1]], "about": {"x": "\ud800"}, "raw": "\0"}
    found = open_manifest(tmp_path / "json", json.dumps(row), media=MEDIA, name="clips.jsonl")
    assert found.manifest.columns == ("path", "emotion", "boxes", "about", "raw")
    columns = {
        "path": ["a.wav"],
        "emotion": ["happy"],
        "pain": pa.array([Decimal("1.50")]),
        "boxes": [[[0, 1]]],
        "raw": [b"\xff"],
        "taken": pa.array([2**62], pa.timestamp("us")),  # a year that Python lacks
    }
    path = write_manifest(tmp_path, "", media=MEDIA, name="clips.parquet")
    parquet.write_table(pa.table(columns), tmp_path / "clips.parquet")
    assert open_dataset(path).manifest.rows["a"].cells == {"emotion": "happy"}
    for name, message in (
        ("boxes", "clips.parquet, row 1: boxes is of type list"),
        ("raw", "clips.parquet, row 1: raw is of type bytes"),
        ("taken", r"clips.parquet: the column 'taken' of timestamp\[us\] is not readable .*: write it as text"),
    ):
        path.write_text(f"manifest: clips.parquet\n{CLASSES.replace('emotion', name)}")
        with pytest.raises(InputError, match=message):
            open_dataset(path)
    path.write_text("manifest: clips.parquet\nvalues: {columns: [pain], range: [0, 10]}\n")
    assert open_dataset(path).manifest.rows["a"].cells == {"pain": "1.50"}


def test_names_of_many_files_that_share_their_stems_are_different(tmp_path):
    media = [f"{folder}/{i}.wav" for folder in ("x", "y") for i in range(5)]
    table = "\n".join(["path,emotion,clip", *(f"{each},happy," for each in media), "a.wav,happy,x_3"])
    found = open_manifest(tmp_path, table, media=[*media, "a.wav"])
    names = [f"{folder}_{i}" for folder in ("x", "y") for i in range(5)]
    names[3], names[8] = "x_3.wav", "y_3.wav"  # x_3 is the name that another row gives
    assert list(found.clips) == [*names, "x_3"]


def test_soft_labels_are_shares_of_classes(tmp_path):
    keys = "classes: {columns: {calm: p_c, tense: p_t}}\n"
    found = open_manifest(tmp_path, "path,p_t,p_c\na.wav,0.25,0.75\n", keys, media=MEDIA)
    assert found.manifest.classes.names == ("calm", "tense")
    assert read_manifest_labels(found.manifest, "classes", "train")["a"].values.tolist() == [[0.75, 0.25]]


def test_names_come_from_folders_and_times_where_files_share_them(tmp_path):
    table = "path,start_s,stop_s\na.wav,,\nsub/a.wav,0,1.5\nsub/a.wav,1.5,\nb.wav,2,3\n"
    found = open_manifest(tmp_path, table, "", media=MEDIA)
    assert list(found.clips) == ["a", "sub_a_0-1.5", "sub_a_1.5-end", "b_2-3"]
    assert (found.clips["b_2-3"].start_s, found.clips["b_2-3"].stop_s) == (2, 3)
    assert found.groups == {"sub_a_0-1.5": "sub/a.wav", "sub_a_1.5-end": "sub/a.wav"}  # parts of a file stay together


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,emotion\na.wav,happy\n", "clips.csv:1: the table has no column 'path'"),
        ("path\na.wav\n", "clips.csv:1: the table has no column 'emotion'"),
        ("path,emotion\na.wav,happyy\n", "clips.csv:2: 'happyy' is no class; did you mean 'happy'?"),
        ("path,emotion\na.wav,happy\na.wav,angry\n", "clips.csv:3: .*a.wav has a row already, .*clips.csv:2"),
        ("path,clip,emotion\na.wav,x,happy\nb.wav,x,angry\n", "clips.csv:3: the clip 'x' has a row already"),
        ("path,emotion\nc.wav,happy\n", "clips.csv:2: path is 'c.wav', but nothing is at "),
        ("path,emotion\nclips.csv,happy\n", "clips.csv:2: .* is neither a video"),
        ("path,emotion,split\na.wav,happy,\n", "clips.csv:2: the split is empty"),
        ("path,emotion,split\na.wav,happy,trian\n", "clips.csv:2: 'trian' is no split"),
        ("path,emotion,split,group\na.wav,happy,train,s\nb.wav,happy,dev,s\n", "clips.csv:3: the group 's' is in two"),
        ("path,emotion,group\na.wav,happy,\n", "clips.csv:2: the group is empty"),
        ("path,emotion,fps\na.wav,happy,0\n", "clips.csv:2: fps is 0"),
        ("path,emotion,fps\na.wav,happy,1e-300\n", "clips.csv:2: fps is 1e-300, expected .* from 0.0001 to 1000"),
        ("path,emotion,start_s\na.wav,happy,1e300\n", "clips.csv:2: start_s is 1e.300, expected seconds from the"),
        ("path,emotion,stop_s\na.wav,happy,1.7e9\n", "clips.csv:2: stop_s is 1.7e.09, expected seconds from the"),
        ("path,emotion,fps\na.wav,happy,2x\n", "clips.csv:2: fps: '2x' is not a number"),
        ("path,emotion,start_s,stop_s\na.wav,happy,2,1\n", "clips.csv:2: the clip stops at 1 s and starts at 2 s"),
        ("path,emotion,start_s\na.wav,happy,-1\n", "clips.csv:2: the clip starts at -1 s, expected 0 or later"),
        ("path,emotion,stop_s\na.wav,happy,0\n", "clips.csv:2: the clip stops at 0 s and starts at 0 s"),
        ("path,emotion\na.wav\n", "clips.csv:2: 1 cells, but the header has 2 columns"),
        ("path,path\na.wav,a.wav\n", "clips.csv:1: the column 'path' is there twice"),
        ('path,emotion\n"a.wav,happy\n', "clips.csv:2: not readable as a table"),
        (b"path,emotion\na.wav,h\xffppy\n", "clips.csv:2: not a text file in UTF-8"),
        ("path,emotion\n", "clips.csv:1: the table has no row"),
        ("", "clips.csv:1: the file is empty"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, table, message):
    with pytest.raises((InputError, NotFoundError), match=message):
        open_manifest(tmp_path, table, media=MEDIA)


@pytest.mark.parametrize(
    ("row", "message"),
    [("a.wav,3,11", "effort is 11, outside"), ("a.wav,3,", "effort is empty"), ("a.wav,3,nan", "effort: 'nan' is not")],
)
def test_wrong_values_are_refused_with_their_line(tmp_path, row, message):
    with pytest.raises(InputError, match=f"clips.csv:2: {message}"):
        open_manifest(tmp_path, f"path,pain,effort\n{row}\n", VALUES, media=MEDIA)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("clases: {}\n", "set.yaml:2: unknown key 'clases'; did you mean 'classes'?"),
        ("media: nowhere\n", "set.yaml:2: no folder "),
        ("columns: {path: file}\n", "set.yaml:2: .*clips.csv:1: the table has no column 'file'"),
        ("columns: {paths: file}\n", "set.yaml:2: unknown key 'paths'"),
        ("classes: {names: [a, b]}\n", "set.yaml:2: classes needs either column"),
        ("classes: {column: emotion, names: [a]}\n", "set.yaml:2: names has one class"),
        ("classes: {column: emotion, names: [a, a]}\n", "set.yaml:2: names has 'a' twice"),
        (
            "classes:\n  column: emotion\n  names: [a, b]\n  aliases: {x: c}\n",
            "set.yaml:5: the alias 'x' stands for 'c'",
        ),
        ("values: {columns: [emotion]}\n", "set.yaml:2: range is None"),
        ("values: {columns: [emotion], range: [1, 0]}\n", "set.yaml:2: range is .1, 0., expected the lowest"),
        (f"values: {{columns: [emotion], range: [0, {'9' * 400}]}}\n", "set.yaml:2: range is .* both finite"),
        ("classes: {column: emotion, names: [a, true]}\n", "set.yaml:2: names contains True, which is no text"),
        ("classes: {column: emotion, names: [null, a]}\n", "set.yaml:2: names contains None, which is no text"),
        ('media: "\\0"\n', "set.yaml:2: media is "),
        ("root: .\n", "set.yaml:2: unknown key 'root'"),
    ],
)
def test_wrong_keys_are_refused_with_their_line(tmp_path, keys, message):
    with pytest.raises((InputError, NotFoundError), match=message):
        open_manifest(tmp_path, "path,emotion\na.wav,a\n", keys, media=MEDIA)


def test_names_are_as_written(tmp_path):
    """01 is the number 1 in YAML, and the text 01 in a table."""
    keys = "classes: {column: 0x1, names: [01, 02], aliases: {03: 01, x: 02}}\n"
    found = open_manifest(tmp_path, "path,0x1\na.wav,02\nb.wav,03\n", keys, media=MEDIA)
    assert found.manifest.classes.names == ("01", "02")
    labels = read_manifest_labels(found.manifest, "classes", "train")
    assert [each.values.tolist() for each in labels.values()] == [[[1.0]], [[0.0]]]
    shares = "classes: {columns: {01: 001, 02: 002}}\n"
    found = open_manifest(tmp_path / "shares", "path,001,002\na.wav,1,0\n", shares, media=MEDIA)
    assert (found.manifest.classes.names, found.manifest.classes.columns) == (("01", "02"), ("001", "002"))
    ranges = "values: {columns: [01, 02], range: {01: [0, 1], 02: [0, 9]}}\n"
    found = open_manifest(tmp_path / "ranges", "path,01,02\na.wav,1,9\n", ranges, media=MEDIA)
    assert found.manifest.values.ranges == ((0, 1), (0, 9))
    merged = "values: {columns: [1, 2], range: {<<: {1: [0, 1]}, 2: [0, 9]}}\n"
    found = open_manifest(tmp_path / "merged", "path,1,2\na.wav,1,9\n", merged, media=MEDIA)
    assert found.manifest.values.ranges == ((0, 1), (0, 9))


def test_two_persons_of_a_video_are_two_clips(tmp_path):
    table = "path,clip,emotion\na.wav,a_left,happy\na.wav,a_right,angry\n"
    found = open_manifest(tmp_path, table, media=MEDIA)
    assert [clip.side for clip in found.clips.values()] == ["left", "right"]
    assert re.fullmatch("a.wav", found.groups["a_left"])
