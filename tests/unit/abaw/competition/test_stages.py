"""A recipe's stages: what each reads and makes, what makes them due again, what is refused before the first."""

import errno
import fcntl
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer

from abaw.challenge import submission, verification
from abaw.challenge.template import find_templates
from abaw.commands import extract as extraction
from abaw.commands import train as training
from abaw.competition.ablation import Step, lines, steps
from abaw.competition.actions import ACTIONS, run_recipe
from abaw.competition.job import open_job
from abaw.competition.stages import Places, Stage, members_of, stages
from abaw.competition.state import StageState, depends, facts, made_from
from abaw.configs.file import read_config
from abaw.dataset.layout import open_dataset
from abaw.dataset.names import EXPRESSIONS
from abaw.files import folder_lock, write_json
from abaw.pipelines.training import open_config
from abaw.postprocessing import PostProcessing
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.results.runs import RESUME, labels_hash
from abaw.tasks import TASKS
from extract import ALIGNERS
from extract.store.store import FeatureStore
from fusion.models import FUSION_MODELS

CONFIG = Path(__file__).resolve().parents[4] / "abaw/configs/synthetic.yaml"
OPTIONS = {"device": "cpu", "faces": "haar", "download": False, "assume_fps": None}
TWO = "members={gru: {}, big: {model.hidden_dim: 128}}"
PLACES = Places(Path("work"), Path("runs"), Path("store"))


def config_of(*settings):
    file = read_config(CONFIG, settings)
    return file, file.config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)


def planned(*settings, templates=(Path("va.txt"),), about=None, options=None):
    file, config = config_of("folds.num=3", TWO, *settings)
    return stages(config, list(members_of(file, config)), PLACES, about or {}, templates, options or {})


def of_kind(found, kind):
    return [stage for stage in found if stage.kind == kind]


@pytest.fixture
def data(tmp_path):
    """A data set of valence-arousal and expressions by its files alone: labels, a test list, samples."""
    root = tmp_path / "data"
    for folder, text in {"VA_Estimation_Challenge": "valence,arousal\n0.5,0.1\n0.2,-0.3\n", "EXPR_Recognition_Challenge": ",".join(EXPRESSIONS) + "\n0\n1\n"}.items():  # fmt: skip # noqa: E501
        for split, clips in {"Train_Set": "abc", "Validation_Set": "de"}.items():
            for clip in clips:
                path = root / "annotations" / folder / split / f"{clip}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    (root / "lists").mkdir()
    (root / "lists/Valence_Arousal_Estimation_Challenge_test_set_release.txt").write_text("t\n")
    (root / "lists/sample.txt").write_text("image_location,valence,arousal\nt/00001.jpg,\n")
    return root


def job(data, tmp_path, *settings, templates=(), **options):
    given = ["folds.num=3", "tasks={va: {}}", TWO, f"store={tmp_path / 'store'}", *settings]
    runs, work = tmp_path / "runs", tmp_path / "work"
    return open_job(CONFIG, given, data, runs, work, list(templates), {**OPTIONS, **options})


def test_fold_0_has_no_part_in_what_weights_and_post_processing_are_fitted_on():
    found = planned("encoders=[face_hog]")
    fitted_on = {path for stage in of_kind(found, "pool") for path in stage.inputs}
    assert fitted_on == {PLACES.held_out(m, fold) for m in ("synthetic-gru", "synthetic-big") for fold in (1, 2)}
    (combine,), (fit,) = of_kind(found, "combine"), of_kind(found, "fit")
    assert set(combine.inputs) == {path for stage in of_kind(found, "pool") for path in stage.outputs}
    assert fit.inputs == combine.outputs
    (validate,) = of_kind(found, "validate")
    assert validate.inputs[:2] == tuple(PLACES.held_out(m, 0) for m in ("synthetic-gru", "synthetic-big"))


def test_every_run_takes_part_in_the_test_predictions():
    weights = {path for stage in of_kind(planned(), "predict") for path in stage.inputs}
    assert weights == {PLACES.weights(m, fold) for m in ("synthetic-gru", "synthetic-big") for fold in range(3)}


def test_every_stage_reads_only_what_an_earlier_one_makes():
    found = planned("encoders=[face_hog]")
    for place, stage in enumerate(found):
        made = {path for earlier in found[:place] for path in earlier.outputs} | {Path("va.txt")}
        assert set(stage.inputs) <= made, stage.name
    assert len({stage.name for stage in found}) == len(found)


