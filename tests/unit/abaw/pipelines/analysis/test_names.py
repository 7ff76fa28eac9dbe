"""The names of the tables of an analysis."""

from abaw.pipelines.analysis.analyzing import _clips


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


def test_media_of_one_name_are_named_by_their_folders(tmp_path):
    paths = touch(tmp_path, "angry/001.mp4", "happy/001.mp4", "happy/002.mp4")
    clips, _ = _clips([*paths, paths[0]])
    assert {name: clip.media for name, clip in clips.items()} == dict(
        zip(("angry_001", "happy_001", "002"), paths, strict=True)
    )
    assert all(clip.clip_id == name for name, clip in clips.items())


def test_clips_of_one_name_in_two_folders_of_media_have_different_names(tmp_path):
    touch(tmp_path, "a/x/1.mp4", "a/y/1.mp4", "b/1.mp4", "b/2.mp4")
    assert sorted(_clips([tmp_path / "a", tmp_path / "b"])[0]) == ["1", "2", "x_1", "y_1"]
    touch(tmp_path, "c/1.mp4")
    assert sorted(_clips([tmp_path / "b", tmp_path / "c"])[0]) == ["2", "b_1", "c_1"]


def test_other_files_in_a_folder_of_media_are_reported(tmp_path):
    touch(tmp_path, "a/1.mp4", "a/photo.jpg", "a/notes.txt", "b/2.mp4")
    clips, ignored = _clips([tmp_path / "a", tmp_path / "b"])
    assert sorted(clips) == ["1", "2"]
    assert [line.split(";")[0] for line in ignored] == [f"{tmp_path / 'a'}: 2 other files left out"]
