"""Searching: what may be varied, how trials are drawn, how a search that was killed continues."""

import math
import re
from pathlib import Path

import pytest

from abaw.commands.search import search as search_command
from abaw.configs.file import read_config
from abaw.files import write_json
from abaw.files.yaml import dump_yaml, read_yaml
from abaw.results.runs import RESUME, Run
from abaw.tasks import TASKS
from abaw.tuning import run as tuning
from abaw.tuning.run import search
from abaw.tuning.space import Choice, Range, read_space
from extract import ALIGNERS
from fusion.models import FUSION_MODELS

CONFIG = Path(__file__).resolve().parents[4] / "abaw/configs/synthetic.yaml"
RATE = "training.learning_rate=log:1e-5:1e-1"


@pytest.fixture
def trained(monkeypatch):
    """The configs that a search trains, in order. A training takes no time: the nearer its rate is to 0.003, the better
    its score."""
    pytest.importorskip("optuna", reason="abaw search needs the extra search")
    asked = []

    def train(path, settings, *, runs, progress):
        config = read_config(path, settings).config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)
        asked.append(config)
        run = Run(runs / config.name)
        score = -abs(math.log10(config.training.learning_rate / 0.003)) / 10
        write_json(run.folder / "run.json", {"scores": {"va": {"CCC": score}}, "recipes": {}, "tasks": {}})
        (run.folder / "config.yaml").write_text(dump_yaml(config.model_dump(mode="json")))
        return run

    monkeypatch.setattr(tuning, "train", train)
    return asked


def run(tmp_path, *vary, trials=4, settings=(), seed=0):
    return search(CONFIG, settings, vary=vary, trials=trials, seed=seed, runs=tmp_path)


def test_a_range_between_integers_has_integers_and_others_have_not():
    assert read_space(None, ["window.length=50:300"]) == [Range("window.length", 50, 300, False)]
    assert read_space(None, ["model.dropout=0:0.6"]) == [Range("model.dropout", 0, 0.6, False)]
    assert read_space(None, ["a=log:1e-5:1e-2"]) == [Range("a", 1e-5, 1e-2, True)]
    assert read_space(None, ["a=-1:-0.5"]) == [Range("a", -1, -0.5, False)]


SPACE = [
    Choice("model.name", ("bigru", "mfn")),
    Range("model.num_layers", 1, 30, False),
    Choice("training.batch_size", (8, 16)),
    Range("model.dropout", 0, 0.6, False),
    Range("training.learning_rate", 1e-5, 0.1, True),
]


def test_a_space_file_has_ranges_that_look_like_times_of_day(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text(
        "# what we try\nmodel.num_layers: 1:30\ntraining.batch_size: [8, 16]\nmodel.dropout: '0:0.6'  # half\n"
        "training.learning_rate: log:1e-5:1e-1\n"
    )
    assert read_space(file, ["model.name=[bigru, mfn]"]) == SPACE


def test_a_space_may_be_a_mapping_in_python():
    vary = {
        "model.num_layers": "1:30", "training.batch_size": (8, 16), "model.dropout": "0:0.6",
        "training.learning_rate": "log:1e-5:1e-1", "model.name": ["bigru", "mfn"],
    }  # fmt: skip
    assert sorted(read_space(None, vary), key=str) == sorted(SPACE, key=str)
    assert read_space(None, vary)[0].key == "model.name"
    with pytest.raises(ValueError, match="vary: model.dropout is 0.5, expected LOW:HIGH"):
        read_space(None, {"model.dropout": 0.5})


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("learning_rate", "'learning_rate': expected key=values, values as LOW:HIGH"),
        ("a=0.1", "a is 0.1, expected LOW:HIGH, log:LOW:HIGH or a list"),
        ("a=", "a is None, expected LOW:HIGH"),
        ("a=1:2:3", "a is '1:2:3', expected LOW:HIGH"),
        ("a=1e-5", "a is 1e-05, expected LOW:HIGH"),
        ("a=ln:1:2", "a is 'ln:1:2', expected LOW:HIGH"),
        ("a=low:high", "a is 'low:high', expected LOW:HIGH"),
        ("a=2:1", "a goes from 2 to 1: give the lower end first"),
        ("a=1:1", "give the lower end first"),
        ("a=log:0:1", "a begins at 0: log needs a low end above 0"),
        ("a=[1", "--vary 'a=[1': not readable as YAML"),
        ("a=[1]", "a is [1]: a list needs two values or more, each once"),
        ("a=[1, 1]", "a is [1, 1]: a list needs two values or more, each once"),
    ],
)
def test_values_in_no_known_form_are_refused(vary, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_space(None, [vary])


def test_an_empty_space_and_a_key_varied_twice_are_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing is varied: give --vary"):
        read_space(None, [])
    with pytest.raises(ValueError, match="a is varied twice"):
        read_space(None, ["a=1:2", "a=3:4"])
    with pytest.raises(FileNotFoundError, match="no search space at"):
        read_space(tmp_path / "none.yaml", [])
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(ValueError, match="list.yaml:1: expected key: values"):
        read_space(tmp_path / "list.yaml", [])
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(ValueError, match="broken.yaml:2: not readable as YAML"):
        read_space(tmp_path / "broken.yaml", [])
    (tmp_path / "wrong.yaml").write_text("a: 1:2\nb: 2:1\n")
    with pytest.raises(ValueError, match="wrong.yaml:2: b goes from 2 to 1"):
        read_space(tmp_path / "wrong.yaml", [])


def test_the_best_trial_becomes_a_complete_config(trained, tmp_path):
    found = run(tmp_path, RATE, "model.dropout=0:0.6", trials=6)
    best = max(trained, key=lambda config: -abs(math.log10(config.training.learning_rate / 0.003)))
    config = read_config(found.best_config).config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)
    assert config == best.model_copy(update={"name": "synthetic-best"})
    assert found.best_config == tmp_path / "synthetic-search/best.yaml"
    assert f"trial-{found.ranked()[0].number}" == best.name
    assert set(read_yaml(found.best_config).values) == set(read_yaml(CONFIG).values)