def test_without_encoders_nothing_is_extracted_and_without_templates_nothing_predicted():
    assert not of_kind(planned(), "extract")
    assert {stage.kind for stage in planned(templates=())} == {
        "check", "train", "pool", "combine", "fit", "validate", "score",
    }  # fmt: skip


def test_two_templates_of_one_name_become_two_files():
    found = planned(templates=(Path("5th/va.txt"), Path("6th/va.txt"), Path("6th/expr.txt")))
    outs = [stage.outputs[0].name for stage in of_kind(found, "submit")]
    assert outs == ["5th-va.txt", "6th-va.txt", "expr.txt"]


def test_a_member_is_laid_over_the_config_as_the_command_line_is():
    overrides = "members={a: {model: {name: mfn, dropout: 0.1}, training.learning_rate: 0.00001}, b: {}}"
    file, config = config_of(overrides)
    members = members_of(file, config)
    assert list(members) == ["synthetic-a", "synthetic-b"]
    laid = config_of(overrides, *members["synthetic-a"])[1]
    assert (laid.model.name, laid.model.settings) == ("mfn", {"dropout": 0.1})
    assert laid.training.learning_rate == 0.00001
    assert laid.training.batch_size == config.training.batch_size
    assert members_of(*config_of("members={}")) == {"synthetic": []}


@pytest.mark.parametrize(
    "key", ["name", "data", "store", "folds.num", "folds", "post-processing.bias", "encoders", "ensemble"]
)
def test_what_all_members_share_is_no_members_to_set(key):
    with pytest.raises(ValueError, match=rf"{key} is the same for all members: set it for all of them, not in one"):
        members_of(*config_of(f"members={{a: {{{key}: 1}}}}"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("folds.num=1", "a recipe needs folds.num of 2 or more"),
        ("folds.refit=true", "a refit holds nothing out: set folds.refit to false"),
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
        ("members={a: {tasks: {expr: {}}}}", "member synthetic-a has the tasks expr, the recipe va"),
    ],
)
def test_a_wrong_member_is_named_before_the_first_stage(setting, message, data, tmp_path):
    with pytest.raises(ValueError, match=message):
        job(data, tmp_path, setting)
    assert not (tmp_path / "work").exists()


def test_labels_that_cannot_be_parted_are_told_before_the_first_stage(data, tmp_path):
    with pytest.raises(ValueError, match="synthetic.yaml:.*: folds.num is 5: 4 parts .* as many training videos"):
        job(data, tmp_path, "folds.num=5")
    for path in (data / "annotations/VA_Estimation_Challenge/Validation_Set").iterdir():
        path.rename(path.with_name("a_left.txt"))
    with pytest.raises(ValueError, match="a leak: video 'a' is trained on"):
        job(data, tmp_path)
    assert not (tmp_path / "work").exists()


def test_a_centred_ensemble_is_for_values_alone(data, tmp_path):
    assert job(data, tmp_path, "ensemble=centred").config.ensemble == "centred"
    with pytest.raises(ValueError, match="ensemble=: centred is for values, as of va, not for va, expr: take mean"):
        job(data, tmp_path, "tasks={va: {}, expr: {}}", "ensemble=centred")


def test_templates_are_found_by_their_first_line_and_labels_are_none(data):
    root = data
    (root / "lists/other.txt").write_text("image_location,Neutral\n")
    (root / "VA_sample.csv").write_text("image_location, valence, arousal\r\nt/00001.jpg,\n")
    (root / "training_set_annotations.txt").write_text("image,valence,arousal,expression,aus\na/00001.jpg,0,0,1\n")
    dataset = open_dataset(root)
    assert find_templates(dataset, [TASKS.build("va")]) == [root / "VA_sample.csv", root / "lists/sample.txt"]
    assert find_templates(dataset, [TASKS.build("mtl")]) == []
    assert find_templates(dataset, [TASKS.build("ah")]) == []


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


def made_stage(tmp_path, **settings):
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in/a.txt").write_text("1")
    (tmp_path / "out.txt").write_text("2")
    return Stage("fit", "why", (tmp_path / "in",), (tmp_path / "out.txt",), settings)


