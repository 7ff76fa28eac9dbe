"""What is found in Aff-Wild2's layout, and what is too ambiguous to guess."""

import pytest

from abaw.dataset.layout import open_dataset


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_image_roots_are_merged(tmp_path):
    touch(tmp_path, "cropped_aligned/1/00001.jpg", "cropped_aligned_new_50_vids/451/00002.jpg")
    dataset = open_dataset(tmp_path)
    assert {clip: found.images.parent.name for clip, found in dataset.clips.items()} == {
        "1": "cropped_aligned",
        "451": "cropped_aligned_new_50_vids",
    }
    assert [root.name for root in dataset.image_roots] == ["cropped_aligned", "cropped_aligned_new_50_vids"]


def test_an_image_root_may_lie_inside_another(tmp_path):
    touch(tmp_path, "ca/ca/1/00001.jpg", "ca/ca_new_50_vids/451/00001.jpg")
    assert sorted(open_dataset(tmp_path).clips) == ["1", "451"]


def test_two_subjects_are_two_clips_of_one_video(tmp_path):
    touch(tmp_path, "videos/a/130-25.mp4", "crops/130-25_left/00001.jpg", "crops/130-25_right/00001.jpg")
    clips = open_dataset(tmp_path).clips
    assert sorted(clips) == ["130-25_left", "130-25_right"]
    assert {clip.media.name for clip in clips.values()} == {"130-25.mp4"}
    assert [clips[name].side for name in sorted(clips)] == ["left", "right"]


def test_a_base_id_may_stand_beside_a_right_one_alone(tmp_path):
    touch(tmp_path, "videos/10-60.avi", "crops/10-60/00001.jpg", "crops/10-60_right/00001.jpg")
    clips = open_dataset(tmp_path).clips
    assert {name: (clip.media.name, clip.side) for name, clip in clips.items()} == {
        "10-60": ("10-60.avi", None),
        "10-60_right": ("10-60.avi", "right"),
    }


def test_only_a_trailing_side_is_stripped(tmp_path):
    touch(tmp_path, "videos/video10_1.mp4", "videos/left_video.mp4", "crops/video10_1_left/00001.jpg")
    clips = open_dataset(tmp_path).clips
    assert sorted(clips) == ["left_video", "video10_1_left"]
    assert clips["video10_1_left"].media.name == "video10_1.mp4"


def test_a_video_whose_own_name_ends_in_a_side_is_its_own(tmp_path):
    touch(tmp_path, "videos/foo.mp4", "videos/foo_left.mp4", "crops/foo_left/00001.jpg", "videos/bar_right.mp4")
    clips = open_dataset(tmp_path).clips
    assert {name: (clip.media.stem, clip.side) for name, clip in clips.items()} == {
        name: (name, None) for name in ("foo", "foo_left", "bar_right")
    }


def test_a_clip_may_be_known_by_its_labels_or_a_test_list_alone(tmp_path):
    touch(tmp_path, "a/VA_Estimation_Challenge/Train_Set/1.txt")
    (tmp_path / "Valence_Arousal_Estimation_Challenge_test_set_release.txt").write_bytes(b"2_left\r\n2_right\r\n\r\n")
    dataset = open_dataset(tmp_path)
    assert sorted(dataset.clips) == ["1", "2_left", "2_right"]
    assert dataset.test_clips(("Valence_Arousal",)) == ("2_left", "2_right")
    assert dataset.test_clips(("Action_Unit",)) == ()
    assert [path.name for path in dataset.label_files("1")] == ["1.txt"]


@pytest.mark.parametrize("folder", ["EXPR_Classification_Challenge", "EXPR_Recognition_Challenge"])
def test_both_names_of_the_expression_folder_are_known(tmp_path, folder):
    touch(tmp_path, f"6th ABAW Annotations/{folder}/Validation_Set/1.txt")
    names = ("EXPR_Recognition_Challenge", "EXPR_Classification_Challenge")
    assert list(open_dataset(tmp_path).annotation_files(names, "validation")) == ["1"]
    assert not open_dataset(tmp_path).annotation_files(names, "train")


