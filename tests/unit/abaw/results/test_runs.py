"""A run's folder: when it is new, begun or complete, and what is fitted after training."""

import json
from contextlib import suppress

import pytest

from abaw.configs.sections import UNTRAINED, Config
from abaw.errors import AbawError, InputError, NotFoundError
from abaw.files import read_json, visible
from abaw.files.yaml import dump_yaml, read_yaml
from abaw.results import run_document
from abaw.results.runs import RESUME, Run

NEW_KEYS = ["plugins", "folds", "post_processing", "encoders", "members", "ensemble"]  # that configs of older runs lack


@pytest.fixture
def config():
    values = {"name": "x", "data": "d", "store": "s", "tasks": {"va": {}}, "features": {"f": {}}}
    return Config.model_validate(values | {"model": {"name": "concat"}})


@pytest.fixture
def run(tmp_path, config):
    run = Run(tmp_path / "x")
    run.begin(config, {"tasks": {}, "recipes": {}})
    return run


def changed(config, **values):
    return Config.model_validate(config.model_dump() | values)


def test_a_run_is_new_then_begun_then_complete(tmp_path, config):
    run = Run(tmp_path / "x")
    assert run.state(config) == "new"
    run.begin(config, {"tasks": {}, "recipes": {}})
    assert run.state(config) == "begun"
    with pytest.raises(ValueError, match="is not complete: continue it with abaw train"):
        run.finished()
    run.finish({"va": {"CCC": 0.5}})
    assert run.state(config) == "complete"
    assert run.finished()["scores"] == {"va": {"CCC": 0.5}}


def test_a_file_is_parsed_once_and_again_after_it_has_changed(run, config, monkeypatch):
    parsed = []
    monkeypatch.setattr(run_document, "read_json", lambda path: parsed.append(path) or read_json(path))
    assert [run.document()["name"] for _ in range(3)] == ["x"] * 3
    run.document()["name"] = "changed by a caller"
    assert Run(run.folder).document()["name"] == "x"
    assert len(parsed) == 1
    run.finish({"va": {"CCC": 0.5}})
    assert run.document()["scores"] == {"va": {"CCC": 0.5}}
    assert len(parsed) == 2
    before = run.config()
    assert run.config() is before
    run.begin(changed(config, data="other"), {"tasks": {}, "recipes": {}})
    assert (before.data, run.config().data) == ("d", "other")


def test_a_run_without_scores_is_complete_where_nothing_was_held_out(run, config):
    run.finish({})
    assert run.state(config) == "complete"
    assert run.finished()["scores"] == {}


def test_a_stopped_training_does_not_continue_on_other_labels_or_tables_of_teachers(run, config):
    def facts(labels="a", table="b"):
        return {"labels": labels, "teachers": {"distillation": {"tables": [{"sha256": table}]}}}

    run.begin(config, facts())
    run.begin(config, facts(labels="c"))  # nothing is trained yet
    (run.folder / RESUME).touch()
    run.begin(config, facts(labels="c"))
    for other, what in ((facts(), "labels"), (facts("c", "d"), "tables of teachers"), ({"labels": "c"}, "tables of")):
        with pytest.raises(InputError, match=f"x was begun with other {what}.*: restore them, or delete that folder"):
            run.begin(config, other)
    assert run.document()["labels"] == "c"


def test_another_config_is_another_run(run, config):
    run.finish({})
    for values in ({"folds": {"num": 2}}, {"training": {"seed": 1}}, {"trainer": {"max_epochs": 1}}):
        with pytest.raises(ValueError, match=rf"holds a run with another {next(iter(values))}: give this one another"):
            run.state(changed(config, **values))


def test_what_a_training_does_not_read_may_change(run, config):
    others = {
        "plugins": ["mine.py"],
        "post_processing": {"widths": [3]},
        "encoders": ["face_hog"],
        "members": {"one": {"training.seed": 1}},
        "ensemble": "weighted",
        "submission": {"max_held": 0.5},
    }
    assert others.keys() == UNTRAINED
    run.finish({})
    assert run.state(changed(config, **others)) == "complete"


def test_an_older_runs_config_is_the_same_run_where_the_new_keys_say_nothing_else(run, config):
    path = run.folder / "config.yaml"
    values = read_yaml(path).values
    for key in NEW_KEYS:
        del values[key]
    for key in ("sampling", "ema_decay", "label_shift", "num_workers", "loggers"):
        del values["training"][key]
    del values["window"]["overlap"]
    path.write_text(dump_yaml(values))
    assert run.config() == config
    assert run.state(config) == "begun"


def test_post_processing_is_empty_until_it_is_fitted(run):
    assert run.post_processing() == {}
    (run.folder / "post_processing.json").write_text(json.dumps({"va": {"width": 5}}))
    assert run.post_processing() == {"va": {"width": 5}}
    (run.folder / "post_processing.json").unlink()
    assert run.post_processing() == {}


@pytest.mark.parametrize("text", ["[]", '{"va": 3}', "{"])
def test_a_post_processing_that_is_none_is_named(run, text):
    (run.folder / "post_processing.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"post_processing.json: (expected a JSON object with post-processing for|not readable)"
    ):
        run.post_processing()


def test_run_json_has_the_seed(tmp_path, config):
    run = Run(tmp_path / "x")
    run.begin(changed(config, training={"seed": 7}), {})
    assert run.document()["seed"] == 7


# ---- the folder is ours alone