def test_a_stage_is_done_until_a_setting_an_input_or_its_output_changes(tmp_path):
    ledger, stage = StageState(tmp_path), made_stage(tmp_path, bias=True)
    assert not ledger.is_done(stage)
    ledger.note(stage, made_from(stage))
    assert ledger.is_done(stage)
    assert not ledger.is_done(made_stage(tmp_path, bias=False))
    stage = made_stage(tmp_path, bias=True)
    ledger.note(stage, made_from(stage))
    (tmp_path / "in/.b.txt").write_text("what another process left aside")
    assert ledger.is_done(stage)
    (tmp_path / "in/b.txt").write_text("3")
    assert not ledger.is_done(stage)
    (tmp_path / "in/b.txt").unlink()
    assert ledger.is_done(stage)
    (tmp_path / "out.txt").unlink()
    assert not ledger.is_done(stage)


def test_what_lies_in_a_folder_depends_on_the_folder_and_back():
    inner, outer = Path("a/b"), Path("a")
    reads, makes = (lambda path: Stage("x", "", (path,), ())), (lambda path: Stage("y", "", (), (path,)))
    assert depends(reads(inner), makes(outer))
    assert depends(reads(outer), makes(inner))
    assert not depends(reads(Path("ab")), makes(outer))


def test_other_labels_lists_or_images_are_another_data_set(data):
    before = facts(open_dataset(data))
    assert facts(open_dataset(data)) == before
    label = data / "annotations/VA_Estimation_Challenge/Train_Set/a.txt"
    label.write_text(label.read_text() + "0.1,0.1\n")
    longer = facts(open_dataset(data))
    assert longer != before
    (data / "cropped/a").mkdir(parents=True)
    (data / "cropped/a/00001.jpg").touch()
    assert facts(open_dataset(data)) != longer


def test_options_that_change_features_make_extraction_due(tmp_path):
    def extract_of(**options):
        return made_from(of_kind(planned("encoders=[face_hog]", options=options), "extract")[0])

    assert extract_of(faces="haar") == extract_of(faces="haar") != extract_of(faces="mtcnn")
    assert made_from(of_kind(planned("encoders=[voice_mel]"), "extract")[0]) != extract_of()


def only(found, kind):
    """A job of one stage."""
    return replace(found, stages=of_kind(found.stages, kind))


HOG = {"name": "face_hog", "encoder": "face_hog", "settings": {"crop_px": 8}, "stored_dtype": "float16"}


def trained_run(data, tmp_path, without=(), state="complete", **facts):
    """Fold 1 of the first member, as training leaves it, of the labels that are there now and of features HOG."""
    found = job(data, tmp_path)
    run, config = found.run("synthetic-gru", 1), open_config(CONFIG, found.of_fold("synthetic-gru", 1))[1]
    about = {"tasks": {"va": {}}, "recipes": {"face_hog": HOG}, "labels": found.labels["synthetic-gru"][1], **facts}
    about["splits"] = {"validation": {"va": {"clips": 2}}}
    run.begin(config, {key: value for key, value in about.items() if key not in without})
    (run.folder / "weights").mkdir()
    (run.folder / "weights/model.safetensors").write_bytes(b"")
    tables(run.predictions("validation"), lambda _: np.zeros((2, 2)), {})
    if state == "complete":
        run.finish({"va": {"CCC": 0.5}})
    else:
        (run.folder / RESUME).touch()
    return run


def stored(tmp_path, **changes):
    """The features HOG in the store, with other settings."""
    recipe = {**HOG, **changes}
    write_json(FeatureStore(tmp_path / "store").folder(recipe) / "recipe.json", recipe)


def is_trained(found):
    return [found.is_trained(stage) for stage in of_kind(found.stages, "train")]


def longer(data, split):
    label = next((data / "annotations/VA_Estimation_Challenge" / split).iterdir())
    label.write_text(label.read_text().replace("0.5", "0.6"))


@pytest.mark.parametrize("split", ["Train_Set", "Validation_Set"])
@pytest.mark.parametrize("state", ["complete", "begun"])
def test_a_run_of_other_labels_is_told_before_the_first_stage(data, tmp_path, split, state):
    trained_run(data, tmp_path, state=state)
    assert is_trained(job(data, tmp_path)) == [False, False, state == "complete", False, False, False]
    longer(data, split)
    message = "runs/synthetic-gru-fold1 was trained on other labels than are there now: delete that folder, or give"
    with pytest.raises(ValueError, match=message):
        job(data, tmp_path)


