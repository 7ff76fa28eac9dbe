"""The robustness of a run of two modalities, whose sound is best where it was recorded."""

import json
import re
import shutil

import numpy as np
import pytest

import abaw
from abaw.evaluation.robustness import read_robustness
from abaw.tracks import Clock, Track
from extract.store.store import FeatureStore
from tests.support.owners import held_elsewhere

NUM, STEP_S = 250, 0.04
ABOUT = {"settings": {}, "version": 1, "stored_dtype": "float32"}
FACE = {"name": "shown", "encoder": "face_hog", "crop": {"size_px": 8}, "span": 1, **ABOUT}
SOUND = {"name": "said", "encoder": "voice_mel", **ABOUT}
SPLITS = {"Train_Set": "abcdef", "Validation_Set": "ghij"}


def affect(clip_id, times_s):
    """Valence and arousal at these times."""
    phase = ord(clip_id)
    return np.stack([np.sin(2.1 * times_s + phase), np.cos(3.3 * times_s + 2 * phase)], axis=1) * 0.8


def write_job(root):
    """Clips whose face shows valence at every frame, and whose sound has arousal every 10 ms."""
    store = FeatureStore(root / "store")
    for split, clips in SPLITS.items():
        for clip_id in clips:
            times_s = 0.3 + np.arange(NUM) * STEP_S
            path = root / "data/annotations/VA_Estimation_Challenge" / split / f"{clip_id}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = "".join(f"{v:.5f},{a:.5f}\n" for v, a in affect(clip_id, times_s))
            path.write_text("valence,arousal\n" + rows)
            store.put_clock(
                clip_id, Clock(np.arange(1, NUM + 1), times_s, np.ones(NUM, bool)), {"num_frames": str(NUM)}
            )
            fine_s = 0.3 + np.arange(NUM * 4) * STEP_S / 4
            for recipe, at_s, column in ((FACE, times_s, 0), (SOUND, fine_s, 1)):
                values = np.random.default_rng(ord(clip_id)).normal(size=(len(at_s), 2)) * 0.05
                values[:, 0] += affect(clip_id, at_s)[:, column]
                store.put(recipe, clip_id, Track(values.astype(np.float32), at_s, np.ones(len(at_s), bool)), {})
    return root


def config_of(root, name, features, task="va", data=None):
    settings = {"mse_weight": 1.0} if task == "va" else {}
    config = {
        "name": name,
        "data": str(data or root / "data"),
        "store": str(root / "store"),
        "tasks": {task: settings},
        "features": {each: {} for each in features},
        "model": {"name": "concat", "hidden_dim": 16, "dropout": 0.0},
        "window": {"length": 125, "stride": 125},
        "training": {"loggers": [], "learning_rate": 0.02, "batch_size": 4},
        "trainer": {"max_epochs": 12, "accelerator": "cpu"},
    }
    (root / f"{name}.yaml").write_text(json.dumps(config))
    return root / f"{name}.yaml"


def train(root, name="both", features=("shown", "said")):
    return abaw.train(config_of(root, name, features), runs=root / "runs")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    root = write_job(tmp_path_factory.mktemp("robustness"))
    run, said = train(root), []
    found = abaw.measure_robustness(run.folder, num_seeds=2, progress=lambda *given: said.append(given))
    return root, run, found, said


def test_the_features_as_they_are_give_the_score_of_the_run(job):
    _, run, found, _ = job
    task = found.task("va")
    recorded = run.document()["scores"]["va"]
    assert task.score == next(iter(recorded)) == "CCC"
    assert task.unchanged.scores == pytest.approx({name: recorded[name] for name in task.unchanged.scores}, abs=1e-6)
    assert task.unchanged.rank > 0.9
    assert task.unchanged.difference == 0
    assert (task.num_clips, task.num_videos, task.unit) == (4, 4, "video")


