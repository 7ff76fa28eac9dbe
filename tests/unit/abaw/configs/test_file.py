"""Configs: what is wrong is named with file and line, what was given and what is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abaw.configs.file import as_setting, parse_setting, read_config
from abaw.configs.packaged import packaged_config, packaged_configs
from abaw.configs.sections import TrainingConfig, WindowConfig
from abaw.errors import InputError, NotFoundError
from abaw.files.yaml import dump_yaml
from abaw.tasks import TASKS
from extract import ALIGNERS
from fusion.models import FUSION_MODELS

GOOD = """\
# a remark
name: small
data: work/data
store: work/store
tasks:
  va:
  expr: {weight: 0.5, class_balance: 1.0}
features:
  face_hog: {align: linear}
  voice_mel: {align: window_mean, max_gap_s: 0.25}
model:
  name: bigru
  hidden_dim: 32
window: {length: 100, stride: 50}
training:
  batch_size: 4
trainer: {max_epochs: 2}
folds: {num: 3, fold: 2}
post_processing: {widths: [1, 5]}
"""


def write(folder, *changes):
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def load(path, *overrides):
    return read_config(path, overrides).config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)


def test_a_config_is_read_with_the_defaults_of_what_it_leaves_out(tmp_path):
    config = load(write(tmp_path))
    assert (config.model.name, config.model.settings) == ("bigru", {"hidden_dim": 32})
    assert (config.tasks["va"].weight, config.tasks["va"].settings) == (1.0, {})
    assert (config.tasks["expr"].weight, config.tasks["expr"].settings) == (0.5, {"class_balance": 1.0})
    assert config.features["voice_mel"].max_gap_s == 0.25
    assert (config.training.batch_size, config.training.seed) == (4, 0)
    assert (config.window.length, config.window.stride) == (100, 50)
    assert config.trainer == {"max_epochs": 2}


def test_the_command_line_lies_over_the_file(tmp_path):
    overrides = (
        "training.seed=7",
        "window.stride=25",
        "losses.align=0.1",
        "trainer.max_epochs=1",
        "tasks.va.mse_weight=0.5",
    )
    config = load(write(tmp_path), *overrides)
    assert (config.training.seed, config.training.batch_size) == (7, 4)
    assert config.window.stride == 25
    assert config.losses == {"align": 0.1}
    assert config.trainer == {"max_epochs": 1}
    assert config.tasks["va"].settings == {"mse_weight": 0.5}


FAULTS = {
    "a misspelt key": (("window:", "windwo:"), r":14: unknown key 'windwo'; did you mean 'window'\? known: name, data"),
    "a misspelt key inside": (
        ("batch_size", "batchsize"),
        r":16: unknown key 'batchsize'; did you mean 'batch_size'\?",
    ),
    "a misspelt feature key": (("max_gap_s", "gap"), ":10: unknown key 'gap'; known: align, max_gap_s"),
    "a string for a number": (
        ("batch_size: 4", "batch_size: four"),
        ":16: training.batch_size is 'four': input should be",
    ),
    "a quoted number": (
        ("length: 100", "length: '100'"),
        ":14: window.length is '100': input should be a valid integer",
    ),
    "a number for a name": (("name: small", "name: 7"), ":2: name is 7: input should be a valid string"),
    "a name that is no folder": (("name: small", "name: a/b"), ":2: name is 'a/b', expected letters, digits"),
    "a key twice": (
        ("training:\n", "training:\n  batch_size: 9\n"),
        ":17: training.batch_size is given twice, first on line 16",
    ),
    "a misspelt key that must be there": (("store:", "stor:"), r":4: unknown key 'stor'; did you mean 'store'\?"),
    "no batch": (("batch_size: 4", "batch_size: 0"), ":16: training.batch_size is 0: input should be greater than or"),
    "a negative weight": (("weight: 0.5", "weight: -1"), ":7: tasks.expr.weight is -1: input should be greater"),
    "a missing key": (("store: work/store\n", ""), ":1: the key store is missing: add it"),
    "a model that does not exist": (
        ("name: bigru", "name: bigruu"),
        r":12: no fusion model named 'bigruu'; did you mean 'bigru'\?",
    ),
    "a setting the model lacks": (
        ("hidden_dim", "hiddendim"),
        ":13: fusion model 'bigru' has no setting 'hiddendim'; did",
    ),
    "no name of a model": (("  name: bigru\n", ""), ":11: the key model.name is missing"),
    "a task that does not exist": (("  va:\n", "  vaa:\n"), ":6: no task named 'vaa'; did you mean 'va'"),
    "a setting the task lacks": (("class_balance", "balance"), ":7: task 'expr' has no setting 'balance'"),
    "an aligner that does not exist": (
        ("window_mean", "mean"),
        ":10: no aligner named 'mean'.* known: hold_last, linear",
    ),
    "a kernel without a convolution": (
        ("align: window_mean", "align: window_mean, kernel: 5"),
        ":10: only align: convolution has a kernel, not align: window_mean",
    ),
    "a misspelt convolution": (("window_mean", "convolutoin"), ":10: .*did you mean 'convolution'"),
    "a modality always lost": (
        ("align: window_mean", "align: window_mean, modality_dropout: 1.0"),
        ":10: features.voice_mel.modality_dropout is 1.0: input should be less than 1",
    ),
    "a stride that skips": (
        ("stride: 50", "stride: 101"),
        ":14: a stride of 101 steps skips steps between windows of 100",
    ),
    "a number below its bound, in scientific notation": (
        ("max_gap_s: 0.25", "max_gap_s: -1e-1"),
        ":10: features.voice_mel.max_gap_s is -0.1: input should be greater than 0",
    ),
    "a tag": (("folds:", "folds: !!set"), ":18: the tag !!set is not allowed"),
}


FAULTS |= {
    "a misspelt key of folds": (("num: 3", "number: 3"), r":18: unknown key 'number'; did you mean 'num'\? known: num"),
    "no fold": (("num: 3", "num: 0"), ":18: folds.num is 0: expected a number of folds, 1 or more, or the word groups"),
    "a fold that is not there": (
        ("fold: 2", "fold: 3"),
        r":18: folds.fold is 3: expected a fold from 0 to 2: give one of them, or increase",
    ),
    "a negative fold": (("fold: 2", "fold: -1"), ":18: folds.fold is -1: input should be greater than or equal to 0"),
    "a negative seed of folds": (("fold: 2", "seed: -1"), ":18: folds.seed is -1: input should be greater"),
    "words for yes": (("fold: 2", "refit: 'yes'"), ":18: folds.refit is 'yes': input should be a valid boolean"),
    "a refit of a fold": (
        ("fold: 2", "fold: 2, refit: true"),
        ":18: folds.refit is True: a refit holds nothing out, but folds.fold is 2",
    ),
    "a misspelt key of post-processing": (("widths", "width"), r":19: unknown key 'width'; did you mean 'widths'\?"),
    "a smoother that does not exist": (
        ("widths: [1, 5]", "smoothers: [boxx]"),
        ":19: post_processing.smoothers.0 is 'boxx': input should be 'box', 'median', 'gaussian' or 'savgol'",
    ),
    "an even width": (
        ("[1, 5]", "[1, 6]"),
        r":19: post_processing.widths is \[1, 6\]: 6 is even or no whole number: give odd numbers of frames",
    ),
    "no width": (("[1, 5]", "[]"), r":19: post_processing.widths is \[\]: list should have at least 1 item"),
    "a space that does not exist": (
        ("widths: [1, 5]", "spaces: [raw]"),
        ":19: post_processing.spaces.0 is 'raw': input should",
    ),
    "an overlap that does not exist": (
        ("stride: 50", "stride: 50, overlap: sum"),
        ":14: window.overlap is 'sum': input should be 'mean' or 'centre'",
    ),
    "a sampling that does not exist": (
        ("batch_size: 4", "sampling: even"),
        ":16: training.sampling is 'even': input should be 'shuffled' or 'balanced'",
    ),
    "an average that never moves": (
        ("batch_size: 4", "ema_decay: 1.0"),
        ":16: training.ema_decay is 1.0: input should",
    ),
    "a seed that no generator takes": (("batch_size: 4", "seed: 1" + 30 * "0"), ":16: training.seed is 1"),
    "tasks that weigh nothing": (
        ("  va:\n  expr: {weight: 0.5,", "  va: {weight: 0}\n  expr: {weight: 0,"),
        ":5: .*every task has the weight 0: nothing would be learned",
    ),
    "a label shift back": (("batch_size: 4", "label_shift: -3"), ":16: training.label_shift is -3: input should be"),
    "a logger that does not exist": (
        ("batch_size: 4", "loggers: [tensorbord]"),
        ":16: training.loggers.0 is 'tensorbord': input should be 'tensorboard', 'wandb' or 'mlflow'",
    ),
    "an ensemble that does not exist": (
        ("trainer:", "ensemble: median\ntrainer:"),
        ":17: ensemble is 'median': input should be 'mean', 'weighted' or 'centred'",
    ),
    "a member that is no folder": (
        ("trainer:", "members: {a/b: {}}\ntrainer:"),
        ":17: members.a/b is 'a/b', expected letters, digits",
    ),
    "a member that is no group of keys": (
        ("trainer:", "members: {a: bigru}\ntrainer:"),
        ":17: members.a is 'bigru': input should be a valid dictionary",
    ),
    "encoders that are no list": (
        ("trainer:", "encoders: face_hog\ntrainer:"),
        ":17: encoders is 'face_hog': input should be a valid list",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, fault):
    change, words = FAULTS[fault]
    with pytest.raises(ValueError, match="small.yaml" + words):
        load(write(tmp_path, change))


def test_what_a_run_writes_down_can_be_given_to_train_again(tmp_path):
    """config.yaml of a run's folder: every default is in it, and none that has no meaning."""
    config = load(write(tmp_path))
    again = tmp_path / "config.yaml"
    again.write_text(dump_yaml(config.model_dump(mode="json")))
    assert load(again) == config


