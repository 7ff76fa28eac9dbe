"""The names of the tables of an analysis."""

from abaw.pipelines.analysis.analyzing import _clips


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


def test_media_of_one_name_are_named_by_their_folders(tmp_path):
    paths = touch(tmp_path, "angry/001.mp4", "happy/001.mp4", "happy/002.mp4")
    clips = _clips([*paths, paths[0]])
    assert {name: clip.media for name, clip in clips.items()} == dict(
        zip(("angry_001", "happy_001", "002"), paths, strict=True)
    )
    assert all(clip.clip_id == name for name, clip in clips.items())


def test_clips_of_one_name_in_two_folders_of_media_have_different_names(tmp_path):
    touch(tmp_path, "a/x/1.mp4", "a/y/1.mp4", "b/1.mp4", "b/2.mp4")
    assert sorted(_clips([tmp_path / "a", tmp_path / "b"])) == ["1", "2", "x_1", "y_1"]
    touch(tmp_path, "c/1.mp4")
    assert sorted(_clips([tmp_path / "b", tmp_path / "c"])) == ["2", "b_1", "c_1"]
