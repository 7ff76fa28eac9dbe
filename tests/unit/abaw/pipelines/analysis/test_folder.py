"""The folder that an analysis writes to: nothing in it that was there before is replaced."""

from functools import partial

import pytest

from abaw.errors import InputError
from abaw.files.ownership import own_folder, read_owner, record_owner
from abaw.pipelines.analysis.analyzing import _foreign

NAMES = ["1.parquet", "1.csv", "store"]


def hold(out):
    return own_folder(out, "analysis", "abaw analyze", partial(_foreign, out, NAMES), "give another --out")


def write(out, *names):
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).touch()


@pytest.mark.parametrize("own", ["1.csv", "1.parquet", "store/notes"])
def test_a_users_own_files_of_these_names_are_never_replaced(tmp_path, own):
    write(tmp_path, own, "2.csv")
    with pytest.raises(InputError, match="not written by abaw analyze: give another --out"):
        hold(tmp_path).__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([own.split("/")[0], "2.csv"])


def test_what_an_analysis_wrote_is_written_again_by_the_next_one(tmp_path):
    with hold(tmp_path):
        record_owner(tmp_path, "analysis", tables=NAMES)
        write(tmp_path, "1.csv", "1.parquet", "store/clock/1")
    with hold(tmp_path):
        assert read_owner(tmp_path, "analysis")["tables"] == NAMES


def test_a_folder_of_a_version_without_owner_files_is_known_by_its_pairs_of_tables(tmp_path):
    write(tmp_path, "1.csv", "1.parquet", "store/clock/1")
    with hold(tmp_path):
        pass
    assert read_owner(tmp_path, "analysis")
