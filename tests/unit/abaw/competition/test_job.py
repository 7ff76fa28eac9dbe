"""Opening a recipe: what is refused before its first stage."""

from pathlib import Path

import pytest

from abaw.errors import NotFoundError
from tests.support.recipes import job, of_kind


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("folds.num=1", "folds.num is 1, a recipe needs 2 or more"),
        ("folds.refit=true", "but a refit holds nothing out: set folds.refit to false"),
    ],
)
def test_a_recipe_without_folds_is_refused(setting, message, data, tmp_path):
    with pytest.raises(ValueError, match=f"command line, folds.*: .*{message}"):
        job(data, tmp_path, setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("members={a: {model.hiden_dim: 3}}", "member synthetic-a: .*'hiden_dim'; did you mean 'hidden_dim'"),
        ("members={a: {model.hidden_dim: wide}}", "member synthetic-a: .*hidden_dim"),
        ("members={a: {training.batch_size: 0}}", "member synthetic-a: .*training.batch_size is 0"),
        ("members={a: {trainer.max_epoch: 3}}", "member synthetic-a: .*has no argument 'max_epoch'"),
        ("members={a: {training.warmup_epochs: 200}}", "member synthetic-a: .*a warm-up of 200 epochs does not end"),
        ("members={a: {tasks: {expr: {}}}}", "member synthetic-a has the tasks expr, the recipe va"),
    ],
)
def test_a_wrong_member_is_named_before_the_first_stage(setting, message, data, tmp_path):
    with pytest.raises(ValueError, match=message):
        job(data, tmp_path, setting)
    assert not (tmp_path / "work").exists()


def test_teachers_that_are_not_there_are_named_before_the_first_stage(data, tmp_path):
    with pytest.raises(NotFoundError, match="no predictions at nowhere"):
        job(data, tmp_path, "distillation.tables=[nowhere]")
    assert not (tmp_path / "work").exists()


def test_labels_that_make_no_folds_are_refused_before_the_first_stage(data, tmp_path):
    with pytest.raises(ValueError, match="synthetic.yaml:.*: folds.num is 5, one of them .* training videos"):
        job(data, tmp_path, "folds.num=5")
    for path in (data / "annotations/VA_Estimation_Challenge/Validation_Set").iterdir():
        path.rename(path.with_name("a_left.txt"))
    with pytest.raises(ValueError, match="a leak: video 'a' is trained on"):
        job(data, tmp_path)
    assert not (tmp_path / "work").exists()


def test_a_centred_ensemble_is_for_numbers_only(data, tmp_path):
    assert job(data, tmp_path, "ensemble=centred").config.ensemble == "centred"
    with pytest.raises(
        ValueError, match="ensemble=: centred is for numbers such as those of va, not for va, expr: set it to mean"
    ):
        job(data, tmp_path, "tasks={va: {}, expr: {}}", "ensemble=centred")


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (["encoders=[face_hogg]"], {}, "encoders=: no encoder named 'face_hogg'; did you mean 'face_hog'"),
        (["encoders=['face_hog:cells=3']"], {}, "encoders=: encoder 'face_hog' has no setting 'cells'"),
        (["encoders=[mae_face]"], {}, "^mae_face needs a file of your own"),
        ([], {"faces": "hair"}, "no face detector named 'hair'; did you mean 'haar'"),
        ([], {"faces": "haar:min_face=much"}, "min_face is 'much'"),
        ([], {"device": "gpu"}, "--device is 'gpu', expected cpu, cuda or cuda:1"),
        ([], {"device": "cuda:99"}, "no device 'cuda:99': this machine has [0-9]+ CUDA devices; give --device cpu"),
        ([], {"assume_fps": 0.0}, "--assume-fps is 0, expected frames per second from 0.0001 to 1000"),
    ],
)
def test_a_wrong_option_of_the_extraction_is_refused_before_the_first_stage(data, tmp_path, settings, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        job(data, tmp_path, *settings, **options)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("name", ["runs", "work", "store"])
def test_a_folder_that_is_a_file_is_refused_before_the_first_stage(data, tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(
        ValueError, match=f"{name} is .*/{name}.*, but .*/{name} is a file, not a folder: name another folder"
    ):
        job(data, tmp_path)


def test_templates_without_test_clips_and_a_missing_one_are_refused(data, tmp_path, caplog):
    with pytest.raises(FileNotFoundError, match="no template at none.txt"):
        job(data, tmp_path, templates=[Path("none.txt")])
    (data / "lists/Valence_Arousal_Estimation_Challenge_test_set_release.txt").unlink()
    with pytest.raises(ValueError, match="names no test clips: expected a test list Valence_Arousal_Estimation"):
        job(data, tmp_path)
    (data / "lists/sample.txt").unlink()
    with caplog.at_level("INFO", "abaw"):
        assert not of_kind(job(data, tmp_path).stages, "predict")
    assert "no template for va in" in caplog.text
