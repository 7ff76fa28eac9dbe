"""How the outputs of a recogniser fill the columns of a task, and maps that are refused."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from abaw.errors import InputError
from abaw.tasks import TASKS
from extract.recognisers.base import Classes, Recogniser, Units, Values, parse_names
from extract.recognisers.columns import answers, columns_of, find_name

EXPR, VA, AU = (TASKS.build(name) for name in ("expr", "va", "au"))
FER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SEEN = np.ones(3, bool)
LOGITS = np.random.default_rng(0).normal(0, 2, (3, 9)).astype(np.float32)


def recogniser(*outputs, **more):
    about = {"licence": "MIT", "commercial": True, "trained_on": None, **more}
    return Recogniser("net", "onnx", {}, outputs, **about)


def column(name):
    return EXPR.columns.index(f"p_{name}")


def test_probabilities_are_the_softmax_of_the_network_in_the_tasks_order():
    columns = columns_of(recogniser(Classes(FER)), EXPR)
    table = columns.table(LOGITS[:, :7], SEEN)
    expected = softmax(LOGITS[:, :7], axis=1)
    for i, name in enumerate(("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral")):
        np.testing.assert_allclose(table[:, column(name)], expected[:, i], atol=1e-6)
    assert columns.unknown == ("Other",)
    assert not table[:, column("Other")].any()


def test_a_class_that_the_task_lacks_counts_as_what_the_recogniser_says():
    eight = ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise")
    table = columns_of(recogniser(Classes(eight, otherwise={"Contempt": "Other"})), EXPR).table(LOGITS[:, :8], SEEN)
    np.testing.assert_allclose(table[:, column("Other")], softmax(LOGITS[:, :8], axis=1)[:, 1], atol=1e-6)


def test_a_map_of_the_user_joins_classes_and_leaves_others_out():
    chosen = recogniser(Classes((*FER, "calm"))).with_map("calm:Neutral/surprise:-")
    columns = columns_of(chosen, EXPR)
    kept = [i for i in range(8) if i != 5]
    expected = softmax(LOGITS[:, kept], axis=1)  # given that it is one of the kept classes
    table = columns.table(LOGITS[:, :8], SEEN)
    np.testing.assert_allclose(table[:, column("Neutral")], expected[:, -2] + expected[:, -1], atol=1e-6)
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-6)
    assert columns.left_out == ("surprise",)
    assert set(columns.unknown) == {"Other", "Surprise"}


def test_sigmoid_outputs_are_divided_by_their_sum_and_probabilities_stay_as_they_are():
    of_sigmoid = columns_of(recogniser(Classes(FER, "sigmoid")), EXPR).table(LOGITS[:, :7], SEEN)
    expected = expit(LOGITS[:, :7])
    np.testing.assert_allclose(of_sigmoid[:, column("Happiness")], expected[:, 3] / expected.sum(axis=1), atol=1e-6)
    given = softmax(LOGITS[:, :7], axis=1)
    plain = columns_of(recogniser(Classes(FER, "none")), EXPR).table(given, SEEN)
    np.testing.assert_allclose(plain[:, column("Happiness")], given[:, 3], atol=1e-6)


def test_units_are_each_for_themselves_and_a_missing_one_is_never_active():
    columns = columns_of(recogniser(Units(("AU1", "AU12", "AU45"))), AU)
    table = columns.table(LOGITS[:, :3], SEEN)
    np.testing.assert_allclose(table[:, AU.columns.index("p_AU12")], expit(LOGITS[:, 1]), atol=1e-6)
    assert len(columns.unknown) == 10
    assert columns.left_out == ("AU45",)  # which changes no other unit


def test_values_are_scaled_and_shifted_and_those_not_asked_for_are_left_out():
    columns = columns_of(recogniser(Values(("arousal", "dominance", "valence"), 2.0, -1.0)), VA)
    table = columns.table(np.array([[0.75, 0.1, 0.25]] * 3, np.float32), np.array([True, False, True]))
    np.testing.assert_allclose(table, [[-0.5, 0.5], [0, 0], [-0.5, 0.5]], atol=1e-6)
    assert columns.left_out == ("dominance",)


def test_a_network_of_classes_and_values_answers_both_tasks():
    both = recogniser(Classes(FER), Values(("valence", "arousal")))
    assert answers(both, EXPR)
    assert answers(both, VA)
    assert not answers(both, AU)
    np.testing.assert_allclose(columns_of(both, VA).table(LOGITS, SEEN), LOGITS[:, 7:9], atol=1e-6)


def test_words_for_the_same_emotion_are_one_name():
    names = ["Neutral", "Anger", "Happiness", "Other"]
    assert [find_name(word, names) for word in ("ANGER", "ang", "happy", "neu", "bored")] == [
        "Anger", "Anger", "Happiness", "Neutral", None,
    ]  # fmt: skip
    assert find_name("happy", ["joy", "happiness"]) is None  # which of the two?
    assert find_name("joy", ["joy", "happiness"]) == "joy"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: recogniser(Classes(FER)).with_map("joy:Happiness"), "map names 'joy', which the network lacks; its"),
        (lambda: recogniser(Classes(FER)).with_map("happy"), "map is 'happy', expected pairs"),
        (lambda: recogniser(Classes(("sad", "sad"))), "names two of its outputs 'sad'"),
        (lambda: recogniser(), "names no output"),
        (lambda: recogniser(Classes(FER, otherwise={"contempt": "Other"})), "map names 'contempt'"),
        (lambda: parse_names("a//b", "classes"), "classes is 'a//b', expected names separated by slashes"),
    ],
)
def test_a_wrong_map_is_refused_by_name(made, message):
    with pytest.raises(InputError, match=message):
        made()


@pytest.mark.parametrize(
    ("made", "task", "message"),
    [
        (
            recogniser(Classes((*FER, "calm"))),
            EXPR,
            "outputs for calm, which expr lacks .*net:map=calm:Neutral.*calm:-",
        ),
        (
            recogniser(Classes((*FER, "calm"))).with_map("calm:Relaxed"),
            EXPR,
            "gives 'calm' to 'Relaxed', which expr lacks",
        ),
        (recogniser(Values(("valence",))), VA, "does not predict va: its outputs are valence, the columns of va are"),
        (recogniser(Classes(("cat", "dog"))), EXPR, "does not predict expr"),
    ],
)
def test_outputs_that_do_not_fit_a_task_are_refused_by_name(made, task, message):
    with pytest.raises(InputError, match=message):
        columns_of(made, task)


def test_outputs_of_another_activation_are_refused():
    with pytest.raises(InputError, match="probabilities already.*activation=none"):
        columns_of(recogniser(Classes(FER)), EXPR).table(softmax(LOGITS[:, :7], axis=1), SEEN)
    with pytest.raises(InputError, match="no probabilities: give activation=softmax"):
        columns_of(recogniser(Classes(FER, "none")), EXPR).table(LOGITS[:, :7], SEEN)


def test_values_of_another_range_are_refused():
    percent = recogniser(Values(("valence", "arousal")))
    with pytest.raises(InputError, match="arousal is 3, and 3 with scale 1 and shift 0, expected about -1 to 1"):
        columns_of(percent, VA).table(np.array([[0.5, 3.0]], np.float32), np.array([True]))
    columns_of(percent, VA).table(np.array([[0.5, 3.0]], np.float32), np.array([False]))


def test_a_network_that_names_its_outputs_must_be_named_alike():
    found = recogniser(Classes(("angry", "happy", "-")))
    found.check_outputs(3, ["angry", "happy", "sad"])
    with pytest.raises(InputError, match="names output 1 'angry', the network calls it 'happy'"):
        found.check_outputs(3, ["happy", "angry", "sad"])
