"""Every corpus: its documented layout becomes a manifest with the right labels, splits and groups."""

import csv
import os

import pytest

from abaw.corpora import CORPORA
from abaw.corpora.writing import make_manifest
from abaw.dataset.layout import open_dataset
from abaw.errors import InputError, NotFoundError
from tests.unit.abaw.corpora import layouts as corpora

# corpus: its settings, and the rows expected (path, split, group, labels); "" where the column does not exist
EXPECTED = {
    "ravdess": [
        (
            {},
            [
                ("Actor_01/03-01-05-02-01-02-01.wav", "", "actor01", "angry"),
                ("Actor_02/03-01-01-01-02-01-02.wav", "", "actor02", "neutral"),
            ],
        ),
        ({"channel": "song"}, [("Actor_01/03-02-03-01-01-01-01.wav", "", "actor01", "happy")]),
        ({"media": "video"}, [("Actor_02/01-01-08-01-01-01-02.mp4", "", "actor02", "surprised")]),
    ],
    "crema_d": [
        (
            {},
            [
                ("VideoFlash/1001_DFA_ANG_XX.flv", "", "1001", "anger"),
                ("VideoFlash/1002_IEO_HAP_HI.flv", "", "1002", "happiness"),
            ],
        ),
        ({"labels": "face"}, [("VideoFlash/1001_DFA_ANG_XX.flv", "", "1001", "0.5,0.2,0.0,0.0,0.3,0.0")]),
        (
            {"labels": "voice", "media": "sound"},
            [("AudioWAV/1001_DFA_ANG_XX.wav", "", "1001", "0.6,0.2,0.0,0.0,0.2,0.0")],
        ),
    ],
    "emo_db": [({}, [("wav/03a01Fa.wav", "", "03", "happiness"), ("wav/16b10Wb.wav", "", "16", "anger")])],
    "afew_va": [({}, [("001", "", "001", ""), ("002", "", "002", "")])],
    "affectnet": [
        (
            {},
            [
                ("Manually_Annotated_Images/1/a.jpg", "train", "", "happiness"),
                ("Manually_Annotated_Images/2/c.jpg", "validation", "", "contempt"),
            ],
        ),
        (
            {"labels": "values"},
            [
                ("Manually_Annotated_Images/1/a.jpg", "train", "", "0.8,0.1"),
                ("Manually_Annotated_Images/2/c.jpg", "validation", "", "-0.5,0.25"),
            ],
        ),
    ],
    "raf_db": [
        (
            {},
            [
                ("Image/original/train_00001.jpg", "train", "", "sadness"),
                ("Image/original/test_0001.jpg", "validation", "", "happiness"),
            ],
        ),
        ({"images": "aligned"}, [("Image/aligned/test_0001_aligned.jpg", "validation", "", "happiness")]),
    ],
    "dfew": [
        (
            {},
            [
                ("Clip/original/00001.mp4", "train", "", "happiness"),
                ("Clip/original/2.mp4", "train", "", "anger"),
                ("Clip/original/3.mp4", "validation", "", "fear"),
            ],
        )
    ],
    "meld": [
        (
            {},
            [
                ("train_splits/dia0_utt0.mp4", "train", "train_dia0", "joy"),
                ("dev_splits_complete/dia0_utt0.mp4", "validation", "validation_dia0", "anger"),
                ("output_repeated_splits_test/dia0_utt0.mp4", "test", "test_dia0", "neutral"),
            ],
        ),
        (
            {"labels": "sentiment"},
            [
                ("train_splits/dia0_utt0.mp4", "train", "train_dia0", "positive"),
                ("dev_splits_complete/dia0_utt0.mp4", "validation", "validation_dia0", "negative"),
                ("output_repeated_splits_test/dia0_utt0.mp4", "test", "test_dia0", "neutral"),
            ],
        ),
    ],
    "iemocap": [
        (
            {},
            [
                (f"Session{n}/sentences/wav/Ses0{n}F_impro01/Ses0{n}F_impro01_{t}.wav", "", f"Session{n}", e)
                for n in (1, 2)
                for t, e in (("F000", "neutral"), ("M001", "happiness"))
            ],
        ),
        (
            {"labels": "values", "media": "video"},
            [
                (f"Session{n}/dialog/avi/DivX/Ses0{n}F_impro01.avi", "", f"Session{n}", v)
                for n in (1, 2)
                for v in ("2.5,2.5,2.5", "4.0,3.5,3.0", "4.0,3.5,3.0")
            ],
        ),
    ],
    "cmu_mosei": [
        ({}, [("Raw/Videos/Full/Combined/abc-1.mp4", "", "abc-1", "1.5")]),
        (
            {"labels": "emotions", "media": "sound"},
            [("Raw/Audio/Full/WAV_16000/abc-1.wav", "", "abc-1", "2.0,0.0,0.0,0.0,0.0,0.0")],
        ),
    ],
    "bah": [
        (
            {},
            [
                ("Videos/101_Q1.mp4", "train", "101", "present"),
                ("Videos/101_Q2.mp4", "train", "101", "absent"),
                ("Videos/102_Q1.mp4", "validation", "102", "absent"),
            ],
        )
    ],
}
CASES = [(name, *case) for name, cases in EXPECTED.items() for case in cases]


