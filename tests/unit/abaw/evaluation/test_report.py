"""Score reports: what they hold, as values and as text."""

import json

import numpy as np
import pytest

from abaw.dataset.names import EXPRESSIONS
from abaw.evaluation.labelled_tables import score_folder
from abaw.evaluation.labels import labels_by_task
from abaw.evaluation.wording import summary, worst_clips
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair
from tests.support.abaw.reports import (
    BOX,
    FRAMES,
    KNOWN,
    VALIDATION,
    open_data,
    report,
    scores_of,
    text_of,
    write_tables,
)

VA = TASKS.build("va")


def test_a_folders_score_is_the_official_one_over_every_scored_frame(tmp_path, data):
    where = write_tables(tmp_path / "a", data, **KNOWN)
    found, labels = scores_of(where, data), labels_by_task(open_data(data), {"va": VA}, "validation")["va"]
    by_clip = {
        clip_id: PredictionPair(VA.to_labels(predictions.read_table(where, clip_id, VA).values[:FRAMES]), each)
        for clip_id, each in labels.items()
    }
    assert found["scores"] == VA.score(by_clip) == score_folder(where, VA, labels)
    assert found["scores"]["n"] == len(VALIDATION) * FRAMES * 4 / 5
    assert found["clips"] == {clip_id: VA.score({clip_id: each}) for clip_id, each in by_clip.items()}
    assert found["videos"] == len(VALIDATION) - 1  # 10_left and 10_right are of one


def test_frames_without_a_face_count_and_are_counted(tmp_path, data):
    found = scores_of(write_tables(tmp_path / "a", data, **KNOWN), data)
    steps = np.arange(FRAMES)
    assert found["unobserved"] == len(VALIDATION) * ((steps % 5 > 0) & (steps % 3 == 0)).sum()


def test_every_score_has_an_interval_about_it(tmp_path, data):
    found = scores_of(write_tables(tmp_path / "a", data, "expr", noise=1.0, **KNOWN), data, task="expr")
    assert found["intervals"].keys() == found["scores"].keys() - {"n"}
    assert all(low <= high for low, high in found["intervals"].values())
    low, high = found["intervals"]["F1"]
    assert low < found["scores"]["F1"] < high
    other = scores_of(tmp_path / "a", data, task="expr", seed=1)
    assert other["scores"] == found["scores"]
    assert other["intervals"] == found["intervals"]  # they are not drawn


def test_every_score_is_reported_with_and_without_post_processing(tmp_path, data):
    where = write_tables(tmp_path / "a", data, noise=1.0, post_processing=BOX, **KNOWN)
    found, bare = scores_of(where, data), scores_of(where, data, raw=True)
    assert found["raw"] == {key: bare[key] for key in ("scores", "intervals", "clips", "folds")}
    assert found["scores"]["CCC"] > bare["scores"]["CCC"] + 0.05
    assert found["gain"]["difference"] == pytest.approx(found["scores"]["CCC"] - bare["scores"]["CCC"])
    assert found["post_processing"]["smoother"] == "box"
    assert (bare["raw"], bare["gain"], bare["post_processing"]) == (None, None, None)


def test_the_post_processing_is_applied_to_the_whole_table_not_to_its_labelled_rows(tmp_path, data):
    where = write_tables(tmp_path / "a", data, noise=1.0, post_processing=BOX, **KNOWN)
    longer = write_tables(tmp_path / "b", data, noise=1.0, post_processing=BOX, frames=FRAMES, **KNOWN)
    for clip_id in VALIDATION:  # the same first rows, none after the labels
        table = predictions.read_table(where, clip_id, VA)
        cut = Table(
            *(each[:FRAMES] for each in (table.frames, table.times_s, table.observed, table.values)), VA.columns
        )
        predictions.write_table(longer, clip_id, cut, VA)
    predictions.write_metadata(longer, predictions.read_metadata(longer))
    assert scores_of(where, data)["raw"]["scores"] == scores_of(longer, data)["raw"]["scores"]
    assert scores_of(where, data)["scores"] != scores_of(longer, data)["scores"]


def test_the_origin_of_the_tables_is_reported(tmp_path, data):
    where = write_tables(tmp_path / "a", data, **KNOWN)
    assert scores_of(where, data)["provenance"] == {key: KNOWN[key] for key in KNOWN if key != "videos_seen"}
    text = text_of(where, data=data)
    assert "commit 0123456789ab; seeds 4;" in text.replace("run runs/gone; ", "")
    assert "note" not in text


def test_tables_made_elsewhere_are_scored_and_their_provenance_is_unknown(tmp_path, data):
    where = write_tables(tmp_path / "a", data)
    found = scores_of(where, data)
    assert found["provenance"] == {}
    assert found["remarks"] == [
        "provenance unknown: nothing says which run made these tables, so no leak can be ruled out"
    ]
    assert "note: provenance unknown" in text_of(where, data=data, task="va")


def test_a_folder_that_does_not_record_the_training_videos_gets_a_note(tmp_path, data):
    about = {**KNOWN, "videos_seen": None}
    where = write_tables(tmp_path / "a", data, **about)
    assert scores_of(where, data)["remarks"] == ["the training videos are not recorded, so no leak can be ruled out"]


