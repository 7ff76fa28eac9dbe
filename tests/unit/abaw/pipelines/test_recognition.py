"""Prediction tables by recognisers: what they hold, what is recorded of them, and what is refused."""

import json

import numpy as np
import pytest
from scipy.special import softmax

import abaw
from abaw.errors import InputError, NotFoundError
from abaw.pipelines.recognition import mean_of_observed, open_recogniser
from abaw.results.predictions import Table
from tests.support.abaw.recognised import CLASSES, NUM, store_outputs, write_labels, write_net
from tests.support.plugins import PARTS, forget_plugins

TWO_CLASSES = '''
from abaw.tasks import TASKS
from abaw.tasks.expr import Expression


@TASKS.register
def two() -> Expression:
    """Neutral or happy."""
    return Two(0.5, 0.0, None, 0.0, 1.0, 0.0, 0.0)


class Two(Expression):
    name, classes, columns, out_dim = "two", ("Neutral", "Happiness"), ("p_Neutral", "p_Happiness"), 2
'''

LOGITS = np.random.default_rng(0).normal(0, 2, (NUM, 8)).astype(np.float32)
SEEN = np.arange(NUM) % 5 != 3


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return write_net(tmp_path_factory.mktemp("nets"))


@pytest.fixture
def world(tmp_path, net):
    """A data set of two labelled clips, a store with the outputs of a recogniser, and its text."""
    data = write_labels(tmp_path / "data", ["1", "2"])
    text = f"onnx_recogniser:{net},classes={CLASSES},trained_on=FER-2013,licence=MIT,commercial=true"
    store_outputs(tmp_path / "store", text, {"1": LOGITS, "2": LOGITS[::-1]}, observed=SEEN)
    return data, tmp_path / "store", text


def about_of(folder, task="expr"):
    return json.loads((folder / task / "predictions.json").read_text())


def test_tables_are_the_networks_probabilities_at_the_frames(world, tmp_path):
    data, store, text = world
    made = abaw.recognise(text, data, store, tmp_path / "out", split="validation")
    assert list(made.tasks) == ["expr"]  # it has no values
    table = made.table("expr", "1").to_numpy()
    expected = softmax(LOGITS[:, :7], axis=1)
    np.testing.assert_allclose(table["p_Happiness"][SEEN], expected[SEEN, 3], atol=1e-6)
    np.testing.assert_allclose(table["p_Happiness"][~SEEN], 1 / 7, atol=1e-6)
    np.testing.assert_array_equal(table["observed"], SEEN)
    assert not table["p_Other"].any()
    said = str(made)
    assert "expr by onnx_recogniser, trained on FER-2013; licence: MIT" in said
    assert "onnx_recogniser never predicts Other: its probability is always 0" in said
    assert "nothing observed: 8 frames of 2 clips" in said


def test_the_provenance_says_what_made_them_and_that_it_has_not_seen_the_videos(world, tmp_path):
    data, store, text = world
    abaw.recognise(text, data, store, tmp_path / "out", split="validation")
    about = about_of(tmp_path / "out")
    (known,) = about["recognisers"]
    assert known["name"] == "onnx_recogniser"
    assert known["recipe"]["encoder"] == "onnx"
    assert known["recipe"]["weights"].keys() == {"net8.onnx"}
    assert known["map"]["happy"] == "Happiness"
    assert (known["never_predicted"], known["left_out"]) == (["Other"], [])
    assert (known["licence"], known["commercial"], known["trained_on"]) == ("MIT", True, ["FER-2013"])
    assert (about["run"], about["videos_seen"], about["held_out"], about["split"]) == ([], [], True, "validation")


def test_they_are_scored_combined_and_fitted_as_any_others(world, tmp_path):
    data, store, text = world
    first, second = tmp_path / "first", tmp_path / "second"
    abaw.recognise(text, data, store, first, split="validation")
    abaw.recognise(f"{text},map=sad:-", data, store, second, split="validation")
    (found,) = abaw.score(first).results
    assert found.scores["n"] == 2 * NUM
    assert found.remarks == []
    assert found.provenance["recognisers"] == ["onnx_recogniser (trained on FER-2013; licence: MIT)"]
    abaw.combine([first, second], tmp_path / "both")
    about = about_of(tmp_path / "both")
    assert [each["left_out"] for each in about["recognisers"]] == [[], ["sad"]]
    assert about["held_out"] is True
    assert len(abaw.score(tmp_path / "both").results) == 1  # without naming the data set
    data.rename(tmp_path / "moved")
    with pytest.raises(NotFoundError, match="was made of .*which does not exist in .*--data"):
        abaw.score(tmp_path / "both")
    (tmp_path / "moved").rename(data)
    assert abaw.fit(first).results


