"""Calculations and tables of the benchmarks of fusion models, and that docs/models.md is up to date."""

import importlib
import pickle
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from abaw.configs.file import read_config
from abaw.registry import Part
from abaw.tasks import TASKS
from abaw.tracks import Clock, Track
from benchmarks import fusion as costs
from benchmarks import fusion_tables, models_page, peers, useful, useful_tables
from extract import ALIGNERS
from fusion.base import FusionModel, FusionOutput
from fusion.models import FUSION_MODELS

FPS = 25.0


@dataclass(frozen=True)
class Still:
    """A source of one clip's two modalities."""

    num_steps: int = 100

    def names(self):
        return ("face", "voice")

    def dim(self, name):
        return 2

    def clock(self, clip_id):
        steps = np.arange(self.num_steps)
        return Clock(steps + 1, steps / FPS, np.ones(self.num_steps, bool))

    def is_on_clock(self, name):
        return True

    def read(self, name, clip_id, start_s, stop_s):
        times_s = self.clock(clip_id).times_s
        times_s = times_s[(times_s >= start_s) & (times_s <= stop_s)]
        return Track(np.ones((len(times_s), 2), np.float32), times_s, times_s != 0.0)


def make_rows(model, **scores):
    """Rows of useful.json for one model: given -> a CCC for each seed."""
    return [
        {
            "model": model,
            "seed": seed,
            "given": given,
            "key": "k",
            "commit": "c",
            "seconds": 5.0,
            "epochs": useful.EPOCHS,
            "scores": {"CCC": value, "F1": value / 2},
            "missing": {
                modality: {
                    kind: {"CCC": value - 0.05, "CCC filled": value - 0.01, "CCC features filled": value - 0.02}
                    for kind in ("steps", "spans")
                }
                for modality in useful.MODALITIES
            },
        }
        for given, values in scores.items()
        for seed, value in enumerate(values, start=1)
    ]


WINS = make_rows("wins", **{"face and voice": (0.8, 0.9), "face": (0.5, 0.6), "voice": (0.9, 0.1)})
LOSES = make_rows("loses", **{"face and voice": (0.5, 0.5), "face": (0.4, 0.8), "voice": (0.1, 0.1)})


def make_part(name="some", **facts):
    known = {"paper": "Somebody 2020", "context": "window", "differs": "Nothing."}
    return Part(name, "Does a thing.", {"hidden_dim": "64"}, ("dims",), known | facts, f"fusion.models.{name}")


def test_docs_models_md_is_up_to_date():
    """For all models that it has: a new model is one file, and its section comes with the next run of the generator."""
    text = models_page.PAGE.read_text(encoding="utf-8")
    documented = set(re.findall(r"^## (\w+)$", text, re.M))
    parts = [part for part in FUSION_MODELS.parts() if part.name in documented]
    record, rows = costs.read_record(costs.OUT), useful.read_rows(useful.OUT)
    assert text == models_page.page(parts, record, rows), (
        "docs/models.md is outdated: run python -m benchmarks.models_page"
    )


def test_the_page_describes_every_model_and_names_missing_results():
    page = models_page.page([make_part("one"), make_part("two", context="step")], {}, [])
    for words in ("## one", "## two", "Somebody 2020", "Does a thing.", "`hidden_dim` 64", "on that step alone"):
        assert words in page
    assert page.count("- Cost: not measured.") == page.count("synthetic data set: not measured.") == 2


def test_the_page_has_the_figures_of_both_benchmarks():
    found = {"step_s": 0.125, "peak_mb": 42.0, "num": 3}
    grown = {"commit": "abc", "machine": "a box", "parameters": 1234, "lengths": {"300": found}}
    rows = make_rows("some", **{"face and voice": (0.8,), "face": (0.5,), "voice": (0.25,)})
    page = models_page.page([make_part()], {"rows": {"growth cpu": {"some": grown}}}, rows)
    assert "1,234 parameters; a training step of 0.125 s and 42 MB" in page
    assert "CCC 0.800 from face and voice, 0.500 from the face alone" in page
    assert "| some | 1,234 | not measured | 0.125; 42 |" in page


