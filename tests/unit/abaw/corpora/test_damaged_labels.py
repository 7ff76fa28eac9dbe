"""Damaged label files of every corpus: refused with file, line and what to do, and no manifest is written."""

import re
from dataclasses import dataclass, field

import numpy as np
import pytest

from abaw.corpora import CORPORA
from abaw.corpora.writing import make_manifest
from abaw.errors import InputError, NotFoundError
from tests.unit.abaw.corpora import layouts


@dataclass(frozen=True)
class LabelFile:
    """A label file of a corpus, a part of it that holds a label, and what damages that part in ways of its own."""

    corpus: str
    file: str
    label: str  # a row of the file with a label that is used
    without_column: tuple[str, str] = ("", "")
    wrong: dict[str, str] = field(default_factory=dict)  # what is wrong -> the row with it
    settings: dict[str, str] = field(default_factory=dict)
    line: int = 2
    fixture: str = ""

    def __str__(self):
        return f"{self.corpus} {self.file.rpartition('/')[2]}"


def values_of(row, old):
    """The row with the value ``old`` replaced by no number, NaN, infinity and a value outside its range."""
    assert row.count(old) == 1
    new = {"no number": "many", "NaN": "NaN", "infinity": "inf", "out of range": "99"}
    return {what: row.replace(old, value) for what, value in new.items()}


IEMOCAP_ROW = "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.2500, 2.5000]"
TEXTS = [
    LabelFile(
        "crema_d", "processedResults/tabulatedVotes.csv", '"200001",5,2,0,0,3,0,"1001_DFA_ANG_XX",10,0.5,"A"',
        ('"S"', '"X"'), {**values_of('"200001",5,2,0,0,3,0,"1001_DFA_ANG_XX",10,0.5,"A"', "3"),
                         "out of range": '"200001",5,-2,0,0,3,0,"1001_DFA_ANG_XX",10,0.5,"A"',
                         "another name": '"200001",5,2,0,0,3,0,"1001_DFA",10,0.5,"A"'},
        {"labels": "face"}, line=3,
    ),
    LabelFile(
        "afew_va", "001/001.json", '"arousal": -1.0, "valence": 3', ('"frames"', '"pictures"'),
        {**values_of('"arousal": -1.0, "valence": 3', "-1.0"), "no value": '"valence": 3'}, line=1,
    ),
    LabelFile(
        "affectnet", "Manually_Annotated_file_lists/training.csv", "1/a.jpg,0,0,9,9,1;2,1,0.8,0.1",
        ("valence,", "valency,"), values_of("1/a.jpg,0,0,9,9,1;2,1,0.8,0.1", "0.8"), {"labels": "values"},
    ),
    LabelFile(
        "affectnet", "Manually_Annotated_file_lists/validation.csv", "2/c.jpg,0,0,9,9,1;2,7,-0.5,0.25",
        ("expression,", "emotion,"), values_of("2/c.jpg,0,0,9,9,1;2,7,-0.5,0.25", "7"),
    ),
    LabelFile(
        "raf_db", "basic/EmoLabel/list_patition_label.txt", "train_00001.jpg 5", (" 5", ""),
        values_of("train_00001.jpg 5", " 5") | {"a fraction": "train_00001.jpg 5.5"}, line=1,
    ),
    LabelFile(
        "dfew", "EmoLabel_DataSplit/train(single-labeled)/set_1.csv", "1,1", (",label", ",class"),
        {"no number": "1,many", "NaN": "1,nan", "infinity": "1,inf", "out of range": "1,99", "no video": ",1"},
    ),
    LabelFile(
        "meld", "train_sent_emo.csv", '1,"Well, hello!",Monica,joy,positive,0,0,1,1,"00:00:01,000","00:00:02,000"',
        ("Emotion", "Feeling"),
        {"no number": '1,"Well, hello!",Monica,joy,positive,zero,0,1,1,"00:00:01,000","00:00:02,000"',
         "an unclosed quote": '1,"Well, hello!,Monica,joy,positive,0,0,1,1,00:00:01,00:00:02',
         "out of range": '1,"Well, hello!",Monica,bliss,positive,0,0,1,1,"00:00:01,000","00:00:02,000"'},
    ),
    LabelFile(
        "iemocap", "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt", IEMOCAP_ROW, ("\tneu", ""),
        {**values_of(IEMOCAP_ROW, "2.2500"), "a damaged start": IEMOCAP_ROW[3:],
         "a stop before the start": IEMOCAP_ROW.replace("8.2357", "1.0")}, {"labels": "values"}, line=3,
    ),
    LabelFile(
        "cmu_mosei", "Raw/Labels/batch_raw.csv", "abc-1,0,2,3,0,0,0,0,0", ("Answer.sentiment", "sentiment"),
        values_of("abc-1,0,2,3,0,0,0,0,0", "2"),
    ),
    LabelFile(
        "cmu_mosei", "Raw/Transcript/Segmented/Combined/abc-1.txt", "abc-1___0___1.5___4.25___Hello.",
        ("___1.5", ""), {**values_of("abc-1___0___1.5___4.25___Hello.", "1.5"),
                         "a stop before the start": "abc-1___0___5.5___4.25___Hello."}, line=1,
    ),
    LabelFile(
        "bah", "train.txt", "Videos/101_Q1.mp4,1,hello, you", (",1,hello, you", ""),
        {"no number": "Videos/101_Q1.mp4,yes,hello", "out of range": "Videos/101_Q1.mp4,99,hello",
         "no path": ",1,hello", "a path that leads out": "../corpus/Videos/101_Q1.mp4,1,hello"}, line=1,
    ),
]  # fmt: skip
# a rater's answer has a number that only some copies of the ratings hold; dictionaries have their own test below
WITHOUT_ROWS = ("afew_va 001.json", "cmu_mosei batch_raw.csv")


