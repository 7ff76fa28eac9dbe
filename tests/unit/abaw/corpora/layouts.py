"""Small fixtures of corpora in their documented layouts: a few clips each, empty where the content does not matter."""

import json
from pathlib import Path

import numpy as np


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ravdess(folder: Path) -> None:
    touch(folder, "Actor_01/03-01-05-02-01-02-01.wav", "Actor_02/03-01-01-01-02-01-02.wav")
    touch(folder, "Actor_01/03-02-03-01-01-01-01.wav", "Actor_02/01-01-08-01-01-01-02.mp4", "notes.txt")


def crema_d(folder: Path) -> None:
    touch(folder, "VideoFlash/1001_DFA_ANG_XX.flv", "VideoFlash/1002_IEO_HAP_HI.flv", "AudioWAV/1001_DFA_ANG_XX.wav")
    write(
        folder / "processedResults/tabulatedVotes.csv",
        '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"',
        '"100001",6,2,0,0,2,0,"1001_DFA_ANG_XX",10,0.6,"A"',
        '"200001",5,2,0,0,3,0,"1001_DFA_ANG_XX",10,0.5,"A"',
        '"300001",8,1,0,0,0,1,"1001_DFA_ANG_XX",10,0.8,"A"',
    )


def emo_db(folder: Path) -> None:
    touch(folder, "wav/03a01Fa.wav", "wav/16b10Wb.wav", "lablaut/03a01Fa.lablaut")


def afew_va(folder: Path) -> None:
    for clip in ("001", "002"):
        frames = {f"{num:05d}": {"landmarks": [], "arousal": num - 1.0, "valence": 3} for num in range(2)}
        write(folder / clip / f"{clip}.json", json.dumps({"video_id": clip, "frames": frames}))
        touch(folder, f"{clip}/00000.png")


def affectnet(folder: Path) -> None:
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    lists, images = folder / "Manually_Annotated_file_lists", folder / "Manually_Annotated_Images"
    write(lists / "training.csv", header, "1/a.jpg,0,0,9,9,1;2,1,0.8,0.1", "2/b.jpg,0,0,9,9,1;2,10,-2,-2")
    write(lists / "validation.csv", header, "2/c.jpg,0,0,9,9,1;2,7,-0.5,0.25", "2/gone.jpg,0,0,9,9,1;2,0,0,0")
    touch(images, "1/a.jpg", "2/b.jpg", "2/c.jpg")


def affectnet_sets(folder: Path) -> None:
    for part, expression in (("train_set", "3"), ("val_set", "0")):
        touch(folder / part, "images/7.jpg")
        (folder / part / "annotations").mkdir()
        for key, value in (("exp", expression), ("val", "-0.25"), ("aro", "0.5")):
            np.save(folder / part / f"annotations/7_{key}.npy", np.array(value))


def raf_db(folder: Path) -> None:
    write(folder / "basic/EmoLabel/list_patition_label.txt", "train_00001.jpg 5", "test_0001.jpg 4", "test_0002.jpg 1")
    touch(folder / "basic/Image", "original/train_00001.jpg", "original/test_0001.jpg", "aligned/test_0001_aligned.jpg")


def dfew(folder: Path) -> None:
    lists = folder / "EmoLabel_DataSplit"
    for fold in range(1, 6):
        write(lists / f"train(single-labeled)/set_{fold}.csv", "video_name,label", "1,1", "2,4")
        write(lists / f"test(single-labeled)/set_{fold}.csv", "video_name,label", f"{fold + 2},7")
    touch(folder / "Clip/original", "00001.mp4", "2.mp4", "3.mp4")


def meld(folder: Path) -> None:
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    row = '1,"Well, hello!",Monica,joy,positive,0,{},1,1,"00:00:01,000","00:00:02,000"'
    write(folder / "train_sent_emo.csv", header, row.format(0), row.format(1))
    write(folder / "dev_sent_emo.csv", header, row.format(0).replace("joy,positive", "anger,negative"))
    write(folder / "test_sent_emo.csv", header, row.format(0).replace("joy,positive", "neutral,neutral"))
    touch(folder, "train_splits/dia0_utt0.mp4", "dev_splits_complete/dia0_utt0.mp4")
    touch(folder, "output_repeated_splits_test/dia0_utt0.mp4")


def iemocap(folder: Path) -> None:
    for num, session in ((1, "Ses01"), (2, "Ses02")):
        place = folder / f"Session{num}"
        write(
            place / f"dialog/EmoEvaluation/{session}F_impro01.txt",
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]",
            "",
            f"[6.2901 - 8.2357]\t{session}F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]",
            "C-E2:\tNeutral;\t()",
            f"[10.0100 - 11.3925]\t{session}F_impro01_M001\texc\t[4.0000, 3.5000, 3.0000]",
            f"[12.0100 - 13.3925]\t{session}F_impro01_M002\txxx\t[4.0000, 3.5000, 3.0000]",
        )
        touch(
            place / "sentences/wav", *(f"{session}F_impro01/{session}F_impro01_{turn}.wav" for turn in ("F000", "M001"))
        )
        touch(place / "dialog/avi/DivX", f"{session}F_impro01.avi")


def cmu_mosei(folder: Path) -> None:
    raw = folder / "Raw"
    write(
        raw / "Transcript/Segmented/Combined/abc-1.txt",
        "abc-1___0___1.5___4.25___Hello.",
        "abc-1___1___4.25___6.0___Well.",
    )
    columns = ["Input.VIDEO_ID", "Input.CLIP", "Answer.sentiment"]
    columns += [f"Answer.{name}" for name in ("happiness", "sadness", "anger", "surprise", "disgust", "fear")]
    rows = ["abc-1,0,2,3,0,0,0,0,0", "abc-1,0,1,1,0,0,0,0,0", "abc-1,0,,,,,,,", "zzz,0,1,1,0,0,0,0,0"]
    write(raw / "Labels/batch_raw.csv", ",".join(columns), *rows)
    touch(raw, "Videos/Full/Combined/abc-1.mp4", "Audio/Full/WAV_16000/abc-1.wav")


def bah(folder: Path) -> None:
    write(folder / "train.txt", "Videos/101_Q1.mp4,1,hello, you", "Videos/101_Q2.mp4,0,no")
    write(folder / "val.txt", "Videos/102_Q1.mp4,0,yes")
    touch(folder, "Videos/101_Q1.mp4", "Videos/101_Q2.mp4", "Videos/102_Q1.mp4")
