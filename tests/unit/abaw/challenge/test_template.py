"""A template is read as it is, and a broken one is named by file and line."""

import pytest

from abaw.challenge import submission
from abaw.challenge.template import read_template
from abaw.tasks import TASKS
from tests.support.abaw.submissions import ROWS, predicted, template

VA = TASKS.build("va")


def test_a_template_keeps_clips_and_frames_in_order(tmp_path):
    read = read_template(template(tmp_path))
    assert read.clips == ("b", "a_left")
    assert list(read.locations()) == ROWS
    assert len(read) == 5
    assert read.task.name == "va"


@pytest.mark.parametrize("value", ["", "0", "0.0,0.0"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("tail", ["", "\n", "\r\n\r\n"])
def test_editions_and_editors_of_templates_read_the_same(tmp_path, value, end, mark, tail):
    read = read_template(template(tmp_path, value=value, end=end, mark=mark, tail=tail))
    assert list(read.locations()) == ROWS
    assert read.header == VA.header


def test_a_header_is_matched_whatever_its_spaces_and_kept_as_it_is(tmp_path):
    sample = template(tmp_path)
    sample.write_text(sample.read_text().replace(VA.header, "image_location, valence, arousal"))
    predicted(tmp_path / "p", b=[[0, 0]] * 3, a_left=[[0, 0]] * 2)
    submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text().startswith("image_location, valence, arousal\nb/00001.jpg,0.000000,")


BROKEN = {
    "no header": (
        ROWS[0] + ",\n",
        r":1: 'b/00001.jpg,' is not a known header; known are ah: no header; .*; expr: .*; va: image_location,val",
    ),
    "no header above values": (ROWS[0] + ",0\n", r":1: 'b/00001.jpg,0' is not a known header"),
    "a header of no task": ("image,x\n" + ROWS[0], r":1: 'image,x' is not a known header"),
    "empty": ("", r":1: '' is not a known header"),
    "no rows": (VA.header + "\n", r":2: no rows after the header"),
    "a repeated row": (VA.header + "\na/00001.jpg,\nb/00001.jpg,\na/00001.jpg,\n", ":4: 'a/00001.jpg' repeats line 2"),
    "frame 0": (VA.header + "\na/00000.jpg,\n", ":2: frame 0 in 'a/00000.jpg': frames count from 1"),
    "no clip": (VA.header + "\n00001.jpg,\n", ":2: '00001.jpg' is not an image location, expected <clip>/<frame"),
    "a letter in the frame": (VA.header + "\na/0000x.jpg,\n", ":2: 'a/0000x.jpg' is not an image location"),
    "other digits": (VA.header + "\na/1.jpg,\n", ":2: 'a/1.jpg' is not an image location"),
    "another suffix": (VA.header + "\na/00001.png,\n", ":2: 'a/00001.png' is not an image location"),
    "a folder too many": (VA.header + "\nx/a/00001.jpg,\n", ":2: 'x/a/00001.jpg' is not an image location"),
    "a blank line inside": (VA.header + "\na/00001.jpg,\n\na/00002.jpg,\n", ":3: '' is not an image location"),
    "blank lines inside": (VA.header + "\na/00001.jpg,\n\n \na/00002.jpg,\n", ":3: '' is not an image location"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_template_is_named_by_file_and_line(tmp_path, fault):
    text, words = BROKEN[fault]
    (tmp_path / "sample.txt").write_text(text)
    with pytest.raises(ValueError, match="sample.txt" + words):
        read_template(tmp_path / "sample.txt")


def test_of_several_repeats_the_first_in_the_file_is_named(tmp_path):
    sample = template(tmp_path, ["a/00001.jpg", "b/00001.jpg", "b/00001.jpg", "a/00001.jpg"])
    with pytest.raises(ValueError, match=":4: 'b/00001.jpg' repeats line 3"):
        read_template(sample)


def test_a_template_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no template at .*x.txt: give the organisers' sample"):
        read_template(tmp_path / "x.txt")


def test_a_template_that_is_a_folder_or_no_text_is_named(tmp_path):
    with pytest.raises(ValueError, match="the template .* is a folder: give the organisers' sample"):
        read_template(tmp_path)
    sample = template(tmp_path)
    sample.write_bytes(b"PAR1\x00\x15\x04\n\xff")
    with pytest.raises(ValueError, match="va_sample.txt:1: not a text file: give the organisers' sample"):
        read_template(sample)
    sample.write_bytes(f"{VA.header}\nb/00001.jpg,\nb\xe9/00002.jpg,\n".encode("latin-1"))
    with pytest.raises(ValueError, match="va_sample.txt:3: not a text file"):
        read_template(sample)


def test_two_videos_of_one_name_cannot_be_distinguished(tmp_path):
    sample = tmp_path / "trial-0.txt"
    sample.write_text("a/v1.mp4,0\nb/v1.mp4,0\n")
    with pytest.raises(ValueError, match="trial-0.txt: two videos are named 'v1': a/v1.mp4 and b/v1.mp4"):
        read_template(sample)