def test_the_last_line_is_folder_task_split_and_the_ranking_score_first(tmp_path, data):
    where = write_tables(tmp_path / "a", data, **KNOWN)
    scores = scores_of(where, data)["scores"]
    last = text_of(where, data=data).splitlines()[-1]
    assert last.startswith(f"{where} va validation {summary(scores)}; 95 % of CCC ")
    assert last.endswith("(6 videos)")
    assert summary(scores).startswith(f"CCC {scores['CCC']:.4f}, CCC_valence")


def test_a_table_of_text_has_every_clip_and_every_class(tmp_path, data):
    write_tables(tmp_path / "a/expr", data, "expr", noise=1.0, post_processing=BOX, **KNOWN)
    write_tables(tmp_path / "a/va", data, "va", **KNOWN)
    lines = text_of(tmp_path / "a", data=data).splitlines()
    starts = [line.split()[0] for line in lines]
    assert {*VALIDATION, "F1_Neutral", "F1_Other", "CCC_arousal"} <= set(starts)
    assert "raw 0." in lines[starts.index("F1_Neutral")]
    assert "(raw F1 0." in lines[starts.index("11")]
    assert "post-processing changes F1 " in "\n".join(lines)
    assert [line.split()[1] for line in lines[-2:]] == ["expr", "va"]


def test_the_json_is_one_document_with_the_draws_and_their_seed(tmp_path, data):
    where = write_tables(tmp_path / "a", data, **KNOWN)
    document = json.loads(json.dumps(report(where, data=data, seed=3).to_dict()))
    assert (document["draws"], document["seed"], document["level"]) == (100, 3, 0.95)
    assert [each["task"] for each in document["results"]] == ["va"]
    assert document["results"][0]["scores"] == scores_of(where, data)["scores"]
    assert (document["comparisons"], document["spreads"]) == ([], [])


def test_a_report_converts_to_a_data_frame_with_a_row_a_score(tmp_path, data):
    pytest.importorskip("pandas", reason="pandas is optional")
    write_tables(tmp_path / "a/va", data, **KNOWN)
    one = write_tables(tmp_path / "one", data, clips=VALIDATION[:2], **KNOWN)
    found = report(tmp_path / "a", data=data)
    frame, (only,) = found.to_pandas(), found.results
    assert list(frame) == ["folder", "task", "split", "score", "value", "low", "high", "videos"]
    assert dict(zip(frame["score"], frame["value"], strict=True)) == {
        name: value for name, value in only.scores.items() if name != "n"
    }
    assert {name: (low, high) for name, low, high in zip(frame["score"], frame["low"], frame["high"], strict=True)} == (
        only.intervals
    )
    assert set(zip(frame["folder"], frame["task"], frame["split"], strict=True)) == {(only.folder, "va", "validation")}
    assert report(one, data=data, split="held-out").to_pandas()["low"].isna().all()  # a single video has no interval


def test_one_video_has_no_interval_and_few_are_remarked_on(tmp_path, data):
    few = write_tables(tmp_path / "few", data, clips=VALIDATION[:4], **KNOWN)
    text = text_of(few, data=data, split="held-out")
    assert "95 % of CCC" in text.splitlines()[-1]
    assert text.splitlines()[-1].endswith("(3 videos)")
    assert "; 3 videos)" in text
    one = write_tables(tmp_path / "one", data, clips=VALIDATION[:2], **KNOWN)
    text = text_of(one, data=data, split="held-out")
    assert text.splitlines()[-1].endswith("; one video: no interval")


def test_of_many_clips_only_the_worst_are_printed():
    clips = {f"c{i}": {"CCC": i / 100, "n": 5} for i in range(60)}
    worst, (line,) = worst_clips(clips)
    assert list(worst) == [f"c{i}" for i in range(10)]
    assert line == "  10 of 60 clips, those with the lowest CCC (--json prints all):"
    single = {name: {"CCC": 0.0, "RMSE": scores["CCC"], "n": 1} for name, scores in clips.items()}
    assert next(iter(worst_clips(single)[0])) == "c59"
    few, lines = worst_clips(dict(list(clips.items())[49:9:-1]))
    assert (list(few), lines) == ([f"c{i}" for i in range(10, 50)], [])  # all of them, worst first


def test_a_task_of_classes_has_a_confusion_matrix_of_labels_by_predictions(tmp_path, data):
    where = write_tables(tmp_path / "a", data, "expr", noise=1.0, **KNOWN)
    found = scores_of(where, data, task="expr")
    confusion = np.array(found["confusion"]["counts"])
    assert found["confusion"]["classes"] == EXPRESSIONS
    assert confusion.sum() == found["scores"]["n"]
    both = confusion.sum(0) + confusion.sum(1)
    f1 = np.divide(2 * np.diag(confusion), both, where=both > 0, out=np.zeros(8))
    assert found["scores"]["F1"] == pytest.approx(f1.mean())
    assert confusion.trace() < confusion.sum()
    lines = text_of(where, data=data, task="expr").splitlines()
    row = lines.index("  confusion: a row for each label, a column for each prediction") + 1
    assert tuple(lines[row].split()) == EXPRESSIONS
    assert lines[row + 1].split() == ["Neutral", *map(str, confusion[0])]
    assert scores_of(write_tables(tmp_path / "b", data, **KNOWN), data)["confusion"] is None