def refuse(tmp_path, case, content, expected):
    """The message with which the corpus with this content of the label file is refused."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    getattr(layouts, case.fixture or case.corpus)(folder)
    path = folder / case.file
    text = path.read_text().replace("[2.5000, 2.5000, 2.5000]", "[2.5000, 2.2500, 2.5000]", 1)
    assert text.count(case.label) == 1
    path.write_text(text)
    made = content(text)
    path.write_bytes(made if isinstance(made, bytes) else made.encode())
    with pytest.raises(InputError) as caught:
        make_manifest(case.corpus, folder, tmp_path / "out/data.yaml", case.settings)
    assert not (tmp_path / "out").exists()
    message = str(caught.value)
    assert re.match(expected.format(re.escape(str(path))), message), message
    assert re.search("copy|save|get|remove|correct|check", message), message
    return message


def test_every_corpus_with_label_files_is_damaged_here():
    named = {case.corpus for case in TEXTS}
    assert set(CORPORA.names()) - named == {"ravdess", "emo_db"}  # their labels are in the names of files


@pytest.mark.parametrize("case", TEXTS, ids=str)
def test_a_wrong_value_is_refused_with_its_line(tmp_path, case):
    for i, (what, row) in enumerate(case.wrong.items()):
        (tmp_path / str(i)).mkdir()
        message = refuse(tmp_path / str(i), case, lambda text, row=row: text.replace(case.label, row), "{}:\\d+: ")
        assert f":{case.line}: " in message, what


@pytest.mark.parametrize("case", TEXTS, ids=str)
def test_bytes_that_are_no_utf8_text_are_refused(tmp_path, case):
    start = case.label[:3]
    damages = {
        "latin-1": lambda text: text.replace(case.label, f"é{case.label}").encode("latin-1"),
        "NUL": lambda text: text.replace(case.label, f"{start}\0{case.label[3:]}"),
        "UTF-16": lambda text: text.encode("utf-16"),
        "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
        "UTF-16 cut": lambda text: text.encode("utf-16")[:-1],
    }
    for i, (what, damage) in enumerate(damages.items()):
        if what == "UTF-16" and case.file.endswith(".csv"):
            continue  # a table with the mark of UTF-16 is read as such
        (tmp_path / str(i)).mkdir()
        message = refuse(tmp_path / str(i), case, damage, "{}:\\d+: ")
        assert "UTF-16" in what or f":{case.line}: " in message, what


@pytest.mark.parametrize("case", TEXTS, ids=str)
def test_a_file_that_ends_too_early_is_refused(tmp_path, case):
    old, new = case.without_column
    damages = {
        "empty": lambda text: "",
        "inside a label": lambda text: text[: text.index(case.label) + len(case.label) // 3],
        "a column is missing": lambda text: text.replace(old, new, 1),
    }
    for i, damage in enumerate(damages.values()):
        (tmp_path / str(i)).mkdir()
        refuse(tmp_path / str(i), case, damage, "{}:")


@pytest.mark.parametrize("case", [case for case in TEXTS if str(case) not in WITHOUT_ROWS], ids=str)
def test_a_row_that_is_there_twice_is_refused(tmp_path, case):
    message = refuse(tmp_path, case, lambda text: text.replace(case.label, f"{case.label}\n{case.label}"), "{}:\\d+: ")
    assert f":{case.line + 1}: " in message
    assert f"a second time, first in {tmp_path}/corpus/{case.file}:{case.line}" in message


def test_an_answer_that_is_there_twice_is_refused(tmp_path):
    case = next(case for case in TEXTS if str(case) == "cmu_mosei batch_raw.csv")

    def twice(text):
        header, *rows = text.splitlines()
        return "\n".join([f"AssignmentId,{header}", f"A7,{rows[0]}", f"A8,{rows[1]}", f"A7,{rows[0]}"])

    assert "batch_raw.csv:4: the answer A7 is listed a second time" in refuse(tmp_path, case, twice, "{}:4: ")


def test_a_frame_that_is_there_twice_is_refused_with_its_line(tmp_path):
    case = next(case for case in TEXTS if case.corpus == "afew_va")
    frame = '"00000": {"valence": 1, "arousal": 1}'
    said = "{}:3: '00000' is given a second time"
    refuse(tmp_path, case, lambda text: f'{{"frames": {{\n{frame},\n{frame}}}}}', said)


def test_damaged_arrays_of_affectnet_are_refused(tmp_path):
    damages = {"exp": "99", "val": "nan", "aro": "inf"}
    damages |= {"val ": "1.5", "aro ": np.zeros(2), "exp ": np.array([{"a": 1}], object)}
    for i, (key, value) in enumerate(damages.items()):
        folder = tmp_path / str(i) / "corpus"
        folder.mkdir(parents=True)
        layouts.affectnet_sets(folder)
        path = folder / f"train_set/annotations/7_{key.strip()}.npy"
        np.save(path, value, allow_pickle=True)
        with pytest.raises(InputError, match=rf"{path}"):
            make_manifest("affectnet", folder, tmp_path / str(i) / "data.yaml")
        for length in (0, 5, len(path.read_bytes()) - 3):
            path.write_bytes(path.read_bytes()[:length])
            with pytest.raises(InputError, match=f"{path} is not one number .*copy it again"):
                make_manifest("affectnet", folder, tmp_path / str(i) / "data.yaml")
        path.unlink()
        with pytest.raises(NotFoundError, match=f"no file {path}: copy"):
            make_manifest("affectnet", folder, tmp_path / str(i) / "data.yaml")
        assert not (tmp_path / str(i) / "data.yaml").exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("ravdess", "Actor_01/03-01-05-02-01-02-01.wav", "03-01-09-02-01-02-01.wav", "the emotion 09 in the file's"),
        ("ravdess", "Actor_01/03-01-05-02-01-02-01.wav", "more/03-01-01-01-02-01-02.wav", "is there twice, also as"),
        ("emo_db", "wav/03a01Fa.wav", "wav/03a01Xa.wav", "'X' is no class of this corpus, expected one of W, L"),
        ("emo_db", "wav/03a01Fa.wav", "more/16b10Wb.wav", "is there twice, also as"),
        ("crema_d", "VideoFlash/1002_IEO_HAP_HI.flv", "more/1001_DFA_ANG_XX.flv", "is there twice, also as"),
        ("afew_va", "002/002.json", "more/001/001.json", "is there twice, also as"),
        ("meld", "dev_sent_emo.csv", "more/train_sent_emo.csv", "differs from"),
    ],
)
def test_a_damaged_name_is_refused(tmp_path, name, old, new, said):
    folder = tmp_path / "corpus"
    folder.mkdir()
    getattr(layouts, name)(folder)
    (folder / new).parent.mkdir(parents=True, exist_ok=True)
    (folder / old).rename(folder / new)
    with pytest.raises(InputError, match=said):
        make_manifest(name, folder, tmp_path / "data.yaml")
    assert not (tmp_path / "data.yaml").exists()


@pytest.mark.parametrize("name", CORPORA.names())
def test_labels_without_any_media_are_refused(tmp_path, name):
    folder = tmp_path / "corpus"
    folder.mkdir()
    getattr(layouts, name)(folder)
    for path in folder.rglob("*"):
        if path.suffix in (".wav", ".mp4", ".flv", ".avi", ".jpg", ".png"):
            path.unlink()
    with pytest.raises(NotFoundError, match=f"{folder}.*(copy|expected)"):
        make_manifest(name, folder, tmp_path / "data.yaml")
    assert not (tmp_path / "data.yaml").exists()


def test_files_that_no_label_names_are_counted(tmp_path):
    for name, file, note in (
        ("raf_db", "basic/Image/original/train_00009.jpg", "1 file beside these left out: no label of this kind"),
        ("bah", "Videos/109_Q1.mp4", "1 file beside these left out: no label of this kind"),
        ("emo_db", "wav/other.wav", "1 other .wav file left out, the first other.wav: expected wav/03a01Fa.wav"),
        ("afew_va", "003/00000.png", "1 folder of pictures left out, without a label file: 003"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        getattr(layouts, name)(folder)
        before = make_manifest(name, folder, tmp_path / f"{name}_before.yaml")
        layouts.touch(folder, file)
        after = make_manifest(name, folder, tmp_path / f"{name}.yaml")
        assert after.num_clips == before.num_clips
        assert any(each.startswith(note) for each in after.notes), after.notes
        assert not any(each.startswith(note) for each in before.notes)


def test_a_mean_of_iemocap_close_to_its_range_is_set_to_the_limit(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    layouts.iemocap(folder)
    path = folder / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    path.write_text(path.read_text().replace("[2.5000, 2.5000, 2.5000]", "[5.5000, 2.5000, 0.5000]"))
    made = make_manifest("iemocap", folder, tmp_path / "data.yaml", {"labels": "values"})
    assert "1 turn with a mean up to 0.5 outside 1 to 5, set to the limit" in made.notes
    assert ",5,2.5,1\n" in (tmp_path / "data.csv").read_text()


def test_a_sentence_of_mosei_whose_text_is_damaged_is_counted(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    layouts.cmu_mosei(folder)
    path = folder / "Raw/Transcript/Segmented/Combined/abc-1.txt"
    path.write_bytes(path.read_bytes().replace(b"Hello", b"H\xe9llo"))
    made = make_manifest("cmu_mosei", folder, tmp_path / "data.yaml")
    assert made.notes[0] == f"the text of 1 sentence is not UTF-8, the first in {path}:1; the text is not used"
    assert sum(made.num_clips.values()) == 1


def test_only_media_files_are_clips(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    layouts.ravdess(folder)
    layouts.touch(folder, "store/clock/03-01-05-02-01-02-01.safetensors", "Actor_01/03-01-05-02-01-02-01.txt")
    assert make_manifest("ravdess", folder, tmp_path / "data.yaml").num_clips == {"train": 2}