def rows_of(path, corpus):
    declared = corpus.get("classes") or corpus["values"]
    names = [declared["column"]] if "column" in declared else list(declared["columns"])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (r["path"], r.get("split", ""), r.get("group", ""), ",".join(r[name] for name in names if name in r))
        for r in rows
    ]


def build(tmp_path, name, fixture=None):
    folder = tmp_path / "corpus"
    folder.mkdir()
    getattr(corpora, fixture or name)(folder)
    return folder


def test_every_corpus_has_a_case():
    assert set(EXPECTED) == set(CORPORA.names())


@pytest.mark.parametrize(("name", "settings", "expected"), CASES)
def test_the_manifest_has_the_labels_splits_and_groups_of_the_corpus(tmp_path, name, settings, expected):
    folder = build(tmp_path, name)
    made = make_manifest(name, folder, tmp_path / "out/data.yaml", settings)
    found = CORPORA.build(name, folder=folder, **settings)
    assert rows_of(tmp_path / "out/data.csv", found.labels) == expected
    assert sum(made.num_clips.values()) == len(expected)
    dataset = open_dataset(tmp_path / "out/data.yaml")
    assert len(dataset.clips) == len(expected)
    assert set(dataset.groups.values()) >= {group for _, _, group, _ in expected if group}


def test_affectnets_sets_of_arrays_are_read(tmp_path):
    folder = build(tmp_path, "affectnet", "affectnet_sets")
    made = make_manifest("affectnet", folder, tmp_path / "a.yaml")
    assert made.num_labels["surprise"] == made.num_labels["neutral"] == 1
    assert make_manifest("affectnet", folder, tmp_path / "b.yaml", {"labels": "values"}).num_clips == {
        "train": 1,
        "validation": 1,
    }


@pytest.mark.parametrize(("name", "num"), [("affectnet", 1), ("raf_db", 1), ("meld", 1), ("cmu_mosei", 1)])
def test_clips_without_a_file_are_counted(tmp_path, name, num):
    made = make_manifest(name, build(tmp_path, name), tmp_path / "data.yaml")
    assert made.num_absent == num
    assert f"{num} clip{'s' * (num > 1)} that the corpus lists left out: no such file" in str(made)


def test_a_folder_of_afew_va_is_a_clip_with_the_labels_of_its_pictures(tmp_path):
    folder = build(tmp_path, "afew_va")
    corpora.touch(folder, "001/00001.png")
    made = make_manifest("afew_va", folder, tmp_path / "data.yaml")
    assert "1 label left out: no such picture" in made.notes
    assert (tmp_path / "data_labels/001.csv").read_text() == "frame,valence,arousal\n1,3,-1.0\n2,3,0.0\n"
    dataset = open_dataset(tmp_path / "data.yaml")
    assert dataset.clips["001"].fps == 25
    assert (dataset.clips["001"].image_numbers(), dataset.num_label_rows("001")) == ([1, 2], 2)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_folder_of_something_else_is_refused(tmp_path, name):
    (tmp_path / "corpus").mkdir()
    corpora.touch(tmp_path / "corpus", "a.txt", "b.mp4", "c/d.wav")
    with pytest.raises(NotFoundError, match=str(tmp_path / "corpus")):
        make_manifest(name, tmp_path / "corpus", tmp_path / "data.yaml")
    assert not (tmp_path / "data.yaml").exists()


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "said"),
    [
        (
            "raf_db",
            "basic/EmoLabel/list_patition_label.txt",
            "test_0001.jpg 4",
            "test_0001.jpg 8",
            r":2: '8' is no class",
        ),
        (
            "raf_db",
            "basic/EmoLabel/list_patition_label.txt",
            "test_0001.jpg 4",
            "0001.jpg 4",
            r":2: .*expected a name such",
        ),
        ("meld", "dev_sent_emo.csv", "anger", "rage", r"dev_sent_emo.csv:2: 'rage' is no emotion"),
        ("meld", "dev_sent_emo.csv", "Emotion", "Feeling", r"dev_sent_emo.csv:1: no column Emotion"),
        ("dfew", "EmoLabel_DataSplit/test(single-labeled)/set_1.csv", ",7", ",9", r"set_1.csv:2: '9' is no class"),
        (
            "affectnet",
            "Manually_Annotated_file_lists/training.csv",
            "1,0.8",
            "11,0.8",
            r"training.csv:2: expression 11",
        ),
        ("affectnet", "Manually_Annotated_file_lists/training.csv", "0.8", "0,8", r"training.csv:2: "),
        (
            "iemocap",
            "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
            "neu",
            "nnn",
            r"impro01.txt:3: 'nnn' is no emotion",
        ),
        (
            "iemocap",
            "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
            "8.2357]",
            "8.2357",
            r"impro01.txt:3: .*expected \[START",
        ),
        (
            "cmu_mosei",
            "Raw/Transcript/Segmented/Combined/abc-1.txt",
            "___1.5",
            "_1.5",
            r"abc-1.txt:1: .*expected VIDEO___",
        ),
        (
            "cmu_mosei",
            "Raw/Labels/batch_raw.csv",
            "abc-1,0,2",
            "abc-1,0,two",
            r"batch_raw.csv:2: 'two' is not a number",
        ),
        (
            "crema_d",
            "processedResults/tabulatedVotes.csv",
            "5,2,0,0,3,0",
            "0,0,0,0,0,0",
            r"Votes.csv:3: .*has no votes",
        ),
        ("afew_va", "001/001.json", '"valence": 3', '"valence": "3"', r"001.json:1: the valence of frame 00000 is '3'"),
        ("bah", "train.txt", "mp4,1", "mp4,2", r"train.txt:1: '2' is no class"),
    ],
)
def test_a_wrong_label_is_refused_with_file_and_line(tmp_path, name, file, old, new, said):
    folder = build(tmp_path, name)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(InputError, match=said):
        make_manifest(name, folder, tmp_path / "data.yaml", {"labels": "face"} if name == "crema_d" else {})
    assert not (tmp_path / "data.yaml").exists()


