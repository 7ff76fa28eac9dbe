"""Annotations of the synthetic data set: formats, planted lines, noise, and MTL's rows."""

import json

import numpy as np
import pytest

from abaw.dataset.names import ACTION_UNITS, EXPRESSIONS
from extract.synthetic import labels, lists
from extract.synthetic.scenes import Affect, Scene
from tests.support.synthetic import hash_tree, labels_of, times_of, truth_of


def test_annotation_files_have_the_planted_lines_sentinels_and_line_ends(data, contains):
    more, fewer = contains["one_label_line_more"], contains["label_lines_fewer"]
    assert len(labels_of(data, more)) == len(times_of(data, more)) + 1
    assert len(labels_of(data, fewer, "expr")) == len(times_of(data, fewer)) - 4
    assert labels_of(data, contains["sentinel_rows"]).count("-5,-5") >= 2
    assert labels_of(data, contains["sentinel_rows"], "expr").count("-1") >= 2
    for path in data.glob("annotations/*/*/*.txt"):
        raw = path.read_bytes()
        assert (raw.count(b"\r\n") == raw.count(b"\n")) is (path.stem == contains["crlf"])
    assert not list(data.glob(f"annotations/EXPR*/*/{contains['va_only']}.txt"))
    assert not list(data.glob(f"annotations/VA*/*/{contains['expr_only']}.txt"))
    assert not list(data.glob(f"annotations/AU*/*/{contains['va_only']}.txt"))


def test_annotation_files_are_the_organisers_format_and_hold_no_test_clip(data):
    test_clips = json.loads((data / "synth.json").read_text())["splits"]["test"]
    for path in data.glob("annotations/*/*/*.txt"):
        assert path.stem not in test_clips
        header, *rows = path.read_text().splitlines()
        if path.parent.parent.name.startswith("VA"):
            assert header == "valence,arousal"
            values = np.array([row.split(",") for row in rows], float)
            scored = values[(values != -5).all(axis=1)]
            assert np.abs(scored).max() <= 1
            assert max(len(cell) for row in rows for cell in row.split(",")) <= len("-0.123")
        elif path.parent.parent.name.startswith("AU"):
            assert header.split(",") == list(ACTION_UNITS)
            assert {len(row.split(",")) for row in rows} == {12}
            assert {cell for row in rows for cell in row.split(",")} <= {"-1", "0", "1"}
        else:
            assert header.split(",") == list(EXPRESSIONS)
            assert set(rows) <= {"-1", *map(str, range(8))}


def test_labels_are_the_truth_with_the_stated_noise(data):
    errors = []
    for path in data.glob("annotations/VA*/*/*.txt"):
        truth, rows = truth_of(data, path.stem), np.loadtxt(path, delimiter=",", skiprows=1)
        num = min(len(rows), len(truth["frame"]))
        error = rows[:num] - np.stack([truth["valence"], truth["arousal"]], 1)[:num]
        errors.append(error[rows[:num, 0] != -5])
    assert np.concatenate(errors).std() == pytest.approx(labels.VA_NOISE_SD, rel=0.35)


def test_action_units_are_the_truth_except_for_the_timing_of_onsets(data):
    wrong, near = [], []
    for path in data.glob("annotations/AU*/*/*.txt"):
        rows = np.loadtxt(path, delimiter=",", skiprows=1)
        truth = truth_of(data, path.stem)
        units = np.stack([truth[name] for name in ACTION_UNITS], 1)
        num = min(len(rows), len(units))
        labelled = (rows[:num] != -1).all(axis=1)
        assert (~labelled == ~truth["face_visible"][:num].astype(bool)).mean() > 0.8
        # a label that is off lies within 0.5 s, five standard deviations, of a change
        for unit, label in zip(units[:num].T, rows[:num].T, strict=True):
            changes = truth["time_s"][:num][np.flatnonzero(np.diff(unit, prepend=unit[0]))]
            gap = np.abs(truth["time_s"][:num, None] - changes).min(1, initial=np.inf)
            off = labelled & (label != unit)
            wrong.append(off[labelled])
            near.append(gap[off])
    assert 0.005 < np.concatenate(wrong).mean() < 0.15
    assert np.concatenate(near).max() < 0.5


def test_units_are_unlabelled_without_a_face_and_in_one_row_for_one_unit(data, contains):
    clip = contains["au_unlabelled_where_turned_away"]
    hidden = truth_of(data, clip)["face_visible"] == 0
    assert [row == ",".join(["-1"] * 12) for row in labels_of(data, clip, "au")] == hidden.tolist()
    rows = [row.split(",").count("-1") for row in labels_of(data, contains["au_one_unit_unlabelled"], "au")]
    assert rows.count(1) == 1
    assert rows.count(12) >= 2


def multitask_rows(data, name):
    header, *rows = (data / f"multitask/{name}_set_annotations.txt").read_text().splitlines()
    assert header == "image,valence,arousal,expression," + ",".join(ACTION_UNITS)
    return [row.split(",") for row in rows]


def test_multitask_rows_are_images_with_the_single_tasks_labels_or_sentinels(data):
    kinds = set()
    for name in ("training", "validation"):
        for place, *cells in multitask_rows(data, name):
            assert list(data.glob(f"cropped_aligned*/{place}"))
            clip, image = place.split("/")
            i = int(image[:5]) - 1
            parts = {"va": ",".join(cells[:2]), "expr": cells[2], "au": ",".join(cells[3:])}
            missing = {task for task, text in parts.items() if text == labels.SENTINELS[task]}
            for task, text in parts.items():
                assert task in missing or text == labels_of(data, clip, task)[i]
            kinds.add((name, frozenset(missing)))
    of_training = {missing for name, missing in kinds if name == "training"}
    assert {frozenset(), frozenset({"expr"}), frozenset({"va"}), frozenset({"au"})} <= of_training


def test_multitask_training_repeats_rows_and_holds_a_validation_video(data, contains):
    places = [row[0] for row in multitask_rows(data, "training")]
    repeated = {place for place in places if places.count(place) > 1}
    assert len(repeated) == lists.NUM_REPEATED
    assert {place.split("/")[0] for place in repeated} == {contains["mtl_repeated_rows"]}
    leak = contains["mtl_trains_on_validation_video"]
    document = json.loads((data / "synth.json").read_text())
    assert leak in document["splits"]["validation"]
    for split, name in (("train", "training"), ("validation", "validation")):
        clips = list(dict.fromkeys(row[0].split("/")[0] for row in multitask_rows(data, name)))
        assert document["multitask_splits"][split] == clips
        assert (leak in clips) is (split == "train")


def test_labels_of_units_do_not_change_the_random_numbers_of_the_others(tmp_path):
    """Valence, arousal and expression are those of a data set without units."""
    scene, times_s = Scene("1", "train", sentinels=True), np.arange(60) / 25
    for name, tasks in (("with", ("va", "expr", "au")), ("without", ("va", "expr"))):
        rngs = tuple(np.random.default_rng(seed) for seed in ((0, 1) if name == "with" else (0, 2)))
        one = Scene(scene.video, scene.split, sentinels=True, tasks=tasks)
        affect, units = Affect(np.random.default_rng(3)), np.zeros((60, 12))
        labels.write_labels(tmp_path / name, one, "1", affect, units, np.ones(60, bool), times_s, rngs)
    before, after = hash_tree(tmp_path / "without"), hash_tree(tmp_path / "with")
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1 == 3