def test_only_code_changes_the_key_of_a_model(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    texts = {
        "model_a": 'FACTS = {"paper": "one"}\n\n\ndef f():\n    """One."""\n    return 1  # why\n',
        "model_b": '"""Two."""\nFACTS = {"paper": "two"}\n\n\ndef f():\n    """Two."""\n    return 1\n',
        "model_c": 'FACTS = {"paper": "one"}\n\n\ndef f():\n    """One."""\n    return 2\n',
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    code = {name: costs.code_of(name) for name in texts}
    assert code["model_a"] == code["model_b"] != code["model_c"]


def test_a_models_code_includes_the_layers_it_is_made_of():
    assert "linear_scan" in costs.code_of("fusion.layers.recurrences.scan")
    assert costs.code_of("fusion.layers.recurrences.scan") in costs.code_of("fusion.models.mfn"), "by way of its memory"


def test_another_set_up_is_another_key():
    assert costs.key_of("concat", {"epochs": 1}) == costs.key_of("concat", {"epochs": 1})
    assert len({costs.key_of("concat", 1), costs.key_of("concat", 2), costs.key_of("bigru", 1)}) == 3


def test_the_loss_of_a_step_is_the_mean_square_plus_the_weighted_auxiliary_losses():
    class WithLoss(FusionModel):
        loss_weights = {"own": 0.5}  # noqa: RUF012

        def forward(self, inputs):
            return FusionOutput(torch.full((2, 3, 4), 2.0), {"own": torch.tensor(6.0)})

    inputs = costs.make_inputs({"face": 2}, 2, 3, "cpu")
    assert costs.loss_of(WithLoss(), inputs).item() == pytest.approx(4.0 + 3.0)


def test_exponents_are_those_of_the_growth():
    lengths = {str(n): {"step_s": 1e-6 * n**2, "peak_mb": 0.5 * n} for n in (100, 300, 1000, 3000)}
    assert fusion_tables.exponent(lengths, "step_s") == pytest.approx(2.0)
    assert fusion_tables.exponent(lengths, "peak_mb") == pytest.approx(1.0)
    assert fusion_tables.exponent({"300": {"step_s": 1.0}, "3000": {"skipped": "too long"}}, "step_s") is None


def test_the_ratio_of_times_is_that_of_medians_with_the_range_of_single_turns():
    row = {"seconds": {"ours": [1.0, 1.0, 2.0], "peer": [3.0, 5.0, 4.0]}}
    assert fusion_tables.ratio(row, "peer") == (4.0, 2.0, 5.0)


def test_a_length_that_would_take_too_much_time_or_memory_is_skipped():
    quick = {"step_s": 1.0, "peak_mb": 100.0}
    assert costs.too_much("concat", {}, 300, 1e5) is None
    assert costs.too_much("concat", {"1000": quick}, 3000, 1e5) is None
    assert "about 120 s" in costs.too_much("concat", {"1000": quick | {"step_s": 40.0}}, 3000, 1e5)
    assert "about 0 GB" in costs.too_much("concat", {"1000": quick}, 3000, 400.0)
    squared = {"500": {"step_s": 0.1, "peak_mb": 1024.0}, "1000": {"step_s": 0.4, "peak_mb": 4096.0}}
    assert "about 36 GB" in costs.too_much("concat", squared, 3000, 16384.0), "extrapolated from the measured growth"
    assert costs.too_much("concat", {"1000": {"skipped": "no room"}}, 3000, 1e5) == "no room"


def test_the_peak_of_memory_does_not_depend_on_earlier_peaks():
    noise = torch.ones(64, 2**20)  # 256 MB
    del noise
    before = costs.memory_mb("cpu", begin=True)
    noise = torch.ones(32, 2**20)  # 128 MB
    del noise
    assert 100 < costs.memory_mb("cpu") - before < 200


def test_every_compared_model_exists():
    named = {*peers.COMPARISONS, *peers.INCOMPARABLE, *peers.FLOORS, *costs.ORDERS}
    assert named <= set(FUSION_MODELS.names())


@pytest.mark.peers
@pytest.mark.parametrize("name", peers.COMPARISONS)
def test_a_peer_has_the_sizes_of_ours_and_runs(name):
    pytest.importorskip("MMSA.models.singleTask", reason="MMSA is not installed: the extra peers has it")
    dims = {"face": 6, "voice": 4, "words": 5}
    peer, call = peers.COMPARISONS[name].make(dims, "cpu")
    loss = call(peer, list(costs.make_inputs(dims, 3, 8, "cpu").features.values()))
    assert loss.isfinite()
    ours = costs.build(name, dims, "cpu")
    # the peer of mctn has decoders in both directions, that of lmf a wide LSTM; that of graph_mfn hides its inner nodes
    least, most = {"mctn": (1.0, 2.0), "graph_mfn": (0.7, 1.1), "lmf": (1.0, 1.5)}.get(name, (0.85, 1.15))
    assert least < costs.count(peer) / costs.count(ours) < most


@pytest.mark.parametrize("name", peers.FLOORS)
def test_a_floor_runs_forwards_and_backwards(name):
    dims = {"face": 6, "voice": 4, "words": 5}
    floor = peers.FLOORS[name](dims)
    costs.train_step(floor, lambda: floor(floor.inputs(2, 4, "cpu")))
    assert all(weight.grad is not None for weight in floor.parameters())


def test_the_lost_steps_are_reproducible():
    lost = useful.lost_steps(1000, 1, 0.2, "1 face a")
    assert lost.sum() == 200
    assert np.array_equal(lost, useful.lost_steps(1000, 1, 0.2, "1 face a"))
    assert not np.array_equal(lost, useful.lost_steps(1000, 1, 0.2, "1 face b"))


def test_spans_are_lost_whole_and_make_up_the_share_over_many_clips():
    shares = []
    for clip in range(300):
        lost = useful.lost_steps(300, 25, 0.2, f"1 face {clip}")
        shares.append(lost.mean())
        edges = np.flatnonzero(np.diff(lost.astype(int)))
        assert all(gap % 25 == 0 for gap in np.diff(edges)), "every span between two edges is whole"
    assert np.mean(shares) == pytest.approx(0.2, abs=0.02)


def test_a_clip_without_a_step_loses_none():
    assert useful.lost_steps(0, 25, 0.2, "1 face a").shape == (0,)


def test_a_lossy_source_hides_one_modality_and_leaves_the_other():
    lossy = pickle.loads(pickle.dumps(useful.Lossy(Still(), "face", 5, seed=1)))
    lost = lossy.lost("a")
    whole = lossy.read("face", "a", 0.0, 99.0)
    assert 0 < lost.sum() < 50
    assert np.array_equal(whole.observed, ~lost & (np.arange(100) > 0)), "what was not observed before still is not"
    assert np.isnan(whole.values[lost]).all()
    assert np.isfinite(whole.values[~lost]).all()
    part = lossy.read("face", "a", 20 / FPS, 59 / FPS)
    assert np.array_equal(part.observed, whole.observed[20:60])
    other = lossy.read("voice", "a", 0.0, 99.0)
    assert np.isfinite(other.values).all()
    assert other.observed[1:].all()


def test_gaps_are_filled_on_the_line_between_their_neighbours():
    values = np.array([[9.0, 0.0], [1.0, 2.0], [9.0, 9.0], [9.0, 9.0], [4.0, -1.0], [9.0, 9.0]])
    there = np.array([False, True, False, False, True, False])
    expected = [[1, 2], [1, 2], [2, 1], [3, 0], [4, -1], [4, -1]]
    np.testing.assert_allclose(useful.fill(values, there), expected)
    np.testing.assert_array_equal(useful.fill(values, np.ones(6, bool)), values)
    np.testing.assert_array_equal(useful.fill(values, np.zeros(6, bool)), values)


def test_a_gain_is_over_the_single_modality_that_is_best_on_average():
    found = useful_tables.gain(WINS, "wins", "CCC")
    assert found["best"] == "face"
    assert found["gain"] == pytest.approx(0.85 - 0.55)
    assert useful_tables.gain(LOSES, "loses", "F1")["gain"] == pytest.approx(-0.05)
    assert useful_tables.gain(LOSES[:2], "loses", "CCC") is None, "single modalities are not there"


def test_a_model_without_gain_is_marked():
    lines = useful_tables.gain_table([*WINS, *LOSES], ["wins", "loses", "absent"]).splitlines()
    assert "+0.300 |" in lines[2]
    assert "-0.100 (no gain)" in lines[3]
    assert lines[4].startswith("| absent | not measured")
    stopped = [row | {"epochs": 3} for row in WINS]
    assert "stopped after 3 epochs" in useful_tables.gain_table(stopped, ["wins"])


def test_only_models_with_temporal_context_are_marked_where_they_lose_too_much():
    rows = [*WINS, *LOSES]
    assert useful_tables.lost(rows, "wins", "face", "steps") == pytest.approx([0.05, 0.05])
    lines = useful_tables.gap_table(rows, {"wins": "window", "loses": "step"}).splitlines()
    assert lines[2].count("0.050 (!)") == 2, "of single steps, for each modality"
    assert "(!)" not in lines[3]
    assert lines[3].count("0.010") == 4, "predictions filled"
    assert lines[3].count("0.020") == 2, "features filled"


def test_what_was_trained_is_not_trained_again_unless_the_model_changed():
    job = next(useful.jobs_of(["concat"], [101]))
    assert useful.is_done([job | {"scores": {}}], job)
    assert not useful.is_done([job | {"key": "of another source"}], job)
    assert not useful.is_done([job | {"seed": 102}], job)


@pytest.mark.parametrize("given", useful.FEATURES)
def test_the_benchmarks_settings_make_a_config_with_the_same_epochs_for_all(given):
    file = read_config(useful.CONFIG, [f"features={useful.FEATURES[given]}", "model={name: concat}", *useful.SETTINGS])
    config = file.config(models=FUSION_MODELS, tasks=TASKS, aligners=ALIGNERS)
    assert config.trainer["max_epochs"] == config.training.patience_epochs == useful.EPOCHS
    assert set(config.features) <= set(useful.MODALITIES.values())
    assert all((each.modality_dropout > 0) == (given == "face and voice") for each in config.features.values())


def test_a_skipped_length_has_its_reason_in_the_table():
    row = {"parameters": 5, "lengths": {"300": {"step_s": 1.0, "peak_mb": 9.0}, "1000": {"skipped": "no room"}}}
    table = fusion_tables.growth_table({"some": row})
    assert "| not run |" in table
    assert "- some, 1000 steps: no room" in table


def test_a_model_without_a_fair_comparison_has_its_reason_in_the_table():
    row = {"seconds": {"ours": [1.0], "peer": [2.5], "floor": [0.5]}, "batch": 32}
    table = fusion_tables.peers_table({"mfn": row, "misa": {"skipped": peers.INCOMPARABLE["misa"]}})
    assert "| mfn | 1.000 | 2.500 | 2.50 (2.50 to 2.50) | 0.500 | 2.00 |" in table
    assert "| misa | | | | | | no fair comparison" in table