def test_a_run_that_tells_no_labels_is_taken_as_it_is(data, tmp_path):
    trained_run(data, tmp_path, without=("labels",))
    longer(data, "Train_Set")
    assert any(is_trained(job(data, tmp_path)))


def test_a_run_of_other_features_is_told_and_where_they_lie_is_all_the_same(data, tmp_path):
    trained_run(data, tmp_path)
    assert any(is_trained(job(data, tmp_path)))  # nothing is extracted yet
    stored(tmp_path, found_at=["file"], settings={"crop_px": 8, "file": "a.onnx"})
    message = r"fold1 was trained on other features face_hog \(found_at, settings\) than are there now: delete"
    with pytest.raises(ValueError, match=message):
        job(data, tmp_path)
    longer(data, "Train_Set")
    with pytest.raises(ValueError, match=r"fold1 .* other labels and features face_hog \("):
        job(data, tmp_path)


def test_where_weights_were_found_makes_no_other_features(data, tmp_path):
    of = {"found_at": ["file"], "settings": {"crop_px": 8, "file": "a.onnx"}}
    trained_run(data, tmp_path, recipes={"face_hog": {**HOG, **of}})
    stored(tmp_path, found_at=["file"], settings={"crop_px": 8, "file": "b.onnx"})
    assert any(is_trained(job(data, tmp_path)))


def test_features_that_an_extraction_of_this_recipe_changes_are_told_before_a_run_is_trained(
    data, tmp_path, monkeypatch
):
    trained_run(data, tmp_path)
    stored(tmp_path)
    found = job(data, tmp_path, "encoders=['face_hog:crop_px=16']")
    begun = []
    monkeypatch.setattr(extraction, "extract", lambda *_, **__: stored(tmp_path, settings={"crop_px": 16}))
    monkeypatch.setattr(training, "train_run", lambda *_: begun.append(1))
    chosen = [stage for stage in found.stages if stage.kind in ("extract", "train")]
    message = "fold1 was trained on features of which there are others now: .* 2 recipes named 'face_hog': write one of"
    with pytest.raises(ValueError, match=message):
        run_recipe(replace(found, stages=chosen))
    assert not begun


@pytest.mark.parametrize(
    ("gone", "what"),
    [
        ("weights/model.safetensors", "weights"),
        ("predictions/validation/va/d.parquet", "held-out predictions of va"),
        ("predictions/validation/va/predictions.json", "held-out predictions of va"),
    ],
)
def test_a_complete_run_that_lacks_what_it_made_is_no_trained_one(data, tmp_path, gone, what):
    run = trained_run(data, tmp_path)
    (run.folder / gone).unlink()
    message = f"runs/synthetic-gru-fold1 is damaged, it lacks its {what}: delete that folder"
    with pytest.raises(ValueError, match=message):
        job(data, tmp_path)


def test_the_hash_of_labels_knows_every_value_and_no_order(data):
    va = TASKS.build("va")
    read_all = va.read_labels(open_dataset(data), "train")
    here = labels_hash({"train": {"va": read_all}, "validation": {}})
    assert labels_hash({"validation": {}, "train": {"va": dict(reversed(read_all.items()))}}) == here
    a = read_all["a"]
    others = [
        replace(a, scored=~a.scored),
        replace(a, values=a.values + 1),
        replace(a, values=a.values.T.reshape(2, 2)),
    ]
    hashes = [labels_hash({"train": {"va": {**read_all, "a": other}}}) for other in others]
    moved = [{"validation": {"va": read_all}}, {"train": {"expr": read_all}}, {"train": {"va": {"x": a}}}]
    assert len({here, *hashes, *map(labels_hash, moved)}) == 7


