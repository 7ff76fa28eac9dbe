"""Score reports: what they hold, what is refused, and how folders are compared."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from abaw.dataset.annotations import Labels, read_expression
from abaw.evaluation.labelled_tables import labels_by_task, open_labelled_predictions, score_folder
from abaw.evaluation.report import comparison, result, score, summary
from abaw.files import write_json
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair

VA, EXPR = TASKS.build("va"), TASKS.build("expr")
TASK = {"va": VA, "expr": EXPR}
VALIDATION = ("10_left", "10_right", "11", "12", "13", "14", "15")
TRAIN = ("20", "21_left", "22")
FRAMES = 30
KNOWN = {
    "commit": "0123456789ab", "seeds": [4], "run": ["runs/gone"], "label_tasks_seen": ["va"], "subject_adapted": False,
    "held_out": False, "videos_seen": ["20", "21", "22"],
}  # fmt: skip
POOLED = {**KNOWN, "held_out": True, "run": ["runs/a-fold0", "runs/a-fold1"]}
BOX = {"smoother": "box", "width": 7}


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Label files alone: VA follows a slow wave, EXPR stays a while; every fifth frame is unscored."""
    root = tmp_path_factory.mktemp("labels")
    for split, clips in (("Validation_Set", VALIDATION), ("Train_Set", TRAIN)):
        for number, clip_id in enumerate(clips):
            steps = np.arange(FRAMES)
            wave = np.round(np.sin(steps / 9 + number), 3)
            va = [f"{v},{-v / 2}" if i % 5 else "-5,-5" for i, v in enumerate(wave)]
            expr = [str((i // 10 + number) % 8) if i % 5 else "-1" for i in steps]
            for folder, header, rows in (
                ("VA_Estimation_Challenge", "valence,arousal", va),
                ("EXPR_Recognition_Challenge", "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other", expr),
            ):
                path = root / "annotations" / folder / split / f"{clip_id}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("\n".join([header, *rows]) + "\n")
    return root


def write_tables(where, data, task="va", clips=VALIDATION, noise=0.5, seed=0, frames=FRAMES + 2, **about):
    """Noisy copies of the labels; ``about`` becomes predictions.json (none is written without)."""
    rng, kind = np.random.default_rng(seed), TASK[task]
    for clip_id in clips:
        split = "validation" if clip_id in VALIDATION else "train"
        labels = labels_by_task(open_data(data), {task: kind}, split)[task][clip_id]
        values = np.resize(labels.values, (frames, labels.values.shape[1]))
        raw = values if task == "va" else 1.0 * (values == np.arange(8))
        raw = raw + noise * rng.normal(size=raw.shape)
        observed = np.arange(frames) % 3 > 0
        table = Table(np.arange(1, frames + 1), np.arange(frames) / 30, observed, kind.probabilities(raw), kind.columns)
        predictions.write_table(where, clip_id, table, kind)
    if about:
        predictions.write_metadata(where, {"task": task, "split": "validation", **about})
    return where


def open_data(root):
    from abaw.dataset.layout import open_dataset

    return open_dataset(root)


def scores_of(where, data, split="validation", task="va", draws=100, seed=0, **words):
    labelled = open_labelled_predictions(where, split, task, data, **words)
    return asdict(result(labelled, draws, seed))


def report(*folders, data, **words):
    return score(folders, data=data, **{"draws": 100, **words})


def text_of(*folders, data, **words):
    """What the command line prints."""
    return str(report(*folders, data=data, **words))


# What is reported


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
    assert other["intervals"] != found["intervals"]


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
    assert last.endswith("(6 videos, 100 draws, seed 0)")
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
    assert list(frame) == ["folder", "task", "split", "score", "value", "low", "high"]
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
    assert "note: 3 videos: an interval of so few is unreliable" in text
    assert "95 % of CCC" in text.splitlines()[-1]
    one = write_tables(tmp_path / "one", data, clips=VALIDATION[:2], **KNOWN)
    text = text_of(one, data=data, split="held-out")
    assert text.splitlines()[-1].endswith("; one video: no interval (1 videos, 100 draws, seed 0)")


# Which clips are scored


def test_a_held_out_folder_is_scored_on_every_labelled_clip_and_by_fold(tmp_path, data):
    made_by = dict.fromkeys(VALIDATION, "runs/a-fold0") | dict.fromkeys(TRAIN, "runs/a-fold1")
    runs = {"run": ["runs/a-fold0", "runs/a-fold1"], "videos_seen": [*KNOWN["videos_seen"], "10", "11"]}
    about = {**KNOWN, **runs, "held_out": True, "made_by": made_by}
    where = write_tables(tmp_path / "a", data, clips=VALIDATION + TRAIN, **about)
    found = scores_of(where, data, "held-out")
    assert set(found["clips"]) == {*VALIDATION, *TRAIN}
    assert set(found["folds"]) == {"runs/a-fold0", "runs/a-fold1"}
    assert found["folds"]["runs/a-fold0"] == scores_of(where, data)["scores"]
    assert found["folds"]["runs/a-fold1"] == scores_of(where, data, "train")["scores"]
    assert scores_of(where, data, "train")["remarks"] == []  # held out: no run was trained on them
    assert "runs/a-fold1 " in text_of(where, data=data, split="held-out")


def test_a_held_out_folder_that_does_not_record_its_runs_has_no_folds(tmp_path, data):
    where = write_tables(tmp_path / "a", data, clips=VALIDATION + TRAIN, **POOLED)
    assert scores_of(where, data, "held-out")["folds"] == {}


def test_a_missing_table_of_an_official_split_is_named(tmp_path, data):
    where = write_tables(tmp_path / "a", data, clips=VALIDATION[1:], **KNOWN)
    with pytest.raises(FileNotFoundError, match="no va predictions for clip '10_left'"):
        scores_of(where, data)


@pytest.fixture
def fold_run(tmp_path, data):
    """A run that held out fold 1: part of the training clips; trained on the others and the official validation."""
    run = tmp_path / "runs/a-fold1"
    write_tables(run / "predictions/validation/va", data, clips=TRAIN[:2], run=["runs/moved"], held_out=True)
    seen = sorted({"22", *(clip_id.split("_")[0] for clip_id in VALIDATION)})
    about = {"name": "a-fold1", "seed": 7, "commit": "abc", "label_tasks_seen": ["va"], "folds": {"num": 2, "fold": 1}}
    write_json(run / "run.json", {**about, "videos": {"train": seen, "validation": ["20", "21"]}})
    write_json(run / "post_processing.json", {})
    return run


def test_a_run_of_another_fold_is_scored_on_what_it_held_out(fold_run, data):
    found = scores_of(fold_run, data)
    assert set(found["clips"]) == {"20", "21_left"}
    assert found["provenance"]["seeds"] == [7]
    (fold_run / "predictions/validation/va/20.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="clip '20'"):
        scores_of(fold_run, data)


def test_a_runs_own_post_processing_is_applied_where_its_tables_record_none(fold_run, data):
    before = scores_of(fold_run, data)
    write_json(fold_run / "post_processing.json", {"va": BOX})
    found = scores_of(fold_run, data)
    assert found["raw"]["scores"] == before["scores"]
    assert found["scores"] != before["scores"]
    write_json(fold_run / "post_processing.json", {"va": {"width": 2}})
    with pytest.raises(
        ValueError, match=r"post_processing.json, va: post-processing: width is 2, expected an odd number"
    ):
        scores_of(fold_run, data)


def test_a_run_whose_tables_say_nothing_is_checked_by_its_own_record(fold_run, data):
    tables = fold_run / "predictions/validation/va"
    for about in ({}, {"videos_seen": None, "seeds": None}, {"held_out": True}):
        predictions.write_metadata(tables, {"task": "va", **about})
        found = scores_of(fold_run, data)
        assert (found["remarks"], found["provenance"]["seeds"]) == ([], [7])
    document = json.loads((fold_run / "run.json").read_text())
    document["videos"]["train"].append("21")
    write_json(fold_run / "run.json", document)
    for about in ({}, {"held_out": True}):  # of one run there is no other that may have seen it
        predictions.write_metadata(tables, {"task": "va", **about})
        with pytest.raises(ValueError, match=r"a leak: the training \(.*\) has seen video '21'"):
            scores_of(fold_run, data)


# Leaks


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"videos_seen": ["20", "13"]}, r"the training \(.*a\) has seen video '13', which is scored here: score it on"),
        ({"videos_seen": ["10"]}, "the training .* has seen video '10'"),  # a person's video, not the clip's name
        ({"videos_seen": ["11_right"]}, "the training .* has seen video '11'"),  # the other person of it
        ({"post_processing": {**BOX, "fitted_on": ["12", "11"]}}, "the post-processing .* '11' and 1 more.*--raw"),
        ({"ensemble": {"how": "weighted", "fitted_on": ["15"]}}, "the ensemble's fit .* has seen video '15'"),
    ],
)  # fmt: skip
def test_a_leak_is_refused_with_its_name(tmp_path, data, about, message):
    where = write_tables(tmp_path / "a", data, **{**KNOWN, **about})
    with pytest.raises(ValueError, match=f"a leak: {message}"):
        scores_of(where, data)