def test_both_expression_folders_at_once_are_ambiguous(tmp_path):
    names = ("EXPR_Recognition_Challenge", "EXPR_Classification_Challenge")
    touch(tmp_path, *(f"{name}/Train_Set/1.txt" for name in names))
    with pytest.raises(ValueError, match=r"EXPR_Recog.* and EXPR_Class.*the key 'annotations'"):
        open_dataset(tmp_path).annotation_files(names, "train")


def test_image_numbers_ascend_and_keep_their_gaps(tmp_path):
    touch(tmp_path, *(f"crops/1/{name}" for name in ("00010.jpg", "00002.jpg", "100000.jpg", "Thumbs.db")))
    clip = open_dataset(tmp_path).clips["1"]
    assert clip.image_numbers() == [2, 10, 100000]
    assert all(clip.image(number).is_file() for number in clip.image_numbers())


def test_a_clip_without_images_has_no_numbers(tmp_path):
    assert open_dataset(touch(tmp_path, "videos/1.mp4")).clips["1"].image_numbers() == []


AMBIGUOUS = {
    "'images'": (("cropped/1/00001.jpg", "cropped_aligned/1/00001.jpg"), "clip '1' has two folders of images"),
    "'annotations'": (
        ("5th/VA_Estimation_Challenge/Train_Set/1.txt", "6th/VA_Estimation_Challenge/Train_Set/1.txt"),
        "two label folders",
    ),
    "'test_lists'": (
        (
            "videos/1.mp4",
            "a/VA_Estimation_Challenge_test_set_release.txt",
            "b/VA_Estimation_Challenge_test_set_release.txt",
        ),
        "two test lists",
    ),
}


@pytest.mark.parametrize("key", AMBIGUOUS)
def test_what_is_ambiguous_names_the_key_that_decides(tmp_path, key):
    names, words = AMBIGUOUS[key]
    with pytest.raises(ValueError, match=f"{words}.*the key {key}"):
        open_dataset(touch(tmp_path, *names))


def test_two_editions_of_one_test_list_are_ambiguous_for_its_task(tmp_path):
    names = ("Expression_Recognition_Challenge", "Expression_Classification_Challenge")
    touch(tmp_path, "videos/1.mp4", *(f"{name}_test_set_release.txt" for name in names))
    with pytest.raises(ValueError, match=r"has the test lists .*'test_lists'"):
        open_dataset(tmp_path).test_clips(names)


def test_a_data_set_file_decides_what_is_ambiguous(tmp_path):
    touch(tmp_path, "d/cropped/1/00001.jpg", "d/cropped_aligned/1/00002.jpg", "d/videos/a/1.mp4", "d/videos/b/1.mp4")
    file = tmp_path / "data.yaml"
    file.write_text("root: d\nimages: cropped_aligned\nvideos: [videos/b]\n")
    clip = open_dataset(file).clips["1"]
    assert clip.image_numbers() == [2]
    assert clip.media == tmp_path / "d" / "videos" / "b" / "1.mp4"


def test_a_data_set_file_may_name_folders_outside_its_root(tmp_path):
    touch(tmp_path, "d/videos/1.mp4", "labels/VA_Estimation_Challenge/Train_Set/1.txt")
    file = tmp_path / "data.yml"
    file.write_text("root: d\nannotations: ../labels\n")
    assert list(open_dataset(file).annotation_files(("VA_Estimation_Challenge",), "train")) == ["1"]


DATA_FILES = {
    "root: d\nvideo: x\n": (ValueError, r"2: unknown key 'video'; did you mean 'videos'\? known: root, videos"),
    "videos: x\n": (ValueError, "1: a data set file needs the key 'root'"),
    "root: d\nroot: e\n": (ValueError, "2: root is given twice, first on line 1"),
    "- d\n": (ValueError, "1: a data set file needs the key 'root'"),
    "root: d\nvideos: 3\n": (ValueError, "2: videos is 3, expected a folder or a list of folders"),
    "root: d\nimages: nowhere\n": (FileNotFoundError, "2: no folder .*nowhere: folders are relative to root"),
    "root: d\n<<: {video: x}\n": (ValueError, "1: unknown key 'video'"),
    "root: [\n": (ValueError, "2: not readable as YAML"),
}


