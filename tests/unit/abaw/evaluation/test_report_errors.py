"""Wrong input to a score report is refused with its reason."""

import pytest

from abaw.dataset.annotations import Labels, read_expression
from tests.support.abaw.reports import FRAMES, KNOWN, scores_of, write_tables


@pytest.mark.parametrize("split", ["dev", "Validation", ""])
def test_an_unknown_split_is_refused(tmp_path, data, split):
    with pytest.raises(ValueError, match=f"no split '{split}' to score: there are train, validation, test, held-out"):
        scores_of(write_tables(tmp_path / "a", data, **KNOWN), data, split)


def test_test_labels_of_the_challenge_are_not_public(tmp_path, data):
    with pytest.raises(
        ValueError, match=r"has no test labels: those of the challenge are not public; of your own data"
    ):
        scores_of(write_tables(tmp_path / "a", data, **KNOWN), data, "test")


def test_a_folder_that_does_not_record_its_run_needs_a_data_set(tmp_path, data):
    with pytest.raises(ValueError, match=r"does not say which run made it: name the data set with --data"):
        scores_of(write_tables(tmp_path / "a", data), None)


def test_a_run_that_is_gone_is_named_where_its_data_set_is_needed(tmp_path, data):
    with pytest.raises(
        FileNotFoundError, match="a was made by runs/gone, which does not exist in .*, or name the data set with --data"
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
        ({"observed": {"voice": 13}}, r"predictions.json: observed is .* expected counts of frames for each feature"),
        ({"observed": {"voice": {"frames": 1}}}, r"predictions.json: observed is .* expected counts of frames"),
        ({"videos_seen": [13]}, r"predictions.json: videos_seen is \[13\], expected a list of names"),
        ({"ensemble": {"fitted_on": {"13": 1}}}, r"predictions.json: fitted_on is .* expected a list of names"),
        ({"ensemble": ["a"]}, r"predictions.json: ensemble is \['a'\], expected an object"),
        ({"held_out": True, "made_by": ["runs/a"]}, r"predictions.json: made_by is .* expected the run of each clip"),
        ({"held_out": True, "made_by": {"13": 1}}, r"predictions.json: made_by is .* expected the run of each clip"),
        ({"taught_by": [{"run": "a"}]}, r"predictions.json: taught_by is .* expected a list of what describes"),
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