def test_the_table_has_the_best_first_and_every_value_drawn(trained, tmp_path, capsys):
    search_command(CONFIG, [], [RATE], None, trials=5, seed=0, runs=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["trial", "score", "training.learning_rate"]
    scores = [float(line.split()[1]) for line in lines[1:6]]
    assert scores == sorted(scores, reverse=True)
    assert "scores higher on the validation split than it would elsewhere, because that split chose it" in lines[6]
    assert lines[-1].startswith(str(tmp_path / "synthetic-search/best.yaml"))
    assert lines[-1].endswith(f" {scores[0]:.4f}; the best of 5 trials chosen on these clips")


def test_the_score_of_a_trial_says_where_its_epoch_was_chosen_on_the_same_clips(trained, tmp_path, monkeypatch, capsys):
    quick = tuning.train

    def train(path, settings, *, runs, progress):
        found = quick(path, settings, runs=runs, progress=progress)
        write_json(found.folder / "run.json", {**found.document(), "videos": {"train": ["1"], "validation": ["2"]}})
        return found

    monkeypatch.setattr(tuning, "train", train)
    search_command(CONFIG, [], [RATE], None, trials=2, seed=0, runs=tmp_path)
    head, *trials, _, last = capsys.readouterr().out.splitlines()
    assert "chosen" not in head
    assert [line.partition("; ")[2] for line in trials] == ["epoch chosen on these clips"] * 2
    assert last.endswith("; the best of 2 trials chosen on these clips; epoch chosen on these clips")


def test_a_search_that_was_killed_and_continued_draws_the_same_trials(trained, tmp_path, monkeypatch):
    space = [RATE, "model.name=[bigru, tcn]", "model.dropout=0:0.6"]
    whole = run(tmp_path / "whole", *space, trials=12)
    fake, calls = tuning.train, []

    def killed(path, settings, *, runs, progress):
        calls.append(settings)
        if len(calls) in (3, 11):
            raise SystemExit(143)
        return fake(path, settings, runs=runs, progress=progress)

    monkeypatch.setattr(tuning, "train", killed)
    for _ in range(2):
        with pytest.raises(SystemExit):
            run(tmp_path / "broken", *space, trials=12)
    broken = run(tmp_path / "broken", *space, trials=12)
    assert broken.trials == whole.trials
    assert len(calls) == 14
    assert calls[2] == calls[3]  # the trial that was stopped is the one that continues
    assert len({trial.drawn["training.learning_rate"] for trial in whole.trials}) == 12


def test_a_finished_search_trains_nothing_and_continues_with_more_trials(trained, tmp_path):
    few = run(tmp_path, RATE, trials=3)
    assert run(tmp_path, RATE, trials=3).trials == few.trials
    assert len(trained) == 3
    assert run(tmp_path, RATE, trials=5).trials[:3] == few.trials
    assert [config.name for config in trained] == [f"trial-{i}" for i in range(5)]


def test_another_seed_draws_other_values(trained, tmp_path):
    first, second = (run(tmp_path / str(seed), RATE, seed=seed).trials for seed in (0, 1))
    assert [trial.drawn for trial in first] != [trial.drawn for trial in second]


def test_later_trials_are_drawn_where_earlier_ones_scored_well(trained, tmp_path):
    run(tmp_path, RATE, trials=30)
    off = [abs(math.log10(config.training.learning_rate / 0.003)) for config in trained]
    assert sum(off[10:]) / 20 < 0.85  # 1.06 where drawn uniformly


def test_another_model_keeps_the_settings_it_has_and_gets_no_others(trained, tmp_path):
    run(tmp_path, "model.name=[bigru, mfn]", "model.num_layers=1:3", "model.hidden_dim=8:32", trials=8)
    models = [config.model for config in trained]
    assert {model.name for model in models} == {"bigru", "mfn"}
    for model in models:
        assert ("num_layers" in model.settings) == (model.name == "bigru")
        assert 8 <= model.settings["hidden_dim"] <= 32
        assert model.settings["dropout"] == 0.3  # of the file


def test_a_whole_group_of_settings_may_be_varied(trained, tmp_path):
    run(tmp_path, "model=[{name: bigru, hidden_dim: 8}, {name: mfn, hidden_dim: 4}]", trials=6)
    assert {(config.model.name, config.model.settings["hidden_dim"]) for config in trained} == {
        ("bigru", 8),
        ("mfn", 4),
    }


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("training.lerning_rate=0:1", "command line, training.lerning_rate=: unknown key 'lerning_rate'; did you mean"),
        ("training.batch_size=0:8", "training.batch_size is 0: input should be greater than or equal to 1"),
        ("training.ema_decay=0:1", "training.ema_decay is 1: "),
        ("model.name=[bigru, bigro]", "no fusion model named 'bigro'; did you mean 'bigru'"),
        ("model.dropuot=0:1", "dropuot"),
    ],
)
def test_a_wrong_key_or_end_is_refused_before_anything_is_written(trained, tmp_path, vary, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, vary)
    assert not trained
    assert not list(tmp_path.iterdir())


