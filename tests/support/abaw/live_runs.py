"""Runs with random weights, for live analyses: what they predict means nothing, but depends on all of their input."""

import numpy as np

from abaw.configs.file import parse_section
from abaw.configs.sections import Config
from abaw.pipelines.extraction import build_detector, build_encoder
from abaw.results.runs import Run
from abaw.tasks import TASKS
from extract.faces.target import TargetConfig
from fusion.checkpoint import build_module, save_weights
from fusion.normalisation.statistics import FeatureStatistics

CAUSAL = {"align": "hold_last", "normalise": "split"}


def write_random_run(
    folder, encoders, model, *, window=(40, 20), features=None, tasks=("va", "expr"), label_shift=0, target="largest"
):
    """A complete run of an untrained model. ``features``: name -> settings that differ from CAUSAL."""
    specs = [build_encoder(text) for text in encoders]
    how = {spec.name: {**CAUSAL, **(features or {}).get(spec.name, {})} for spec in specs}
    values = {
        "name": folder.name, "data": "data", "store": "store", "features": how, "model": model,
        "tasks": {name: {} for name in tasks}, "training": {"label_shift": label_shift},
        "window": {"length": window[0], "stride": window[1]},
    }  # fmt: skip
    config = parse_section(Config, values, "a test")
    chosen = TargetConfig(build_detector("centerface"), target, 5)
    run = Run(folder)
    facts = {
        "tasks": {name: {} for name in tasks},
        "recipes": {spec.name: spec.recipe(chosen) for spec in specs},
        "data": {"path": "data", "kind": "manifest"},
    }
    folder.mkdir(parents=True)
    run.begin(config, facts)
    dims = {spec.name: spec.encoder.dim for spec in specs}
    module = build_module(config, {name: TASKS.build(name) for name in tasks}, dims)
    rng = np.random.default_rng(0)
    usual = {name: FeatureStatistics(rng.normal(0, 0.1, dim), rng.uniform(0.5, 2, dim)) for name, dim in dims.items()}
    module.input_stage.set_statistics(usual)
    save_weights(folder, module, 0)
    run.finish({name: {} for name in tasks})
    return run
