"""What is particular to single tasks: label files, rows of submissions, messages."""

import numpy as np
import pytest

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import open_dataset
from abaw.dataset.names import ACTION_UNITS, COMPOUND_EXPRESSIONS, EXPRESSIONS
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair
from abaw.tasks.ce import compound_probabilities

# header of a label file, a good row, and every way to say that a row is unscored
ROWS = {
    "va": ("valence,arousal", "0.25,-0.5", ["-5,-5", "-5,0.5", "0.5,-5", "-5.0,-5.0"]),
    "expr": (",".join(EXPRESSIONS), "3", ["-1"]),
    "ce": (",".join(COMPOUND_EXPRESSIONS), "3", ["-1"]),
    "au": (
        ",".join(ACTION_UNITS),
        "1,0,1,0,0,0,0,0,0,0,0,1",
        [",".join(["-1"] * 12), "-1" + ",1" * 11, "0," * 11 + "-1"],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_every_sentinel_becomes_unscored(name, tmp_path):
    task = TASKS.build(name)
    header, good, sentinels = ROWS[name]
    for folder in task.folders:
        root = tmp_path / folder
        path = root / folder / "Train_Set" / "12-24.txt"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([header, good, *sentinels, good]) + "\n")
        labels = task.read_labels(open_dataset(root), "train")["12-24"]
        assert labels.scored.tolist() == [True, *[False] * len(sentinels), True]
        assert not labels.values[~labels.scored].any()
        assert labels.values[0].tolist() == task.parse_row(good).tolist()
        assert task.read_labels(open_dataset(root), "validation") == {}


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("va", {"mse_weight": -1.0}, "va: mse_weight is -1.0, expected 0 or more"),
        ("va", {"mae_weight": float("inf")}, "va: mae_weight is inf, expected 0 or more"),
        ("va", {"ccc_over": "clip"}, "task 'va': ccc_over is 'clip', expected one of batch, sequence"),
        ("expr", {"label_smoothing": 1.0}, "expr: label_smoothing is 1.0, expected 0 up to 1"),
        ("expr", {"focal_gamma": -1.0}, "expr: focal_gamma is -1.0, expected 0 or more"),
        ("expr", {"kl_weight": -0.5}, "expr: kl_weight is -0.5, expected 0 or more"),
        ("expr", {"class_weights": [1.0]}, r"expr: class_weights are \[1.0\], expected 8 numbers"),
        ("expr", {"class_weights": [-1.0] * 8}, "expected 8 numbers of 0 or more"),
        ("expr", {"class_weights": [float("nan")] * 8}, "expected 8 numbers of 0 or more"),
        ("expr", {"class_balance": -1.0}, "expr: class_balance is -1.0, expected 0 or more"),
        ("expr", {"r_drop_weight": float("nan")}, "expr: r_drop_weight is nan, expected 0 or more"),
        ("ce", {"class_weights": [1.0] * 8}, "ce: class_weights are .*, expected 7 numbers"),
        ("ce", {"focal_gamma": -1.0}, "ce: focal_gamma is -1.0, expected 0 or more"),
        ("au", {"balance": -0.5}, "au: balance is -0.5, expected 0 or more"),
        ("au", {"focal_gamma": -1.0}, "au: focal_gamma is -1.0, expected 0 or more"),
        ("au", {"r_drop_weight": -1.0}, "au: r_drop_weight is -1.0, expected 0 or more"),
        ("au", {"label_smoothing": 1.5}, "au: label_smoothing is 1.5, expected 0 up to 1"),
        ("au", {"pos_weights": [1.0] * 11}, r"au: pos_weights are \[1.0, .*, expected 12 numbers above 0"),
        ("au", {"pos_weights": [0.0] * 12}, "expected 12 numbers above 0"),
        ("va", {"mse_weight": "much"}, "task 'va': mse_weight is 'much', expected float"),
        ("va", {"mse_weigth": 1.0}, "task 'va' has no setting 'mse_weigth'; did you mean 'mse_weight'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(name, settings, words):
    with pytest.raises(ValueError, match=words):
        TASKS.build(name, **settings)


def test_valence_and_arousal_are_reported_under_their_own_names():
    truth = np.array([[-0.5, 0.1], [0.0, 0.9], [0.5, -0.4]], np.float32)
    prediction = np.stack([truth[:, 0], np.zeros(3, np.float32)], axis=1)
    scores = TASKS.build("va").score({"a": PredictionPair(prediction, Labels(truth, np.ones(3, bool)))})
    assert scores["CCC_valence"] == pytest.approx(1)
    assert scores["CCC_arousal"] == 0
    assert scores["CCC"] == pytest.approx(0.5)


def test_macro_f1_counts_all_eight_classes_even_those_that_do_not_occur():
    truth = np.array([[0.0], [3.0], [5.0]], np.float32)
    scores = TASKS.build("expr").score({"a": PredictionPair(truth, Labels(truth, np.ones(3, bool)))})
    assert scores["F1"] == pytest.approx(3 / 8)


def test_f1_of_action_units_is_the_mean_of_all_twelve_of_their_active_side():
    truth, predicted = np.zeros((4, 12), np.float32), np.zeros((4, 12), np.float32)
    truth[:, 0], predicted[:2, 0] = 1, 1  # AU1: 2 hits of 2 predicted and 4 true: 2 * 2 / (2 + 4)
    truth[0, 1], predicted[0, 1] = 1, 1  # AU2: perfect
    predicted[3, 11] = 1  # AU26: predicted, never there; the other nine: neither
    scores = TASKS.build("au").score({"a": PredictionPair(predicted, Labels(truth, np.ones(4, bool)))})
    assert list(scores) == ["F1", *(f"F1_{name}" for name in ACTION_UNITS), "n"]
    assert (scores["F1_AU1"], scores["F1_AU2"], scores["F1_AU26"]) == (pytest.approx(2 / 3), 1, 0)
    assert scores["F1"] == pytest.approx((2 / 3 + 1) / 12)


def test_macro_f1_counts_all_seven_compounds():
    truth = np.array([[0.0], [6.0]], np.float32)
    scores = TASKS.build("ce").score({"a": PredictionPair(truth, Labels(truth, np.ones(2, bool)))})
    assert scores["F1"] == pytest.approx(2 / 7)
    assert {"F1_Fearfully_Surprised", "F1_Sadly_Angry"} <= set(scores)


def test_a_unit_is_active_above_a_half_and_a_bias_of_its_logit_is_a_threshold():
    task = TASKS.build("au")
    table = np.full((3, 12), 0.5, np.float32)
    table[0] += 1e-3
    table[1] -= 1e-3
    assert task.to_labels(table).tolist() == [[1.0] * 12, [0.0] * 12, [0.0] * 12]
    shift = np.zeros(12)
    shift[3] = -np.log(0.2 / 0.8)  # a threshold of 0.2 for AU6
    shares = np.repeat([[0.19], [0.21]], 12, axis=1)
    shifted = task.to_labels(task.probabilities(task.logits(shares) + shift))
    assert shifted[:, 3].tolist() == [0, 1]
    assert not np.delete(shifted, 3, axis=1).any()


def test_a_frame_of_action_units_counts_for_the_rarest_that_is_active():
    names = ACTION_UNITS
    values = np.zeros((5, 12), np.float32)
    values[1, names.index("AU25")] = 1
    values[2, [names.index("AU25"), names.index("AU12"), names.index("AU15")]] = 1
    values[3, [names.index("AU24"), names.index("AU15")]] = 1
    values[4] = 1
    # none: 0; AU25, the commonest, alone: 12; AU24, the rarest: 1; AU15 next: 2
    assert TASKS.build("au").strata(Labels(values, np.ones(5, bool))).tolist() == [0, 12, 2, 1, 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("va", text) for text in ["1.0000001,0", "0,-1.0000001", "0,nan", "inf,0", "+1,0", "0,0 ", " 0,0", "0, 0"]),
        *(
            ("va", text)
            for text in ["0_1,0", "0;0", "0,0,", "0,0\n", "\u0661,0", "0x1,0", ".,0", "-,0", "1e,0", "1e3,0"]
        ),
        *(
            ("expr", text)
            for text in ["8", "7.0", "1e0", "+1", "1 ", " 1", "01", "1_0", "12", "-0", "1\n", "\u0663", "0,1"]
        ),
        *(("ce", text) for text in ["7", "6.0", "+6", "06", "6 "]),
        *(("au", text) for text in ["0," * 11 + "2", "0," * 11 + "-1", "0," * 10 + "1", "0," * 12 + "1", "0," * 12]),
        *(("au", text) for text in ["0," * 11 + "1.0", "0," * 11 + " 1", "0," * 11 + "1\n", "0;" * 11 + "1", "0" * 12]),
    ],
)
def test_a_row_that_is_nearly_one_is_refused(name, text):
    with pytest.raises(ValueError, match="value|number|outside|not one class|not 12 times 0 or 1"):
        TASKS.build(name).parse_row(text)


