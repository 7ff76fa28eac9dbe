"""A data set of one's own, from its tables to trained, scored, combined and analysed: no Python, no Aff-Wild2."""

import json
import wave

import numpy as np
import pytest
from pyarrow import parquet

import abaw
from abaw.errors import InputError
from abaw.postprocessing import read_post_processing
from abaw.results.runs import Run

NAMES = ["low", "middle", "high"]
PITCH_HZ = {"low": 200, "middle": 600, "high": 1800}
FPS, SECONDS, RATE = 10, 1, 16000
QUICK = {"trainer": {"max_epochs": 8, "accelerator": "cpu"}, "training.loggers": []}
CLIP_LEVEL = (
    "manifest: clips.csv\n"
    "classes: {column: pitch, names: [low, middle, high], aliases: {mid: middle}}\n"
    "values: {columns: [height, softness], range: {height: [0, 100], softness: [-1, 1]}}\n"
)
FRAME_LEVEL = "manifest: frames.csv\nvalues: {columns: [height, softness], range: [0, 100]}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Tones of three pitches by six speakers, each louder from its middle on; a store; and two data set files."""
    folder = tmp_path_factory.mktemp("own")
    rng, clips, frames = np.random.default_rng(0), ["path,pitch,height,softness,speaker,split,fps"], []
    for i in range(18):
        name, split = NAMES[i % 3], "val" if i >= 12 else "train"
        times = np.arange(RATE * SECONDS) / RATE
        sound = np.sin(2 * np.pi * PITCH_HZ[name] * times * rng.uniform(0.9, 1.1)) * np.where(times < 0.5, 0.1, 0.8)
        with wave.open(str(folder / f"c{i}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((sound * 30000).astype("<i2").tobytes())
        written = "mid" if name == "middle" else name
        clips.append(f"c{i}.wav,{written},{50 * (i % 3)},{1 - i % 3},speaker {i // 3},{split},{FPS}")
        frames.append(f"c{i}.wav,speaker {i // 3},{split},{FPS},c{i}.tsv")
        rows = [f"{t:.1f}\t{50 * (i % 3)}\t{10 if t < 0.5 else 90}" for t in np.arange(0, 0.9, 0.1)]
        (folder / f"c{i}.tsv").write_text("\n".join(["time_s\theight\tsoftness", *rows]) + "\n")
    (folder / "clips.csv").write_text("\n".join(clips) + "\n")
    (folder / "frames.csv").write_text("\n".join(["path,speaker,split,fps,labels", *frames]) + "\n")
    (folder / "clips.yaml").write_text(CLIP_LEVEL + "columns: {group: speaker}\n")
    (folder / "frames.yaml").write_text(FRAME_LEVEL + "columns: {group: speaker}\n")
    abaw.extract(folder / "clips.yaml", folder / "store", ["voice_mel"])
    return folder


def train(made, data, **more):
    settings = {"data": str(made / data), "store": str(made / "store"), **QUICK, **more}
    return abaw.train("classes", settings, runs=made / "runs")


@pytest.fixture(scope="module")
def run(made):
    return train(made, "clips.yaml", name="pitch")


def test_clip_level_classes_go_from_a_table_to_a_score(made, run):
    scores = json.loads((run.folder / "run.json").read_text())["scores"]["classes"]
    assert scores["F1"] > 0.6
    assert (scores["classes"], scores["n"]) == (3, 6)
    table = parquet.read_table(run.predictions("validation") / "classes" / "c12.parquet")
    assert [table[f"p_{name}"].type for name in NAMES] == ["float"] * 3
    assert table["class"].to_pylist() == [table["class"][0].as_py()] * len(table)  # of the clip, in every row
    task = Run(run.folder).task("classes")
    assert (task.columns, task.resolution) == (("p_low", "p_middle", "p_high"), "clip")


def test_predict_score_combine_and_fit_take_clip_level_tables(made, run):
    out = made / "predicted"
    abaw.predict([run.folder], out / "one", split="validation")
    other = train(made, "clips.yaml", name="other", **{"training.seed": 1, "tasks.classes.pooling": "statistics"})
    abaw.predict([other.folder], out / "two", split="validation")
    abaw.combine([out / "one", out / "two"], out / "both")
    report = abaw.score([out / "one", out / "both"])
    assert [each.scores["n"] for each in report.results] == [6, 6]
    assert report.results[0].intervals["F1"][0] <= report.results[0].scores["F1"]
    assert "classes 3" in str(report)
    fitted = abaw.fit(out / "both", out=made / "fitted.json")
    assert fitted.results["classes"].scores["raw"]["n"] == 6
    assert "classes" in read_post_processing(made / "fitted.json", {"classes": run.task("classes")})


def test_tables_rebuild_their_task_where_the_run_is_gone(made, run):
    abaw.predict([run.folder], made / "alone", split="validation")
    path = made / "alone" / "classes" / "predictions.json"
    about = json.loads(path.read_text())
    assert about["task_settings"]["class_names"] == NAMES
    path.write_text(json.dumps({**{k: v for k, v in about.items() if k not in ("sha256", "tables")}, "run": ["gone"]}))
    (result,) = abaw.score(made / "alone", data=made / "clips.yaml").results
    assert result.scores["n"] == 6


def test_a_score_says_which_classes_have_no_label_and_are_left_out_of_its_mean(made, run):
    abaw.predict([run.folder], made / "all", split="validation")
    rows = (made / "clips.csv").read_text().splitlines()
    (made / "fewer.csv").write_text("\n".join(row for row in rows if ",high," not in row) + "\n")
    (made / "fewer.yaml").write_text((made / "clips.yaml").read_text().replace("clips.csv", "fewer.csv"))
    (result,) = abaw.score(made / "all", data=made / "fewer.yaml").results
    assert (result.scores["classes"], result.scores["n"]) == (2, 4)
    assert any("means over 2 of 3 classes: no label is high" in each for each in result.remarks)


def test_analyze_gives_the_class_of_the_clip_in_every_row_with_a_voice(made, run, media):
    clip = "03-01-05-02-01-01-01"
    found = abaw.analyze(media / f"ravdess/{clip}.flac", [run.folder], made / "analysed", assume_fps=FPS)
    table = found.table(clip).to_numpy()
    assert 0 < table["voice_heard"].sum() < len(table["voice_heard"])
    words = set(table["class"][table["voice_heard"]])
    assert len(words) == 1
    assert words <= set(NAMES)
    assert all(word is None for word in table["class"][~table["voice_heard"]])


def test_analyze_counts_the_rows_of_sound_alone_and_finds_no_persons_in_it(made, run):
    found = abaw.analyze(made / "c0.wav", [run.folder], made / "alone_25")
    assert len(found.table("c0").to_numpy()["frame"]) == 25 * SECONDS
    assert "1 clip of sound alone: 25 rows a second; give --assume-fps for another rate" in str(found)
    about = json.loads((made / "alone_25/analysis.json").read_text())
    assert about["clips"]["c0"]["times"] == "25 rows a second over the sound: there is no picture"
    with pytest.raises(InputError, match="--persons all needs a run or recogniser that takes a face"):
        abaw.analyze(made / "c0.wav", [run.folder], made / "persons", persons="all")
    assert not (made / "persons").exists()


def test_values_of_clips_and_of_frames_are_trained_in_their_own_range(made):
    clips = train(made, "clips.yaml", name="height", tasks={"values": {"mse_weight": 1.0}})
    frames = train(made, "frames.yaml", name="each", tasks={"values": {}}, model={"name": "concat"})
    for run, num in ((clips, 6), (frames, 6 * 9)):  # nothing follows the last time with a label
        (result,) = abaw.score(run.folder).results
        assert result.scores["n"] == num
        assert {"CCC", "RMSE", "Pearson", "CCC_height", "RMSE_softness"} <= result.scores.keys()
        table = parquet.read_table(run.predictions("validation") / "values" / "c14.parquet")  # whose height is 100
        assert np.abs(table["height"].to_numpy()).max() > 2  # not -1 to 1
    assert json.loads((clips.folder / "run.json").read_text())["tasks"]["values"]["ranges"] == [[0, 100], [-1, 1]]


@pytest.fixture(scope="module")
def of_values(made):
    """A run of values of clips, and what it predicts for clips that are the test split of another data set file."""
    run = train(made, "clips.yaml", name="height", tasks={"values": {"mse_weight": 1.0}})
    abaw.predict([run.folder], made / "heights", split="validation")
    (made / "test.csv").write_text((made / "clips.csv").read_text().replace(",val,", ",test,"))
    (made / "test.yaml").write_text((made / "clips.yaml").read_text().replace("clips.csv", "test.csv"))
    return run


def test_values_are_combined_fitted_and_analysed(made, of_values, media):
    other = train(made, "clips.yaml", name="again", tasks={"values": {}}, **{"training.seed": 1})
    abaw.predict([other.folder], made / "again", split="validation")
    abaw.combine([made / "heights", made / "again"], made / "twice")
    assert [each.scores["n"] for each in abaw.score([made / "heights", made / "twice"]).results] == [6, 6]
    fitted = abaw.fit(made / "twice", out=made / "values.json")
    assert fitted.results["values"].scores["raw"]["n"] == 6
    clip = "03-01-05-02-01-01-01"
    found = abaw.analyze(media / f"ravdess/{clip}.flac", [of_values.folder], made / "heard", assume_fps=FPS)
    table = found.table(clip).to_numpy()
    heard = table["voice_heard"]
    assert len(set(table["height"][heard])) == 1
    assert 0 <= table["height"][heard][0] <= 100
    assert np.isnan(table["height"][~heard].astype(float)).all()


def test_predictions_of_ones_own_labels_are_written_as_a_table_and_verified(made, run, of_values):
    abaw.predict([run.folder], made / "classes", split="validation")
    for folder, header in (
        ("classes", "clip,class,p_low,p_middle,p_high"),
        ("heights", "clip,height,softness"),
    ):
        out = made / f"{folder}.csv"
        assert abaw.submit(made / folder, made / "test.yaml", out).num_rows == 6
        lines = out.read_text().splitlines()
        assert lines[0] == header
        assert [line.split(",")[0] for line in lines[1:]] == [f"c{i}" for i in range(12, 18)]
        assert abaw.verify(out, made / "test.yaml") == []
    wrong = [lines[0], "c12,200,0", "c12,50,0", "x,50,0", *lines[3:5]]
    out.write_text("\n".join(wrong) + "\n")
    words = [str(fault) for fault in abaw.verify(out, made / "test.yaml")]
    assert [each.split(": ", 1)[1] for each in words] == [
        "'200,0': height is 200.0, expected 0 to 100",
        "'c12' is there twice, first on line 2",
        "'x' is no clip of this split",
        "3 of 6 clips have no row: 'c13', 'c16', 'c17'",
    ]
    with pytest.raises(ValueError, match=r"clips.yaml has no test clip: give --split train or validation"):
        abaw.submit(made / "classes", made / "clips.yaml", made / "no.csv")
    assert not (made / "no.csv").exists()


def test_predictions_of_frames_have_a_row_for_each_frame(made):
    run = train(made, "frames.yaml", name="framewise", tasks={"values": {}}, model={"name": "concat"})
    abaw.predict([run.folder], made / "by frame", split="validation")
    out = made / "frames of clips.csv"
    assert abaw.submit(made / "by frame", made / "frames.yaml", out, split="validation").num_rows == 60
    lines = out.read_text().splitlines()
    assert lines[0] == "clip,frame,height,softness"
    assert lines[1].startswith("c12,1,")
    assert abaw.verify(out, made / "frames.yaml", split="validation") == []
    out.write_text("\n".join([*lines[:2], *lines[3:]]) + "\n")
    (fault,) = abaw.verify(out, made / "frames.yaml", split="validation")
    assert (fault.line, fault.message) == (3, "frame '3' of 'c12', expected 2: frames count from 1 without gaps")


def test_a_recipe_of_clips_with_a_test_split_plans_its_table(made):
    rows = (made / "clips.csv").read_text().replace(",train,", ",test,", 3)
    (made / "three.csv").write_text(rows)
    (made / "three.yaml").write_text((made / "clips.yaml").read_text().replace("clips.csv", "three.csv"))
    settings = {"store": str(made / "store"), "folds.num": 3}
    plan = abaw.plan_recipe("classes", settings, data=made / "three.yaml", runs=made / "r", work=made / "w")
    assert "submit three: the test clips of three.yaml, verified" in str(plan)
    (made / "none.yaml").write_text((made / "clips.yaml").read_text().replace("clips.csv", "none.csv"))
    (made / "none.csv").write_text((made / "clips.csv").read_text().replace(",val,", ",train,"))
    with pytest.raises(ValueError, match=r"none.yaml has no validation clip, on which a recipe scores"):
        abaw.plan_recipe("classes", settings, data=made / "none.yaml", runs=made / "r", work=made / "w")


def test_a_score_finds_the_only_split_there_is(made, run):
    abaw.predict([run.folder], made / "found", split="validation")
    (made / "all.csv").write_text((made / "clips.csv").read_text().replace(",val,", ",train,"))
    (made / "all.yaml").write_text((made / "clips.yaml").read_text().replace("clips.csv", "all.csv"))
    (result,) = abaw.score(made / "found", data=made / "all.yaml").results
    assert (result.split, result.scores["n"]) == ("held-out", 6)
    with pytest.raises(ValueError, match=r"all.yaml has no validation clip: leave --split out"):
        abaw.score(made / "found", data=made / "all.yaml", split="validation")


def test_a_probe_compares_every_encoder_with_the_best(made):
    abaw.extract(made / "clips.yaml", made / "store", ["mfcc"])
    found = abaw.probe(made / "clips.yaml", made / "store", task="classes", draws=100)
    best, other = found.results
    assert (best.difference, best.p) == (None, None)
    assert other.difference == other.scores["F1"] - best.scores["F1"] <= 0
    assert 0 < other.p <= 1
    assert f"p: of the difference to {best.encoder}" in str(found)


def test_a_setting_that_the_labels_contradict_is_an_error_of_the_config(made):
    with pytest.raises(ValueError, match="pooling is 'attention', but the task has a label for every frame"):
        train(made, "frames.yaml", name="no", tasks={"values": {"pooling": "attention"}})
    wanted = r"frames.yaml does not define classes: .* it has, write 'tasks: \{values: \{\}\}' in a copy of the config"
    with pytest.raises(ValueError, match=wanted):
        train(made, "frames.yaml", name="no")
    assert not (made / "runs" / "no" / "run.json").exists()