def test_post_processing_fitted_on_the_scored_clips_may_be_left_out(tmp_path, data):
    where = write_tables(tmp_path / "a", data, **KNOWN, post_processing={**BOX, "fitted_on": ["11"]})
    plain = write_tables(tmp_path / "b", data, **KNOWN)
    assert scores_of(where, data, raw=True)["scores"] == scores_of(plain, data)["scores"]


def test_post_processing_fitted_on_other_clips_of_a_held_out_folder_allows_the_validation_clips_alone(tmp_path, data):
    about = {**POOLED, "post_processing": {**BOX, "fitted_on": ["20", "21", "22"]}}
    where = write_tables(tmp_path / "a", data, clips=VALIDATION + TRAIN, **about)
    assert scores_of(where, data)["gain"] is not None
    with pytest.raises(ValueError, match=r"a leak: the post-processing .* has seen video '20' and 2 more"):
        scores_of(where, data, "held-out")


def test_a_held_out_table_by_a_run_that_was_trained_on_it_is_a_leak(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "runs/a/run.json", {"videos": {"train": ["11"]}})
    write_json(tmp_path / "runs/b/run.json", {"videos": {"train": ["12"]}})
    made_by = dict.fromkeys(VALIDATION, "runs/b + runs/c") | {"12": "runs/a"}
    where = write_tables(tmp_path / "a", data, **POOLED, made_by=made_by)
    assert scores_of(where, data)["folds"].keys() == {"runs/a", "runs/b + runs/c"}
    for run, clip_id in (("runs/a", "11"), ("runs/c + runs/b", "12")):
        about = {"task": "va", **POOLED, "made_by": {**made_by, clip_id: run}}
        predictions.write_metadata(where, about)
        with pytest.raises(ValueError, match=rf"a leak: the training of runs/\w .* has seen video '{clip_id}'"):
            scores_of(where, data)