def listed(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def fail(run, config, *then):
    """A training that fails in its first epoch, after loggers have written."""
    with suppress(ZeroDivisionError), run.hold():
        run.state(config)
        run.begin(config, {"tasks": {}, "recipes": {}})
        for name in ("events.out.tfevents.1", "wandb/a/b", *then):
            (run.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (run.folder / name).touch()
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "others", [["config.yaml"], ["config.yaml", ".git/HEAD"], ["post_processing.json"], ["run.json"]]
)
def test_a_folder_with_a_users_files_is_no_run_and_stays_as_it_is(tmp_path, config, others):
    run = Run(tmp_path / "x")
    for name in others:
        (run.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (run.folder / name).write_text("{}")
    before = listed(tmp_path)
    with pytest.raises(InputError, match=f"x is no run and holds {others[0]}: give the run another name"):
        run.state(config)
    with pytest.raises(InputError, match=f"x holds {others[0]}, not written by a training: give the run"), run.hold():
        pass
    assert listed(tmp_path) == before


@pytest.mark.parametrize("was_there", ["nothing", "an empty folder", "hidden files"])
def test_a_training_that_fails_before_its_first_epoch_has_ended_leaves_the_folder_as_it_was(
    tmp_path, config, was_there
):
    run = Run(tmp_path / "x")
    if was_there != "nothing":
        run.folder.mkdir()
    if was_there == "hidden files":
        (run.folder / ".git").mkdir()
        (run.folder / ".git/HEAD").write_text("ref")
    before = listed(tmp_path)
    fail(run, config)
    assert listed(tmp_path) == before


def test_what_a_user_puts_into_the_folder_meanwhile_stays(tmp_path, config):
    run = Run(tmp_path / "x")
    fail(run, config, "notes.txt")
    assert [path.name for path in visible(run.folder, "*")] == ["notes.txt"]


def test_a_training_that_fails_after_an_epoch_keeps_what_it_has(tmp_path, config):
    run = Run(tmp_path / "x")
    fail(run, config, "resume.ckpt")
    assert run.state(config) == "begun"


def test_a_config_that_says_the_same_is_not_written_again(run, config):
    path = run.folder / "config.yaml"
    path.write_text("# mine\n" + path.read_text())
    run.begin(config, {"tasks": {}, "recipes": {}})
    assert path.read_text().startswith("# mine\n")


def test_a_training_that_was_stopped_while_it_began_begins_again(tmp_path, config):
    run = Run(tmp_path / "x")
    run.begin(config, {})
    (run.folder / "run.json").unlink()
    assert run.state(config) == "new"
    (run.folder / "config.yaml").write_text("name: mine")
    with pytest.raises(InputError, match=r"is no run and holds config\.yaml"):
        run.state(config)


# ---- weights


def test_weights_are_compared_with_their_hash_in_run_json(run):
    weights = run.folder / "weights/model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    run.check_weights()  # a run of an older version does not name it
    run.finish({})
    run.check_weights()
    weights.write_bytes(b"weighty")
    with pytest.raises(InputError, match=r"model\.safetensors is damaged or of another training: its SHA-256 differs"):
        run.check_weights()
    weights.unlink()
    with pytest.raises(NotFoundError, match=r"no weights at .*model\.safetensors"):
        run.check_weights()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tasks", 5),
        ("tasks", {"va": []}),
        ("plugins", 5),
        ("videos", {"train": 3}),
        ("scores", {"va": {"CCC": "high"}}),
    ],
)
def test_a_run_whose_document_holds_values_of_other_types_names_file_and_key(run, key, value):
    path = run.folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(InputError, match=rf"run\.json: {key}"):
        run.document()


def test_a_task_of_a_run_whose_settings_cannot_be_used_names_the_file(run):
    path = run.folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tasks": {"va": {"mse_weight": "heavy"}}}))
    with pytest.raises(InputError, match=r"run\.json: task 'va': mse_weight is 'heavy'"):
        run.tasks()


def test_one_flipped_bit_in_the_record_of_a_complete_run_is_an_error_that_names_the_file(run):
    run.finish({"va": {"CCC": 0.1234567890123}})
    path = run.folder / "run.json"
    good = path.read_bytes()
    assert run.finished()["scores"] == {"va": {"CCC": 0.1234567890123}}
    assert "sha256" not in run.finished()
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1 << place % 7]) + good[place + 1 :])
        with pytest.raises(AbawError, match=r"run\.json"):
            Run(run.folder).finished()


@pytest.mark.parametrize(
    ("key", "value", "may_change"),
    [
        ("window", {"length": 20, "stride": 10, "overlap": "mean"}, False),
        ("features", {"f": {"align": "nearest"}}, False),
        ("store", "moved/store", True),
        ("trainer", {"accelerator": "gpu"}, True),
    ],
)
def test_a_config_that_was_edited_after_training_is_not_predicted_with(run, key, value, may_change):
    run.finish({})
    path = run.folder / "config.yaml"
    path.write_text(dump_yaml({**read_yaml(path).values, key: value}))
    if may_change:
        run.check_weights()
    else:
        with pytest.raises(
            InputError, match=rf"config\.yaml: {key} changed since the run was trained: restore the file"
        ):
            run.check_weights()


def test_a_run_of_an_older_version_without_checksum_is_read(run):
    run.finish({})
    document = {
        key: value for key, value in read_json(run.folder / "run.json").items() if key not in ("sha256", "config")
    }
    (run.folder / "run.json").write_text(json.dumps(document))
    run.check_weights()
    assert run.finished()["scores"] == {}