OVERRIDES = {
    "training.sede=7": r"command line, training.sede=: unknown key 'sede'; did you mean 'seed'\?",
    "model.name=none_such": "command line, model.name=: no fusion model named 'none_such'",
    "model.hidden=3": "command line, model.hidden=: fusion model 'bigru' has no setting 'hidden'; did you mean",
    "window.length=long": "command line, window.length=: window.length is 'long': input should be a valid integer",
    "training.learning_rate=-1e-3": ".*learning_rate=: training.learning_rate is -0.001: input should",
    "folds.refit=yes": "command line, folds.refit=: folds.refit is 'yes': input should be a valid boolean",
    "window={length: 5, stride: 6}": "command line, window=: a stride of 6 steps skips",
    "name.first=x": "command line, name.first=: name is a value, not a group of keys",
    "folds.fold=7": "command line, folds.fold=: folds.fold is 7: expected a fold from 0 to 2",
    "folds.seeds=7": r"command line, folds.seeds=: unknown key 'seeds'; did you mean 'seed'\?",
    "seed": "'seed' is not a setting, expected key=value",
    "=7": "'=7' is not a setting",
    "name=[": r"the value of 'name=\[': not readable as YAML",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_what_is_wrong_on_the_command_line_is_named_as_such(tmp_path, override):
    with pytest.raises(ValueError, match=OVERRIDES[override]):
        load(write(tmp_path), override)


@pytest.mark.parametrize(
    ("text", "words"), [("a: [", "1: not readable as YAML"), ("", "a config is a mapping"), ("- a", "1: a config is a")]
)
def test_a_file_that_is_no_mapping_is_named(tmp_path, text, words):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=f"x.yaml:.*{words}"):
        read_config(tmp_path / "x.yaml")