def test_scores_on_training_videos_are_given_when_asked_for_and_carry_a_note(tmp_path, data):
    where = write_tables(tmp_path / "a", data, clips=TRAIN, post_processing={**BOX, "fitted_on": ["22"]}, **KNOWN)
    assert scores_of(where, data, "train")["remarks"] == [
        "scores on what was trained on: the post-processing has seen these videos",
        "scores on what was trained on: the training has seen these videos",
    ]
    assert "note: scores on what was trained on" in text_of(where, data=data, split="train")
    unseen = write_tables(tmp_path / "b", data, clips=TRAIN, **{**KNOWN, "videos_seen": ["10"]})
    assert scores_of(unseen, data, "train")["remarks"] == []


# Several folders


def pair(tmp_path, data, noise=(1.2, 0.2), task="va", **words):
    return [
        write_tables(tmp_path / name, data, task, noise=each, seed=seed, **{**KNOWN, "seeds": [seed]}, **words)
        for seed, (name, each) in enumerate(zip("ab", noise, strict=True))
    ]


def test_a_better_folder_is_called_better_with_interval_and_p(tmp_path, data):
    a, b = pair(tmp_path, data)
    difference = scores_of(b, data)["scores"]["CCC"] - scores_of(a, data)["scores"]["CCC"]
    last = text_of(a, b, data=data).splitlines()[-1]
    assert last.startswith(f"{b} is better than {a}: va CCC {difference:+.4f} (95 % +")
    assert "p = 0.0" in last
    last = text_of(b, a, data=data).splitlines()[-1]
    assert last.startswith(f"{a} is worse than {b}: va CCC {-difference:+.4f} (95 % -")


