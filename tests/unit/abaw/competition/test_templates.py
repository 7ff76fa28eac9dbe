"""Templates in a data set, and those that a recipe cannot fill."""

import pytest

from abaw.challenge.template import find_templates
from abaw.dataset.layout import open_dataset
from abaw.tasks import TASKS
from tests.support.recipes import job


def test_templates_are_found_by_their_first_line_and_label_files_are_not_among_them(data):
    root = data
    (root / "lists/other.txt").write_text("image_location,Neutral\n")
    (root / "VA_sample.csv").write_text("image_location, valence, arousal\r\nt/00001.jpg,\n")
    (root / "training_set_annotations.txt").write_text("image,valence,arousal,expression,aus\na/00001.jpg,0,0,1\n")
    dataset = open_dataset(root)
    assert find_templates(dataset, [TASKS.build("va")]) == [root / "VA_sample.csv", root / "lists/sample.txt"]
    assert find_templates(dataset, [TASKS.build("mtl")]) == []
    assert find_templates(dataset, [TASKS.build("ah")]) == []


def test_a_template_that_cannot_be_filled_is_refused_before_the_first_stage(data, tmp_path):
    template = tmp_path / "sample.txt"
    two = ["tasks={va: {}, expr: {}}"]
    template.write_text("image_location,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26\nt/00001.jpg,\n")
    with pytest.raises(ValueError, match="sample.txt is a template for au, not va"):
        job(data, tmp_path, templates=[template])
    with pytest.raises(
        ValueError, match="sample.txt is a template for au, but the recipe has va, expr: give another one"
    ):
        job(data, tmp_path, *two, templates=[template])
    template.write_text("image_location,valence,arousal\nt/1,\n")
    with pytest.raises(ValueError, match="sample.txt:2: "):
        job(data, tmp_path, templates=[template])
    template.write_text("image_location,valence,arousal\nt/00001.jpg,\nu/00001.jpg,\n")
    with pytest.raises(
        ValueError, match="sample.txt asks for 1 clips that are not among the test clips of .*, such as 'u': expected"
    ):
        job(data, tmp_path, templates=[template])
    assert not (tmp_path / "work").exists()