@pytest.mark.parametrize("text", DATA_FILES)
def test_a_broken_data_set_file_says_what_is_wrong(tmp_path, text):
    touch(tmp_path, "d/videos/1.mp4")
    (tmp_path / "data.yaml").write_text(text)
    kind, words = DATA_FILES[text]
    with pytest.raises(kind, match=f"data.yaml:{words}"):
        open_dataset(tmp_path / "data.yaml")


def test_a_media_file_is_a_data_set_of_one_clip(tmp_path):
    dataset = open_dataset(touch(tmp_path, "party.mov", "other.mov") / "party.mov")
    assert {name: clip.media.name for name, clip in dataset.clips.items()} == {"party": "party.mov"}


def test_a_folder_of_media_ignores_and_counts_other_files(tmp_path):
    dataset = open_dataset(touch(tmp_path, "a.mp4", "b.WAV", "notes.md", "c.srt", ".hidden.mp4"))
    assert sorted(dataset.clips) == ["a", "b"]
    assert dataset.num_ignored == 2


def test_where_there_is_no_data_set_the_error_says_what_one_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="no data set at .*nowhere"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no videos, no sound, no pictures and no labels"):
        open_dataset(touch(tmp_path, "notes.md"))
    with pytest.raises(ValueError, match=r"notes.md is not a media file: neither its suffix .*\.mp4"):
        open_dataset(tmp_path / "notes.md")


def test_a_stray_image_hides_neither_media_nor_folders_beside_it(tmp_path):
    for name in ("videos/one.mp4", "videos/00001.jpg", "cropped/00001.jpg", "cropped/two/00001.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {"one", "two"} <= set(open_dataset(tmp_path).clips)


def test_a_link_that_leads_back_is_walked_once(tmp_path):
    (tmp_path / "cropped/one").mkdir(parents=True)
    (tmp_path / "cropped/one/00001.jpg").touch()
    (tmp_path / "cropped/loop").symlink_to(tmp_path)
    assert list(open_dataset(tmp_path).clips) == ["one"]


def test_hidden_files_and_lists_of_images_name_no_clips(tmp_path):
    folder = tmp_path / "notes/VA_Estimation_Challenge/Train_Set"
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text("valence,arousal\n0,0\n")
    (folder / "._one.txt").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "Any_Challenge_test_set_release.txt").write_text("image,valence\na/00001.jpg,\n")
    assert list(open_dataset(tmp_path).clips) == ["one"]


# ---- files that hold a whole split

LISTS = {  # kind, split -> a file's name and lines, the clips it names with their last frame
    ("mtl", "train"): (
        "a/training_set_annotations.txt",
        "image,valence\nx/00003.jpg,\ny_left/00001.jpg,\nx/00002.jpg,",
    ),
    ("mtl", "validation"): ("b/validation_set_annotations_22.txt", "image\nx/00003.jpg,\ny_left/00001.jpg,"),
    ("mtl", "test"): ("MTL_Challenge_test_set_release.txt", "image\nx/00003.jpg\ny_left/00001.jpg"),
    ("emi", "train"): ("train_split.csv", "Filename,Joy\nx,1\n7,1"),
    ("emi", "validation"): ("valid_split.csv", "filename,Joy\nx,1\n00007,1"),
    ("emi", "test"): ("test_split.csv", "Filename\nx\n7"),
    ("ah_clip", "train"): ("split/train.txt", "Videos/8/x.mp4,0,oh, well\nVideos/9/y.v2.MP4,1,"),
    ("ah_clip", "validation"): ("split/val.txt", "x.mp4,0\ny.v2.mp4,1"),
    ("ah_clip", "test"): ("split/test.txt", "x.mp4\ny.v2.mp4"),
    ("ah_frame", "train"): ("train.txt", "8/x.mp4/frame-2.jpg,0\n8/x.mp4/frame-0.jpg,0\n9/y.mp4/frame-0.jpg,1"),
}
NAMED = {"mtl": {"x": 3, "y_left": 1}, "emi": {"x": 1, "00007": 1}, "ah_clip": {"x": 1, "y.v2": 1}}
NAMED["ah_frame"] = {"x": 3, "y": 1}