def test_sound_is_best_where_it_was_recorded_and_worse_the_further_it_is_shifted(job):
    curve = next(each for each in job[2].task("va").curves if each.name == "sound shifted")
    arousal = {point.strength: point.scores["CCC_arousal"] for point in curve.points}
    assert max(arousal, key=arousal.get) == 0
    for sign in (-1, 1):
        far = [arousal[strength] for strength in sorted(arousal, key=abs) if strength * sign >= 0]
        assert far == sorted(far, reverse=True)
    assert arousal[0.4] < arousal[0] - 0.1 > arousal[-0.4]
    valence = [point.scores["CCC_valence"] for point in curve.points]
    assert max(valence) - min(valence) < 0.05  # the face shows it, which was not shifted


def test_each_modality_alone_and_absent_for_all_of_the_time_are_the_same(job):
    task = job[2].task("va")
    ablation = {each.name: each for each in task.ablation}
    curves = {each.name: each for each in task.curves}
    assert ablation["shown alone"].rank == pytest.approx(curves["sound dropped"].points[-1].rank)
    assert ablation["said alone"].rank == pytest.approx(curves["faces dropped"].points[-1].rank)
    for each in ablation.values():
        assert each.difference == pytest.approx(each.rank - task.unchanged.rank)
        low, high = each.difference_interval
        assert low < each.difference < high < 0
        assert each.p <= each.corrected_p <= 1
    assert ablation["shown alone"].scores["CCC_arousal"] < 0.5 < ablation["shown alone"].scores["CCC_valence"]


def test_scores_fall_with_the_share_that_is_dropped_and_with_noise_and_every_seed_is_kept(job):
    for curve in job[2].task("va").curves[:3]:
        ranks = [point.rank for point in curve.points]
        assert ranks == sorted(ranks, reverse=True)
        assert curve.points[0].strength == 0
        for point in curve.points[1:-1]:
            assert point.seeds == [0, 1]
            assert point.rank == pytest.approx(np.mean(point.by_seed))
            assert point.by_seed[0] != point.by_seed[1]
            assert point.interval[0] < point.rank < point.interval[1]


def test_what_it_costs_is_measured_or_said_to_be_unknown(job):
    _, run, found, _ = job
    cost = found.cost
    assert cost.num_parameters > 100
    assert cost.predicting_s_per_hour > 0
    assert cost.clip_hours == pytest.approx(4 * NUM * STEP_S / 3600)
    assert cost.feature_bytes["said"] > cost.feature_bytes["shown"] > NUM * 2 * 4 * 4
    assert cost.training_s == run.document()["cost"]["training_s"] > 0
    assert cost.peak_memory_bytes > 50e6
    assert cost.peak_gpu_bytes is None or cost.device != "cpu"


def test_the_file_in_the_folder_is_what_was_returned_and_says_of_which_run_it_is(job):
    _, run, found, _ = job
    read = read_robustness(run.folder)
    assert read.to_dict() == found.to_dict()
    assert read.weights == run.document()["weights"]
    assert (read.run_seed, read.seeds, read.stretch_s) == (0, [0, 1], 2.0)
    assert read.modalities == {"said": "sound", "shown": "face"}
    assert "  said alone " in str(read)
    assert run.is_complete()


def test_progress_counts_the_clips_of_every_prediction_up_to_all_of_them(job):
    said = job[3]
    assert [done for _, done, _ in said] == list(range(len(said)))
    assert {total for _, _, total in said} == {len(said)}
    assert said[0][0] == "features as they are: g"


def test_a_run_that_changed_since_says_so_and_an_edited_file_is_refused(job, tmp_path):
    copied = shutil.copytree(job[1].folder, tmp_path / "run")
    (copied / "post_processing.json").write_text(json.dumps({"va": abaw.PostProcessing(width=5).document()}))
    (remark,) = [each for each in read_robustness(copied).remarks if "post-processing" in each]
    assert "measure it again" in remark
    path = copied / "robustness-validation.json"
    path.write_text(path.read_text().replace('"split": "validation"', '"split": "test"'))
    with pytest.raises(abaw.InputError, match="damaged or was edited"):
        read_robustness(copied)
    path.write_text("{")
    with pytest.raises(abaw.InputError, match="not readable as JSON: .*: measure it again with abaw robustness"):
        read_robustness(copied)
    with pytest.raises(abaw.NotFoundError, match="abaw robustness"):
        read_robustness(copied, "test")