@pytest.mark.parametrize("trained_on", ["", "Aff-Wild2/FER-2013", "My_Faces"])
def test_a_network_that_may_have_seen_the_videos_is_not_held_out(trained_on, tmp_path, net):
    data = write_labels(tmp_path / "my-faces", ["1"])
    text = f"onnx_recogniser:{net},classes={CLASSES}" + (f",trained_on={trained_on}" if trained_on else "")
    store_outputs(tmp_path / "store", text, {"1": LOGITS})
    abaw.recognise(text, data, tmp_path / "store", tmp_path / "out", split="validation")
    about = about_of(tmp_path / "out")
    assert (about["videos_seen"], about["held_out"]) == (None, None)
    (found,) = abaw.score(tmp_path / "out").results
    assert any("no leak can be ruled out" in remark for remark in found.remarks)


def test_several_recognisers_are_averaged_where_they_observed_something(tmp_path, net):
    data = write_labels(tmp_path / "data", ["1"], ["va"])
    texts = [
        f"onnx_recogniser:{net},values={names}"
        for names in ("valence/arousal" + "/-" * 6, "arousal/valence" + "/-" * 6)
    ]
    store_outputs(tmp_path / "store", texts[0], {"1": LOGITS / 8})
    made = abaw.recognise(texts, data, tmp_path / "store", tmp_path / "out", split="validation")
    expected = (LOGITS[:, :2] + LOGITS[:, 1::-1]) / 16
    np.testing.assert_allclose(made.table("va", "1").values, expected, atol=1e-6)
    assert about_of(tmp_path / "out", "va")["ensemble"]["how"] == "mean"


def test_a_member_that_observed_nothing_in_a_frame_does_not_count_there():
    def table(values, observed):
        return Table(np.arange(1, 4), np.arange(3.0), np.array(observed, bool), np.array([values] * 3), ("a",))

    found = mean_of_observed([table([0.0], [0, 0, 1]), table([1.0], [0, 1, 1])])
    np.testing.assert_allclose(found.values[:, 0], [0.5, 1.0, 0.5])
    assert found.observed.tolist() == [False, True, True]


def test_tracks_of_faces_chosen_in_another_way_are_taken(tmp_path, net):
    data = write_labels(tmp_path / "data", ["1"])
    text = f"onnx_recogniser:{net},classes={CLASSES}"
    recipe = store_outputs(tmp_path / "store", text, {"1": LOGITS}, every=1)
    abaw.recognise(text, data, tmp_path / "store", tmp_path / "out", split="validation")
    assert about_of(tmp_path / "out")["recognisers"][0]["recipe"]["faces"] == recipe["faces"]


def test_a_task_that_is_known_in_part_is_left_out_unless_it_is_asked_for(world, tmp_path):
    data, store, text = world
    with forget_plugins():
        plugin = tmp_path / "two.py"
        plugin.write_text(TWO_CLASSES)
        abaw.load_plugin(plugin)
        assert list(abaw.recognise(text, data, store, tmp_path / "a", split="validation").tasks) == ["expr"]
        with pytest.raises(InputError, match="outputs for angry, disgust, fear, sad, surprise, which two lacks"):
            abaw.recognise(text, data, store, tmp_path / "b", split="validation", tasks="two")
        mapped = f"{text},map=angry:-/disgust:-/fear:-/sad:-/surprise:-"
        made = abaw.recognise(mapped, data, store, tmp_path / "b", split="validation", tasks=["two"])
        np.testing.assert_allclose(
            made.table("two", "1").values[SEEN], softmax(LOGITS[SEEN][:, [6, 3]], axis=1), atol=1e-6
        )


def test_clips_that_lack_outputs_are_extracted_with_the_choice_of_faces_of_the_others(tmp_path, net, monkeypatch):
    data = write_labels(tmp_path / "data", ["1", "2"])
    text = f"onnx_recogniser:{net},classes={CLASSES}"
    store_outputs(tmp_path / "store", text, {"1": LOGITS}, every=3)
    asked = {}

    def extract(dataset, store, specs, config, **how):
        asked.update(how, names=[spec.name for spec in specs], every=config.detect_every)
        raise InputError("nothing is extracted here")

    monkeypatch.setattr("extract.engine.run.extract", extract)
    with pytest.raises(InputError, match="nothing is extracted here"):
        abaw.recognise(text, data, tmp_path / "store", tmp_path / "out", split="validation")
    assert (asked["clip_ids"], asked["every"], asked["fill"]) == (["2"], 3, False)
    assert asked["names"] == ["onnx_recogniser_outputs"]


