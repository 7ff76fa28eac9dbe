"""The forecast of a dry run: what it adds up, what it says it could not measure, and what does not fit on a disk."""

import logging
import re
from types import SimpleNamespace

import pytest

from abaw.commands.recipe import recipe
from abaw.competition.forecast import Forecast, Part
from abaw.competition.recipe import plan_recipe
from abaw.competition.table_costs import time_tables
from abaw.configs.sections import PostProcessingConfig
from abaw.dataset.layout import open_dataset
from abaw.tasks import TASKS
from tests.support.recipes import CONFIG, TWO


@pytest.fixture(autouse=True)
def short_trials(monkeypatch):
    monkeypatch.setattr("abaw.competition.forecast.TRIALS_S", 0.2)
    monkeypatch.setattr("abaw.pipelines.trials.measuring.IMPORTS", "pass")


def settings_of(tmp_path, *more):
    given = ["folds.num=3", "tasks={va: {}}", TWO, "encoders=[voice_mel]", f"store={tmp_path / 'store'}"]
    return [*given, "features.face_hog=null", "trainer.max_epochs=20", "training.patience_epochs=4", *more]


def places(data, tmp_path):
    return {"data": data, "runs": tmp_path / "runs", "work": tmp_path / "work"}


def test_a_forecast_adds_its_parts_and_names_what_was_not_measured():
    parts = [
        Part("extraction", 7200, 7200, 2e9, "2 clips"),
        Part("training a", 3600, 14400, 1e6, "3 runs"),
        Part("start", 3, 3),
    ]
    found = Forecast(parts, ["extraction by b, whose weights are not here"], ["store: 2.00 GB are written there"])
    assert str(found).splitlines() == [
        "extraction: 2.0 h, 2.00 GB (2 clips)",
        "training a: 2.5 h (60 min to 4.0 h), 1.00 MB (3 runs)",
        "start: 3 s",
        "not measured: extraction by b, whose weights are not here",
        "would fail: store: 2.00 GB are written there",
        "in all about 4.5 h (3.0 h to 6.0 h), 2.00 GB; what was not measured is not included",
    ]
    assert (found.min_s, found.likely_s, found.max_s) == (10803, 16203, 21603)


def test_a_plan_that_measures_keeps_and_says_nothing_and_one_that_does_not_has_no_forecast(data, tmp_path, caplog):
    caplog.set_level(logging.INFO, "abaw")
    before = sorted(tmp_path.rglob("*"))
    found = plan_recipe(CONFIG, settings_of(tmp_path), **places(data, tmp_path), measure=True).forecast
    names = [f"{kind} synthetic-{member}" for member in ("gru", "big") for kind in ("training", "prediction")]
    assert [part.name for part in found.parts] == ["start", "check", *names, "tables"]
    assert all(part.max_s >= part.min_s > 0 for part in found.parts)
    by_name = {part.name: part for part in found.parts}
    assert by_name["training synthetic-gru"].min_s < by_name["training synthetic-gru"].likely_s
    about = by_name["training synthetic-gru"].about
    assert re.search(r"5 to 20 epochs of \d+ windows, \d+ ms for a batch of \d+", about)
    assert by_name["training synthetic-big"].num_bytes > by_name["training synthetic-gru"].num_bytes > 0
    (unknown,) = found.unknown
    assert "holds no media and no face images" in unknown
    assert all(message.startswith("measuring ") for message in caplog.messages if "rule" not in message)
    assert plan_recipe(CONFIG, settings_of(tmp_path), **places(data, tmp_path)).forecast is None
    assert sorted(tmp_path.rglob("*")) == before


def test_a_training_that_nothing_ends_has_no_forecast_but_a_reason(data, tmp_path):
    settings = settings_of(
        tmp_path, "members={gru: {trainer.max_epochs: -1}, timed: {trainer.max_time: '00:00:00:30'}}"
    )
    found = plan_recipe(CONFIG, settings, **places(data, tmp_path), measure=True).forecast
    assert any("gru: only its patience ends it" in each for each in found.unknown)
    (timed,) = (part for part in found.parts if part.name == "training synthetic-timed")
    assert timed.max_s <= 3 * 30 + 30


def test_a_dry_run_fails_where_a_disk_is_too_small(data, tmp_path, monkeypatch, capsys):
    import typer

    monkeypatch.setattr("abaw.files.disks.shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(typer.Exit) as stopped:
        recipe(CONFIG, settings_of(tmp_path), **places(data, tmp_path), dry_run=True)
    assert stopped.value.exit_code == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("would fail: "))
    assert f"{tmp_path / 'runs'}, {tmp_path / 'work' / 'synthetic'}: " in line
    assert line.endswith("are written there, but 0.00 MB are free")


def test_what_tables_cost_grows_with_the_clips_and_the_stages(data):
    task = TASKS.build("va")
    labels = task.read_labels(open_dataset(data), "train")
    found = time_tables(task, labels, {}, PostProcessingConfig(), members=2)
    assert min(found.table_s, found.fit_s, found.score_s, found.num_bytes) > 0
    assert found.stage("pool", 1.0, 2, 3)[1] == found.num_bytes
    assert found.stage("predict", 0.5, 2, 3) == (0.5 * 4 * found.table_s, 0.5 * 4 * found.num_bytes)
    assert found.stage("check", 1.0, 2, 3) == (0.0, 0.0)