@pytest.mark.parametrize(("kind", "split"), LISTS)
def test_a_file_of_a_whole_split_is_found_anywhere_and_names_its_clips(tmp_path, kind, split):
    name, text = LISTS[kind, split]
    touch(tmp_path, "other.mp4", name)
    (tmp_path / name).write_text(text + "\n")
    dataset = open_dataset(tmp_path)
    assert dataset.listing(kind, split).last_frames == NAMED[kind]
    assert dataset.listed_clips(kind, split) == tuple(NAMED[kind])
    assert sorted(dataset.clips) == sorted(["other", *NAMED[kind]])
    assert [dataset.num_label_rows(clip) for clip in NAMED[kind]] == list(NAMED[kind].values())
    assert dataset.num_ignored == 0
    assert [(each, part) for each in dataset.listings for part in dataset.listings[each]] == [(kind, split)]
    assert open_dataset(tmp_path).listed_clips("mtl", "nothing") == ()


def test_the_third_editions_names_are_known_in_their_folder_alone(tmp_path):
    for folder in ("MTL_Challenge", "other"):
        touch(tmp_path, *(f"{folder}/{name}_set.txt" for name in ("train", "validation")))
        for path in (tmp_path / folder).iterdir():
            path.write_text(f"image\n{folder}/00001.jpg,\n")
    dataset = open_dataset(tmp_path)
    assert [dataset.listed_clips("mtl", split) for split in ("train", "validation")] == [("MTL_Challenge",)] * 2


@pytest.mark.parametrize("text", ["", "id,label\nx,1\n", "images/one.jpg 0\n", "a line of words\n"])
def test_files_of_a_common_name_and_other_content_are_no_labels(tmp_path, text):
    touch(tmp_path, "other.mp4")
    for name in ("train.txt", "val.txt", "test.txt", "train_split.csv"):
        (tmp_path / name).write_text(text)
    (tmp_path / "valid_split.csv").write_bytes(b"\xff\xfe\x00")
    dataset = open_dataset(tmp_path)
    assert (list(dataset.clips), dataset.listings, dataset.num_ignored) == (["other"], {}, 5)


def test_two_files_of_one_split_are_ambiguous_for_their_task_until_one_is_named(tmp_path):
    for name in ("d/7th/training_set_annotations.txt", "d/11th/training_set_annotations.txt"):
        touch(tmp_path, name)
        (tmp_path / name).write_text(f"image\n{name.split('/')[1]}/00001.jpg,\n")
    with pytest.raises(ValueError, match=r"11th.* and .*7th.*the key 'annotations' in a data set file"):
        open_dataset(tmp_path / "d").listed_clips("mtl", "train")
    for named in ("11th", "11th/training_set_annotations.txt", "[11th]"):
        (tmp_path / "data.yaml").write_text(f"root: d\nannotations: {named}\n")
        assert open_dataset(tmp_path / "data.yaml").listed_clips("mtl", "train") == ("11th",)
    (tmp_path / "data.yaml").write_text("root: d/7th\nannotations: ../11th/training_set_annotations.txt\n")
    assert open_dataset(tmp_path / "data.yaml").listed_clips("mtl", "train") == ("11th",)


def test_a_clock_must_cover_the_last_row_and_the_last_image_that_is_listed(tmp_path):
    touch(tmp_path, "VA_Estimation_Challenge/Train_Set/1.txt", "training_set_annotations.txt")
    (tmp_path / "VA_Estimation_Challenge/Train_Set/1.txt").write_text("valence,arousal\n0,0\n0,0\n")
    (tmp_path / "training_set_annotations.txt").write_text("image\n2/00009.jpg,\n1/00001.jpg,\n")
    dataset = open_dataset(tmp_path)
    assert [dataset.num_label_rows(clip) for clip in ("1", "2", "3")] == [2, 9, 0]
