"""Several ``abaw synth`` to one folder: one makes it, the others wait; what killed ones left is removed."""

import threading

import pytest

from abaw.errors import InputError
from extract.synthetic import dataset


@pytest.fixture
def scenes_written(monkeypatch):
    """A list of the scenes written; scenes are files of one letter, so that a data set takes no time."""
    written = []

    def write(root, scene, seconds, seed):
        written.append(scene.video)
        (root / scene.video).write_text(f"{seconds} {seed}")
        return 1, {}

    monkeypatch.setattr(dataset, "_write_scene", write)
    monkeypatch.setattr(dataset, "write_test_set", lambda *_: None)
    monkeypatch.setattr(dataset, "write_multitask", lambda *_: None)
    monkeypatch.setattr(dataset, "split_images", lambda *_: {})
    return written


def make_both(out, *seeds):
    """The outcomes of as many calls at the same time as there are seeds."""
    outcomes = []

    def make(seed):
        try:
            outcomes.append(dataset.make_dataset(out, seed=seed))
        except InputError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=make, args=[seed]) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_the_same_data_set_is_made_once_and_all_get_it(tmp_path, scenes_written):
    outcomes = make_both(tmp_path / "data", 0, 0, 0, 0)
    assert all(each == outcomes[0] and each["num_videos"] for each in outcomes)
    assert len(scenes_written) == outcomes[0]["num_videos"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_of_two_different_data_sets_one_is_refused_and_nothing_mixes(tmp_path, scenes_written):
    outcomes = make_both(tmp_path / "data", 1, 2)
    (refused,) = (each for each in outcomes if isinstance(each, InputError))
    (made,) = (each for each in outcomes if isinstance(each, dict))
    assert "was made with" in str(refused)
    texts = {path.read_text() for path in (tmp_path / "data").iterdir() if path.name != "synth.json"}
    assert texts == {f"12.0 {made['arguments']['seed']}"}


def test_what_killed_runs_left_is_removed_and_what_others_own_stays(tmp_path, scenes_written):
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in (".data.partial", f".data.partial-{'0' * 16}", f".data.partials.partial-{'0' * 16}"):
        (tmp_path / name).mkdir()
    (tmp_path / f".data.partial-{'1' * 16}").symlink_to(mine)
    (tmp_path / ".data.lock").touch()
    dataset.make_dataset(tmp_path / "data")
    kept = {"mine", "data", f".data.partials.partial-{'0' * 16}", f".data.partial-{'1' * 16}"}
    assert {path.name for path in tmp_path.iterdir()} == kept
