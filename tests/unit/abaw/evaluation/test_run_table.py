"""The table of runs: what it shows of complete, incomplete and damaged runs, its order and filters."""

import csv
import json
import os
import shutil

import pytest

from abaw.calibration.fit import fit
from abaw.errors import InputError
from abaw.evaluation.report import score
from abaw.evaluation.run_table import read_runs
from abaw.files.yaml import read_yaml
from abaw.results import runs as run_files
from abaw.results.runs import Run
from tests.support.abaw.commands import abaw
from tests.support.abaw.reports import VALIDATION, make_run, scores_of


@pytest.fixture
def runs(tmp_path, made):
    """A copy of the runs that may be changed."""
    return shutil.copytree(made, tmp_path / "runs")


@pytest.fixture(scope="module")
def made(tmp_path_factory, data):
    """Four runs: a good one, a poor one, one that was stopped, and one whose weights were changed."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    make_run(folder, data, "poor", 0.9)
    make_run(folder, data, "good", 0.2, "bigru", seed=3)
    make_run(folder, data, "stopped")
    broken = make_run(folder, data, "broken", 0.5)
    (broken.folder / "weights/model.safetensors").write_bytes(b"other")
    return folder


def test_a_score_of_clips_that_the_epoch_was_chosen_on_says_so_in_its_row(runs, data):
    selection = {"videos": [clip_id[:2] for clip_id in VALIDATION], "groups": [], "epochs_trained": 7}
    make_run(runs, data, "peeked", 0.3, selection=selection)
    found = read_runs(runs, with_intervals=False)
    rows = {line.split()[0].rpartition("/")[2]: line for line in str(found).splitlines()[1:6]}
    assert [name for name, line in rows.items() if line.endswith("epoch chosen on these clips")] == ["peeked"]
    assert [row.name for row in found.rows if row.selection] == ["peeked"]


def names(found):
    return [row.name for row in found.rows]


def test_the_best_run_comes_first_with_its_score_interval_and_settings(runs, data):
    good = read_runs(runs, where=["state=complete"]).rows[0]
    expected = scores_of(runs / "good", data)
    assert (good.name, good.metric, good.score) == ("good", "CCC", expected["scores"]["CCC"])
    assert (good.low, good.high) == expected["intervals"]["CCC"]
    assert (good.model, good.features, good.fold, good.seed, good.epoch) == ("bigru", ("f", "g"), "0 of 1", 3, 7)
    assert good.time_s >= 0
    assert good.remarks == ()


def test_incomplete_and_damaged_runs_are_listed_with_the_reason(runs):
    (runs / "unreadable").mkdir()
    (runs / "unreadable/run.json").write_text("{")
    found = {row.run.rpartition("/")[2]: row for row in read_runs(runs).rows}
    assert {name: row.state for name, row in found.items()} == {
        "good": "complete", "poor": "complete", "stopped": "incomplete", "broken": "damaged", "unreadable": "damaged",
    }  # fmt: skip
    assert found["stopped"].remarks == ("not complete: training was stopped, or is under way",)
    assert "is damaged or of another training" in found["broken"].remarks[0]
    assert f"note: {runs / 'unreadable'}: " in str(read_runs(runs, with_intervals=False))


def test_a_score_whose_labels_are_gone_stands_without_an_interval_and_says_why(runs, data, monkeypatch, tmp_path):
    shutil.rmtree(runs / "good/predictions")
    good = read_runs(runs, where=["name=good"]).rows[0]
    assert good.score is not None
    assert good.low is None
    assert good.remarks[0].startswith("no interval: ")


def test_the_table_is_sorted_and_filtered(runs):
    def quick(**words):
        return names(read_runs(runs, with_intervals=False, **words))

    assert quick()[0] == "good"
    assert quick(sort="-score")[0] == "poor"
    assert quick(sort="seed")[-1] == "good"
    assert quick(sort="name") == ["broken", "good", "poor", "stopped"]
    assert quick(where=["model=big*"]) == ["good"]
    assert quick(where=["features=g", "name=[sp]*"]) == ["poor", "stopped"]
    assert quick(where=["features=f g"]) == []


def test_csv_and_json_have_every_column(runs):
    found = read_runs(runs, with_intervals=False)
    rows = list(csv.DictReader(found.to_csv().splitlines()))
    document = json.loads(json.dumps(found.to_dict()))["rows"]
    assert [row["name"] for row in rows] == [row["name"] for row in document] == names(found)
    assert rows[0].keys() == document[0].keys()
    assert float(rows[0]["score"]) == document[0]["score"] == found.rows[0].score
    assert str(found).splitlines()[0].split()[:4] == ["run", "state", "task", "score"]


def test_runs_behind_links_are_listed_once_and_links_in_a_circle_end(runs):
    (runs / "again").symlink_to(runs / "good", target_is_directory=True)
    (runs / "circle").symlink_to(runs, target_is_directory=True)
    other = runs.parent / "elsewhere"
    shutil.move(runs / "poor", other)
    (runs / "linked").symlink_to(other, target_is_directory=True)
    assert sorted(names(read_runs(runs, with_intervals=False))) == ["broken", "good", "poor", "stopped"]


def test_a_folder_that_cannot_be_read_is_listed_with_the_reason(runs, monkeypatch):
    scan = os.scandir

    def scandir(path):
        if str(path) == str(runs / "poor"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = next(row for row in read_runs(runs, with_intervals=False).rows if row.run.endswith("poor"))
    assert (found.state, found.remarks) == ("damaged", ("the folder cannot be read: Permission denied",))


@pytest.mark.parametrize("selection", [{}, {"videos": "v1", "groups": []}, [], {"videos": [1], "groups": []}])
def test_a_run_document_with_a_selection_of_another_form_is_damaged_and_its_neighbours_are_listed(runs, selection):
    document = {"seed": 0, "selection": selection, "scores": {"va": {"CCC": 0.5}}, "tasks": {"va": {}}, "recipes": {}}
    (runs / "stopped/run.json").write_text(json.dumps(document))
    rows = {row.name: row for row in read_runs(runs, with_intervals=False).rows}
    assert rows["stopped"].state == "damaged"
    assert "run.json: selection" in rows["stopped"].remarks[0]
    assert rows["good"].state == "complete"


def test_without_intervals_no_weights_are_read(runs):
    state = {row.name: row.state for row in read_runs(runs, with_intervals=False).rows}
    assert state["broken"] == "complete", "its weights are there, and are not compared"
    (runs / "broken/weights/model.safetensors").unlink()
    state = {row.name: row.state for row in read_runs(runs, with_intervals=False).rows}
    assert state["broken"] == "damaged"


def test_what_is_unknown_is_empty_in_conditions_and_no_match_is_said(runs):
    assert names(read_runs(runs, with_intervals=False, where=["epoch="])) == ["stopped"]
    found = read_runs(runs, with_intervals=False, where=["epoch=?*"])
    assert sorted(names(found)) == ["broken", "good", "poor"]
    assert found.num_left_out == 1
    none = read_runs(runs, with_intervals=False, where=["model=transformer"])
    assert str(none) == "none of 4 rows fits the conditions"


def test_each_config_is_parsed_once(runs, monkeypatch):
    parsed = []
    for each in (run_files._values, run_files._config):
        each.cache_clear()
    monkeypatch.setattr(run_files, "read_yaml", lambda path: parsed.append(path) or read_yaml(path))
    read_runs(runs)
    assert len(parsed) == len(set(parsed)) == 4


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/config.yaml").write_text("name: mine\n")  # a user's config, no run
    with pytest.raises(InputError, match="no run in "):
        read_runs(tmp_path)


def test_the_command_prints_the_table_and_refuses_two_forms(runs):
    assert "good" in abaw("runs", runs, "--no-intervals", cwd=runs).stdout
    assert abaw("runs", runs, "--no-intervals", "--csv", cwd=runs).stdout.startswith("run,state,name,")
    assert "--csv and --json" in abaw("runs", runs, "--csv", "--json", cwd=runs, code=2).stderr


def test_a_run_without_its_config_is_damaged_and_the_file_is_named(runs):
    (runs / "good/config.yaml").unlink()
    row = next(row for row in read_runs(runs, with_intervals=False).rows if row.run.endswith("good"))
    assert (row.state, row.remarks[0]) == (
        "damaged",
        f"{runs / 'good/config.yaml'} is missing: restore it, or delete {runs / 'good'} and train again",
    )


@pytest.mark.parametrize("function", [score, fit])
def test_a_run_without_held_out_tables_says_whether_it_was_stopped_or_is_a_refit(runs, data, function):
    with pytest.raises(InputError, match="stopped is not complete: continue it with abaw train .*stopped/config.yaml"):
        function(runs / "stopped", data=data)
    refit = Run(runs / "stopped")
    (refit.folder / "weights").mkdir()
    refit.finish({})
    with pytest.raises(InputError, match="stopped is a refit, which held nothing out: predict clips that it has not"):
        function(refit.folder, data=data)