@pytest.mark.parametrize("name", ["none.yaml", "configs/synthetic.yaml", "sinthetic"])
def test_a_config_that_is_not_there_is_named_with_those_of_the_package(name):
    with pytest.raises(
        NotFoundError,
        match=rf"no config at {name}: give a YAML file.* known: au, classes, contrastive, expr, .*synthetic",
    ):
        read_config(name)


def test_the_name_of_a_config_of_the_package_near_the_given_one_is_suggested():
    with pytest.raises(NotFoundError, match="did you mean 'synthetic'"):
        read_config("configs/synthetic.yml")
    with pytest.raises(NotFoundError, match="no config named 'synthetik'; did you mean 'synthetic'"):
        packaged_config("synthetik")


def test_a_config_of_the_package_is_read_by_its_name(tmp_path, monkeypatch):
    assert list(packaged_configs()) == sorted(packaged_configs())
    for name, config in packaged_configs().items():
        assert load(name) == load(config.path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "va").mkdir()  # a folder of that name, such as one of predictions, is no config
    assert load("va").name == "va"


def test_a_file_comes_before_a_config_of_the_package(tmp_path, monkeypatch):
    write(tmp_path).rename(tmp_path / "va")
    monkeypatch.chdir(tmp_path)
    assert load("va").name == "small"