def test_a_stage_that_is_stopped_is_not_done_though_it_was_done_before(data, tmp_path, monkeypatch):
    def stopped(*_):
        raise SystemExit(143)

    found = only(job(data, tmp_path), "check")
    run_recipe(found)
    (stage,), ledger = found.stages, StageState(found.places.work)
    assert ledger.is_done(stage)
    changed = replace(stage, settings={"clips": "others"})
    with monkeypatch.context() as patch:
        patch.setitem(ACTIONS, "check", stopped)
        with pytest.raises(SystemExit):
            run_recipe(replace(found, stages=[changed]))
    assert not ledger.is_done(stage)  # what lies there is half of the other's
    run_recipe(found)
    assert ledger.is_done(stage)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (["encoders=[face_hogg]"], {}, "encoders=: no encoder named 'face_hogg'; did you mean 'face_hog'"),
        (["encoders=['face_hog:cells=3']"], {}, "encoders=: encoder 'face_hog' has no setting 'cells'"),
        (["encoders=[mae_face]"], {}, "^mae_face needs a file of your own"),
        ([], {"faces": "hair"}, "no face detector named 'hair'; did you mean 'haar'"),
        ([], {"faces": "haar:min_face=much"}, "min_face is 'much'"),
        ([], {"device": "gpu"}, "--device is 'gpu', expected cpu, cuda or cuda:1"),
        ([], {"device": "cuda:99"}, "no device 'cuda:99' here: there are [0-9]+ CUDA devices; give --device cpu"),
        ([], {"assume_fps": 0.0}, "--assume-fps is 0.0, expected frames per second above 0"),
    ],
)
def test_a_wrong_option_of_the_extraction_is_told_before_the_first_stage(data, tmp_path, settings, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        job(data, tmp_path, *settings, **options)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("name", ["runs", "work", "store"])
def test_a_folder_that_is_a_file_is_told_before_the_first_stage(data, tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=f"is to be the folder .*, but .*/{name} is a file: name another folder"):
        job(data, tmp_path)


def test_a_template_that_cannot_be_filled_is_told_before_the_first_stage(data, tmp_path):
    template = tmp_path / "sample.txt"
    two = ["tasks={va: {}, expr: {}}"]
    template.write_text("image_location,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26\nt/00001.jpg,\n")
    with pytest.raises(ValueError, match="sample.txt is a template for au, not va"):
        job(data, tmp_path, templates=[template])
    with pytest.raises(ValueError, match="sample.txt is a template for au, the recipe has va, expr: take another"):
        job(data, tmp_path, *two, templates=[template])
    template.write_text("image_location,valence,arousal\nt/1,\n")
    with pytest.raises(ValueError, match="sample.txt:2: "):
        job(data, tmp_path, templates=[template])
    template.write_text("image_location,valence,arousal\nt/00001.jpg,\nu/00001.jpg,\n")
    with pytest.raises(ValueError, match="sample.txt asks for 1 clips that are no test clips of .*, as 'u': expected"):
        job(data, tmp_path, templates=[template])
    assert not (tmp_path / "work").exists()


def test_two_recipes_at_once_in_one_folder_are_refused(data, tmp_path, monkeypatch):
    found = only(job(data, tmp_path), "check")
    monkeypatch.setitem(ACTIONS, "check", lambda *_: run_recipe(found))
    with pytest.raises(ValueError, match="a recipe goes on in .*work/synthetic: wait for its end, or give"):
        run_recipe(found)


def test_where_there_are_no_locks_one_is_warned(tmp_path, monkeypatch, caplog):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with folder_lock(tmp_path / "work", "a recipe"):
        assert "work is on a file system without locks" in caplog.text


def test_clips_that_fail_do_not_stop_the_recipe_and_are_tried_again(data, tmp_path, monkeypatch, caplog):
    calls = []

    def failing(*_, **__):
        calls.append(1)
        (tmp_path / "store/clock").mkdir(parents=True, exist_ok=True)
        raise typer.Exit(1)

    monkeypatch.setattr(extraction, "extract", failing)
    found = only(job(data, tmp_path, "encoders=[face_hog]", f"store={tmp_path / 'store'}"), "extract")
    for num in (1, 2):
        run_recipe(found)
        assert len(calls) == num
        assert "going on without the clips that failed" in caplog.text


def test_training_on_several_devices_is_a_command_of_its_own(data, tmp_path, monkeypatch):
    commands, trained = [], []

    def run(words, **_):
        commands.append(words)
        return subprocess.CompletedProcess(words, len(commands) - 1)

    monkeypatch.setattr(training, "train_run", lambda *words: trained.append(words))
    monkeypatch.setattr(subprocess, "run", run)
    for devices, num in ((1, 0), (2, 1)):
        found = job(data, tmp_path, f"trainer.devices={devices}")
        assert ACTIONS["train"](found, of_kind(found.stages, "train")[3])
        assert (len(commands), len(trained)) == (num, 1)
    assert commands[0][1:4] == ["-m", "abaw", "train"]
    assert commands[0][-4:] == ["name=synthetic-big-fold1", "folds.fold=1", "--runs", str(tmp_path / "runs")]
    with pytest.raises(SystemExit):
        ACTIONS["train"](found, of_kind(found.stages, "train")[0])


def test_a_challenge_file_that_is_not_what_is_asked_stops_the_recipe(data, tmp_path, monkeypatch):
    found = job(data, tmp_path)
    (stage,) = of_kind(found.stages, "submit")
    monkeypatch.setattr(submission, "submit", lambda *_: "summary")
    monkeypatch.setattr(verification, "verify", lambda *_: ["sample.txt:2: a row is missing"])
    with pytest.raises(ValueError, match="is not what .*sample.txt asks for:\n.*:2: a row is missing"):
        ACTIONS["submit"](found, stage)


def tables(folder, values_of, about):
    """A prediction folder of clips d and e, two frames each."""
    task = TASKS.build("va")
    predictions.begin(folder / "va")
    for clip_id in "de":
        times = np.arange(2) / 25
        table = Table(np.array([1, 2]), times, np.ones(2, bool), np.array(values_of(clip_id), np.float32), task.columns)
        predictions.write_table(folder / "va", clip_id, table, task)
    predictions.write_metadata(folder / "va", {"task": "va", "videos_seen": ["a"], **about})


def test_the_steps_say_what_each_stage_is_worth(data, tmp_path):
    truth = np.array([[0.5, 0.1], [0.2, -0.3]])
    tables(tmp_path / "one", lambda _: truth + 0.2, {})
    tables(tmp_path / "two", lambda _: truth - 0.1, {})
    post_processing = PostProcessing(scale=(1.0, 1.0), bias=(-0.05, -0.05), fitted_on=("b",))
    ensemble = {"how": "weighted", "weights": [0.5, 0.5], "members": ["one", "two"], "fitted_on": ["b"]}
    tables(
        tmp_path / "both", lambda _: truth + 0.05, {"post_processing": post_processing.document(), "ensemble": ensemble}
    )
    task = TASKS.build("va")
    found = steps(task, {"one": tmp_path / "one", "two": tmp_path / "two"}, tmp_path / "both", data)
    names = ["one", "two", "mean of 2", "weighted ensemble", "no smoothing (none helped)", "scale and shift"]
    assert [step.name for step in found] == names
    assert [step.after for step in found] == [None, None, "two", *names[2:5]]
    assert found[-1].rank == pytest.approx(1)
    assert found[2].rank == pytest.approx(found[3].rank) == pytest.approx(found[4].rank)
    assert found[0].rank < found[1].rank < found[2].rank < 1
    told = list(lines("va", found))
    assert told[-1].split()[:3] == ["scale", "and", "bias"]
    assert told[-1].endswith(f"{1 - found[4].rank:+.4f} on no smoothing (none helped)")
    alone = steps(task, {"one": tmp_path / "one"}, tmp_path / "both", data)
    assert [step.name for step in alone] == ["one", *names[4:]]


def test_a_post_processing_fitted_on_the_judged_videos_is_a_leak(data, tmp_path):
    tables(tmp_path / "one", lambda _: np.zeros((2, 2)), {})
    tables(
        tmp_path / "both", lambda _: np.zeros((2, 2)), {"post_processing": PostProcessing(fitted_on=("d",)).document()}
    )
    with pytest.raises(ValueError, match="a leak: .*'d'"):
        steps(TASKS.build("va"), {"one": tmp_path / "one"}, tmp_path / "both", data)


def test_a_step_without_a_forerunner_has_no_gain():
    assert list(lines("va", [Step("one", {"CCC": 0.5, "n": 3})]))[1] == "  one  0.5000"


def test_run_sh_full_wants_a_data_set():
    root = CONFIG.parents[1]
    done = subprocess.run(["bash", str(root / "run.sh"), "full"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "full AFFWILD2_ROOT" in done.stderr