def test_a_folder_is_neither_better_nor_worse_than_itself(tmp_path, data):
    a, _ = pair(tmp_path, data)
    copy = tmp_path / "copy"
    shutil.copytree(a, copy)
    last = text_of(a, copy, data=data).splitlines()[-1]
    assert f"{copy} is neither better nor worse than {a} beyond chance: va CCC +0.0000" in last
    assert "(95 % +0.0000 to +0.0000), p = 1.000" in last
    (found,) = json.loads(json.dumps(report(a, copy, data=data).to_dict()))["comparisons"]
    assert (found["difference"], found["interval"], found["p"]) == (0.0, [0.0, 0.0], 1.0)


def test_with_few_videos_the_smallest_possible_p_is_reported(tmp_path, data):
    a, b = pair(tmp_path, data, clips=VALIDATION[:4])
    last = text_of(a, b, data=data, split="held-out").splitlines()[-1]
    assert "is neither better nor worse" in last
    assert "with 3 videos p cannot be below 0.25" in last


def test_what_is_compared_is_post_processed(tmp_path, data):
    a = write_tables(tmp_path / "a", data, noise=1.0, **KNOWN)
    b = write_tables(tmp_path / "b", data, noise=1.0, post_processing=BOX, **KNOWN)
    sides = [open_labelled_predictions(each, "validation", "va", data) for each in (a, b)]
    assert comparison(*sides, 100, 0).difference == pytest.approx(scores_of(b, data)["gain"]["difference"])
    assert comparison(*sides, 100, 0).difference > 0


def test_folders_with_other_clips_are_not_compared(tmp_path, data):
    a = write_tables(tmp_path / "a", data, **KNOWN)
    b = write_tables(tmp_path / "b", data, clips=VALIDATION[:-1], **KNOWN)
    with pytest.raises(ValueError, match=r"a and .*b, va: only the first has clip '15': two are compared on the same"):
        score([a, b], data=data, split="held-out", draws=100)


def test_folders_with_other_tasks_are_not_set_side_by_side(tmp_path, data):
    write_tables(tmp_path / "a/va", data, **KNOWN)
    write_tables(tmp_path / "a/expr", data, "expr", **KNOWN)
    b = write_tables(tmp_path / "b", data, **KNOWN)
    with pytest.raises(ValueError, match=r"a has tables of expr, va, .*b of va: name a task that all of them have"):
        score([tmp_path / "a", b], data=data, draws=100)


def test_several_folders_are_given_as_mean_and_spread_with_their_seeds(tmp_path, data):
    folders = [
        write_tables(tmp_path / str(seed), data, seed=seed, **{**KNOWN, "seeds": [seed]} if seed else {})
        for seed in range(3)
    ]
    values = [scores_of(each, data)["scores"]["CCC"] for each in folders]
    last = text_of(*folders, data=data, task="va").splitlines()[-1]
    assert last == (
        f"va of 3 folders: CCC mean {np.mean(values):.4f}, {min(values):.4f} to {max(values):.4f} (seeds unknown, 1, 2)"
    )
    document = json.loads(json.dumps(report(*folders, data=data, task="va").to_dict()))
    assert document["comparisons"] == []
    (found,) = document["spreads"]
    assert found["seeds"] == [None, [1], [2]]
    assert found["scores"]["CCC"]["mean"] == pytest.approx(np.mean(values))
    assert found["scores"].keys() == {"CCC", "CCC_valence", "CCC_arousal"}


def test_a_spread_over_different_clips_says_so(tmp_path, data):
    folders = [
        write_tables(tmp_path / str(i), data, clips=clips, **POOLED)
        for i, clips in enumerate((VALIDATION[:3], VALIDATION[3:], TRAIN))
    ]
    assert "; not on the same clips)" in text_of(*folders, data=data, split="held-out")


# Bad input


@pytest.mark.parametrize("split", ["test", "Validation", ""])
def test_an_unknown_split_is_refused(tmp_path, data, split):
    with pytest.raises(ValueError, match=f"no split '{split}' to score: there are train, validation, held-out"):
        scores_of(write_tables(tmp_path / "a", data, **KNOWN), data, split)


def test_a_folder_that_does_not_record_its_run_needs_a_data_set(tmp_path, data):
    with pytest.raises(ValueError, match=r"does not say which run made it: name the data set with --data"):
        scores_of(write_tables(tmp_path / "a", data), None)