def test_a_feature_given_by_an_alias_is_changed_alone(tmp_path):
    aliases = ("face_hog: {align: linear}", "face_hog: &face {align: linear}\n  other: *face")
    config = load(write(tmp_path, aliases), "features.other.align=nearest")
    assert (config.features["face_hog"].align, config.features["other"].align) == ("linear", "nearest")


def test_a_group_replaced_on_the_command_line_keeps_no_line_of_the_file(tmp_path):
    with pytest.raises(InputError, match="^command line, features=: features.a.max_gap_s is 0: input should be"):
        load(write(tmp_path), "features={a: {max_gap_s: 0}}")
    with pytest.raises(InputError, match="^command line, features=: unknown key 'max_gap'"):
        load(write(tmp_path), "features={voice_mel: {max_gap: 1}}")


def test_an_unknown_key_of_the_file_keeps_its_line_beside_the_command_line(tmp_path):
    with pytest.raises(InputError, match="small.yaml:16: unknown key 'batchsize'"):
        load(write(tmp_path, ("batch_size", "batchsize")), "training.seed=1")


def test_values_get_the_type_they_look_like():
    texts = ("a=3", "a=0.5", "a=true", "a=word", "a=[1, 2]", "a=", "a=b=c", "a=-4..-1", "a=1e-3", "a=no", "a=0:59")
    values = [3, 0.5, True, "word", [1, 2], None, "b=c", "-4..-1", 0.001, "no", "0:59"]
    assert [parse_setting(text)[1] for text in texts] == values


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")))
VALUES = st.recursive(PLAIN | WORDS, lambda each: st.lists(each) | st.dictionaries(WORDS, each), max_leaves=8)


@given(VALUES)
def test_a_value_goes_through_the_command_line_unchanged(value):
    assert parse_setting(as_setting("a.b", value)) == ("a.b", value)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object(), {1, 2}])
def test_a_value_that_no_config_holds_is_refused(value):
    with pytest.raises(InputError, match="the value of a.b is .*: expected text, a finite number"):
        as_setting("a.b", value)


def test_a_training_without_settings_has_the_documented_defaults():
    assert TrainingConfig().model_dump() == {
        "seed": 0,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "weight_decay": 1e-4,
        "optimizer": "adamw",
        "warmup_epochs": 0,
        "schedule": "constant",
        "patience_epochs": 10,
        "select_on": "auto",
        "sampling": "shuffled",
        "ema_decay": 0.0,
        "label_shift": 0,
        "num_workers": "auto",
        "loggers": ["tensorboard"],
    }
    assert WindowConfig().model_dump() == {"length": 150, "stride": 75, "overlap": "mean"}
