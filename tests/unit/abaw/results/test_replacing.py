"""Prediction folders that get new tables: nothing mixes, nothing complete is lost, and users' own files stay."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from abaw.files.ownership import OWNER
from abaw.results import predictions, replacing
from abaw.results.predictions import Table
from abaw.tasks import TASKS

VA = TASKS.build("va")


def table():
    values = np.linspace(-1, 1, 10).reshape(5, 2)
    return Table(np.arange(1, 6), np.arange(5) / 25, np.ones(5, bool), values, VA.columns)


def make_tables(folder, *clip_ids):
    with replacing.replace_tables(folder, clip_ids):
        for clip_id in clip_ids:
            predictions.write_table(folder, clip_id, table(), VA)
        predictions.write_metadata(folder, {"task": "va"})


def test_new_tables_never_mix_with_old_ones_which_come_back_where_predict_fails(tmp_path):
    make_tables(tmp_path, "1", "2")
    with suppress(ZeroDivisionError), replacing.replace_tables(tmp_path, ["2", "3"]):
        assert predictions.clip_ids(tmp_path) == []
        with pytest.raises(ValueError, match="is not complete because its abaw predict or combine was stopped"):
            predictions.resolve(tmp_path, "va")
        predictions.write_table(tmp_path, "3", table(), VA)
        raise ZeroDivisionError
    assert predictions.clip_ids(tmp_path) == ["1", "2"]
    assert predictions.changed_files(predictions.resolve(tmp_path, "va")) == []
    make_tables(tmp_path, "4")
    assert predictions.clip_ids(tmp_path) == ["4"]
    assert {path.name for path in tmp_path.iterdir()} == {OWNER, "4.parquet", "predictions.json"}


def test_a_first_predict_that_fails_is_not_taken_for_whole(tmp_path):
    with suppress(ZeroDivisionError), replacing.replace_tables(tmp_path, ["3"]):
        predictions.write_table(tmp_path, "3", table(), VA)
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="is not complete because its abaw predict or combine was stopped"):
        predictions.resolve(tmp_path, "va")
    make_tables(tmp_path, "4")
    assert predictions.clip_ids(tmp_path) == ["4"]


class Killed(BaseException):
    """A process that is killed: nothing after it runs."""


KILLS = ["copyfile", "rename 1", "rename 2", "rename 3", "block", "back 1", "back 2", "back 3", "after"]


@pytest.mark.parametrize("when", KILLS)
def test_a_kill_at_any_moment_loses_no_complete_tables(tmp_path, monkeypatch, when):
    make_tables(tmp_path, "1", "2")
    real_rename, real_put_back, num = Path.rename, replacing._put_back, 0

    def rename(path, target):
        nonlocal num
        num += 1
        if when in (f"rename {num}", f"back {num - 3}"):
            raise Killed
        return real_rename(path, target)

    def put_back(folder):
        if num == 3 and not when.startswith("back"):  # the process is gone
            raise Killed
        real_put_back(folder)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        patched.setattr(replacing, "_put_back", put_back)
        if when == "copyfile":
            patched.setattr(replacing.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(Killed))
        if when == "after":
            patched.setattr(replacing.shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(Killed))
        with suppress(Killed, ZeroDivisionError), replacing.replace_tables(tmp_path, ["3"]):
            predictions.write_table(tmp_path, "3", table(), VA)
            if when == "after":
                predictions.write_metadata(tmp_path, {"task": "va"})
            else:
                raise ZeroDivisionError
    is_new = when == "after"
    with suppress(ZeroDivisionError), replacing.replace_tables(tmp_path, ["5"]):  # what comes next fails too
        raise ZeroDivisionError
    assert predictions.clip_ids(tmp_path) == (["3"] if is_new else ["1", "2"])
    assert predictions.changed_files(predictions.resolve(tmp_path, "va")) == []
    assert not list(tmp_path.glob(".former*"))


@pytest.mark.parametrize("own", ["1.parquet", "predictions.json"])
def test_a_users_own_tables_are_never_replaced(tmp_path, own):
    (tmp_path / own).write_text('{"task": "va"}')
    with pytest.raises(ValueError, match=f"holds {own}, not written by abaw predict or combine: give another --out"):
        make_tables(tmp_path, "1")
    assert [path.name for path in tmp_path.iterdir()] == [own]
    assert (tmp_path / own).read_text() == '{"task": "va"}'


def test_a_users_table_among_ours_stays_and_is_named(tmp_path):
    make_tables(tmp_path, "1")
    (tmp_path / "mine.parquet").write_text("mine")
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(ValueError, match=r"holds mine\.parquet, not written by"):
        make_tables(tmp_path, "1")
    assert predictions.clip_ids(tmp_path) == ["1", "mine"]
    (tmp_path / "mine.parquet").unlink()
    make_tables(tmp_path, "2")
    assert (tmp_path / "notes.txt").read_text() == "notes"


def test_tables_of_a_version_without_owner_files_are_replaced(tmp_path):
    make_tables(tmp_path, "1")
    (tmp_path / OWNER).unlink()
    predictions.write_metadata(tmp_path, dict.fromkeys(predictions.WRITTEN))
    make_tables(tmp_path, "2")
    assert predictions.clip_ids(tmp_path) == ["2"]
