"""Test lists and templates of the synthetic data set."""

import json

import numpy as np

from abaw.dataset.names import EXPRESSIONS
from tests.support.synthetic import times_of


def test_templates_ask_for_every_frame_and_in_one_clip_for_one_row_more(data, contains):
    va = (data / "test_set/ABAW_VA_test_set_sample.txt").read_text().splitlines()
    expr = (data / "test_set/ABAW_EXPR_test_set_sample.txt").read_text().splitlines()
    assert va[0] == "image_location,valence,arousal"
    assert expr[0] == "image_location," + ",".join(EXPRESSIONS)
    assert all(row.endswith(".jpg,") for row in va[1:])
    assert all(row.endswith(".jpg,0") for row in expr[1:])
    longer = contains["template_one_row_more"]
    extra = {row[:-1] for row in va[1:]} - {row[:-2] for row in expr[1:]}
    assert extra == {f"{longer}/{len(times_of(data, longer)) + 1:05d}.jpg"}


def test_the_multitask_test_list_and_template_name_the_same_images(data):
    header, *listed = (data / "test_set/MTL_Challenge_test_set_release.txt").read_text().splitlines()
    assert header == "image"
    sample = (data / "test_set/ABAW_MTL_test_set_sample.txt").read_text().splitlines()
    assert sample == ["image,valence,arousal,expression,aus", *(f"{place}," for place in listed)]
    steps = np.diff([int(place[-9:-4]) for place in listed if place.startswith("10-60-1280x720/")])
    assert steps.min() >= 5
    test_clips = json.loads((data / "synth.json").read_text())["splits"]["test"]
    assert {place.split("/")[0] for place in listed} == set(test_clips) - {"451"}
