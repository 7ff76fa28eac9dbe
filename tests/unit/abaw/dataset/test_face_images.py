"""Which files of a folder are images of which frames, whatever program named them."""

import pytest

from abaw.dataset.face_images import find_images
from abaw.dataset.layout import open_dataset
from abaw.errors import InputError

SERIES = {
    "organisers": ["00001.jpg", "00003.jpg", "100000.jpg"],
    "upper case": ["00001.JPG", "00003.JPG", "100000.JPG"],
    "jpeg": ["00001.jpeg", "00003.jpeg", "100000.JPEG"],
    "png": ["00001.png", "00003.png", "100000.png"],
    "bmp": ["00001.bmp", "00003.bmp", "100000.bmp"],
    "webp": ["00001.webp", "00003.WebP", "100000.webp"],
    "mixed suffixes": ["00001.jpg", "00003.png", "100000.bmp"],
    "four digits": ["0001.jpg", "0003.jpg", "100000.jpg"],
    "six digits": ["000001.jpg", "000003.jpg", "100000.jpg"],
    "no zeros": ["1.png", "3.png", "100000.png"],
    "mixed digits": ["0001.png", "00003.jpg", "100000.jpg"],
    "frame": ["frame_0001.png", "frame_0003.png", "frame_100000.png"],
    "img": ["img1.jpg", "img3.jpg", "img100000.jpg"],
    "the clip's name": ["v_0001.png", "v_0003.png", "v_100000.png"],
    "the clip's name and frame": ["V-frame-1.png", "V-frame-3.png", "V-frame-100000.png"],
    "OpenFace": ["frame_det_00_000001.bmp", "frame_det_00_000003.bmp", "frame_det_00_100000.bmp"],
    "OpenFace of images": ["v_det_00_000001.bmp", "v_det_00_000003.bmp", "v_det_00_100000.bmp"],
}


def fill(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("kind", SERIES)
def test_each_kind_of_name_gives_its_frames(tmp_path, kind):
    fill(tmp_path / "crops/v", [*SERIES[kind], "Thumbs.db", "._00001.jpg"])
    clip = open_dataset(tmp_path).clips["v"]
    images = clip.face_images()
    assert (list(images.numbers), images.first, list(images.unread)) == ([1, 3, 100000], 1, [])
    assert [images.path(number).name for number in images.numbers] == SERIES[kind]
    assert clip.image(3).name == SERIES[kind][1]


@pytest.mark.parametrize(
    "names", [["00000.jpg", "00001.jpg", "00003.jpg"], ["frame-0.jpg", "frame-1.jpg", "frame-3.jpg"]]
)
def test_numbers_from_0_are_shifted_by_one(tmp_path, names):
    fill(tmp_path / "crops/v", names)
    images = open_dataset(tmp_path).clips["v"].face_images()
    assert (list(images.numbers), images.first) == ([1, 2, 4], 0)
    assert [images.path(number).name for number in images.numbers] == names


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".heic", ".avif"])
def test_images_of_other_formats_are_counted_as_not_read(tmp_path, suffix):
    fill(tmp_path / "crops/v", [f"{number:05d}{suffix}" for number in range(1, 5)])
    (tmp_path / "v.mp4").touch()
    dataset = open_dataset(tmp_path)
    images = dataset.clips["v"].face_images()
    assert list(images.numbers) == []
    assert len(images.unread) == 4


CHOICES = {  # names -> those that are read
    "the organisers' suffix first": (["00001.png", "00001.jpg"], ["00001.jpg"]),
    "five digits first": (["000001.jpg", "00001.jpg", "1.jpg"], ["00001.jpg"]),
    "plain numbers before a longer series": (["frame_1.jpg", "frame_2.jpg", "00001.jpg"], ["00001.jpg"]),
    "the lowest face of OpenFace": (
        ["frame_det_01_000001.bmp", "frame_det_01_000002.bmp", "frame_det_00_000002.bmp"],
        ["frame_det_00_000002.bmp"],
    ),
    "names without a frame": (["00001.jpg", "aligned.png", "run-2.png", "20230101123000.jpg"], ["00001.jpg"]),
}


@pytest.mark.parametrize("case", CHOICES)
def test_images_that_are_not_read_are_named(tmp_path, case):
    names, read = CHOICES[case]
    images = find_images(tmp_path / "v", names)
    assert [images.path(number).name for number in images.numbers] == read
    assert list(images.unread) == sorted(set(names) - set(read))


def test_openface_aligned_folders_belong_to_their_clip(tmp_path):
    fill(tmp_path / "videos", ["v.mp4"])
    fill(tmp_path / "openface/v_aligned", ["frame_det_00_000001.bmp"])
    fill(tmp_path / "openface/w_aligned", ["00001.jpg"])
    clips = open_dataset(tmp_path).clips
    assert sorted(clips) == ["v", "w_aligned"]
    assert clips["v"].image_numbers() == [1]


def test_pictures_that_are_no_frames_make_no_clip(tmp_path):
    fill(tmp_path, ["v.mp4", "1.png"])
    fill(tmp_path / "videos", ["w.mp4", "1.png", "2.png"])
    fill(tmp_path / "plots", ["run-1.png", "loss.png"])
    dataset = open_dataset(tmp_path)
    assert list(dataset.clips) == ["w"]
    assert [folder.name for folder in dataset.unread_images] == ["plots"]


def test_a_known_clip_keeps_a_folder_whose_images_cannot_be_read(tmp_path):
    fill(tmp_path / "videos", ["v.mp4"])
    fill(tmp_path / "crops/v", ["a.png", "b.png"])
    images = open_dataset(tmp_path).clips["v"].face_images()
    assert (list(images.numbers), list(images.unread)) == ([], ["a.png", "b.png"])


def test_a_folder_without_an_image_0_among_many_with_one_is_an_error_of_its_clip(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / "d/crops" / name, ["00000.jpg", "00001.jpg"])
    fill(tmp_path / "d/crops/c", ["00001.jpg"])
    clips = open_dataset(tmp_path / "d").clips
    assert [clips[name].image_numbers() for name in "ab"] == [[1, 2], [1, 2]]
    with pytest.raises(InputError, match=r"crops/c has no image 0, but 2 of the 3 folders .*the key first_image"):
        clips["c"].image_numbers()
    (tmp_path / "data.yaml").write_text("root: d\nfirst_image: 0\n")
    assert open_dataset(tmp_path / "data.yaml").clips["c"].image_numbers() == [2]
    (tmp_path / "data.yaml").write_text("root: d\nfirst_image: 1\n")
    with pytest.raises(
        InputError, match=r"00000.jpg is numbered below 1, although the data set file says first_image: 1"
    ):
        open_dataset(tmp_path / "data.yaml").clips["a"].image_numbers()


def test_one_folder_from_0_among_many_from_1_is_read_from_0(tmp_path):
    fill(tmp_path / "crops/a", ["00000.jpg", "00001.jpg"])
    for name in ("b", "c"):
        fill(tmp_path / "crops" / name, ["00001.jpg"])
    assert {name: clip.image_numbers() for name, clip in open_dataset(tmp_path).clips.items()} == {
        "a": [1, 2],
        "b": [1],
        "c": [1],
    }


@pytest.mark.parametrize("value", ["2", "true", "one", "[0]"])
def test_a_first_image_that_is_not_0_or_1_names_file_and_line(tmp_path, value):
    (tmp_path / "data.yaml").write_text(f"root: .\nfirst_image: {value}\n")
    with pytest.raises(InputError, match=r"data.yaml:2: first_image is .*, expected 0 or 1"):
        open_dataset(tmp_path / "data.yaml")
