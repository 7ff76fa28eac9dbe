"""A file with an encoder, a fusion model and a task of one's own goes from videos to scores by name."""

import json

import pytest

from tests.support.abaw.commands import abaw
from tests.support.owners import held_elsewhere
from tests.support.plugins import PARTS

CONFIG = """
plugins: [my_parts.py]
name: own
data: data
store: store
tasks: {own_va: {}}
features: {own_colour: {}, voice_mel: {align: window_mean}}
model: {name: own_mean, hidden_dim: 8}
window: {length: 40, stride: 20}
trainer: {max_epochs: 1}
"""


SOUND = "features={voice_mel: {align: window_mean}}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "my_parts.py").write_text(PARTS)
    (folder / "own.yaml").write_text(CONFIG)
    abaw("synth", "data", "--seconds", "2", cwd=folder)
    features = ["--encoder", "own_colour", "--encoder", "voice_mel"]
    abaw("extract", "data", "--store", "store", *features, "--plugin", "my_parts.py", cwd=folder)
    abaw("train", "own.yaml", cwd=folder)
    return folder


def test_own_parts_are_trained_predicted_and_scored_by_name(made):
    words = ["predict", "runs/own", "--split", "validation", "--out", "predictions"]
    said = abaw(*words, code=2, cwd=made).stderr
    assert "runs/own was made with the plug-in" in said
    assert f"give --plugin {(made / 'my_parts.py').resolve()}, or --trust" in said
    assert not (made / "predictions").exists()
    abaw(*words, "--trust", cwd=made)  # the run names its plug-in
    assert "give --plugin" in abaw("score", "predictions", code=2, cwd=made).stderr
    found = json.loads(abaw("score", "predictions", "--json", "--plugin", "my_parts.py", cwd=made).stdout)["results"]
    assert [(each["task"], next(iter(each["scores"]))) for each in found] == [("own_va", "CCC")]
    assert found[0]["scores"]["n"] > 100
    video = next(path for path in (made / "data/videos").rglob("*.mp4"))
    assert (
        "1 analyzed, 0 failed"
        in abaw("analyze", str(video), "--run", "runs/own", "--out", "analysis", "--trust", cwd=made).stdout
    )


def test_a_run_and_a_recipe_record_the_file_by_its_content(made):
    (plugin,) = json.loads((made / "runs/own/run.json").read_text())["plugins"]
    (recipe,) = made.glob("store/own_colour-*/recipe.json")
    assert json.loads(recipe.read_text())["plugin"] == plugin
    assert plugin["path"] == str((made / "my_parts.py").resolve())


def test_a_run_whose_file_has_changed_or_moved_says_so(made):
    words = ["predict", "runs/own", "--split", "validation", "--out", "later", "--trust"]
    own, moved = made / "my_parts.py", made / "moved.py"
    try:
        own.write_text(PARTS + "# edited\n")
        assert "my_parts.py has changed since runs/own was made" in abaw(*words, code=2, cwd=made).stderr
        own.unlink()
        assert "my_parts.py that runs/own was made with is missing" in abaw(*words, code=2, cwd=made).stderr
        assert not (made / "later").exists()
        moved.write_text(PARTS)
        abaw(*words, "--plugin", "moved.py", cwd=made)
    finally:
        moved.unlink(missing_ok=True)
        own.write_text(PARTS)


def test_a_plugin_with_other_content_has_other_features(made):
    changed = made / "changed.py"
    changed.write_text(PARTS.replace("self._gain * batch", "2 * self._gain * batch"))
    abaw("extract", "data", "--store", "store", "--encoder", "own_colour", "--plugin", "changed.py", cwd=made)
    assert len(list(made.glob("store/own_colour-*"))) == 2
    stderr = abaw("train", "own.yaml", "name=other", code=2, cwd=made).stderr
    assert "own.yaml:7: " in stderr
    assert "has 2 recipes named 'own_colour'" in stderr


def test_the_config_of_a_run_and_a_recipe_run_no_plugin_of_somebody_else_unasked(made):
    said = abaw("train", "runs/own/config.yaml", "name=new", code=2, cwd=made).stderr
    assert "the config of a run asks for the plug-in my_parts.py (allow it alone with --plugin my_parts.py)" in said
    assert "complete already" in abaw("train", "runs/own/config.yaml", "--trust", cwd=made).stderr
    recipe = ["recipe", "own.yaml", "folds.num=2", "--dry-run", "--no-measure"]
    assert "own.yaml:2: a recipe asks for the plug-in my_parts.py" in abaw(*recipe, code=2, cwd=made).stderr
    assert "stages are done" in abaw(*recipe, "--plugin", "my_parts.py", cwd=made).stdout
    said = abaw("recipe", "synthetic", "encoders=[hf_audio:model=x,trust_remote_code=true]", code=2, cwd=made).stderr
    assert "a recipe asks" not in said  # the user's own words


@pytest.mark.parametrize("given", ["nowhere.py", "own.yaml"])
def test_a_config_that_names_no_plugin_says_so_with_its_line(made, given):
    stderr = abaw("train", "own.yaml", f"plugins=[{given}]", code=2, cwd=made).stderr
    assert "plugin" in stderr
    assert given in stderr


def test_a_second_training_in_the_folder_of_one_that_is_running_is_refused(made):
    with held_elsewhere(made / "runs/beside", "run") as holder:
        refused = abaw("train", "own.yaml", "name=beside", SOUND, code=2, cwd=made).stderr
    assert f"is running in runs/beside (process {holder.pid} on host " in refused
    assert not (made / "runs/beside").exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}", "task 'own_va': its method settings() returns {}, expected a dict of all settings, with mse_weight"),
        ("None", "task 'own_va': its method settings() returns None, expected a dict of all settings"),
        ('{"ccc_over": "batch", "mse_weight": "x"}', "task 'own_va': mse_weight is 'x', expected float"),
    ],
)
def test_a_task_that_could_not_be_rebuilt_is_refused_before_it_is_trained(made, body, message):
    text = PARTS.rstrip() + f"\n\n    def settings(self):\n        return {body}\n"
    (made / "odd_parts.py").write_text(text)
    words = ["name=odd", "plugins=[odd_parts.py]", "tasks={own_va: {mse_weight: 2.0}}"]
    assert message in abaw("train", "own.yaml", *words, code=2, cwd=made).stderr
    assert not (made / "runs/odd").exists()


def test_a_task_under_another_name_than_its_function_is_refused(made):
    (made / "odd_parts.py").write_text(PARTS.replace('name = "own_va"', 'name = "va"'))
    refused = abaw("train", "own.yaml", "name=odd", "plugins=[odd_parts.py]", code=2, cwd=made).stderr
    assert "task 'own_va' has the attribute name = 'va', expected 'own_va'" in refused
