"""Streams of one clip: which pictures make a row, at which time, and which images are read when."""

import cv2
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.encoders.base import PictureEncoder
from extract.engine.requests import ClipError, iterate_in_stage, stage
from extract.engine.streams import MAX_ROWS_PER_MESSAGE, FrameStream, ImageStream
from extract.faces.geometry import Crop


class Level(PictureEncoder):
    """A test encoder: the mean level of each picture of a row."""

    dim, batch_size = 1, 8

    def __init__(self, span=1, stride=1, crop=None):
        self.span, self.stride, self.crop = span, stride, crop

    def recipe(self):
        return {"encoder": "level", "settings": {}, "version": 1}

    def prepare(self, pictures):
        return np.array([picture.mean() for picture in pictures]).reshape(-1, self.span)

    def forward(self, batch):
        return batch[:, :1]


def picture(level):
    return np.full((4, 4, 3), level, np.uint8)


def make_stream(**settings):
    sent = []
    stream = FrameStream("level", Level(**settings), lambda name, inputs: sent.append((name, inputs.tolist())))
    return stream, sent


TIMES_S = np.array([0.0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.8])


def test_each_picture_is_a_row_and_a_missing_face_is_an_unobserved_one():
    stream, sent = make_stream()
    for position, level in enumerate((10, None, 30)):
        stream.add(position, None if level is None else picture(level))
    stream.flush()
    rows = stream.rows(TIMES_S, {"crops": "found"})
    assert sent == [("level", [[10], [30]])]
    assert rows.observed.tolist() == [True, False, True]
    assert rows.times_s.tolist() == [0.0, 0.1, 0.2]
    assert (rows.filled, rows.metadata) == (None, {"crops": "found"})


def test_a_row_of_several_pictures_is_at_the_middle_of_its_first_and_last_picture():
    stream, sent = make_stream(span=3, stride=2)
    for position in range(7):
        stream.add(position, picture(10 * position))
    stream.flush()
    rows = stream.rows(TIMES_S, {})
    assert sent == [("level", [[0, 10, 20], [20, 30, 40], [40, 50, 60]])]
    assert rows.times_s.tolist() == pytest.approx([0.1, 0.4, 0.7])


def test_a_row_never_spans_a_gap_between_positions():
    stream, sent = make_stream(span=2)
    for position in (0, 1, 3, 4):
        stream.add(position, picture(position))
    stream.flush()
    assert sent == [("level", [[0, 1], [3, 4]])]


def test_a_row_with_one_missing_picture_is_unobserved_and_one_with_a_filled_picture_is_filled():
    stream, sent = make_stream(span=2)
    stream.add(0, picture(1))
    stream.add(1, None)
    stream.add(2, picture(3), filled=True)
    stream.add(3, picture(4))
    stream.add(4, picture(5))
    stream.flush()
    rows = stream.rows(TIMES_S, {})
    assert rows.observed.tolist() == [False, False, True, True]
    assert rows.filled.tolist() == [False, True, True, False]
    assert sent == [("level", [[3, 4], [4, 5]])]


@pytest.mark.parametrize("span", [1, 2])
def test_rows_are_sent_in_groups_of_a_fixed_size(span):
    stream, sent = make_stream(span=span, stride=span)
    for position in range(span * (MAX_ROWS_PER_MESSAGE + 1)):
        stream.add(position, picture(1))
    assert [len(inputs) for _, inputs in sent] == [MAX_ROWS_PER_MESSAGE]
    stream.flush()
    stream.flush()
    assert [len(inputs) for _, inputs in sent] == [MAX_ROWS_PER_MESSAGE, 1]


def write_image(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture(level))


def clip_with_images(folder, *numbers):
    for number in numbers:
        write_image(folder / f"cropped/v/{number:05d}.jpg", 10 * number)
    return open_dataset(folder).clips["v"]


def test_the_image_of_frame_n_is_read_at_position_n_minus_1_and_the_rest_at_the_end(tmp_path):
    clip = clip_with_images(tmp_path, 1, 3, 4, 9)
    stream, sent = make_stream(crop=Crop(2))
    images = ImageStream(clip.face_images(), [stream])
    assert [images.read_at(position) for position in range(4)] == [True, False, True, True]
    images.read_rest()
    stream.flush()
    ((_, inputs),) = sent
    assert np.ravel(inputs) == pytest.approx([10, 30, 40, 90], abs=2)
    assert stream.rows(np.arange(9) / 10, {}).times_s.tolist() == [0.0, 0.2, 0.3, 0.8]
    assert images.num_unreadable == 0


def test_damaged_and_empty_images_are_counted_and_their_rows_are_unobserved(tmp_path):
    clip = clip_with_images(tmp_path, 1, 2, 3)
    (tmp_path / "cropped/v/00002.jpg").write_bytes(b"no image")
    (tmp_path / "cropped/v/00003.jpg").write_bytes(b"")
    stream, _ = make_stream(crop=Crop(2))
    images = ImageStream(clip.face_images(), [stream])
    images.read_rest()
    assert (images.num_damaged, images.num_empty, images.num_unreadable) == (1, 1, 2)
    assert stream.rows(TIMES_S, {}).observed.tolist() == [True, False, False]


def test_an_error_is_reported_with_its_stage_and_an_inner_stage_wins():
    with pytest.raises(ClipError, match="^no face$") as caught, stage("encode"), stage("faces"):
        raise ValueError("no face")
    assert caught.value.stage == "faces"
    with pytest.raises(ClipError, match="^ZeroDivisionError: division by zero$"), stage("encode"):
        1 / 0  # noqa: B018


def test_only_an_error_of_the_iterable_gets_its_stage():
    def broken():
        yield 1
        raise ValueError("cut off")

    seen = []
    with pytest.raises(ClipError, match="cut off") as caught:
        seen.extend(iterate_in_stage("decode", broken()))
    assert caught.value.stage == "decode"
    items = iterate_in_stage("decode", [1])
    assert next(items) == 1
    with pytest.raises(KeyError, match="of the caller"):
        items.throw(KeyError("of the caller"))
