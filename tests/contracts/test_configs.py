"""Every config that is shipped loads, builds its parts and runs two steps."""

from pathlib import Path

import numpy as np
import pytest

from abaw.competition.stages import members_of
from abaw.configs.file import read_config
from abaw.configs.sections import OWN_RATE, Config, FeatureConfig
from abaw.dataset.annotations import Labels
from abaw.files.yaml import read_yaml
from abaw.tasks import TASKS
from abaw.tracks import Clock, Track
from extract import ALIGNERS
from fusion.checkpoint import build_model
from fusion.models import FUSION_MODELS
from fusion.train import train

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "abaw/configs").glob("*.yaml"))
REGISTRIES = {"models": FUSION_MODELS, "tasks": TASKS, "aligners": ALIGNERS}
NUM_FRAMES = 40


class RandomSource:
    """Features of the config's names, of any clip, that mean nothing."""

    def __init__(self, names):
        self._names = tuple(names)

    def names(self):
        return self._names

    def dim(self, name):
        return 4

    def is_on_clock(self, name):
        return True

    def clock(self, clip_id):
        return Clock(np.arange(1, NUM_FRAMES + 1), np.arange(NUM_FRAMES) / 25, np.ones(NUM_FRAMES, bool))

    def read(self, name, clip_id, start_s, stop_s):
        times_s = self.clock(clip_id).times_s
        times_s = times_s[(times_s >= start_s) & (times_s <= stop_s)]
        values = np.random.default_rng(len(name)).normal(size=(len(times_s), 4)).astype(np.float32)
        return Track(values, times_s, np.ones(len(times_s), bool))


@pytest.fixture(params=CONFIGS, ids=[path.stem for path in CONFIGS])
def path(request):
    return request.param


def test_a_config_loads_builds_and_runs_two_steps(path, tmp_path):
    settings = ["training.batch_size=2", "trainer={max_steps: 2, accelerator: cpu}"]
    config = read_config(path, settings).config(**REGISTRIES)
    own = {"classes": {"class_names": ["low", "high"], "level": "clip"}}  # which a data set gives
    tasks = {name: TASKS.build(name, **{**task.settings, **own.get(name, {})}) for name, task in config.tasks.items()}
    goals = {"va": np.linspace(-1, 1, 2 * NUM_FRAMES).reshape(-1, 2), "expr": np.arange(NUM_FRAMES)[:, None] % 8}
    goals["au"] = (np.arange(NUM_FRAMES)[:, None] + np.arange(12)) // 3 % 2
    goals["mtl"] = np.concatenate(list(goals.values()), axis=1)
    goals["classes"] = np.ones((1, 1))  # of the clip
    labels = {name: Labels(goals[name].astype(np.float32), np.ones(len(goals[name]), bool)) for name in tasks}
    splits = {
        split: {name: {f"{split}{i}": each for i in range(5)} for name, each in labels.items()}
        for split in ("train", "validation")
    }
    module = train(config, tasks, splits, RandomSource(config.features), tmp_path)
    assert all(np.isfinite(value.numpy()).all() for value in module.state_dict().values())
    assert (tmp_path / "weights/model.safetensors").exists()


def test_every_member_of_a_recipe_builds(path):
    config = read_config(path).config(**REGISTRIES)
    for settings in members_of(read_config(path), config).values():
        member = read_config(path, settings).config(**REGISTRIES)
        model = build_model(member, dict.fromkeys(member.features, 4))
        assert set(member.losses) <= set(model.loss_weights)
        assert set(member.model.settings) == set(FUSION_MODELS.part(member.model.name).settings)


def test_a_config_names_every_key_it_could(path):
    given = read_yaml(path).values
    assert set(given) == set(Config.model_fields)
    for section in ("window", "training", "folds", "post_processing"):
        assert set(given[section]) == set(Config.model_fields[section].annotation.model_fields)
    for feature in given["features"].values():
        unused = {
            "kernel" if feature["align"] != OWN_RATE else "",
            "width_s" if feature["align"] != "window_mean" else "",
        }
        assert set(feature) == set(FeatureConfig.model_fields) - unused
    for name, settings in given["tasks"].items():
        of_head = {"calibration"} if name != "va" else set()  # values are not calibrated
        assert set(settings) - {"pooling"} == {"weight", *of_head, *TASKS.part(name).settings}
    assert set(given["model"]) == {"name", *FUSION_MODELS.part(given["model"]["name"]).settings}


def test_a_configs_header_names_the_commands_that_use_it(path):
    header = path.read_text().split("\nname:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"abaw recipe {path.stem} --data" in header or f"abaw train {path.stem}" in header
    assert f"abaw config {path.stem} > " in header


def test_a_config_for_aff_wild2_has_one_task_as_the_uni_task_rule_demands(path):
    given = read_yaml(path).values
    assert len(given["tasks"]) == 1 or not given["data"].endswith("aff_wild2")