def test_a_file_of_the_users_own_is_not_replaced(tmp_path):
    folder = build(tmp_path, "emo_db")
    (tmp_path / "data.csv").write_text("mine")
    with pytest.raises(InputError, match=r"data\.csv exists and holds something else"):
        make_manifest("emo_db", folder, tmp_path / "data.yaml")
    (tmp_path / "data.csv").unlink()
    assert str(make_manifest("emo_db", folder, tmp_path / "data.yaml")) == str(
        make_manifest("emo_db", folder, tmp_path / "data.yaml")
    )


def test_files_that_are_no_text_are_refused_with_their_names(tmp_path):
    for name in ("raf_db", "meld"):
        (tmp_path / name).mkdir()
        build(tmp_path / name, name)
    (tmp_path / "clips.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="clips.csv exists and holds something else"):
        make_manifest("raf_db", tmp_path / "raf_db/corpus", tmp_path / "clips.yaml")
    for name, file in (("raf_db", "basic/EmoLabel/list_patition_label.txt"), ("meld", "train_sent_emo.csv")):
        (tmp_path / name / "corpus" / file).write_bytes(b"\xff\xfe")
        with pytest.raises(InputError, match=file):
            make_manifest(name, tmp_path / name / "corpus", tmp_path / "other.yaml")


def test_names_that_are_not_utf8_are_refused(tmp_path):
    folder = tmp_path / os.fsdecode(b"corpus/b\xff")
    folder.mkdir(parents=True)
    (folder / "03-01-05-01-01-01-01.wav").touch()
    with pytest.raises(InputError, match=r"'b.xff/03-01-05-01-01-01-01.wav.* is not UTF-8: rename the file"):
        make_manifest("ravdess", tmp_path / "corpus", tmp_path / "clips.yaml")
    assert not list(tmp_path.glob("clips.*"))


def test_aff_wild2_in_the_same_folder_is_refused_unless_asked(tmp_path):
    folder = build(tmp_path, "emo_db")
    corpora.touch(folder, "annotations/VA_Estimation_Challenge/Train_Set/1-30-1280x720.txt")
    with pytest.raises(InputError, match="holds label files of Aff-Wild2"):
        make_manifest("emo_db", folder, tmp_path / "data.yaml")
    assert make_manifest("emo_db", folder, tmp_path / "data.yaml", with_affwild2=True).num_clips == {"train": 2}


def test_ravdess_on_its_own_files(media, tmp_path):
    made = make_manifest("ravdess", media / "ravdess", tmp_path / "ravdess.yaml")
    assert made.num_clips == {"train": 720}
    assert (made.num_groups, made.num_labels["neutral"], made.num_labels["angry"]) == (12, 48, 96)
    with (media / "ravdess/labels.csv").open(newline="") as file:
        listed = {row["file"]: row["emotion"] for row in csv.DictReader(file)}
    found = CORPORA.build("ravdess", folder=media / "ravdess")
    assert {row["path"]: row["emotion"] for row in found.rows} == listed


def test_crema_d_on_its_own_files(media, tmp_path):
    made = make_manifest("crema_d", media / "clips", tmp_path / "crema_d.yaml")
    assert made.num_labels == {"anger": 1, "disgust": 0, "fear": 0, "happiness": 1, "neutral": 1, "sadness": 0}
