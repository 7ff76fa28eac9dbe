"""The forecast of a dry run: what it adds up, and what it says it could not measure."""

from abaw.competition.forecast import Forecast, Part
from abaw.competition.recipe import plan_recipe
from tests.support.recipes import CONFIG, TWO


def test_a_forecast_adds_its_parts_and_names_what_was_not_measured():
    parts = [Part("extraction", 7200, 7200, 2e9, "2 clips"), Part("training a", 3600, 14400, 1e6, "3 runs")]
    lines = str(Forecast("cuda", parts, ["extraction by b, whose weights are not here"])).splitlines()
    assert lines[:2] == ["extraction: 2.0 h, 2.00 GB (2 clips)", "training a: 60 min to 4.0 h, 1.00 MB (3 runs)"]
    assert lines[2] == "not measured: extraction by b, whose weights are not here"
    assert lines[3].startswith("in all on cuda: 3.0 h to 6.0 h, 2.00 GB; ")


def test_a_plan_that_measures_writes_nothing_and_one_that_does_not_has_no_forecast(data, tmp_path, monkeypatch):
    monkeypatch.setattr("abaw.competition.forecast.TRIALS_S", 0.2)
    settings = ["folds.num=3", "tasks={va: {}}", TWO, "encoders=[voice_mel]", f"store={tmp_path / 'store'}"]
    settings += ["features.face_hog=null", "trainer.max_epochs=5"]
    places = {"data": data, "runs": tmp_path / "runs", "work": tmp_path / "work"}
    before = sorted(tmp_path.rglob("*"))
    found = plan_recipe(CONFIG, settings, **places, measure=True).forecast
    names = [f"{kind} synthetic-{member}" for member in ("gru", "big") for kind in ("training", "prediction")]
    assert [part.name for part in found.parts] == names
    assert all(part.max_s >= part.min_s > 0 for part in found.parts)
    assert all(part.num_bytes > 0 for part in found.parts if part.name.startswith("training"))
    (unknown,) = found.unknown
    assert "holds no media and no face images" in unknown
    assert plan_recipe(CONFIG, settings, **places).forecast is None
    assert sorted(tmp_path.rglob("*")) == before