def test_a_setting_no_model_has_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match=r"none of the models that are varied has the setting model.num_heads"):
        run(tmp_path, "model.name=[bigru, mfn]", "model.num_heads=1:4")


def test_several_devices_are_refused(trained, tmp_path):
    with pytest.raises(
        ValueError, match="trainer.devices=: a search trains one run after the other in one process: set it"
    ):
        run(tmp_path, RATE, settings=["trainer.devices=2"])


def test_a_refit_is_refused_as_it_has_no_score_to_choose_by(trained, tmp_path):
    message = "folds.refit=: a refit holds nothing out, so there is no score to choose by: set folds.refit to false"
    with pytest.raises(ValueError, match=message):
        run(tmp_path, RATE, settings=["folds.refit=true"])
    with pytest.raises(ValueError, match=message):
        run(tmp_path, RATE, "folds.refit=[false, true]")
    with pytest.raises(ValueError, match="trainer.devices=: a search trains one run"):
        run(tmp_path, RATE, "trainer.devices=[1, 2]")
    assert not trained
    assert not list(tmp_path.iterdir())


def test_another_search_of_the_same_name_is_refused(trained, tmp_path):
    run(tmp_path, RATE)
    with pytest.raises(ValueError, match="holds a search with another space: give this one another name"):
        run(tmp_path, "training.learning_rate=log:1e-4:1e-1")
    with pytest.raises(ValueError, match="holds a search with another config, seed"):
        run(tmp_path, RATE, settings=["training.batch_size=4"], seed=1)


def test_two_searches_at_once_in_one_folder_are_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "train", lambda *_, **__: run(tmp_path, RATE))
    with pytest.raises(ValueError, match=r"a search is running in .*synthetic-search \(process \d+"):
        run(tmp_path, RATE)


def test_a_trial_that_is_refused_fails_alone(trained, tmp_path, monkeypatch):
    fake = tuning.train

    def refused(path, settings, *, runs, progress):
        if "name=trial-2" in settings:
            raise ValueError("hidden_dim must be a multiple of num_heads")
        return fake(path, settings, runs=runs, progress=progress)

    monkeypatch.setattr(tuning, "train", refused)
    found = run(tmp_path, RATE)
    assert [trial.number for trial in found.trials if trial.score is None] == [2]
    assert len(trained) == 3
    assert found.table()[-1].split()[:2] == ["2", "failed"]


def test_a_wrong_input_fails_the_first_trial_and_leaves_nothing(trained, tmp_path, monkeypatch):
    fake = tuning.train

    def missing(*_, **__):
        raise FileNotFoundError("no data set at work/none")

    monkeypatch.setattr(tuning, "train", missing)
    with pytest.raises(FileNotFoundError, match="no data set"):
        run(tmp_path, RATE)
    assert not list(tmp_path.rglob("*.*"))
    monkeypatch.setattr(tuning, "train", fake)
    assert len(run(tmp_path, RATE, settings=["data=work/right"]).trials) == 4


def test_a_first_trial_that_diverges_does_not_end_the_search(trained, tmp_path, monkeypatch):
    def diverged(_, settings, *, runs, progress):
        folder = runs / settings[-1].removeprefix("name=")
        folder.mkdir()
        (folder / RESUME).touch()
        raise ValueError("outputs for va are not finite")

    monkeypatch.setattr(tuning, "train", diverged)
    with pytest.raises(ValueError, match="all 4 trials of .* failed: vary other settings"):
        run(tmp_path, RATE)


def test_after_a_full_disk_the_next_call_continues_with_the_same_trial(trained, tmp_path, monkeypatch):
    fake = tuning.train

    def full(path, settings, *, runs, progress):
        if "name=trial-1" in settings:
            raise OSError("no space left on device")
        return fake(path, settings, runs=runs, progress=progress)

    monkeypatch.setattr(tuning, "train", full)
    with pytest.raises(OSError, match="no space left"):
        run(tmp_path, RATE)
    monkeypatch.setattr(tuning, "train", fake)
    assert [trial.score is None for trial in run(tmp_path, RATE).trials] == [False] * 4


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ValueError, match=r"a search needs the package optuna: pip install 'optuna>="):
        run(tmp_path, RATE)
