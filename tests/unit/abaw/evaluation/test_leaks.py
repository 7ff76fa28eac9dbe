"""Scores on videos that a run, a post-processing or an ensemble has seen are refused."""

import pytest

from abaw.evaluation.leaks import check_unseen
from abaw.files import write_json
from abaw.postprocessing import PostProcessing, parse_post_processing
from abaw.results import predictions
from tests.support.abaw.reports import BOX, KNOWN, POOLED, TRAIN, VALIDATION, scores_of, text_of, write_tables


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


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (
            {"run": ["a"], "groups_seen": ["ann"], "videos_seen": ["4"]},
            r"the training \(.*\) has seen group 'ann', which",
        ),
        ({"run": ["a"], "videos_seen": ["2"]}, "the training .* has seen video '2', which"),  # an older run
        ({"ensemble": {"fitted_on": ["9"], "fitted_on_groups": ["bob"]}}, "the ensemble's fit .* has seen group 'bob'"),
    ],
)
def test_a_speaker_on_both_sides_is_a_leak(tmp_path, about, message):
    scored = {"1": "ann", "2": "ann", "3": "bob"}
    with pytest.raises(ValueError, match=f"a leak: {message}"):
        check_unseen(tmp_path, "validation", scored, about, None)
    assert "has seen these groups" in check_unseen(tmp_path, "train", scored, about, None)[0]
    check_unseen(tmp_path, "validation", {"5": "cid"}, about, None)


def test_post_processing_records_the_groups_it_was_fitted_on():
    found = PostProcessing(fitted_on=("1",), fitted_on_groups=("ann",))
    assert parse_post_processing(found.document(), "x") == found
    assert found.seen.find({"2": "ann", "3": "bob"}) == {"2": "group 'ann'"}
    assert "fitted_on_groups" not in PostProcessing(fitted_on=("1",)).document()


def test_scores_on_training_videos_are_given_when_asked_for_and_carry_a_note(tmp_path, data):
    where = write_tables(tmp_path / "a", data, clips=TRAIN, post_processing={**BOX, "fitted_on": ["22"]}, **KNOWN)
    assert scores_of(where, data, "train")["remarks"] == [
        "scores on what was trained on: the post-processing has seen these videos",
        "scores on what was trained on: the training has seen these videos",
    ]
    assert "note: scores on what was trained on" in text_of(where, data=data, split="train")
    unseen = write_tables(tmp_path / "b", data, clips=TRAIN, **{**KNOWN, "videos_seen": ["10"]})
    assert scores_of(unseen, data, "train")["remarks"] == []
