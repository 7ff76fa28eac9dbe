"""The formats that editions state are those that submit writes and verify accepts."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from abaw.challenge import editions, submission
from abaw.challenge.edition import IMAGE
from abaw.challenge.editions import EDITIONS
from abaw.challenge.template import read_template
from abaw.challenge.verification import verify
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS

ROOT = Path(__file__).resolve().parents[4]
LOCATIONS = {
    IMAGE: ["10-30_left/00001.jpg", "10-30_left/00002.jpg", "video45_1/00001.jpg"],
    "<video>": ["v1", "v2.mp4"],
    "<path of the video>/frame-<number from 0>.jpg": ["1/a b.mp4/frame-0.jpg", "1/a b.mp4/frame-1.jpg"],
}


WRITTEN = [each for each in EDITIONS if each.is_written]


def sample_of(edition, folder):
    """A template as the edition's sample is said to be."""
    row = {"none": "", "dummies": "0", "labels": "1", "not known": ""}.get(edition.sample_values, "0.25,0.75,1")
    path = folder / "sample.txt"
    header = [] if edition.header is None else [edition.header]
    path.write_text("\n".join([*header, *(f"{place},{row}" for place in LOCATIONS[edition.located])]) + "\n")
    return path


@pytest.mark.parametrize("edition", WRITTEN, ids=lambda each: each.name)
def test_every_editions_format_is_written_and_verified(tmp_path, edition):
    sample = sample_of(edition, tmp_path)
    asked = read_template(sample)
    assert asked.task.name == edition.task
    task = TASKS.build(edition.task)
    for clip in asked.clips:
        values = task.probabilities(np.random.default_rng(0).normal(0, 0.3, (2, task.out_dim)))
        table = Table(np.arange(1, 3), np.arange(2.0), np.ones(2, bool), values, task.columns)
        predictions.write_table(tmp_path / "p", clip, table, task)
    submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert verify(tmp_path / "out.txt", sample, task=edition.task) == []
    first = (tmp_path / "out.txt").read_text().splitlines()[edition.header is not None]
    num = 12 if "12" in edition.row else 6 if "6 " in edition.row else 1
    others = edition.row.count(">,<")
    assert first.count(",") == num + others


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda each: each.name)
def test_every_edition_agrees_with_its_task(edition):
    if edition.task not in TASKS.names():
        assert not edition.is_written
        return
    task = TASKS.build(edition.task)
    assert edition.is_written == (task.header == (edition.header or ""))
    if task.folders and edition.annotations:
        assert edition.annotations in task.folders
    if edition.test_list:
        assert edition.test_list.startswith(task.test_lists)


def test_every_file_of_the_folder_is_an_edition_and_its_tasks_are_listed_in_order():
    files = sorted(Path(editions.__file__).parent.glob("edition_*.py"))
    assert list(dict.fromkeys(each.edition for each in EDITIONS)) == [int(path.stem[-2:]) for path in files]
    assert all(len({each.meeting for each in EDITIONS if each.edition == number}) == 1 for number in (5, 6, 7, 8))


def test_what_is_published_of_rows_and_clips_is_there():
    asked = {(each.task, each.edition): (each.rows, each.clips) for each in EDITIONS}
    for number in (5, 6, 8, 10):
        assert asked["va", number] == (927_210, 162)
        assert asked["expr", number] == (1_022_655, 228)
        assert asked["au", number] == (729_736, 141)
    assert asked["ce", 6] == asked["ce", 7] == (26_145, 56)
    assert asked["mtl", 7] == asked["mtl", 11] == (51_159, None)
    assert asked["ah", 8] == (169_479, 280)
    assert asked["ah", 10] == asked["ah", 11] == (152, 152)
    assert asked["va", 9] == (927_210, 162)
    assert len(asked) == len(EDITIONS) >= 33
    assert {each.edition for each in EDITIONS} == set(range(3, 12))


def test_what_is_not_verified_is_marked_as_such():
    doubtful = {each.name for each in EDITIONS if each.remarks}
    assert {"ce-8", "emi-10", "va-10", "expr-10", "au-10", "mtl-11", "ah-11", "va-3", "va-9", "violence-10"} <= doubtful
    assert doubtful.isdisjoint({"va-6", "expr-6", "au-6", "ce-6", "mtl-7", "ah-8"})
    assert "(not verified: the whole format" in next(each.summary for each in EDITIONS if each.name == "ce-8")


def listed(*words):
    """What ``abaw list`` prints, and which heavy modules it has loaded."""
    code = (
        "import sys, atexit\n"
        "heavy = ('torch', 'numpy', 'scipy', 'pyarrow')\n"
        "atexit.register(lambda: print([m for m in heavy if m in sys.modules], file=sys.stderr))\n"
        "from abaw.cli import app\n"
        f"app({['list', *words]!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout, done.stderr.strip().splitlines()[-1]


def test_they_are_listed_in_a_line_each_without_a_heavy_import():
    printed, heavy = listed("editions")
    assert heavy == "[]"
    lines = printed.splitlines()
    assert lines[0] == "editions:"
    assert [line.split()[0] for line in lines[1:]] == [each.name for each in EDITIONS]
    assert next(line for line in lines if line.split()[0] == "expr-5").endswith("1,022,655 rows of 228 clips")
    (violence,) = (line for line in lines if line.split()[0] == "violence-10")
    assert "header, <frame from 1>,<0 or 1>; rows not published; files <video>.csv for each video" in violence
    assert "; abaw submit does not write this (not verified: one team's code is the only source" in violence


def test_as_json_they_are_objects_with_the_name_first():
    printed, heavy = listed("editions", "--json")
    assert heavy == "[]"
    rows = json.loads(printed)
    assert {next(iter(row)) for row in rows} == {"name"}
    assert {"edition", "task", "header", "located", "row", "rows", "clips", "remarks", "annotations"} <= rows[0].keys()
    assert next(row for row in rows if row["name"] == "ah-11")["header"] is None