@pytest.mark.parametrize(("text", "value"), [("1e0", 1), ("-5E-05", -5e-5), ("1.", 1), (".5", 0.5), ("-0", 0)])
def test_valence_may_be_written_as_any_program_writes_a_number(text, value):
    assert TASKS.build("va").parse_row(f"{text},-1.000000").tolist() == [value, -1]


def test_compound_expressions_are_the_sum_of_their_two_emotions():
    # Neutral .1, Anger .05, Disgust .05, Fear .2, Happiness .1, Sadness .1, Surprise .3, Other .1
    table = np.array([[0.1, 0.05, 0.05, 0.2, 0.1, 0.1, 0.3, 0.1]], np.float32)
    sums = np.array([0.5, 0.4, 0.4, 0.35, 0.35, 0.3, 0.15])
    compounds = compound_probabilities(table)
    assert compounds.dtype == np.float32
    np.testing.assert_allclose(compounds, [sums / sums.sum()], rtol=1e-6)
    assert compound_probabilities(np.eye(8, dtype=np.float32)[[0]])[0].tolist() == [np.float32(1 / 7)] * 7
    assert compound_probabilities(np.zeros((0, 8), np.float32)).shape == (0, 7)
    with pytest.raises(ValueError, match=r"need a table of 8 expressions, not \(3, 7\)"):
        compound_probabilities(np.zeros((3, 7)))


@pytest.mark.parametrize("pair", COMPOUND_EXPRESSIONS)
def test_each_compound_is_made_of_the_two_emotions_of_its_name(pair):
    """Fearfully_Surprised: half fear, half surprise. Four letters of each name are enough to recognise it."""
    task, expressions = TASKS.build("ce"), EXPRESSIONS
    stems = {
        "fear": "Fear",
        "happ": "Happiness",
        "sadl": "Sadness",
        "disg": "Disgust",
        "angr": "Anger",
        "surp": "Surprise",
    }
    table = np.zeros((1, 8), np.float32)
    for word in pair.split("_"):
        table[0, expressions.index(stems[word[:4].lower()])] = 0.5
    assert task.names(compound_probabilities(table)) == {"compound_expression": [pair]}
