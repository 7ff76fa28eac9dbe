"""The public functions of a recipe: what they hand on, what they return, what they warn of."""

import numpy as np
import pytest

import abaw
from abaw.competition import ablation, actions
from abaw.competition.ablation import Step
from abaw.competition.recipe import RecipePlan, RecipeResult, plan_recipe, run_recipe
from abaw.competition.stages import Stage
from abaw.pipelines.configuration import open_config
from tests.support.recipes import CONFIG, TWO, job, tables

SETTINGS = {"folds.num": 2, "tasks": {"va": {}}, "members": {}, "encoders": ["face_hog"]}
STEPS = [Step("one", {"CCC": 0.25}), Step("scale and bias", {"CCC": 0.5}, "one")]


@pytest.fixture
def done(monkeypatch):
    """Stages that write their outputs and do nothing else; the kinds that ran, in order."""
    ran = []

    def act(job, stage: Stage, progress):
        ran.append(stage.kind)
        progress(stage.name, 0, 1)
        for path in stage.outputs:
            if stage.kind == "score" and path.suffix == ".json":
                ablation.write(path, {"va": STEPS})
            elif stage.kind == "extract":
                path.mkdir(parents=True)
                (path / "d.safetensors").write_text("x")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("x")
        if stage.kind == "train":
            run = job.run(stage.member, stage.fold)
            run.begin(open_config(job.path, job.of_fold(stage.member, stage.fold))[1], {})
            (run.folder / "weights").unlink()
            (run.folder / "weights").mkdir()
            (run.folder / "weights/model.safetensors").touch()
            run.predictions("validation").unlink()
            tables(run.predictions("validation"), lambda _: np.zeros((2, 2)), {})
            run.folder.joinpath("run.json").write_text('{"scores": {}, "recipes": {}, "tasks": {"va": {}}}')
        return True

    for kind in actions.ACTIONS:
        monkeypatch.setitem(actions.ACTIONS, kind, act)
    return ran


def arguments(data, tmp_path, **changes):
    return {"data": data, "runs": tmp_path / "runs", "work": tmp_path / "work", **changes}


def test_a_recipe_returns_its_scores_and_files_and_runs_each_stage_once(data, tmp_path, done, capsys):
    settings = {**SETTINGS, "store": str(tmp_path / "store")}
    items = []
    result = run_recipe(
        "synthetic", settings, **arguments(data, tmp_path), progress=lambda item, done, total: items.append(item)
    )
    assert done == [
        "check", "extract", "train", "train", "pool", "combine", "fit", "validate", "score", "predict", "combine test",
        "submit",
    ]  # fmt: skip
    assert items[:3] == ["check", "extract", "train synthetic fold 0"]
    assert result == RecipeResult(
        tmp_path / "work/synthetic", {"va": STEPS}, (tmp_path / "work/synthetic/submission/sample.txt",), 2
    )
    assert str(result).splitlines()[1:] == [
        "  one             0.2500",
        "  scale and bias  0.5000  +0.2500 over one",
        str(tmp_path / "work/synthetic/submission/sample.txt"),
        "scored: the networks of fold 0, one of each member, on the official validation split",
        "submitted: the mean of 2 folds' networks of each member, with the same weights and post-processing; no labels "
        "have scored this mean",
        f"{tmp_path / 'work/synthetic'} va CCC 0.5000",
    ]
    assert run_recipe("synthetic", settings, **arguments(data, tmp_path)) == result
    assert len(done) == 12
    plan = plan_recipe("synthetic", settings, **arguments(data, tmp_path))
    assert all(plan.stages.values())
    assert str(plan).endswith("\n12 of 12 stages are done")
    assert capsys.readouterr().out == ""


def test_a_plan_has_every_stage_that_reads_what_another_has_to_make(data, tmp_path, done):
    settings = {**SETTINGS, "store": str(tmp_path / "store")}
    run_recipe("synthetic", settings, **arguments(data, tmp_path))
    (tmp_path / "work/synthetic/post_processing.json").unlink()
    plan = plan_recipe("synthetic", settings, **arguments(data, tmp_path))
    to_do = [name for name, is_done in plan.stages.items() if not is_done]
    assert to_do == ["fit", "validate", "score", "combine test", "submit sample"]
    tried = "(smoothers tried: box; widths 1, 5, 11, 25, 51, 101 frames)"
    fit = f"to do  fit: the post-processing, on the held-out training clips {tried} (again: "
    assert f"{fit}{tmp_path / 'work/synthetic/post_processing.json'} is missing)\n" in str(plan)
    assert plan.again["validate"] == "it reads what fit makes"
    assert "done   pool synthetic: every training clip" in str(plan)


def test_a_plan_writes_nothing(data, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    plan = plan_recipe(CONFIG, ["folds.num=3", "tasks={va: {}}", TWO], **arguments(data, tmp_path))
    assert isinstance(plan, RecipePlan)
    assert not any(plan.stages.values())
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_given_in_python_reaches_the_recipe(data, tmp_path):
    with pytest.raises(abaw.InputError, match="no face detector named 'none'"):
        plan_recipe("va", data=str(data), faces="none")
    with pytest.raises(abaw.InputError, match="--device is 'gpu'"):
        plan_recipe("va", data=str(data), device="gpu")
    with pytest.raises(abaw.InputError, match="--assume-fps is -1"):
        plan_recipe("va", data=str(data), assume_fps=-1)
    with pytest.raises(abaw.NotFoundError, match="no template at none.txt"):
        plan_recipe("va", {"folds.num": 2}, **arguments(data, tmp_path, templates=["none.txt"]))
    with pytest.raises(abaw.NotFoundError, match="no config at none"):
        run_recipe("none")


def test_a_recipe_whose_runs_learn_from_two_tasks_is_warned_of_before_the_first_stage(data, tmp_path, caplog):
    job(data, tmp_path)
    assert "uni-task rule" not in caplog.text
    job(data, tmp_path, "tasks={va: {}, expr: {}}")
    assert "uni-task rule: the runs learn from labels of va and expr; on Aff-Wild2 no challenge accepts" in caplog.text


@pytest.mark.parametrize("name", ["va", "expr", "au", "mtl"])
def test_a_recipe_of_the_package_has_one_task(name):
    tasks = open_config(name)[1].tasks
    assert list(tasks) == [name]