def test_a_data_set_of_own_classes_takes_those_that_it_names(tmp_path, net):
    for name in "ab":
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
    rows = ["path,emotion,split", "a.wav,happy,test", "b.wav,calm,test"]
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "data.yaml").write_text(
        "manifest: clips.csv\nclasses: {column: emotion, names: [calm, happy, angry]}\n"
    )
    text = f"onnx_recogniser:{net},classes=angry/happy/neutral/sad/-/-/-/-"
    store_outputs(tmp_path / "store", text, {"a": LOGITS, "b": LOGITS})
    call = (tmp_path / "data.yaml", tmp_path / "store", tmp_path / "out")
    with pytest.raises(InputError, match="has outputs for neutral, sad, which classes lacks"):
        abaw.recognise(text, *call, split="test")
    made = abaw.recognise(f"{text},map=neutral:calm/sad:-", *call, split="test")
    expected = softmax(LOGITS[:, :3], axis=1)[:, [2, 1, 0]]
    np.testing.assert_allclose(made.table("classes", "a").values, expected, atol=1e-6)
    assert about_of(tmp_path / "out", "classes")["task_settings"]["class_names"] == ["calm", "happy", "angry"]


def test_a_recogniser_of_a_plug_in_works_by_name_and_its_file_is_recorded(tmp_path):
    data = write_labels(tmp_path / "data", ["1"], ["va"])
    with forget_plugins():
        (tmp_path / "my_parts.py").write_text(PARTS)
        plugin = abaw.load_plugin(tmp_path / "my_parts.py")
        store_outputs(tmp_path / "store", "own_mood", {"1": np.full((NUM, 3), 51, np.float32)})
        made = abaw.recognise("own_mood", data, tmp_path / "store", tmp_path / "out", split="validation")
        np.testing.assert_allclose(made.table("va", "1").values, -0.6, atol=1e-6)
        (known,) = about_of(tmp_path / "out", "va")["recognisers"]
        assert known["plugin"]["sha256"] == known["recipe"]["plugin"]["sha256"] == plugin.sha256


def bad_calls(net):
    text = f"onnx_recogniser:{net},classes={CLASSES}"
    return {
        "no recogniser named 'fer'; ": ("fer", {"split": "validation"}),
        "the network has 8: it lacks ": (text + "/Other", {"split": "validation"}),
        "the network has 8: name all of them": (text[:-2], {"split": "validation"}),
        "map is empty in": (f"{text},map=", {"split": "validation"}),
        "map names 'joy', which the network lacks": (f"{text},map=joy:Happiness", {"split": "validation"}),
        "licence of onnx_recogniser .not given. is not known to allow": (
            text,
            {"split": "validation", "commercial": True},
        ),
        "licence of audeering_dim .*does not allow": ("audeering_dim", {"split": "validation", "commercial": True}),
        "no split 'dev'": (text, {"split": "dev"}),
        "either --split NAME or --clips": (text, {}),
        "the recogniser .* is given twice": ([text, text], {"split": "validation"}),
        "--assume-fps is inf, expected": (text, {"split": "validation", "assume_fps": float("inf")}),
        "no clip '9'": (text, {"clips": ["9"]}),
        "does not predict va": (text, {"split": "validation", "tasks": "va"}),
        "has no test clips of expr .expected, for expr, a test list": (text, {"split": "test"}),
        "no task has columns of the names of these outputs .*: a, b, .*map=OUTPUT:COLUMN": (
            f"onnx_recogniser:{net},classes=a/b/c/d/e/f/g/h",
            {"split": "validation"},
        ),
        "no task named 'exp'; did you mean": (text, {"split": "validation", "tasks": "exp"}),
        "activation is 'relu'": (f"{text},activation=relu", {"split": "validation"}),
    }


@pytest.mark.parametrize("message", bad_calls(""))
def test_a_wrong_call_is_refused_before_anything_is_written(message, world, tmp_path, net):
    data, store, _ = world
    text, given = bad_calls(net)[message]
    with pytest.raises(InputError, match=message):
        abaw.recognise(text, data, store, tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_missing_weights_are_named(world, tmp_path):
    with pytest.raises(NotFoundError, match="no ONNX file at none.onnx"):
        abaw.recognise("emotieffnet_b0_8:file=none.onnx", *world[:2], tmp_path / "out", split="validation")


def test_a_data_set_without_media_whose_outputs_are_not_stored_says_so(world, tmp_path):
    data, _, text = world
    with pytest.raises(InputError, match="holds no media"):
        abaw.recognise(text, data, tmp_path / "empty", tmp_path / "out", split="validation")
    assert not (tmp_path / "out").exists()


def test_the_map_of_the_user_is_the_recognisers(net):
    found = open_recogniser(f"onnx_recogniser:{net},classes={CLASSES},map=sad:Other/fear:-")
    assert dict(found.chosen) == {"sad": "Other", "fear": "-"}