def test_a_run_that_is_gone_is_named_where_its_data_set_is_needed(tmp_path, data):
    with pytest.raises(
        FileNotFoundError, match="a was made by runs/gone, which is gone: name the data set with --data"
    ):
        scores_of(write_tables(tmp_path / "a", data, **KNOWN), None)


def test_a_table_shorter_than_the_labels_is_named(tmp_path, data):
    where = write_tables(tmp_path / "a", data, frames=FRAMES - 1, **KNOWN)
    with pytest.raises(ValueError, match=r"a: clip '10_left' has 29 rows and 30 labels: a table has one row for every"):
        scores_of(where, data)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"videos_seen": "13"}, r"predictions.json: videos_seen is '13', expected a list of names"),
        ({"videos_seen": [13]}, r"predictions.json: videos_seen is \[13\], expected a list of names"),
        ({"ensemble": {"fitted_on": {"13": 1}}}, r"predictions.json: fitted_on is .* expected a list of names"),
        ({"ensemble": ["a"]}, r"predictions.json: ensemble is \['a'\], expected an object"),
        ({"held_out": True, "made_by": ["runs/a"]}, r"predictions.json: made_by is .* expected the run of each clip"),
        ({"held_out": True, "made_by": {"13": 1}}, r"predictions.json: made_by is .* expected the run of each clip"),
        ({"held_out": "no"}, r"predictions.json: held_out is 'no', expected true or false"),
        ({"post_processing": {"smother": "box"}}, "predictions.json: unknown key 'smother'"),
        ({"post_processing": {"bias": [1.0]}}, r"bias has 1 numbers, va has 2"),
    ],
)
def test_invalid_metadata_are_named(tmp_path, data, about, message):
    where = write_tables(tmp_path / "a", data, **{**KNOWN, **about})
    with pytest.raises(ValueError, match=message):
        scores_of(where, data)


@pytest.mark.parametrize("draws", [-1, 0, 99])
def test_too_few_draws_are_refused(tmp_path, data, draws):
    with pytest.raises(ValueError, match=f"{draws} draws, expected 100 or more"):
        scores_of(write_tables(tmp_path / "a", data, **KNOWN), data, draws=draws)


def test_a_negative_seed_is_refused(tmp_path, data):
    with pytest.raises(ValueError, match="seed -1, expected 0 or more"):
        scores_of(write_tables(tmp_path / "a", data, **KNOWN), data, seed=-1)


def test_labels_of_another_data_set_are_noticed(tmp_path, data):
    where = write_tables(tmp_path / "a", data, **KNOWN)
    other = tmp_path / "other/VA_Estimation_Challenge/Validation_Set/99.txt"
    other.parent.mkdir(parents=True)
    other.write_text("valence,arousal\n0.5,0.5\n0.1,0.2\n")
    with pytest.raises(
        ValueError, match="no clip in .*a has va labels in .*other: name the data set that these clips are from"
    ):
        scores_of(where, tmp_path / "other", "held-out")
    with pytest.raises(FileNotFoundError, match="no va predictions for clip '99'"):
        scores_of(where, tmp_path / "other")


def test_a_split_without_labels_says_which_folder_is_expected(tmp_path, data):
    where = write_tables(tmp_path / "a", data, **KNOWN)
    other = tmp_path / "other/VA_Estimation_Challenge/Validation_Set/11.txt"
    other.parent.mkdir(parents=True)
    other.write_text("valence,arousal\n0.5,0.5\n0.1,0.2\n")
    with pytest.raises(ValueError, match="has no train labels for va: expected label files in a folder VA_Est"):
        scores_of(where, tmp_path / "other", "train")


def test_labels_none_of_which_is_scored_are_an_error(tmp_path, data):
    where = write_tables(tmp_path / "a", data, **KNOWN)
    other = tmp_path / "other/VA_Estimation_Challenge/Validation_Set/11.txt"
    other.parent.mkdir(parents=True)
    other.write_text("valence,arousal\n-5,0.5\n-5,-5\n")
    with pytest.raises(ValueError, match="nothing to score: no frame has a label"):
        scores_of(where, tmp_path / "other")


def test_label_lines_are_read_whole(data):
    """The fixture's own labels: a check that the tests above score what they mean to."""
    path = data / "annotations/EXPR_Recognition_Challenge/Validation_Set/11.txt"
    labels = read_expression(path)
    assert isinstance(labels, Labels)
    assert labels.scored.sum() == FRAMES * 4 / 5
