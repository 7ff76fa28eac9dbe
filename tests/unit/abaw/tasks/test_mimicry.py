"""Emotional mimicry intensity: labels, loss, score, rows."""

import numpy as np
import pytest
import torch

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import open_dataset
from abaw.dataset.names import EMOTIONS
from abaw.dataset.split_files import read_mimicry
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair
from tests.support.abaw.split_files import written


def test_mimicry_is_read_and_scored_by_the_mean_correlation(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (8, 6)).round(4)
    rows = [f"{i + 1},{','.join(map(str, values))}" for i, values in enumerate(truth)]
    written(tmp_path / "train_split.csv", "Filename," + ",".join(EMOTIONS), *rows)
    written(tmp_path / "test_split.csv", "Filename", "9", "clip_10.mp4")
    task, dataset = TASKS.build("emi"), open_dataset(tmp_path)
    labels = task.read_labels(dataset, "train")
    assert list(labels)[:2] == ["00001", "00002"] == list(task.clips(dataset, "train"))[:2]
    assert task.clips(dataset, "test") == ("00009", "clip_10")
    assert task.read_labels(dataset, "validation") == {}
    assert all(each.values.shape == (1, 6) and each.scored.tolist() == [True] for each in labels.values())
    np.testing.assert_allclose(np.concatenate([each.values for each in labels.values()]), truth, atol=1e-7)
    guess = rng.uniform(0, 1, (8, 6))
    scores = task.score({clip: PredictionPair(guess[i : i + 1], each) for i, (clip, each) in enumerate(labels.items())})
    each = [np.corrcoef(guess[:, i], truth[:, i])[0, 1] for i in range(6)]
    assert scores["Pearson"] == pytest.approx(np.mean(each), abs=1e-6)
    assert scores["Pearson_Empathic Pain"] == pytest.approx(each[3], abs=1e-6)
    assert scores["n"] == 8
    assert task.strata(Labels(truth.astype(np.float32), np.ones(8, bool))).tolist() == truth.argmax(axis=1).tolist()


def test_the_loss_of_mimicry_is_the_squared_error_and_one_minus_the_correlation():
    rng = np.random.default_rng(0)
    raw, truth = rng.normal(size=(5, 6)), rng.uniform(0, 1, (5, 6))
    p = 1 / (1 + np.exp(-raw))
    squared = ((p - truth) ** 2).mean()
    correlation = np.mean([np.corrcoef(p[:, i], truth[:, i])[0, 1] for i in range(6)])
    tensors = (
        torch.tensor(raw, dtype=torch.float32)[:, None],
        torch.tensor(truth, dtype=torch.float32)[:, None],
        torch.ones(5, 1, dtype=torch.bool),
    )
    for mse, pearson in ((1.0, 0.0), (0.5, 2.0), (0.0, 1.0)):
        loss = TASKS.build("emi", mse_weight=mse, pearson_weight=pearson).loss(*tensors).item()
        assert loss == pytest.approx(mse * squared + pearson * (1 - correlation), abs=1e-4)
    alone = TASKS.build("emi", mse_weight=0.0, pearson_weight=1.0).loss(*(each[:1] for each in tensors)).item()
    assert alone == pytest.approx(((p[0] - truth[0]) ** 2).mean(), abs=1e-6)


MIMICRY_FAULTS = {
    "x,0,0,0,0,0": "3: the row has 6 columns, expected 7",
    "x,0,0,0,0,0,1.1": "3: '0,0,0,0,0,1.1' is not 6 numbers from 0 to 1",
    "x,0,0,0,0,0,-0.1": "3: .* is not 6 numbers from 0 to 1",
    "x,0,0,0,0,0,nan": "3: .* is not 6 numbers: 'nan' is not a number",
    "x,0,0,0,0,0,": "3: .* is not 6 numbers: '' is not a number",
    "x,0,0,0,0,0,0_1": "3: .* is not 6 numbers",
    "a,0,0,0,0,0,1": "3: 'a' has other labels on line 2",
    ",0,0,0,0,0,0": "3: '' names no clip, expected a video",
}


@pytest.mark.parametrize("text", MIMICRY_FAULTS)
def test_a_broken_row_of_mimicry_is_named_by_file_and_line(tmp_path, text):
    path = written(tmp_path / "train_split.csv", "Filename," + ",".join(EMOTIONS), "a,0,0,0,0,0,0", text)
    with pytest.raises(ValueError, match="train_split.csv:" + MIMICRY_FAULTS[text]):
        read_mimicry(path)


def test_the_six_emotions_must_stand_in_their_order(tmp_path):
    path = written(tmp_path / "train_split.csv", "Filename," + ",".join(reversed(EMOTIONS)))
    with pytest.raises(ValueError, match=r"train_split.csv:1: the header is .*expected 'Filename,Admiration,"):
        read_mimicry(path)


def test_rows_of_mimicry_are_six_numbers_from_0_to_1():
    task = TASKS.build("emi")
    assert task.header == "Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy"
    assert task.row(np.array([0, 0.25, 0.5, 0.75, 1, 0.1234567])) == (
        "0.000000,0.250000,0.500000,0.750000,1.000000,0.123457"
    )
    for last, message in (
        ("1.0000001", "Joy is 1.0000001, expected 0 to 1"),
        ("-0.1", "Joy is -0.1, expected 0 to 1"),
        ("1e-1", "has a number with an exponent"),
        ("nan", "'nan' is not a number"),
        (" 1", "' 1' is not a number"),
    ):
        with pytest.raises(ValueError, match=message):
            task.parse_row(f"0,0,0,0,0,{last}")


def test_settings_of_mimicry_must_leave_something_to_learn():
    with pytest.raises(ValueError, match="emi: mse_weight and pearson_weight are both 0"):
        TASKS.build("emi", mse_weight=0.0)
    with pytest.raises(ValueError, match="emi: pearson_weight is -1.0, expected 0 or more"):
        TASKS.build("emi", pearson_weight=-1.0)