def test_a_run_of_one_modality_has_no_ablation_and_says_so(job):
    run = train(job[0], "face", ("shown",))
    found = abaw.measure_robustness(run.folder, num_seeds=1, stretch_s=1.0)
    assert found.task("va").ablation == []
    assert [each.name for each in found.task("va").curves] == ["faces dropped", "noise"]
    assert any("one modality" in each for each in found.remarks)
    assert any("no modality of the run is made of sound" in each for each in found.remarks)


def copy_of(run, to, change):
    folder = shutil.copytree(run.folder, to / "run")
    change(folder)
    return folder


def move_store(run):
    """The config names a store that is not there."""
    path = run / "config.yaml"
    path.write_text(re.sub(r"^store: .*", "store: gone", path.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda run: (run / "weights/model.safetensors").unlink(), abaw.NotFoundError, "no weights at"),
        (lambda run: (run / "run.json").unlink(), abaw.NotFoundError, "no run at"),
        (lambda run: (run / "run.json").write_text('{"seed": 0}'), abaw.InputError, "not complete"),
        (lambda run: shutil.rmtree(run / "predictions"), abaw.NotFoundError, "predictions"),
        (lambda run: move_store(run), abaw.NotFoundError, "no gone in .*, which is the store of .* --store"),
    ],
)
def test_a_run_that_cannot_be_measured_is_an_error_and_nothing_is_written(job, tmp_path, change, error, words):
    folder = copy_of(job[1], tmp_path, lambda run: (change(run), (run / "robustness-validation.json").unlink()))
    with pytest.raises(error, match=words):
        abaw.measure_robustness(folder)
    assert not (folder / "robustness-validation.json").exists()


def test_a_split_without_labels_and_a_folder_that_is_held_are_refused(job):
    run = job[1]
    with pytest.raises(abaw.InputError, match="no test labels"):
        abaw.measure_robustness(run.folder, split="test")
    with pytest.raises(abaw.NotFoundError, match="no store at .*run.json, expected the folder"):
        abaw.measure_robustness(run.folder, store=run.folder / "run.json")
    with (
        held_elsewhere(run.folder, "run"),
        pytest.raises(abaw.InputError, match="is running in .*: wait until it has finished, or give another run"),
    ):
        abaw.measure_robustness(run.folder)


def test_stills_are_dropped_whole_and_labelled_test_clips_of_a_manifest_can_be_taken(tmp_path):
    store, rows = FeatureStore(tmp_path / "store"), ["path,split,mood"]
    for i in range(36):
        split, mood = ("train", "validation", "test")[i // 12], i % 3
        rows.append(f"p{i}.jpg,{split},{('calm', 'glad', 'angry')[mood]}")
        (tmp_path / f"p{i}.jpg").touch()
        store.put_clock(f"p{i}", Clock(np.array([1]), np.zeros(1), np.ones(1, bool)), {"num_frames": "1"})
        values = np.random.default_rng(i).normal(size=(1, 3)).astype(np.float32) * 0.3
        values[0, mood] += 1
        store.put(FACE, f"p{i}", Track(values, np.zeros(1), np.ones(1, bool)), {})
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    moods = {"column": "mood", "names": ["calm", "glad", "angry"]}
    (tmp_path / "data.yaml").write_text(json.dumps({"manifest": "clips.csv", "classes": moods}))
    config = config_of(tmp_path, "stills", ("shown",), "classes", data=tmp_path / "data.yaml")
    run = abaw.train(config, runs=tmp_path / "runs")
    found = abaw.measure_robustness(run.folder, split="test", num_seeds=1)
    task = found.task("classes")
    assert (task.num_clips, found.split) == (12, "test")
    assert [each.name for each in task.curves] == ["faces dropped", "noise"]
    assert task.curves[0].unit == "share of the pictures"
    assert any("still pictures" in each for each in found.remarks)
    assert found.cost.predicting_s_per_hour is None
    assert "prediction: not known" in str(found)
    assert read_robustness(run.folder, "test").to_dict() == found.to_dict()
    assert not list(tmp_path.rglob("*validation.json"))
