"""From a run of a siamese model to features of a store, and to similar moments; what is refused."""

import json
import shutil

import numpy as np
import pytest

from abaw.errors import AbawError, InputError
from abaw.pipelines.embedding.exporting import embed
from abaw.pipelines.embedding.searching import find_similar
from abaw.pipelines.prediction import predict
from abaw.pipelines.probing.scoring import probe
from abaw.pipelines.training import train
from abaw.results.runs import Run
from abaw.tracks import Clock, Track
from extract.store.store import FeatureStore
from extract.store.verify import verify
from tests.support.abaw.speakers import CLIPS, MOODS, write_data, write_store

SMALL = {
    "trainer": {"max_epochs": 3, "accelerator": "cpu"},
    "training.loggers": [],
    "training.select_on": "last",
    "training.learning_rate": 0.01,
    "window": {"length": 40, "stride": 40},
    "folds.num": 2,
    "features": {"clear": {}, "noise": {}},
}
MODEL = {"name": "multitask_contrastive", "hidden_dim": 8, "embedding_dim": 5}


def settings_of(data, store, **more):
    return {**SMALL, "data": str(data), "store": str(store), **more}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a data set of moods and effort, its store, a run of both tasks, and the joint embedding."""
    here = tmp_path_factory.mktemp("made")
    rows = [f"{clip}.wav,{who},{mood},{MOODS.index(mood)}" for clip, (who, mood) in CLIPS.items()]
    data = write_data(
        here / "data",
        "path,group,mood,effort",
        rows,
        classes={"column": "mood", "names": list(MOODS)},
        values={"columns": ["effort"], "range": [0, 2]},
    )
    store = write_store(here / "store").root
    settings = settings_of(data, store, name="joint", model=MODEL, tasks={"classes": {}, "values": {}})
    train("classes", settings, runs=here / "runs")
    report = embed(here / "runs/joint", store)
    return here, report


def test_the_run_says_how_the_joint_encoder_does_against_its_twins(made):
    document = Run(made[0] / "runs/joint").finished()
    assert set(document["pairs"]) == {"classes", "values"}
    for name, found in document["pairs"].items():
        assert document["scores"][name]["AUC_joint"] == found["joint"]
        assert document["scores"][name]["AUC_alone"] == found["alone"]
        assert found["num_clips"] > 2


def test_the_report_says_which_embedding_won(made):
    _, report = made
    text = str(report)
    assert "classes pair AUC: joint 0." in text
    assert "the joint embedding won for" in text
    assert text.splitlines()[-1].endswith("36 clips of 5 numbers a frame written")


def test_the_track_has_unit_length_and_knows_what_was_observed(made):
    here, _ = made
    store = FeatureStore(here / "store")
    recipe = store.find("joint_embedding")
    clear = store.get(store.find("clear"), "ann0")
    track = store.get(recipe, "ann0")
    assert track.dim == 5
    assert np.array_equal(track.observed, clear.observed)
    assert np.linalg.norm(track.values[track.observed], axis=1) == pytest.approx(1, abs=2e-3)  # float16
    assert not verify(store).faults


def test_the_recipe_names_weights_sources_and_what_was_seen(made):
    here, _ = made
    store, document = FeatureStore(here / "store"), Run(here / "runs/joint").finished()
    recipe = store.find("joint_embedding")
    assert recipe["weights"] == document["weights"]
    assert {each["recipe"] for each in recipe["features"].values()} == {
        store.folder(store.find(name)).name for name in ("clear", "noise")
    }
    assert recipe["trained_on"]["label_tasks"] == ["classes", "values"]
    assert set(recipe["trained_on"]["groups"]) == set(document["groups"]["train"])
    moved = {**recipe, "settings": {**recipe["settings"], "run": "elsewhere"}}
    assert store.folder(moved) == store.folder(recipe)


def test_a_second_export_writes_nothing_and_a_single_task_goes_beside_it(made):
    here, report = made
    again = embed(here / "runs/joint", here / "store")
    assert not again.written
    assert len(again.skipped) == 36
    assert again.folder == report.folder
    alone = embed(here / "runs/joint", here / "store", data=here / "data/data.yaml", task="values")
    assert alone.folder.rpartition("/")[2].startswith("values_embedding-")


def test_a_posterior_that_the_run_gets_later_makes_no_other_embedding(made):
    here, report = made
    predict(here / "runs/joint", here / "spread", clips=[next(iter(CLIPS))], deviation=True)
    again = embed(here / "runs/joint", here / "store")
    assert (again.folder, again.written, len(again.skipped)) == (report.folder, [], len(CLIPS))


def test_probe_and_training_use_it_and_know_what_it_has_seen(made):
    here, _ = made
    found = probe(
        here / "data/data.yaml", here / "store", encoders=["joint_embedding", "noise"], task="classes", draws=100
    )
    assert "joint_embedding was trained on the labels of 18 of these 36 clips" in "".join(found.tasks[0].remarks)
    settings = settings_of(here / "data/data.yaml", here / "store", features={"joint_embedding": {}}, name="after")
    run = train("classes", settings, runs=here / "runs")
    assert run.finished()["label_tasks_seen"] == ["classes", "values"]
    other = {**settings, "name": "other", "folds.fold": 1}
    with pytest.raises(
        InputError, match=r"joint_embedding were trained on the labels of group .*, which this run holds"
    ):
        train("classes", other, runs=here / "runs")
    assert not (here / "runs/other/run.json").exists()


def test_similar_moments_are_of_other_clips_one_a_clip_or_apart(made):
    here, _ = made
    found = find_similar("ann0@1.0", here / "store", num=50)
    clips = [each.clip for each in found.moments]
    assert len(clips) == len(set(clips)) == 35
    assert "ann0" not in clips
    similarities = [each.similarity for each in found.moments]
    assert similarities == sorted(similarities, reverse=True)
    assert found.moments[0].frame == round(found.moments[0].time_s * 10) + 1
    store = FeatureStore(here / "store")
    recipe = store.find("joint_embedding")
    wanted, best = store.get(recipe, "ann0"), store.get(recipe, clips[0])
    by_hand = max(float(row @ wanted.values[10]) for row in best.values[best.observed])
    assert similarities[0] == pytest.approx(by_hand, abs=2e-3)
    several = find_similar("ann0@1.0", here / "store", features="clear", num=20, min_gap_s=0.5)
    times = [each.time_s for each in several.moments if each.clip == several.moments[0].clip]
    assert len(several.moments) == 20
    assert all(abs(a - b) >= 0.5 for i, a in enumerate(times) for b in times[:i])


def test_the_report_is_text_csv_and_json(made):
    found = find_similar("ann0@1.0", made[0] / "store", num=2)
    assert str(found).splitlines()[0].startswith("ann0 at 1.000 s, by joint_embedding-")
    assert found.to_csv().splitlines()[0] == "rank,clip,time_s,frame,similarity"
    assert len(found.to_csv().splitlines()) == 3
    assert json.loads(json.dumps(found.to_dict()))["moments"][1]["clip"] == found.moments[1].clip


@pytest.mark.parametrize(
    ("moment", "given", "message"),
    [
        ("ann0", {}, "expected CLIP@SECONDS"),
        ("ann0@soon", {}, "expected CLIP@SECONDS: "),
        ("nobody@1", {}, "no track of joint_embedding for the clip 'nobody'"),
        ("ann0@60", {}, "has no row at 60 s: its rows are from 0.000 to 3.900 s"),
        ("ann0@nan", {}, "expected CLIP@SECONDS"),
        ("ann0@0.8", {}, r"nothing was observed in the clip 'ann0' at 0.800 s.*0.700 s or 0.900 s"),
        ("ann0@1", {"features": "cleer"}, "no features named 'cleer'"),
        ("ann0@1", {"num": 0}, "num is 0"),
        ("ann0@1", {"min_gap_s": 0}, "min_gap_s is 0"),
    ],
)
def test_a_moment_that_cannot_be_compared_is_refused_with_what_to_do(made, moment, given, message):
    with pytest.raises(AbawError, match=message):
        find_similar(moment, made[0] / "store", **given)


def test_a_store_without_embedding_names_the_command(tmp_path):
    write_store(tmp_path)
    with pytest.raises(InputError, match="has no joint_embedding: write it with abaw embed RUN"):
        find_similar("ann0@1", tmp_path)


def test_features_that_do_not_vary_are_remarked_on(tmp_path):
    store, recipe = FeatureStore(tmp_path), {"name": "flat", "encoder": "voice_mel", "settings": {}, "version": 1}
    for clip in ("a", "b"):
        store.put_clock(clip, Clock(np.arange(1, 4), np.arange(3) / 10, np.ones(3, bool)), {"num_frames": "3"})
        values = np.array([[1, 1], [0, 0], [1, 1]], np.float32)
        store.put(recipe, clip, Track(values, np.arange(3) / 10, np.ones(3, bool)), {})
    found = find_similar("a@0", tmp_path, features="flat")
    assert "the order means nothing" in str(found)
    assert "1 row of zeros left out" in str(found)
    with pytest.raises(InputError, match="are all 0 and point nowhere"):
        find_similar("a@0.1", tmp_path, features="flat")


def test_what_cannot_be_exported_is_refused_and_nothing_is_written(made, tmp_path):
    here, _ = made
    settings = settings_of(here / "data/data.yaml", here / "store", name="plain", features={"clear": {}})
    train("classes", settings, runs=tmp_path)
    with pytest.raises(InputError, match="is a run of the model pooled, which has no embedding to export"):
        embed(tmp_path / "plain", here / "store")
    with pytest.raises(InputError, match="has no embedding of 'va' alone: it has classes, values"):
        embed(here / "runs/joint", here / "store", task="va")
    other = write_store(tmp_path / "other")
    clear = other.find("clear")
    for path in other.folder(clear).iterdir():
        path.unlink()
    other.folder(clear).rmdir()
    with pytest.raises(AbawError, match="has no features clear-"):
        embed(here / "runs/joint", tmp_path / "other")
    store = FeatureStore(here / "store")
    for clip in ("ann0", "bob0"):
        other.put({**clear, "stored_dtype": "float16"}, clip, store.get(clear, clip), {})
    report = embed(here / "runs/joint", tmp_path / "other")
    assert "was trained on clear in float32, and reads it in float16" in str(report)
    assert report.written == ["ann0", "bob0"]
    assert report.folder.rpartition("/")[2] != store.folder(store.find("joint_embedding")).name
    for folder in [*(tmp_path / "other").glob("*embedding*"), other.folder({**clear, "stored_dtype": "float16"})]:
        shutil.rmtree(folder)
    other.put({**clear, "version": 2}, "ann0", Track(np.ones((2, 3), np.float32), np.arange(2.0), np.ones(2, bool)), {})
    with pytest.raises(InputError, match=r"has clear of other settings or weights \(clear-.*\) than"):
        embed(here / "runs/joint", tmp_path / "other")
    assert not [*(tmp_path / "other").glob("*embedding*")]


def test_a_training_without_pairs_is_refused_before_it_begins(made, tmp_path):
    here, _ = made
    rows = [f"{clip}.wav,{who},calm" for clip, (who, _) in CLIPS.items()]
    data = write_data(tmp_path / "data", rows=rows)
    settings = settings_of(data, here / "store", name="alike", model=MODEL)
    with pytest.raises(InputError, match="no two steps of different training clips are different by their labels of"):
        train("classes", settings, runs=tmp_path / "runs")
    settings |= {"data": str(here / "data/data.yaml"), "continuing.save_fisher": True}
    with pytest.raises(InputError, match="multitask_contrastive learns from pairs of clips, but continued training"):
        train("classes", settings, runs=tmp_path / "runs")
    assert not (tmp_path / "runs/alike/run.json").exists()


def test_a_single_task_run_says_that_there_is_no_joint_embedding(made, tmp_path):
    here, _ = made
    settings = settings_of(here / "data/data.yaml", here / "store", name="one", model=MODEL)
    train("classes", settings, runs=tmp_path / "runs")
    report = embed(tmp_path / "runs/one", here / "store", name="one_task")
    assert "a single task was trained, so there is no joint embedding" in str(report)
    with pytest.raises(InputError, match="trained on a single task: leave --task away"):
        embed(tmp_path / "runs/one", here / "store", task="classes")
