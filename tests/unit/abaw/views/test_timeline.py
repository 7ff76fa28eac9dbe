import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from abaw.errors import InputError, NotFoundError
from abaw.files import read_json, write_json
from abaw.views.timeline import read_timeline
from tests.support.views.timelines import make_person, make_timeline

BLOCKS = [
    {"task": "va", "kind": "values", "columns": ["valence"], "ranges": [[-1, 1]], "chosen": None},
    {
        "task": "expr",
        "kind": "classes",
        "columns": ["p_Neutral", "p_Fear"],
        "ranges": [[0, 1]] * 2,
        "chosen": "expression",
    },
]


def write(folder, persons, **columns):
    num = len(columns["frame"])
    table = {
        "time_s": [0.04 * frame for frame in columns["frame"]],
        "observed": [True] * num,
        "face_seen": [True] * num,
        "voice_heard": [False] * num,
        **{f"face_{side}_px": [1.0] * num for side in ("x", "y", "width", "height")},
        "valence": [0.1 * (i + 1) for i in range(num)],
        "p_Neutral": [1.0] * num,
        "p_Fear": [0.0] * num,
        "expression": ["Neutral"] * num,
        **columns,
    }
    parquet.write_table(pa.table(table), folder / "clip.parquet")
    about = {"media": "clip.mp4", "table": "clip.parquet", "losses": "", "no_prediction": None}
    about["persons"] = [{"person": person} for person in persons]
    write_json(folder / "analysis.json", {"clips": {"clip": about}, "blocks": BLOCKS, "sources": [], "warnings": []})


def test_rows_of_two_persons_are_put_on_the_frames(tmp_path):
    write(tmp_path, [0, 1], frame=[1, 1, 2, 3], person=[0, 1, 1, None], observed=[True, True, True, False])
    found = read_timeline(tmp_path, "clip")
    assert found.times_s == pytest.approx([0.04, 0.08, 0.12])
    first, second = found.persons
    np.testing.assert_allclose(first.columns["valence"], [0.1, np.nan, np.nan])
    np.testing.assert_allclose(second.columns["valence"], [0.2, 0.3, np.nan], rtol=1e-6)
    assert first.face_seen.tolist() == [True, False, False]
    assert second.chosen["expression"].tolist() == ["Neutral", "Neutral", ""]


def test_persons_who_are_never_seen_together_are_two(tmp_path):
    write(tmp_path, [0, 1], frame=[1, 2], person=[0, 1])
    assert [each.numbers.tolist() for each in read_timeline(tmp_path, "clip").persons] == [[0, -1], [-1, 1]]


def test_the_target_is_one_whatever_its_number(tmp_path):
    write(
        tmp_path,
        [None],
        frame=[1, 2, 3],
        person=[0, None, 4],
        valence=[0.5, None, 0.25],
        expression=["Fear", None, "Fear"],
    )
    (target,) = read_timeline(tmp_path, "clip").persons
    assert target.numbers.tolist() == [0, -1, 4]
    np.testing.assert_array_equal(target.columns["valence"], [0.5, np.nan, 0.25])
    assert target.chosen["expression"].tolist() == ["Fear", "", "Fear"]


def test_a_single_person_has_a_row_in_every_frame(tmp_path):
    write(tmp_path, [3], frame=[1, 2], person=[3, None], face_seen=[True, False])
    (person,) = read_timeline(tmp_path, "clip").persons
    assert person.person == 3
    assert person.face_seen.tolist() == [True, False]


def test_a_table_of_several_members_has_the_spread_of_a_column(tmp_path):
    write(tmp_path, [None], frame=[1, 2], person=[0, 0], valence_spread=[0.25, None], p_Fear_spread=[0.0, 0.5])
    (target,) = read_timeline(tmp_path, "clip").persons
    np.testing.assert_array_equal(target.spread("valence"), [0.25, np.nan])
    np.testing.assert_array_equal(target.spread("p_Fear"), [0.0, 0.5])
    assert target.spread("p_Neutral") is None
    assert target.deviations("valence") is None


@pytest.mark.parametrize("is_sought", [True, False])
def test_faces_that_were_not_sought_are_not_confused_with_those_that_were_not_found(tmp_path, is_sought):
    write(
        tmp_path,
        [None],
        frame=[1, 2],
        person=pa.nulls(2, pa.int32()),
        face_seen=[False, False] if is_sought else [None, None],
    )
    assert read_timeline(tmp_path, "clip").faces_sought == is_sought


def test_an_unknown_clip_is_an_error_that_names_those_there(tmp_path):
    write(tmp_path, [None], frame=[1], person=[0])
    with pytest.raises(NotFoundError, match="has no clip 'other'; it has clip"):
        read_timeline(tmp_path, "other")


def test_a_folder_of_an_earlier_version_is_an_error(tmp_path):
    write_json(tmp_path / "analysis.json", {"clips": {}})
    with pytest.raises(InputError, match="earlier version"):
        read_timeline(tmp_path, "clip")
    with pytest.raises(NotFoundError, match="has no analysis.json"):
        read_timeline(tmp_path / "none", "clip")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"valence": None}, "column 'valence' is missing"),
        ({"expression": None}, "column 'expression' is missing"),
        ({"face_x_px": None}, "column 'face_x_px' is missing"),
        ({"valence": ["a", "b"]}, "column 'valence' is string, expected float"),
        ({"observed": [True, None]}, "column 'observed' has 1 empty cells"),
        ({"time_s": [0.04, 0.04]}, "column 'time_s' does not increase"),
    ],
)
def test_a_table_that_was_changed_is_an_error_that_names_the_column(tmp_path, columns, message):
    write(tmp_path, [None], frame=[1, 2], person=[0, 0])
    table = parquet.read_table(tmp_path / "clip.parquet")
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.remove_column(place) if values is None else table.set_column(place, name, pa.array(values))
    parquet.write_table(table, tmp_path / "clip.parquet")
    with pytest.raises(InputError, match=rf"clip\.parquet: {message}.*analyze again"):
        read_timeline(tmp_path, "clip")
    (tmp_path / "clip.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"clip\.parquet: not readable as Parquet"):
        read_timeline(tmp_path, "clip")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.pop("clips"), "clips is missing"),
        (lambda found: found.update(clips=["clip"]), "clips is no object"),
        (lambda found: found["clips"]["clip"].pop("table"), r"clips\.clip\.table is missing"),
        (lambda found: found["clips"]["clip"].update(table="../clip.parquet"), "has a slash"),
        (lambda found: found["clips"]["clip"].update(persons=[]), r"clips\.clip\.persons is '\[\]'"),
        (lambda found: found["blocks"][0].update(kind="x"), r"blocks\.0\.kind is 'x'"),
        (lambda found: found["blocks"][1].update(ranges=[[0, 1]]), "the ranges of expr are"),
        (lambda found: found["blocks"][0].update(ranges=[[1, 1]]), "the ranges of va are"),
    ],
)
def test_a_damaged_document_is_an_error_that_names_the_key(tmp_path, change, message):
    write(tmp_path, [None], frame=[1], person=[0])
    document = read_json(tmp_path / "analysis.json")
    change(document)
    write_json(tmp_path / "analysis.json", document)
    with pytest.raises(InputError, match=rf"analysis\.json: .*{message}"):
        read_timeline(tmp_path, "clip")


def test_recognisers_that_could_be_had_are_no_sources_of_a_clip():
    better = ("these are the best on this machine; you can get better ones:", "  x: download it")
    assert make_timeline([make_person(["Fear"])], [0.0], sources=("expr by x", *better)).sources == ("expr by x",)
